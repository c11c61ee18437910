-- What README and the pages of doc/ print is what runs: every snippet, every
-- link. A snippet in Lua is run by the Lua at hand, against the sandbox; what
-- `print(...) --> text` says, it prints. `<!-- run: ... -->` before one names
-- another place.
local json = require "spec.support.json"
local nginx = require "spec.support.nginx"
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"

local output, quoted, read = system.output, system.quoted, system.read

local root = output("pwd"):match "[^\n]+"
local build = os.getenv "BUILD" or "build"
if build:sub(1, 1) ~= "/" then build = root .. "/" .. build end
local lua
do -- the interpreter that runs the specs
    local i = 0
    while arg and arg[i - 1] do i = i - 1 end
    lua = arg and arg[i] or "lua"
end

local pages = { "README.md" }
for path in output("ls doc/*.md"):gmatch "%S+" do pages[#pages + 1] = path end

-- { lang =, where =, text =, line = } each, in order.
local function snippets(path)
    local list, open, where, n = {}, nil, "", 0
    for line in read(path):gmatch "([^\n]*)\n" do
        n = n + 1
        if open and line == "```" then
            list[#list + 1], open = open, nil
        elseif open then
            open.text = open.text .. line .. "\n"
        else
            local lang = line:match "^```(%l*)$"
            if lang then
                open = { lang = lang, where = where, text = "", line = n }
            elseif line ~= "" then
                where = line:match "^<!%-%- run: (.-) %-%->$" or ""
            end
        end
    end
    assert.is_nil(open)
    return list
end

-- Whether nobody packages for this Lua, 5.5, what it needs: see luv_spec and cqueues_spec.
local function lacks_rock(text)
    for _, name in ipairs { "luv", "cqueues", "socket" } do
        if text:find('require[( ]"' .. name) and _VERSION >= "Lua 5.5" and not pcall(require, name) then
            return true
        end
    end
end

-- A directory to run something in, as a user's would be.
local function workplace()
    local dir = output("mktemp -d"):match "%S+"
    system.write(dir .. "/ids.txt", "713516551148\n404000000001\n\n713000000002\r\n")
    return dir
end

-- Output and status of a shell's command, in such a directory.
local function run(command, env)
    local dir = workplace()
    local head = "exec 2>&1 </dev/null; cd %s && export HOME=/nonexistent %s KAPTURE_BASE_URL=%s KAPTURE_TOKEN=%s "
        .. "KAPTURE_CA_FILE=%s\n"
    head = head:format(dir, env or "", quoted(sandbox.https), quoted(sandbox.token), quoted(sandbox.ca))
    local text = output(head .. command .. "\necho \"exit $?\"")
    os.execute("rm -rf " .. dir)
    local shown, status = text:match "^(.-)exit (%d+)\n$"
    return shown, tonumber(status)
end

local function absolute(paths) -- the specs run at the top of the checkout
    return (";" .. paths):gsub(";%./", ";" .. root .. "/"):gsub(";([^/;])", ";" .. root .. "/%1"):sub(2)
end
local lua_env = ("LUA_PATH=%s LUA_CPATH=%s"):format(
    quoted(root .. "/lua/?.lua;" .. absolute(package.path)), quoted(absolute(package.cpath)))

local runners = {}

runners["lua"] = function(snippet)
    local script = os.tmpname()
    system.write(script, snippet.text)
    local text, status = run(("%s %s"):format(lua, script), lua_env)
    os.remove(script)
    assert.is_truthy(status == 0 or text == "" and status == 75, text)
    local from = 1
    for expected in snippet.text:gmatch "%-%-> *([^\n]+)" do
        local _, to = text:find(expected .. "\n", from, true)
        assert.is_truthy(to, expected .. " is not in what it prints: " .. text)
        from = to + 1
    end
end

runners["sh"] = function(snippet)
    assert.equal("", output("sh -n 2>&1 <<'END'\n" .. snippet.text .. "END\n"))
    if not snippet.text:find "^kapture " then return end
    for line in snippet.text:gmatch "[^\n]+" do
        local bin = ("PATH=%s/bin:$PATH BUILD=%s"):format(root, build)
        local text, status = run(line, bin)
        assert.equal(0, status, line .. "\n" .. text)
    end
end

runners["json"] = function(snippet)
    assert.is_truthy(json.decode(snippet.text))
end

local function in_neovim(snippet)
    local dir = output("mktemp -d"):match "%S+"
    os.execute(("mkdir -p %s/lua && ln -s %s/luajit/kapture.so %s/lua/"):format(dir, build, dir))
    system.write(dir .. "/snippet.lua", snippet.text)
    system.write(dir .. "/main.lua", ([[
        local said = {}
        vim.notify = function(text) said[#said + 1] = text end
        local ok, e = pcall(dofile, "%s/snippet.lua")
        if %s then vim.wait(10000, function() return #said > 0 end) end
        io.stdout:write(ok and "fine " or tostring(e), table.concat(said, "\n"), "\n")
        vim.cmd "qa!"
    ]]):format(dir, tostring(snippet.text:find("vim.notify", 1, true) ~= nil)))
    local text = run(("env -u LUA_PATH -u LUA_CPATH nvim --headless -n -i NONE -u NORC --cmd 'set rtp^=%s,%s' "
        .. "-c 'luafile %s/main.lua'"):format(root, dir, dir))
    os.execute("rm -rf " .. dir)
    local said = text:match "fine ([^\n]*)"
    assert.is_truthy(said, text)
    if snippet.text:find("vim.notify", 1, true) then assert.equal("TEST 1", (said:gsub("%s+$", ""))) end
end

describe("README.md and doc/", function()
    for _, path in ipairs(pages) do
        for _, snippet in ipairs(snippets(path)) do
            local name = ("%s:%d (%s)"):format(path, snippet.line, snippet.lang)
            if snippet.lang == "lua" and snippet.where == "" then
                if not lacks_rock(snippet.text) then it(name, function() runners.lua(snippet) end) end
            elseif snippet.where == "nvim" then
                it(name .. " #once", function() in_neovim(snippet) end)
            elseif runners[snippet.lang] then
                it(name .. " #once", function() runners[snippet.lang](snippet) end)
            end
        end
    end

    it("nothing that is run by nobody #once", function()
        local known, n = { [""] = true }, 0
        for lang in ("lua sh json nginx c cpp cmake"):gmatch "%l+" do known[lang] = true end
        for _, path in ipairs(pages) do
            for _, snippet in ipairs(snippets(path)) do
                assert.is_true(known[snippet.lang], path .. ":" .. snippet.line)
                n = n + 1
            end
        end
        assert.is_true(n > 30)
    end)

    it("nginx's configuration #once", function()
        local parts = {}
        for _, snippet in ipairs(snippets "doc/hosts.md") do
            if snippet.lang == "nginx" then parts[snippet.where] = snippet.text end
        end
        -- where make install puts them, which the checkout's stand in for
        local paths = { 'cpath "/opt/kapture/lib/lua/5.1/?.so;;"', 'path "/opt/kapture/share/lua/5.1/?.lua;;"' }
        for _, kind in ipairs(paths) do
            assert.is_truthy(parts[""]:find("lua_package_" .. kind, 1, true))
        end
        for _, cache in ipairs { "on", "off" } do
            local server = nginx.start {
                main = parts["nginx main"] .. "env KAPTURE_BASE_URL; env KAPTURE_CA_FILE;",
                http = "lua_code_cache " .. cache .. ";",
                server = parts["nginx server"],
                env = { KAPTURE_BASE_URL = sandbox.https, KAPTURE_TOKEN = sandbox.token, KAPTURE_CA_FILE = sandbox.ca },
            }
            local body, status = server:get "/ticket?id=713516551148"
            local log = server:log()
            local missing = select(2, server:get "/ticket?id=404000000001")
            local none = select(2, server:get "/ticket?id=no!id")
            local nothing = select(2, server:get "/ticket")
            server:stop()
            assert.equal(200, status, log)
            assert.equal("TEST 1\n", body)
            assert.equal(404, missing)
            assert.equal(400, none)
            assert.equal(400, nothing)
        end
    end)

    it("programs in C and C++, and CMake's lines, with what make install brings #once", function()
        local parts, script = {}, "print(#assert(require('kapture').get_ticket '713516551148'))\n"
        for _, snippet in ipairs(snippets "doc/hosts.md") do
            parts[#parts + 1] = snippet
            parts[snippet.lang] = snippet.text
            if snippet.text:find "^cc " then parts.cc = snippet.text end
        end
        local dir = workplace()
        local install = "make -s install ABI=5.4 PREFIX=%s/prefix BUILD=%s 2>&1 >/dev/null"
        assert.equal("", output(install:format(dir, build)))
        system.write(dir .. "/host.c", parts.c)
        system.write(dir .. "/host.cpp", parts.cpp)
        system.write(dir .. "/CMakeLists.txt", parts.cmake)
        system.write(dir .. "/script.lua", script)
        local env = ("PKG_CONFIG_PATH=%s/prefix/lib/pkgconfig"):format(dir)
        for _, command in ipairs {
            parts.cc .. "./host script.lua",
            (parts.cc:gsub("^cc host.c", "c++ host.cpp"):gsub("\n$", "pp\n")) .. "./hostpp",
            "cmake -S . -B cmake >/dev/null && cmake --build cmake >/dev/null && cmake/host script.lua",
        } do
            local text, status = run("cd " .. dir .. "\n" .. command, env)
            assert.equal(0, status, command .. "\n" .. text)
            assert.is_truthy(text == "1\n" or text:find "^kapture %d+%.%d+%.%d+\n$", text)
        end
        os.execute("rm -rf " .. dir)
    end)

    it("links only to what there is #once", function()
        -- GitHub's names of headings
        local function anchors(path)
            local set = {}
            for heading in ("\n" .. read(path):gsub("\n```.-\n```", "")):gmatch "\n#+ ([^\n]+)" do
                set[heading:lower():gsub("[^%w%- _]", ""):gsub(" ", "-")] = true
            end
            return set
        end
        for _, path in ipairs(pages) do
            local dir = path:match "^.*/" or ""
            for target in read(path):gmatch "%]%(([^)]+)%)" do
                if not target:find "^https:" then
                    local file, anchor = target:match "^([^#]*)#?(.*)$"
                    file = file == "" and path or dir .. file
                    assert.equal(0, tonumber(output("test -e " .. file .. "; echo $?")), path .. ": " .. target)
                    assert.is_truthy(anchor == "" or anchors(file)[anchor], path .. ": " .. target)
                end
            end
        end
    end)

    it("names only make targets that there are #once", function()
        local makefile = "\n" .. read "Makefile"
        for _, path in ipairs { "mk/check.mk", "mk/install.mk" } do makefile = makefile .. read(path) end
        for _, path in ipairs(pages) do
            for target in read(path):gsub("luarocks make", ""):gmatch "[`\n] *make (%l[%l%d-]*)" do
                assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), path .. ": " .. target)
            end
        end
    end)

    it("speaks of a field, an option and a kind as often as there are any #once", function()
        local ticket = json.decode(read "spec/support/sample.json")[1].task_details
        local table_of = read("doc/ticket.md"):match "\n## task_details\n(.-)\n## "
        for name, value in pairs(ticket) do
            local kind, example = table_of:match("\n| `" .. name .. "` | (%l+) | `(.-)` |")
            assert.equal(type(value) == "table" and "array" or type(value), kind, name)
            if kind == "string" and name ~= "url" then
                assert.equal('"' .. value .. '"', example, name)
            elseif kind == "number" then
                assert.equal(value, tonumber(example), name)
            end
        end
        local _, documented = table_of:gsub("\n| `", "")
        local n = 0
        for _ in pairs(ticket) do n = n + 1 end
        assert.equal(n, documented)
    end)
end)

describe("each kind of failure is in #once", function()
    -- beside doc/reference.md, which is made from the kinds' own table
    for _, place in ipairs {
        { "README.md", "What can fail", { missing = true } }, -- an iterator's alone
        { "doc/jobs.md", "Again, or not", { cancelled = true, closed = true } }, -- the job's own doing
    } do
        local path, section, others = (table.unpack or unpack)(place)
        it(path, function()
            local text = read(path):match("\n## " .. section .. "\n(.-)\n## ")
            local kinds = read("doc/reference.md"):match "<!%-%- kinds %-%->\n(.-)<!"
            local n = 0
            for kind in kinds:gmatch "\n| `([%l_]+)`" do
                n = n + 1
                assert.is_truthy(others[kind] or text:find("`" .. kind .. "`", 1, true),
                    ("%s, %s: nothing of `%s`"):format(path, section, kind))
            end
            assert.is_true(n > 10, n)
        end)
    end
end)

describe("README.md #once", function()
    local text = read "README.md"

    it("begins with examples/demo.lua, which is what make demo runs", function()
        assert.equal(read "examples/demo.lua", text:match "```lua\n(.-)```")
        assert.is_truthy(read("Makefile"):find("sandbox/with $(LUA) examples/demo.lua", 1, true))
    end)

    it("can be read in one go, and shows no sandbox in its quick start", function()
        local _, lines = text:gsub("\n", "\n")
        assert.is_true(lines <= 132)
        local quick = text:match "\n## Quick start\n(.-)\n## "
        assert.is_nil(quick:lower():find "sandbox")
        assert.is_nil(text:find("CA_FILE", 1, true))
    end)

    it("names packages that tools/deps knows", function()
        local deps = read "tools/deps" .. read "debian/control" .. " git "
        for name in text:match("sudo apt install ([^\n]+)"):gmatch "%S+" do
            assert.is_truthy(deps:find(name, 1, true), name)
        end
    end)
end)
