-- Each example runs as its first lines say. Those of OpenResty and of a host in C
-- are in gateway_spec and hosts_spec.
local sandbox = require "spec.support.sandbox"

local root = io.popen("pwd"):read "*l"
local lua
do -- the interpreter that runs the specs
    local i = 0
    while arg and arg[i - 1] do
        i = i - 1
    end
    lua = arg and arg[i] or "lua"
end

local function run(command, opts)
    opts = opts or {}
    local env = "export KAPTURE_BASE_URL='%s' KAPTURE_TOKEN='%s' KAPTURE_CA_FILE='%s' HOME=/nonexistent"
    env = env:format(opts.base_url or sandbox.https, opts.token or sandbox.token, sandbox.ca)
    local pipe = io.popen(env .. "\nexec 2>&1; " .. command:gsub("^lua ", lua .. " ") .. '\necho "exit $?"')
    local text, code = pipe:read("*a"):match "^(.-)exit (%d+)\n$"
    pipe:close()
    return text, tonumber(code)
end

local function lines(text)
    local list = {}
    for line in text:gmatch "[^\n]+" do
        list[#list + 1] = line
    end
    return list
end

local function temporary(text)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(text or "")
    file:close()
    return path
end

describe("examples/", function()
    it("filter.lua", function()
        local text, code = run "lua examples/filter.lua 713516551148 5 6"
        assert.equal(0, code, text)
        assert.truthy(text:find("2024-04-19T14:19:00+05:30\t713516551148\tTEST 1", 1, true), text)
        assert.truthy(text:find("1 with priority low", 1, true), text)
    end)

    it("export.lua", function()
        local text, code = run(("printf '713516551148\\n5\\n' | %s examples/export.lua"):format(lua))
        assert.equal(0, code, text)
        assert.equal("ticketId,status,priority,assignedToName,date,title\r\n", text:match "^[^\n]*\n")
        assert.truthy(text:find("\n713516551148,Pending,low,Kapture Dev API&apos;s,19-04-2024 14:19,TEST 1\r\n5,", 1,
            true))
        text, code = run(("echo 404000000001 | %s examples/export.lua"):format(lua))
        assert.equal(1, code)
        assert.truthy(text:find("404000000001: missing", 1, true), text)
    end)

    it("nightly.lua", function()
        local ids, log = temporary "713516551148\n404000000001\n", temporary()
        local command = ("lua examples/nightly.lua %s %s"):format(ids, log)
        local text, code = run(command, { base_url = sandbox.url("status,code=503,times=1,key=" .. sandbox.key()) })
        assert.equal(0, code, text)
        assert.truthy(text:find "^retry in ", text)
        assert.truthy(text:find("404000000001: no such ticket", 1, true), text)
        assert.truthy(io.open(log):read("*l"):find "^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%dZ\t713516551148\tPending$")
        assert.equal(77, select(2, run(command, { token = "wrong" })))
        -- the token expires in the middle: what came is kept, and a person is asked for
        local many = { "# tonight" }
        for i = 1, 300 do
            many[#many + 1] = i
        end
        local file = assert(io.open(ids, "w"))
        file:write(table.concat(many, "\n"), "\n")
        file:close()
        file = assert(io.open(log, "w"))
        file:close()
        text, code = run(command, { base_url = sandbox.url "expired,ifid=290" })
        assert.equal(77, code, text)
        assert.truthy(io.open(log):read("*a"):find("\t1\t", 1, true))
        assert.equal(75, (select(2, run(command, { base_url = sandbox.url "status,code=404,ifid=290" }))))
        assert.equal(1, (select(2, run(command, { base_url = sandbox.url "status,code=404" }))))
        os.remove(ids)
        os.remove(log)
    end)

    it("watch.lua", function()
        local text, code = run(("ROUNDS=2 %s examples/watch.lua 0.1 713516551148"):format(lua))
        assert.equal(0, code, text)
        assert.same({
            "713516551148 status: Pending", "713516551148 substatus: Pending",
            "713516551148 assignedToName: Kapture Dev API&apos;s", "713516551148 priority: low",
            "713516551148 lastConvesationTime: 19-04-2024 14:19",
        }, lines(text))
        -- Ctrl-C in the pause, which is when it mostly comes
        local began = os.time()
        text, code = run(("timeout -s INT 1 %s examples/watch.lua 30 713516551148"):format(lua))
        assert.equal(124, code, text)
        assert.is_true(os.time() - began < 15)
    end)

    for _, name in ipairs { "luv", "cqueues" } do
        -- nobody packages them for 5.5 yet: see luv_spec and cqueues_spec
        if _VERSION < "Lua 5.5" or pcall(require, name) then it(name .. ".lua", function()
            local text, code = run("lua examples/" .. name .. ".lua 713516551148 404000000001")
            assert.equal(0, code, text)
            assert.truthy(text:find("713516551148\tPending", 1, true), text)
            assert.truthy(text:find("404000000001\tno such ticket", 1, true), text)
        end) end
    end

    it("testing/", function()
        local path = ("LUA_PATH='%s/examples/testing/?.lua;'\"$LUA_PATH\""):format(root)
        local text, code = run(("%s %s examples/testing/overdue_test.lua"):format(path, lua))
        assert.equal("fine\n", text)
        assert.equal(0, code)
    end)

    it("scale-out/run #once", function()
        -- two "hosts", of which one is lost in the middle; then all is stopped.
        -- Nothing says which shell: a service or a container has no SHELL.
        local dir = io.popen("mktemp -d"):read "*l"
        local ids, all = {}, {}
        for i = 1, 600 do
            ids[i] = tostring(713000000000 + i)
        end
        local file = io.open(dir .. "/ids", "w")
        file:write(table.concat(ids, "\n"), "\n")
        file:close()
        file = io.open(dir .. "/ssh", "w")
        file:write(([[#!/bin/sh
# "ssh" [options] host command: here, and the second host is lost in its second job
while :; do case $1 in one|two) break ;; *) shift ;; esac; done
host=$1; shift
if [ "$1" = -- ]; then shift; fi
if [ "$host" = two ]; then
    echo >> %s/two
    if [ "$(wc -l < %s/two)" = 2 ]; then sh -c "$*" | head -c 3000; exit 255; fi
fi
exec sh -c "$*"
]]):format(dir, dir))
        file:close()
        file = io.open(dir .. "/kapture", "w")
        file:write(("#!/bin/sh\nexec %s %s/bin/kapture \"$@\"\n"):format(lua, root))
        file:close()
        os.execute(("chmod +x %s/ssh %s/kapture"):format(dir, dir))
        local command = ("unset SHELL; HOME=%s BATCH=50 KAPTURE=%s/kapture %s examples/scale-out/run %s/ids %s/out "
            .. "--ssh %s/ssh -S 1/one,1/two --workdir %s --env KAPTURE_BASE_URL "
            .. "--env KAPTURE_TOKEN --env KAPTURE_CA_FILE "
            .. "--env LUA_PATH --env LUA_CPATH"):format(dir, dir, "%s", dir, dir, dir, root)
        -- stopped when a job is done (exit value and signal are 0), and not all of them are
        local done = "^[0-9]+(<t>[^<t>]+){5}<t>0<t>0<t>"
        local stopped = ([[timeout 120 sh -c '
      "$@" & while ! grep -Eq "%s" %s/out/jobs; do sleep 0.1; done; kill 0' -]]):format(done, dir):gsub("<t>", "\t")
        local text, code = run(command:format(stopped), { base_url = sandbox.url "delay,ms=400" })
        assert.not_equal(0, code, text)
        local jobs = io.open(dir .. "/out/jobs"):read "*a"
        assert.truthy(jobs:find("\n%d+" .. ("\t[^\t]+"):rep(5) .. "\t0\t0\t"), text)
        text, code = run(command:format "")
        assert.equal(0, code, text)
        local calls = select(2, io.open(dir .. "/two"):read("*a"):gsub("\n", ""))
        assert.is_true(calls >= 2, calls)
        for line in text:gmatch "[^\n]+" do
            local id = line:match '"ticketId":"(%d+)"'
            assert.is_truthy(id, line)
            assert.is_nil(all[id], id)
            all[id] = true
        end
        for _, id in ipairs(ids) do
            assert.is_true(all[id], id)
        end
        os.execute("rm -rf " .. dir)
    end)
end)
