#!/usr/bin/env lua
-- tools/pages.lua [--check]: what is made from the table of the command's
-- options: the shells' completions and the manual's list of options. With
-- --check, whether the files are so.
package.path = "lua/?.lua;" .. package.path

local options = require "kapture.cli.options"

local function names(o)
    return o.short and o.short .. " " .. o.long or o.long
end

local function each(list, f, separator)
    local out = {}
    for _, item in ipairs(list) do
        local text = f(item)
        if text then
            out[#out + 1] = text
        end
    end
    return table.concat(out, separator or "\n")
end

local commands = each(options.commands, function(c) return c.name end, " ")

-- Options that take a value, each once, by what may stand there.
local function by_value()
    local seen, files, directories, words, others = {}, {}, {}, {}, {}
    for _, c in ipairs(options.commands) do
        for _, o in ipairs(options.of(c)) do
            if o.takes_value and not seen[o.long] then
                seen[o.long] = true
                local pattern = names(o):gsub(" ", "|")
                if o.complete == "file" then
                    files[#files + 1] = pattern
                elseif o.complete == "directory" then
                    directories[#directories + 1] = pattern
                elseif o.complete then
                    words[#words + 1] = { pattern, table.concat(o.complete, " ") }
                else
                    others[#others + 1] = pattern
                end
            end
        end
    end
    return files, directories, words, others
end

local function bash()
    local files, directories, words, others = by_value()
    return ([[
# bash completion for kapture; made by tools/pages.lua.
_kapture() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word
    # --from=file comes as three words, or as two where nothing follows the sign
    if [ "$cur" = = ]; then
        cur=
    elif [ "$prev" = = ]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in @COMMANDS_OR@) command=$word; break ;; esac
    done
    COMPREPLY=()
    case $prev in
        @FILES@)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        @DIRECTORIES@)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
@WORDS@
        @OTHERS@)
            return ;;
    esac
    case $command in
        '') word="@COMMANDS@ --help --version" ;;
@LISTS@
    esac
    case $command:$cur in
        :*|*:-*) mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur") ;;
        sandbox:*) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    esac
}
complete -F _kapture kapture
]]):gsub("@([%u_]+)@", {
        COMMANDS = commands,
        COMMANDS_OR = commands:gsub(" ", "|"),
        FILES = table.concat(files, "|"),
        DIRECTORIES = table.concat(directories, "|"),
        OTHERS = table.concat(others, "|"),
        WORDS = each(words, function(w)
            local take = 'mapfile -t COMPREPLY < <(compgen -W "%s" -- "$cur"); return ;;'
            return ("        %s)\n            " .. take):format(w[1], w[2])
        end),
        LISTS = each(options.commands, function(c)
            return ('        %s) word="%s" ;;'):format(c.name, each(options.of(c), names, " "))
        end),
    })
end

local function zsh()
    local function escape(text)
        return (text:gsub("%.$", ""):gsub("[%[%]:]", "\\%0"):gsub("'", "'\\''"))
    end
    local function argument(o)
        local action = ""
        if o.takes_value then
            local kind = o.complete
            action = ":" .. escape(o.argname:gsub("[<>]", "")) .. ":"
                .. (kind == "file" and "_files" or kind == "directory" and "_files -/"
                    or kind and "(" .. table.concat(kind, " ") .. ")" or " ")
        end
        local doc = "[" .. escape(o.doc) .. "]" .. action
        if o.short then
            local long = o.long .. (o.takes_value and "=" or "")
            return ("    '(%s %s)'{%s,%s}'%s' \\"):format(o.short, o.long, o.short, long, doc)
        end
        return ("    '%s%s%s%s' \\"):format(o.many and "*" or "", o.long, o.takes_value and "=" or "", doc)
    end
    return ([[
#compdef kapture
# zsh completion for kapture; made by tools/pages.lua.
@FUNCTIONS@
_kapture() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '(-h --help)'{-h,--help}'[Show help and exit]' \
    '--version[Print the versions and exit]' \
    '1:command:((@COMMANDS@))' \
    '*::argument:->rest' && return 0
  case $state in
    rest) _kapture_$words[1] ;;
  esac
}
if [ "$funcstack[1]" = _kapture ]; then _kapture "$@"; else compdef _kapture kapture; fi
]]):gsub("@([%u_]+)@", {
        COMMANDS = each(options.commands, function(c)
            return ('%s\\:"%s"'):format(c.name, escape(c.doc))
        end, " "),
        FUNCTIONS = each(options.commands, function(c)
            local rest = c.takes_ids and "    '*:id: '" or c.name == "sandbox" and "    '*::command:_normal'"
                or "    && return 0"
            return ("_kapture_%s() {\n  _arguments -s \\\n%s\n%s\n}\n"):format(c.name, each(options.of(c), argument),
                rest)
        end, ""),
    })
