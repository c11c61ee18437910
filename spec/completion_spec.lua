-- What the shells offer, asked from the shells themselves, and the manual: both
-- are made from the table of options. #once
local system = require "spec.support.system"

local function output(command)
    return system.output(command .. " 2>&1")
end

local function script(text)
    local path = os.tmpname()
    system.write(path, text)
    return path
end

-- Words of output, one a line, sorted.
local function words(text)
    local list = {}
    for word in text:gmatch "%S+" do
        list[#list + 1] = word
    end
    table.sort(list)
    return list
end

local function has(list, wanted)
    for _, word in ipairs(list) do
        if word == wanted then
            return true
        end
    end
    return false
end

-- Shells write to their home.
local home
setup(function() home = output("mktemp -d"):gsub("%s+$", "") end)
teardown(function() os.execute("rm -rf " .. home) end)

local shells = {}

function shells.bash(line)
    local path = script(([[
source completion/kapture.bash
line='%s'
read -ra COMP_WORDS <<<"${line//=/ = }" # COMP_WORDBREAKS has the sign
case '%s' in *' ') COMP_WORDS+=('') ;; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_kapture
printf '%%s\n' "${COMPREPLY[@]}"
]]):format(line, line))
    local text = output("bash " .. path)
    os.remove(path)
    return words(text)
end

function shells.fish(line)
    local path = script(([[
source completion/kapture.fish
complete -C '%s' | string split -f 1 \t
]]):format(line))
    local text = output("HOME=" .. home .. " XDG_DATA_HOME=" .. home .. " fish --no-config " .. path)
    os.remove(path)
    return words(text)
end

-- A zsh of its own, whose Tab key is pressed; what is then added is printed.
function shells.zsh(line)
    local path = script(([[
zmodload zsh/zpty
zpty -b shell 'TERM=dumb PS1= zsh -f -i'
zpty -w shell 'fpath=(%s/completion $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=10000; unsetopt beep'
zpty -w shell 'compadd () { local -a found; builtin compadd -A found "$@"; print -rl -- "<"$^found">" }'
zpty -w shell 'print begun'
zpty -r shell text '*begun*begun*'
zpty -n -w shell $'%s\t'
quiet=0
for try in {1..200}; do # until it has said something, and then nothing more
  sleep 0.05
  (( quiet = quiet > 0 ? quiet + 1 : 0 ))
  while zpty -rt shell text; do
    print -rn -- $text
    case $text in *'<'*'>'*) quiet=1 ;; esac
  done
  (( quiet < 10 )) || break
done
zpty -d shell
]]):format(output("pwd"):gsub("\n", ""), line))
    local text = output("HOME=" .. home .. " zsh -f " .. path)
    os.remove(path)
    local list = {}
    for word in text:gmatch "<([^<>\r\n]+)>" do
        list[#list + 1] = word
    end
    return list, text
end

describe("the command's #once", function()
    for _, name in ipairs { "bash", "zsh", "fish" } do
        it(name .. " completion", function()
            local complete = shells[name]
            local list, all = complete "kapture "
            assert.is_true(has(list, "get") and has(list, "doctor") and has(list, "sandbox"), all)
            list, all = complete "kapture get -o "
            assert.is_true(has(list, "ndjson") and has(list, "csv"), all)
            list, all = complete "kapture get --b"
            assert.is_true(has(list, "--batch-size") and has(list, "--backoff") and has(list, "--base-url"), all)
            assert.is_false(has(list, "--token"), all)
            list, all = complete "kapture doctor --ca-file READM"
            assert.is_true(has(list, "README.md"), all)
            list, all = complete "kapture get --from=READM"
            assert.is_true(has(list, "README.md") or has(list, "--from=README.md"), all)
            list, all = complete "kapture get --output="
            assert.is_true(has(list, "ndjson") or has(list, "--output=ndjson"), all)
        end)
    end

    it("completions and manual are made from its options", function()
        assert.equal("", output "lua5.4 tools/pages.lua --check")
        local kinds = require("kapture.cli.options").connection
        local known = {}
        for _, o in ipairs(kinds) do
            known[o.name] = true
        end
        -- what a command line has no use for
        for _, name in ipairs { "headers", "body", "fields", "raw", "partial", "hook" } do known[name] = true end
        -- the defaults that help and manual name
        local defaults = { max_response_bytes = "64 << 20" }
        for _, o in ipairs(kinds) do
            if o.type == "number" and tonumber(o.default) then
                defaults[o.name] = o.default
            end
        end
        local n = 0
        for option, initial in system.read("csrc/config/settings.c"):gmatch
            '\n    {"([%w_]+)",%s+KAP_OPTION_%u+,%s+AT[^ ]+%s+([^,]+),' do
            assert.is_true(known[option], option .. ": it has no row in lua/kapture/cli/options.lua; where a command "
                .. "line has no use for it, name it in the list above")
            if defaults[option] then
                assert.equal(defaults[option], initial, option)
                n = n + 1
            end
        end
        assert.is_true(n >= 9, n)
    end)

    it("manual is right by groff's measure", function()
        assert.equal("", output "man -l --warnings doc/kapture.1 2>&1 >/dev/null")
        assert.truthy(output("man -l doc/kapture.1 | cat"):find("kapture get -f retry.txt --failed still.txt", 1, true))
    end)
end)
