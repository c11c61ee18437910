local command = require "spec.support.command"
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"

local lua, read, run = command.lua, system.read, command.run

describe("the command", function()
    it("writes tickets as NDJSON, integers and empty containers exactly", function()
        local out, err, code = run "get 713516551148"
        assert.equal(0, code, err)
        assert.truthy(out:find('"taskId":530348198,', 1, true))
        assert.truthy(out:find('"attachments":[]', 1, true))
        assert.truthy(out:find('"history":{}', 1, true))
        local _, lines = out:gsub("\n", "")
        assert.equal(1, lines)
    end)

    it("writes NDJSON as it came, but for blanks, unless somebody looks into it", function()
        local body = '[{"z":1.50, "task_details" : {"ticketId":"1","n":1e2,"s":"\\u00e9\\/"}, "a": [ ] }]'
        local url = sandbox.url("body,text=" .. body:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end))
        local out = run("get -o ndjson 1", { base_url = url })
        assert.equal('{"z":1.50,"task_details":{"ticketId":"1","n":1e2,"s":"\\u00e9\\/"},"a":[]}\n', out)
        out = run("get -o ndjson --where 'ticketId == \"1\"' 1", { base_url = url })
        out = out:gsub(":100,", ":100.0,") -- Lua with floats alone
        assert.equal('{"a":[],"task_details":{"n":100.0,"s":"\195\169/","ticketId":"1"},"z":1.5}\n', out)
        out = run("get -o ndjson --fields task_details.ticketId 1", { base_url = url })
        assert.equal('{"task_details":{"ticketId":"1"}}\n', out)
    end)

    it("writes JSON, CSV and tables", function()
        local out = run "get -o json 713516551148"
        assert.equal("[\n{\n", out:sub(1, 4))
        out = run "get -o csv --fields task_details.ticketId,task_details.title 713516551148"
        assert.equal("task_details.ticketId,task_details.title\r\n713516551148,TEST 1\r\n", out)
        out = run "get -o table --fields task_details.ticketId,task_details.status 713516551148"
        assert.equal("ticketId      status\n713516551148  Pending\n", out)
    end)

    it("reads ids from standard input, and names the missing", function()
        local input = "5\\r\\n\\n 6,7 \\n404000000001\\n"
        local out, err, code = run("get -o csv --fields task_details.ticketId -", { input = input })
        assert.equal(0, code, err)
        assert.equal("task_details.ticketId\r\n5\r\n6\r\n7\r\n", out)
        assert.truthy(err:find("1 not known to the service: 404000000001", 1, true), err)
    end)

    it("says so where arguments name no id, as a script's empty variable does", function()
        for _, words in ipairs { "get", "get ''", "get ' , ' ''" } do
            local out, err, code = run(words)
            assert.equal(2, code, words)
            assert.equal("", out)
            assert.truthy(err:find("no ids given", 1, true), err)
        end
        assert.equal(0, (select(3, run("get -", { input = "" })))) -- a file may well be empty
    end)

    it("keeps --where in its cage", function()
        local out, err, code =
            run [[get 5 713516551148 -o csv --fields task_details.ticketId --where 'title == "TEST 1"']]
        assert.equal("task_details.ticketId\r\n713516551148\r\n", out, err)
        assert.equal(0, code)
        for _, expression in ipairs {
            [[os.exit(7)]], [[("x"):rep(9)]], [[require "os"]], [[getmetatable("").__index]],
            [[string.rep("x", 9)]], [[load("return 1")()]], [[_G.os]], [[title:rep(9)]], [[("").format]],
        } do
            out, err, code = run(("get 5 --where '%s'"):format(expression))
            assert.equal(1, code, expression .. out)
            assert.truthy(err:find("--where", 1, true), err)
        end
        for _, expression in ipairs { [[(function() while true do end end)()]], [[1) os.exit(7) (2]], [[return 1]],
            [[true -- )]], [=[[[function]] == 1]=], "\27Lua" } do
            out, err, code = run(("get 5 --where '%s'"):format(expression))
            assert.equal(2, code, expression .. out .. err)
        end
    end)

    it("shows the fields that were asked for, whatever --where looks at", function()
        local words = [[get 5 713516551148 --where 'title == "TEST 1" and "function" and callBack == ""']]
        local out, err = run(words .. " --fields task_details.ticketId,history")
        assert.equal('{"history":{},"task_details":{"ticketId":"713516551148"}}\n', out, err)
    end)

    it("writes the missing and the failed to files", function()
        local missing, failed = os.tmpname(), os.tmpname()
        local base_url = sandbox.url "status,code=500,ifid=6"
        local files = (" --missing %s --failed %s"):format(missing, failed)
        local words = "get 5 6 404000000001 404000000002 --retries 0 --fields task_details.ticketId" .. files
        local out, err, code = run(words, { base_url = base_url })
        assert.equal(1, code)
        assert.equal('{"task_details":{"ticketId":"5"}}\n', out, err)
        assert.equal("404000000001\n404000000002\n", read(missing))
        assert.equal("6\n", read(failed))
        assert.truthy(err:find("1 failed: 6", 1, true), err)
        os.remove(missing)
        os.remove(failed)
        assert.equal(2, (select(3, run "get 5 --missing /dev/null/x")))
        assert.equal(1, (select(3, run "get 404000000001 --missing /dev/full")))
    end)

    it("prints nothing that a terminal would obey", function()
        local _, err, code = run("get -", { input = "a\\033[2Jb\\302\\233c\\n" })
        assert.equal(1, code)
        assert.is_nil(err:find "[\27\155]", err)
        local _, huge = run "get --from /dev/urandom --base-url http://nobody 2>&1 | head -c 1"
        assert.equal("", huge)
    end)

    it("sends the headers and options it is given", function()
        local key = sandbox.key()
        local words = "get 5 --header 'X-Api-Type: TICKET' --history-type all --no-compression --user-agent me"
        local _, err, code = run(words, { base_url = sandbox.url("delay,ms=1", { key = key }) })
        assert.equal(0, code, err)
        local entry = sandbox.requests(key)[1]
        assert.equal("me", entry.agent)
        assert.equal("all", entry.fields.history_type)
        _, err, code = run "get 5 --header 'Host: x'"
        assert.equal(2, code)
        assert.truthy(err:find("'Host' is set by kapture itself", 1, true), err)
        assert.equal(2, (select(3, run "get 5 --header nonsense")))
    end)

    it("takes arguments before the environment, and a profile that was asked for as well", function()
        local home = os.tmpname()
        os.remove(home)
        os.execute("mkdir -p " .. home .. "/kapture")
        local path = home .. "/kapture/config"
        local file = io.open(path, "w")
        file:write(("base_url = %s\n[real]\nbase_url = %s\ntoken = %s\n"):format(
            sandbox.refused, sandbox.https, sandbox.token))
        file:close()
        os.execute("chmod 600 " .. path)
        assert.equal(0, (select(3, run("get 5", { config_home = home }))))
        local bad = { config_home = home, base_url = sandbox.refused, token = "wrong" }
        assert.equal(0, (select(3, run("get 5 --profile real", bad))))
        assert.equal(1, (select(3, run("get 5 --retries 0 --profile real --base-url " .. sandbox.refused, bad))))
        -- an account that is named nearer leaves nothing of the other's
        local _, err = run("get 5 --retries 0 --subdomain -", { config_home = home })
        assert.truthy(err:find("subdomain", 1, true), err)
        os.execute("rm -rf " .. home)
    end)

    it("takes each option from the nearest that has it", function()
        local home = os.tmpname()
        os.remove(home)
        os.execute("mkdir -p " .. home .. "/kapture")
        local path = home .. "/kapture/config"
        -- the environment is nearer than the top, a profile nearer than that
        system.write(path, ("base_url = %s\ntoken = top\nca_file = /nonexistent\n[plain]\n[away]\nsubdomain = -\n")
            :format(sandbox.refused))
        os.execute("chmod 600 " .. path)
        for _, profile in ipairs { "", " --profile plain" } do
            local _, err, code = run("get 5" .. profile, { config_home = home })
            assert.equal(0, code, err)
        end
        local _, err, code = run("get 5 --profile away", { config_home = home })
        assert.equal(1, code)
        assert.truthy(err:find("subdomain", 1, true), err)
        system.write(path, "base-url = x\n")
        _, err, code = run("get 5", { config_home = home })
        assert.equal(2, code)
        assert.truthy(err:find("base_url", 1, true), err)
        os.execute("rm -rf " .. home)
    end)

    it("finds its own files, wherever it is called from", function()
        local where = system.output "pwd":match "[^\n]+"
        local build = system.output("cd " .. (os.getenv "BUILD" or "build") .. " && pwd"):match "[^\n]+"
        local said = system.output(("cd / && env -u LUA_PATH -u LUA_CPATH BUILD=%s %s %s/bin/kapture --version 2>&1")
            :format(build, lua, where))
        assert.truthy(said:find "^kapture %d", said)
    end)

    it("leaves a file that is refused for --resume as it is", function()
        local path = os.tmpname()
        for _, text in ipairs { "dear diary\nlast line", "713000000001\n713000000002", '{"a":1}\n{"b":' } do
            system.write(path, text)
            local _, err, code = run("get 5 --resume " .. path)
            assert.equal(2, code)
            assert.truthy(err:find("no task_details.ticketId", 1, true), err)
            assert.equal(text, system.read(path))
        end
        system.write(path, '{"task_details":{"ticketId":"5"}}\r\n')
        assert.equal("", (run("get 5 --resume " .. path)))
        os.remove(path)
    end)

    it("shows progress on a terminal, within its width, and none elsewhere", function()
        local ids, log = os.tmpname(), os.tmpname()
        local file = io.open(ids, "w")
        for i = 1, 60 do
            file:write(i, "\n")
        end
        file:close()
        local words = "get --from " .. ids .. " --batch-size 5 --concurrency 1 --fields task_details.ticketId"
        local _, err, code = run(words)
        assert.equal(0, code, err)
        assert.equal("", err)
        local opts = { base_url = sandbox.url "delay,ms=200", terminal = log }
        for _, columns in ipairs { 20, 80 } do
            opts.columns = columns
            assert.equal(0, (select(3, run(words, opts))))
            local text = read(log)
            assert.truthy(text:find(" of 60,", 1, true), text)
            assert.equal(columns == 80, text:find("[#", 1, true) ~= nil, text)
            for line in text:gmatch "\r([^\r\27]*)" do
                assert.is_true(#line < columns, line)
            end
        end
        os.remove(ids)
        os.remove(log)
    end)

    it("takes any number of ids in constant memory, and a reader that leaves", function()
        local env = ("KAPTURE_BASE_URL=%s KAPTURE_TOKEN='%s' KAPTURE_CA_FILE=%s"):format(
            sandbox.https, sandbox.token, sandbox.ca)
        -- what these hundred thousand would be as tables is several times the limit
        local line = "ulimit -v 300000; { yes 713516551148 | head -%d; } 2>/dev/null | "
            .. "%s %s bin/kapture get - %s; echo $?"
        local function shell(n, rest)
            local pipe = io.popen("exec 2>&1; " .. line:format(n, env, lua, rest))
            local text = pipe:read "*a"
            pipe:close()
            return text
        end
        assert.equal("100000\n0\n", shell(100000, "--fields task_details.ticketId,task_details.title | wc -l"))
        assert.equal("1\n0\n", shell(2000, "-o csv --where 'not x' | head -1 | wc -l"))
        assert.equal("3\n0\n", shell(20000, "| head -3 | wc -l"))
    end)

    it("shows none for what takes less than a second, whenever that begins", function()
        local progress = require("kapture.cli.terminal").progress
        local time, stderr, now, shown = os.time, io.stderr, 100, {}
        -- luacheck: push ignore 122
        os.time = function()
            return now
        end
        io.stderr = {
            write = function(_, ...)
                shown[#shown + 1] = table.concat { ... }
            end,
        }
        local bar = progress(true, 10)
        now = 101 -- it began at 100.99, say
        bar.step()
        bar.clear()
        local early = #shown
        now = 102
        bar.step()
        os.time, io.stderr = time, stderr
        -- luacheck: pop
        assert.equal(0, early)
        assert.truthy(shown[1]:find("2 of 10", 1, true), shown[1])
    end)

    it("says that the service asks to wait", function()
        local log = os.tmpname()
        run("get 713516551148 --base-url " .. sandbox.url "retry-after,after=2,times=1", { terminal = log,
            columns = 80 })
        local text = read(log)
        assert.truthy(text:find("the service asks to wait, 2 s", 1, true), text)
        os.remove(log)
    end)

    it("fits a terminal, its text as people read it", function()
        local log = os.tmpname()
        local opts = { terminal = log, columns = 20, whole = true }
        local _, _, code = run("get 5 713516551148", opts)
        assert.equal(0, code)
        local n = 0
        -- on a slow machine progress comes and goes first
        for line in read(log):gsub("\r[^\r\n]*\27%[K", ""):gmatch "([^\r\n]+)\r?\n" do
            if not line:find "^Script" then
                local _, continuation = line:gsub("[\128-\191]", "")
                assert.is_true(#line - continuation <= 20, line)
                n = n + 1
            end
        end
        assert.equal(3, n, read(log))
        opts.columns = 200
        run("get 713516551148", opts)
        assert.truthy(read(log):find("Kapture Dev API's", 1, true), read(log))
        os.remove(log)
    end)

    it("leaves whole lines behind when it is interrupted, and goes on from there", function()
        local ids, got = os.tmpname(), os.tmpname()
        local file = io.open(ids, "w")
        for i = 1, 60 do
            file:write(i, "\n")
        end
        file:close()
        local words = ("get --from %s --batch-size 2 --concurrency 1 --resume %s >> %s"):format(ids, got, got)
        local _, err, code = run(words, {
            before = "timeout --foreground -s INT --preserve-status 1.5",
            base_url = sandbox.url "delay,ms=100",
        })
        assert.equal(130, code, err)
        assert.truthy(err:find("interrupted", 1, true), err)
        local first = read(got)
        assert.equal("}\n", first:sub(-2))
        _, err, code = run(words)
        assert.equal(0, code, err)
        local seen, n = {}, 0
        for line in io.lines(got) do
            local id = line:match '"ticketId":"(%d+)"'
            assert.is_nil(seen[id])
            seen[id], n = true, n + 1
        end
        assert.equal(60, n)
        os.remove(ids)
        os.remove(got)
    end)

    it("ends at once when it is interrupted, whatever it waits for", function()
        local began = os.time()
        local _, err, code = run("get 5", {
            before = "timeout --foreground -s INT --preserve-status 0.7",
            base_url = sandbox.url "delay,ms=20000",
        })
        assert.equal(130, code, err)
        assert.is_true(os.time() - began < 10)
    end)

    it("starts the sandbox for a command", function()
        local out, err, code = run "sandbox -- sh -c 'echo $KAPTURE_BASE_URL; exit 3'"
        assert.truthy(out:find "^https://localhost:%d+\n$", err)
        assert.equal(3, code)
        assert.truthy(run("sandbox --faults"):find("delay", 1, true))
        assert.equal(2, (select(3, run "sandbox --port 1 true")))
    end)

    it("takes options from a configuration file that only its owner can read", function()
        local home = os.tmpname()
        os.remove(home)
        os.execute("mkdir -p " .. home .. "/kapture")
        local path = home .. "/kapture/config"
        local file = io.open(path, "w")
        file:write("# ours\nretries = 0\n[bad]\nretries = 99\n[odd]\nretires = 1\n")
        file:close()
        os.execute("chmod 600 " .. path)
        local _, err, code = run("get 5", { config_home = home })
        assert.equal(0, code, err)
        _, err, code = run("get --profile bad 5", { config_home = home })
        assert.equal(2, code)
        assert.truthy(err:find("an integer from 0 to 20", 1, true), err)
        _, err, code = run("get --profile odd 5", { config_home = home })
        assert.equal(2, code)
        assert.truthy(err:find("unknown option 'retires'", 1, true), err)
        _, err, code = run("get --profile none 5", { config_home = home })
        assert.equal(2, code)
        assert.truthy(err:find("no profile 'none'", 1, true), err)
        os.execute("chmod 644 " .. path)
        _, err, code = run("get 5", { config_home = home })
        assert.equal(2, code)
        assert.truthy(err:find("others can read it", 1, true), err)
        os.execute("rm -rf " .. home)
    end)

    it("skips with --resume what is there, a line cut short aside", function()
        local path = os.tmpname()
        run("get 5 6 > " .. path)
        os.execute(("printf '{\"task_details\":{\"ticketId\":\"7\"' >> %s"):format(path))
        local out, err, code = run("get 5 6 7 8 -o csv --fields task_details.ticketId --resume " .. path)
        os.remove(path)
        assert.equal(0, code, err)
        assert.equal("task_details.ticketId\r\n7\r\n8\r\n", out)
    end)

    it("exits as gh does", function()
        local _, err, code = run("get 5", { token = "wrong" })
        assert.equal(4, code)
        assert.truthy(err:find("Invalid Auth Key", 1, true), err)
        assert.is_nil(err:find("wrong", 1, true))
        assert.equal(2, (select(3, run "get")))
        assert.equal(2, (select(3, run "frob")))
        assert.equal(2, (select(3, run "get 5 --retries 99")))
        assert.equal(1, (select(3, run("get 5 --retries 0", { base_url = sandbox.refused }))))
        assert.equal(1, (select(3, run "get 5 'a b' --partial -q >/dev/full")))
        assert.equal(0, (select(3, run "get 5 'a b' --partial")))
        assert.equal(1, (select(3, run "get 5 'a b'")))
        assert.equal(0, (select(3, run "doctor")))
        assert.equal(4, (select(3, run("doctor", { token = "wrong" }))))
    end)
end)