end

local function fish()
    local function quoted(text)
        return "'" .. text:gsub("[\\']", "\\%0") .. "'"
    end
    return "# fish completion for kapture; made by tools/pages.lua.\ncomplete -c kapture -f\n"
        .. "complete -c kapture -n __fish_use_subcommand -s h -l help -d 'Show help and exit'\n"
        .. "complete -c kapture -n __fish_use_subcommand -l version -d 'Print the versions and exit'\n"
        .. each(options.commands, function(c)
            return ("complete -c kapture -n __fish_use_subcommand -a %s -d %s\n"):format(c.name, quoted(c.doc))
                .. each(options.of(c), function(o)
                    local value = ""
                    if o.takes_value then
                        value = o.complete == "file" and " -r -F"
                            or o.complete == "directory" and " -x -a '(__fish_complete_directories)'"
                            or o.complete and " -x -a " .. quoted(table.concat(o.complete, " ")) or " -x"
                    end
                    return ("complete -c kapture -n '__fish_seen_subcommand_from %s'%s -l %s%s -d %s"):format(
                        c.name, o.short and " -s " .. o.short:sub(2) or "", o.long:sub(3), value,
                            quoted((o.doc:gsub("%.$", ""))))
                end)
        end) .. "\n"
end

-- The manual: its prose is doc/kapture.1 itself, the lists are put into it.
local function roff(text)
    return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"))
end

local function manual(old)
    local function entry(o)
        local value = o.takes_value and " \\fI" .. roff(o.argname:gsub("[<>]", "")) .. "\\fR" or ""
        return (".TP\n%s\\fB%s\\fR%s\n%s"):format(
            o.short and "\\fB" .. roff(o.short) .. "\\fR, " or "", roff(o.long), value, roff(o.doc))
    end
    local function list(name)
        if name == "examples" then
            return each(options.commands, function(c)
                return each(c.examples, function(example)
                    return (".TP\n\\fB%s\\fR\n%s"):format((roff(example[1]):gsub("'", "\\(aq")), roff(example[2]))
                end)
            end)
        end
        for _, c in ipairs(options.commands) do
            if c.name == name then
                return each(options.of { options = c.options }, entry)
            end
        end
        return each(options.of { options = {}, connects = true }, function(o)
            return o.long ~= "--help" and entry(o) or nil
        end)
    end
    return (old:gsub('(%.\\" LIST (%l+)\n).-(%.\\" END\n)', function(head, name, tail)
        return head .. list(name) .. "\n" .. tail
    end))
end

local function read(path)
    local file = io.open(path, "rb")
    local text = file and file:read "*a" or ""
    if file then
        file:close()
    end
    return text
end

local bad = false
for path, text in pairs {
    ["completion/kapture.bash"] = bash(),
    ["completion/_kapture"] = zsh(),
    ["completion/kapture.fish"] = fish(),
    ["doc/kapture.1"] = manual(read "doc/kapture.1"),
} do
    if arg[1] == "--check" then
        if read(path) ~= text then
            io.stderr:write(path, " is not as lua/kapture/cli/options.lua has it: run tools/pages.lua\n")
            bad = true
        end
    elseif read(path) ~= text then
        local file = assert(io.open(path, "wb"))
        file:write(text)
        file:close()
    end
end
os.exit(bad and 1 or 0)
