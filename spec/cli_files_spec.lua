-- The command's files and streams: no input is lost, no line is cut, nothing goes
-- where it does not belong.
local command = require "spec.support.command"
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"

local read, run, write = system.read, command.run, system.write

local ids = ""
for i = 1, 60 do
    ids = ids .. i .. "\n"
end

local dir
before_each(function()
    dir = system.output("mktemp -d"):match "%S+"
end)
after_each(function()
    os.execute("rm -rf " .. dir)
end)

-- Runs it in a shell as that line says: output, stderr and code are the shell's.
local function shell(line, opts)
    local script = dir .. "/script"
    write(script, ("export %s\nkapture() { %s bin/kapture \"$@\"; }\n%s\n"):format(
        command.env(opts or {}), command.lua, line:gsub("@", dir .. "/")))
    local pipe = io.popen(("bash %s 2>%s/stderr; echo \"exit $?\""):format(script, dir))
    local out, code = pipe:read("*a"):match "^(.-)exit (%d+)\n$"
    pipe:close()
    return out, read(dir .. "/stderr"), tonumber(code)
end

describe("the command's files", function()
    it("are not read and written at once", function()
        local tickets = run "get 7 8"
        for _, line in ipairs {
            "kapture get -f @f --failed @f",
            "kapture get --failed @f -f @f",
            "kapture get -f @f --missing @f",
            "kapture get - --failed @f < @f",
            "kapture get --missing @f - < @f",
            "kapture get -f - --missing @f < @f",
            "kapture get -f /dev/stdin --missing @f < @f",
            "kapture get -f @f >> @f",
            "kapture get - < @f >> @f",
            "kapture get -f @f 2>> @f",
            "kapture get -f @f --failed @link",
            "kapture get -f @link --failed @f",
            "kapture get -f @f --failed @hard",
        } do
            write(dir .. "/f", ids)
            os.execute(("ln -sf f %s/link; ln -f %s/f %s/hard"):format(dir, dir, dir))
            local out, err, code = shell(line)
            assert.equal(2, code, line .. ": " .. err)
            assert.equal("", out, line)
            assert.equal(ids, read(dir .. "/f"), line)
            assert.truthy(line:find("2>>", 1, true) or err:find("can't be both", 1, true), err)
        end
        for _, line in ipairs {
            "kapture get 7 --resume @f --failed @f",
            "kapture get 7 --missing @f --resume @f",
            "kapture get 7 9 --resume @f --missing @f >> @f",
        } do
            write(dir .. "/f", tickets)
            local _, err, code = shell(line)
            assert.equal(2, code, err)
            assert.equal(tickets, read(dir .. "/f"), line)
        end
    end)

    it("of settings are inputs as well", function()
        local text = "retries = 0\n"
        local ca = read(sandbox.ca)
        write(dir .. "/config", text)
        write(dir .. "/ca", ca)
        os.execute("chmod 600 " .. dir .. "/config")
        for _, line in ipairs {
            "kapture get 5 --config @config --failed @config", "kapture get 5 --config @config >> @config",
            "kapture get 5 --ca-file @ca --missing @ca", "KAPTURE_CA_FILE=@ca; kapture get 5 --missing @ca",
        } do
            local _, err, code = shell(line)
            assert.equal(2, code, line .. err)
            assert.equal(text, read(dir .. "/config"))
            assert.equal(ca, read(dir .. "/ca"))
        end
    end)

    it("that are written are not one, there or not yet", function()
        for _, line in ipairs {
            "kapture get 5 --missing @new --failed @new", "kapture get 5 --missing @new --failed @./new",
            "kapture get 5 --missing @f --failed @f", "kapture get 5 --missing @f >> @f",
            "kapture get 5 --failed @f 2>> @f", "kapture get 5 --failed /dev/stdout >> @f",
        } do
            write(dir .. "/f", "before\n")
            local _, err, code = shell(line)
            assert.equal(2, code, line .. ": " .. err)
            assert.equal("before", read(dir .. "/f"):match "^[^\n]*", line)
        end
        local out, err, code = shell "kapture get 5 404000000001 --missing /dev/null --failed /dev/null < /dev/null"
        assert.equal(0, code, err)
        assert.truthy(out:find '^{.*}\n$')
    end)

    it("are touched only when all else is right", function()
        write(dir .. "/f", "before\n")
        for _, words in ipairs { "get --missing @f", "get 5 --missing @f --retries 99",
            "get 5 --missing @f --where '('",
            "get 5 --missing @f --resume @script", "get 5 --missing @f -f @none",
                "get 5 --missing @f -o json --excel" } do
            local _, err, code = shell("kapture " .. words)
            assert.equal(2, code, words .. err)
            assert.equal("before\n", read(dir .. "/f"), words)
        end
    end)

    it("take - for standard input and output", function()
        local out, err, code = shell "printf '5 # five\\n6\\n404000000001\\n' | kapture get -f - --missing - -q"
        assert.equal(0, code, err)
        local _, tickets = out:gsub('{"[^\n]*}\n', "")
        assert.equal(2, tickets, out)
        assert.truthy(("\n" .. out):find("\n404000000001\n", 1, true), out)
        assert.is_nil(read "-")
        out = shell "kapture get 404000000001 5 -o csv --fields ticketId --missing -"
        assert.equal("404000000001\nticketId\r\n5\r\n", out)
        assert.equal(2, (select(3, shell "kapture get 5 -o json --missing -")))
    end)

    it("that flow are read once", function()
        for _, line in ipairs { "cat @f | kapture get - --resume /dev/stdin",
            "cat @f | kapture get -f - --config /dev/stdin" } do
            write(dir .. "/f", ids)
            local _, err, code = shell(line)
            assert.equal(2, code, err)
        end
    end)

    it("with --failed have all ids that are to be asked for again", function()
        write(dir .. "/f", ids)
        local base_url = sandbox.url("expired,ifid=31")
        local out, err, code = shell("kapture get -f @f --failed @again --batch-size 5 --concurrency 1",
            { base_url = base_url })
        assert.equal(4, code, err)
        local seen, n = {}, 0
        for id in out:gmatch '"ticketId":"(%d+)"' do
            seen[id] = true
        end
        for id in io.lines(dir .. "/again") do
            assert.is_nil(seen[id], id)
            seen[id] = true
        end
        for _ in pairs(seen) do
            n = n + 1
        end
        assert.equal(60, n)
    end)
end)

