-- The plugin in a real Neovim: each file of spec/nvim in one of its own, without
-- a user's configuration, the module found on the runtimepath alone. Neovim has
-- one Lua, so this runs once: with the LuaJIT build.
if os.getenv "ABI" ~= "luajit" then return end

local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"
local host = require "kapture_host"

local function capture(command)
    return (system.output(command):gsub("%s+$", ""))
end

local function run(name)
    local root = capture "pwd"
    local build = capture("cd " .. (os.getenv "BUILD" or "build") .. " && pwd")
    local dir = capture "mktemp -d"
    assert(os.execute(([[
        mkdir -p %s/rtp/lua %s/home && ln -s %s/luajit/kapture.so %s/rtp/lua/kapture.so &&
        mkdir %s/rtp/doc && cp %s/doc/kapture.txt %s/rtp/doc/
    ]]):format(dir, dir, build, dir, dir, root, dir)))
    local command = ([[
        cd %s/home && env -u LUA_PATH -u LUA_CPATH -u KAPTURE_TOKEN -u NVIM HOME=%s/home XDG_CONFIG_HOME=%s/home/c \
        XDG_DATA_HOME=%s/home/d XDG_STATE_HOME=%s/home/s XDG_CACHE_HOME=%s/home/h TERM=xterm-256color LC_ALL=C.UTF-8 \
        KAPTURE_NVIM_ROOT=%s KAPTURE_NVIM_BUILD=%s KAPTURE_NVIM_RTP=%s/rtp \
        KAPTURE_NVIM_TEST=%s/spec/nvim/%s.lua KAPTURE_NVIM_REPORT=%s/report \
        KAPTURE_SANDBOX_READY=%s timeout -k 5 300 nvim --headless -n -i NONE -u NORC \
        --cmd "set rtp^=%s,%s/rtp" -c "luafile %s/spec/nvim/main.lua" 2>&1 </dev/null]]):format(
        dir, dir, dir, dir, dir, dir, root, build, dir, root, name, dir, os.getenv "KAPTURE_SANDBOX_READY" or "",
        root, dir, root)
    local output = capture(command)
    local results, ended = {}, false
    local report = io.open(dir .. "/report")
    if report then
        for line in report:lines() do
            local verdict, test, detail = line:match "^(%l%l)\t([^\t]*)\t(.*)$"
            if verdict then results[#results + 1] = { verdict == "ok", test, (detail:gsub("\1", "\n")) } end
            ended = ended or line == "end"
        end
        report:close()
    end
    os.execute("rm -rf " .. dir)
    return results, ended, output
end

for _, name in ipairs { "client", "view", "windows", "large", "health", "screen", "picker" } do
    describe("Neovim, " .. name .. ":", function()
        local began = host.now()
        local results, ended, output = run(name)
        for _, result in ipairs(results) do
            it(result[2], function() assert(result[1], result[3]) end)
        end
        it("the editor ended as it should", function()
            assert(ended, ("after %.0f s, saying: %s"):format(host.now() - began, output))
            assert.is_true(#results > 0)
            assert.is_nil(output:find "E%d+:", output)
        end)
    end)
end
assert(sandbox.token)

-- From `:help deprecated` of Neovim 0.8 to 0.12: not without an `or` beside it
-- that newer ones take instead.
describe("Neovim, newer than this one:", function()
    it("nothing that it has deprecated is called without a guard", function()
        local files = capture "find lua/kapture lua/kapture/nvim* plugin doc -name '*.lua' -o -name '*.txt'"
        local read = 0
        for name in files:gmatch "[^\n]+" do
            read = read + 1
            local n = 0
            for line in io.lines(name) do
                n = n + 1
                for _, pattern in ipairs {
                    "vim%.loop", "report_%l+", "vim%.validate", "pretty_print", "tbl_islist", "tbl_flatten",
                    "tbl_add_reverse", "vim%.highlight", "vim%.region", "nvim_[bufwin_]*[sg]et_option%f[^%w_]",
                    "nvim_exec%f[^%w_]", "nvim_command_output", "nvim_get_hl_by", "add_highlight", "set_virtual_text",
                    "nvim_%l+_writeln?", "termopen", "vim%.str_", "buffer = ",
                } do
                    assert(not line:find(pattern) or line:find " or ", name .. ":" .. n .. ": " .. line)
                end
            end
        end
        assert.is_true(read > 5)
    end)
end)