describe("the command's streams", function()
    it("have their numbers to themselves", function()
        for _, closed in ipairs { ">&-", "2>&-", "<&- >&-", ">&- 2>&-" } do
            local out, err, code = shell("kapture get 5 404000000001 --missing @m " .. closed)
            assert.equal(1, code, closed)
            assert.equal("", out)
            assert.equal("", read(dir .. "/m") or "")
            assert.equal(closed:find("2>", 1, true) and "" or "kapture: standard output is closed\n", err)
        end
        local out, err, code = shell "kapture get 5 404000000001 --missing @m <&-"
        assert.equal(0, code, err)
        assert.truthy(out:find '^{.*}\n$')
        assert.equal("404000000001\n", read(dir .. "/m"))
        assert.equal(1, (select(3, shell "kapture get - <&-")))
        for _, words in ipairs { "--version", "--help", "get --help", "doctor", "get 5" } do
            assert.equal(1, (select(3, shell("kapture " .. words .. " >&-"))), words)
            out, err, code = shell("kapture " .. words .. " > /dev/full")
            assert.equal(1, code, words .. out)
            assert.truthy(err:find("standard output: No space left", 1, true), err)
        end
    end)

    it("are shared with others line by line #once", function()
        local numbers = {}
        for i = 1, 200 do
            numbers[i] = i
        end
        write(dir .. "/f", table.concat(numbers, "\n") .. "\n")
        local seen = {}
        local _, err, code = shell(("xargs -n 25 -P 4 %s bin/kapture get -o ndjson --history-type all < @f >> @out")
            :format(command.lua))
        assert.equal(0, code, err)
        for line in io.lines(dir .. "/out") do
            local id = line:match '^{"additional_info".*"ticketId":"(%d+)".*}$'
            assert.truthy(id, line)
            assert.is_nil(seen[id])
            seen[id] = true
        end
        for i = 1, 200 do
            assert.is_true(seen[tostring(i)], i)
        end
    end)

    it("have whole lines after a SIGTERM", function()
        write(dir .. "/f", ids)
        for _, form in ipairs { "ndjson", "csv" } do
            local _, _, code = shell((
                "timeout 1.2 %s bin/kapture get -f @f --batch-size 2 --concurrency 1 -o %s > @out")
                :format(command.lua, form), { base_url = sandbox.url "delay,ms=100" })
            assert.equal(124, code)
            local text = read(dir .. "/out")
            assert.truthy(#text > 0 and text:sub(-1) == "\n", text)
        end
    end)

    it("get lines of several megabytes whole, in one write each", function()
        local _, err, code = shell(("strace -e trace=write -e signal=none -o @trace %s bin/kapture get 5 > @out")
            :format(command.lua), { base_url = sandbox.url "thick,entries=5000" })
        assert.equal(0, code, err)
        local _, writes = read(dir .. "/trace"):gsub("write%(1, ", "")
        assert.equal(1, writes)
        local _, lines = read(dir .. "/out"):gsub("\n", "")
        assert.equal(1, lines)
    end)

    it("are asked for ids as they come", function()
        local key = sandbox.key()
        local out, err, code = shell("{ printf '5\\n6\\n'; for i in $(seq 20); do "
            .. "sleep 0.25; if [ -s @out ]; then break; fi; done; cat @out > @early; printf '7\\n'; } "
            .. "| kapture get - > @out; cat @out", { base_url = sandbox.url("delay,ms=1", { key = key }) })
        assert.equal(0, code, err)
        local _, early = read(dir .. "/early"):gsub("\n", "")
        assert.equal(2, early)
        local _, all = out:gsub("\n", "")
        assert.equal(3, all)
    end)

    it("have ids with comments, marks of byte order and lines of any length", function()
        write(dir .. "/f", "\239\187\191# old, 1,2\r\n5, 6 # 3,4\n#7\n  # 8\n" .. (" "):rep(20000) .. "9,,\n"
            .. ("x"):rep(40000) .. "10\n11#12\n13")
        local _, err, code = shell "kapture get -f @f -o csv --fields ticketId > @out"
        assert.equal(1, code, err)
        assert.equal("ticketId\r\n5\r\n6\r\n9\r\n13\r\n", read(dir .. "/out"))
        assert.truthy(err:find("2 not ids: xxx", 1, true) and err:find(" 11#12", 1, true), err)
    end)

    it("are stopped by Ctrl-C together with the loop around it", function()
        -- timeout makes a group of its own of the shell and the command, as a terminal does
        local loop = "for i in 1 2 3; do echo $i >> @rounds; %s bin/kapture get 5 -o json >> @out; done"
        shell(("timeout -s INT 1.5 bash -c '" .. loop .. "'"):format(command.lua),
            { base_url = sandbox.url "delay,ms=20000" })
        assert.equal("1\n", read(dir .. "/rounds"))
        assert.equal("[]\n", read(dir .. "/out"))
    end)

    it("have a whole array after Ctrl-C", function()
        write(dir .. "/f", ids)
        local line =
            "timeout --foreground -s INT 1.5 %s bin/kapture get -f @f --batch-size 2 --concurrency 1 -o json >@out"
        local _, err = shell(line:format(command.lua), { base_url = sandbox.url "delay,ms=100" })
        assert.truthy(err:find("complete up to there", 1, true), err)
        local text = read(dir .. "/out")
        assert.truthy(text:find "^%[\n{.*}\n%]\n$", text:sub(-200))
    end)
end)

describe("--resume", function()
    it("reads the line, not what looks like it", function()
        write(dir .. "/f",
            '{"task_details":{"linked":{"ticketId":"9"},"note":"\\"ticketId\\":\\"10\\"","ticketId":"5"}}\n'
            .. '{"history":[{"task_details":{"ticketId":"6"}}],"task_details":{"ticketId":7}}\n')
        local out, err, code = shell "kapture get 5 6 7 9 10 -o csv --fields ticketId --resume @f"
        assert.equal(0, code, err)
        assert.equal("ticketId\r\n6\r\n9\r\n10\r\n", out)
    end)

    it("takes what flows, and what may only be read", function()
        run("get 5 6 > " .. dir .. "/f")
        local whole = read(dir .. "/f")
        for _, line in ipairs {
            "kapture get 5 6 7 -o csv --fields ticketId --resume <(cat @f)",
            "cat @f | kapture get 5 6 7 -o csv --fields ticketId --resume /dev/stdin",
            "kapture get 5 6 7 -o csv --fields ticketId --resume /dev/stdin < @f",
            "kapture get 5 6 7 -o csv --fields ticketId --resume @f",
        } do
            local out, err, code = shell(line)
            assert.equal(0, code, line .. err)
            assert.equal("ticketId\r\n7\r\n", out)
        end
        -- root may write to all: what it did not write to is as old as before
        os.execute(("chmod 400 %s/f; touch -t 200001010000 %s/f"):format(dir, dir))
        local out = shell "kapture get 5 6 7 -o csv --fields ticketId --resume @f; find @f -newermt 2001-01-01"
        assert.equal("ticketId\r\n7\r\n", out)
        assert.equal(whole, read(dir .. "/f"))
        assert.equal(2, (select(3, shell "kapture get 5 --resume @")))
    end)
end)

describe("--partial", function()
    it("is not satisfied where the token was refused on the way", function()
        local words = "get 'x y' 1 2 3 4 5 6 7 --partial --batch-size 1 --concurrency 1"
        local _, err, code = run(words, { base_url = sandbox.url "expired,ifid=3" })
        assert.equal(4, code, err)
        assert.truthy(err:find("ids after that were not asked for", 1, true), err)
        _, err, code = run(words .. " --failed /dev/null", { base_url = sandbox.url "expired,ifid=3" })
        assert.equal(4, code, err)
        assert.truthy(err:find("5 failed: 3 4 5 6 7\n", 1, true), err)
    end)
end)

describe("Ctrl-C", function()
    it("ends it by SIGINT at any moment", function()
        for i = 1, 16 do -- most of them while it is still loading
            local err, code
            for _ = 1, 5 do -- a signal that comes before timeout(1) has started it is lost
                local _ -- standard output
                _, err, code = shell(("timeout --foreground --preserve-status -s INT %.3f %s bin/kapture get 5")
                    :format(i * 0.011, command.lua), { base_url = sandbox.url "delay,ms=5000" })
                if code ~= 0 then break end
            end
            assert.equal(130, code, err)
            assert.is_nil(err:find("traceback", 1, true), err)
        end
    end)
end)
