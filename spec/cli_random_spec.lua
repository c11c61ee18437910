-- The command with random parts for its files, closed descriptors, signals and
-- faults. Whatever comes of it: no input has changed, no line of output is cut,
-- and after exit status 0 there is no id of which nothing was said.
--
-- KAPTURE_CLI_ROUNDS: how many (40; `make soak` takes 1,000); KAPTURE_CLI_SEED:
-- the first one's seed (1).
local command = require "spec.support.command"
local generator = require("spec.support.random").generator
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"
local ticket_id = require("kapture.cli.system").ticket_id

local rounds = tonumber(os.getenv "KAPTURE_CLI_ROUNDS" or "") or 40
local first = tonumber(os.getenv "KAPTURE_CLI_SEED" or "") or 1

local dir
setup(function()
    dir = system.output("mktemp -d"):match "%S+"
end)
teardown(function()
    os.execute("rm -rf " .. dir)
end)

-- Faults, as arguments for sandbox.url.
local function faults_of(random, seed)
    local list = {
        {}, {}, {}, { "delay,ms=40" }, { "delay,ms=150" }, { "shuffle" }, { "bytes1" },
        { ("random,rate=0.3,ms=30,seed=%d"):format(seed) }, { "expired,ifid=7" }, { "status,code=500,ifid=3" },
        { "badid,id=4" }, { "drop,id=5+6" }, { "unasked" }, { "numeric" }, { "truncate,ifid=8" }, { "outage" },
    }
    return list[random(#list)]
end

-- One round: what is run, and what there is to know about it.
local function plan(seed)
    local random = generator(seed * 7919 + 11)
    for _ = 1, 5 do
        random(2) -- seeds beside each other begin alike
    end
    local function one_of(list)
        return list[random(#list)]
    end
    local p = { seed = seed, asked = {}, inputs = {} }
    local lines = {}
    local function ask(n)
        for _ = 1, n do
            local kind = random(12)
            local id = kind == 1 and ("404%09d"):format(random(6)) or kind == 2 and "x y" .. random(3)
                or tostring(random(30))
            p.asked[id] = true
            lines[#lines + 1] = id .. one_of { "", "", "\r", " # a comment, 99", "  " }
        end
    end
    ask(random(14))
    p.ids = "# ids, all of them\n" .. table.concat(lines, "\n") .. one_of { "\n", "", "\n\n" }
    p.old_ids = { tostring(random(30)), tostring(random(30)) }
    p.cut = one_of { "", "", '{"task_details":{"ticketId":"2' }

    local words, before, after = { "get" }, "", ""
    local source = random(5)
    if source == 1 then
        words[2] = "-f @ids"
    elseif source == 2 then
        words[2], after = "-", " < @ids"
    elseif source == 3 then
        words[2], before = "-", "cat @ids | "
    elseif source == 4 then
        words[2], after = "-f -", " < @ids"
    else
        words[2], before = "-f /dev/stdin", "{ head -c 20 @ids; sleep 0.2; tail -c +21 @ids; } | "
    end
    if source ~= 2 and source ~= 4 and source ~= 3 and source ~= 5 and random(6) == 1 then
        after = " <&-"
    end
    local files = {
        "@old", "@config", "@new", "@new", "@other", "@other", "@dangling", "/dev/null", "@ids", "@link", "@hard",
    }
    local piped = source == 3 or source == 5 -- what is read by cat is nothing that the command could know of
    if piped then
        files[9], files[10], files[11] = nil, nil, nil
    end
    for _, option in ipairs { "missing", "failed" } do
        if random(3) > 1 then
            p[option] = one_of(files)
            words[#words + 1] = ("--%s %s"):format(option, p[option])
        end
    end
    if random(3) == 1 then
        p.resume = one_of { "@old", "@old", "@old", "@none", "<(cat @old)", "@ids" }
        words[#words + 1] = "--resume " .. p.resume
    end
    if random(3) == 1 then
        words[#words + 1] = "--config @config"
    end
    words[#words + 1] = "--partial"
    if random(2) == 1 then
        table.remove(words)
    end
    p.form = one_of { "ndjson", "ndjson", "csv" }
    words[#words + 1] = ("-o %s%s"):format(p.form, p.form == "csv" and " --fields ticketId,title" or "")
    words[#words + 1] = ("--batch-size %d --concurrency %d --retries %d --backoff 0.01"):format(
        random(5), random(3), random(3) - 1)
    local out = one_of { "> @out", ">> @out", "| cat > @out", ">> @old", ">> @old", ">> @ids", ">&-", "> @out" }
    if piped and out == ">> @ids" then
        out = "> @out"
    end
    if out == ">> @old" and (p.form == "csv" or p.resume ~= "@old") then
        out = "> @out"
    end
    p.out = out
    p.stderr = random(12) == 1 and "2>&-" or "2> @err"
    p.signal = one_of { nil, "TERM", "INT", "HUP", "KILL" }
    if random(3) > 1 then
        p.signal = nil
    end
    local run = ("%s bin/kapture %s%s"):format(command.lua, table.concat(words, " "), after)
    if p.signal then
        run = ("timeout -k 20 -s %s %.2f %s"):format(p.signal, 0.05 + random(60) / 100, run)
    else
        run = "timeout 60 " .. run
    end
    local status = out:find "|" and "exit ${PIPESTATUS[" .. (before ~= "" and 1 or 0) .. "]}" or "exit $?"
    p.line = ("%s%s %s %s\n%s"):format(before, run, p.stderr, out, status)
    p.faults = faults_of(random, seed)
    return p
end

local function path(name)
    return (name:gsub("@", dir .. "/"))
end

local function tickets(p)
    local list = {}
    for _, id in ipairs(p.old_ids) do
        list[#list + 1] = ('{"task_details":{"note":"ticketId: 1","ticketId":"%s"}}\n'):format(id)
    end
    return table.concat(list) .. p.cut
end

local function run(p)
    os.execute(("rm -rf %s/*"):format(dir))
    system.write(path "@ids", p.ids)
    system.write(path "@old", tickets(p))
    system.write(path "@config", "retries = 1\n")
    os.execute(("cd %s && chmod 600 config && ln -s ids link && ln ids hard && ln -s new dangling"):format(dir))
    local specs = {}
    for i, fault in ipairs(p.faults) do
        specs[i] = fault
    end
    specs[#specs + 1] = { key = sandbox.key() }
    system.write(path "@script", ("export %s\n%s\n"):format(
        command.env { base_url = sandbox.url((table.unpack or unpack)(specs)) }, path(p.line))) -- luacheck: ignore 113
    local pipe = io.popen(("bash %s/script 2>/dev/null; echo $?"):format(dir))
    p.code = tonumber(pipe:read("*a"):match "(%d+)%s*$")
    pipe:close()
end

-- The ids that lines of tickets are of; an error where one is no whole ticket.
local function ids_of(p, text, killed)
    local seen = {}
    local rest = text:match "[^\n]*$"
    if rest ~= "" and not killed then
        error("a line is cut: " .. rest)
    end
    local n = 0
    for line in text:sub(1, #text - #rest):gmatch "([^\n]*)\n" do
        n = n + 1
        local id
        if p.form == "csv" then
            id = line:match "^(%d+),[^,]*\r$"
            if n == 1 then
                id = assert(line == "ticketId,title\r" and "head", line)
            end
        elseif line:find "%S" then
            id = ticket_id(line)
        else
            id = "blank"
        end
        seen[assert(id, "no whole ticket: " .. line)] = true
    end
    return seen
end

local function check(p)
    local known = " 0 1 2 4 124 129 130 137 143 "
    assert(known:find(" " .. p.code .. " ", 1, true), "exit status " .. tostring(p.code))
    -- no input has changed
    assert(system.read(path "@ids") == p.ids, "the ids have changed")
    local config = system.read(path "@config")
    local wrote = p.missing == "@config" or p.failed == "@config"
    assert(config == "retries = 1\n" or wrote and not p.line:find("--config", 1, true), "the configuration has changed")
    local before, old = tickets(p), system.read(path "@old")
    local appended
    if p.resume == "@old" or p.resume == "<(cat @old)" and not (p.missing == "@old" or p.failed == "@old") then
        local whole = before:sub(1, #before - #p.cut)
        assert(old:sub(1, #whole) == whole, "tickets that were there have changed")
        appended = old:sub(#whole + 1)
        local mended = (" "):rep(#p.cut - 1) .. "\n"
        assert(p.cut == "" or appended == p.cut or appended:sub(1, #mended) == mended,
            "what was cut has changed otherwise")
        assert(p.out == ">> @old" or #old == #before, "the tickets have grown")
    end
    -- no line is cut
    local text = p.out:find("@out", 1, true) and (system.read(path "@out") or "") or ""
    if p.out == ">> @old" and appended ~= p.cut then
        text = appended
    end
    local seen = ids_of(p, text, p.signal == "KILL")
    for _, name in ipairs { "new", "other" } do
        local ids = system.read(path "@" .. name) or ""
        assert(ids == "" or ids:sub(-1) == "\n", "a list's line is cut")
        for id in ids:gmatch "[^\n]+" do
            assert(p.asked[id], "nobody asked for " .. id)
        end
    end
    for id in pairs(seen) do
        assert(p.asked[id] or id == "head" or id == "blank", "nobody asked for ticket " .. id)
    end
    -- all is accounted for
    if p.code ~= 0 then
        return false
    end
    local told = " " .. (system.read(path "@err") or ""):gsub("\n", " \n") .. " "
    local skipped = {}
    if p.resume == "@old" or p.resume == "<(cat @old)" then
        for _, id in ipairs(p.old_ids) do
            skipped[id] = true
        end
    end
    for id in pairs(p.asked) do
        assert(seen[id] or skipped[id] or told:find(" " .. id .. " ", 1, true), "nothing was said of " .. id)
    end
    return true
end

describe("the command, by chance", function()
    it("loses nothing #once", function()
        local well = 0
        for seed = first, first + rounds - 1 do
            local p = plan(seed)
            local ok, failure = pcall(run, p)
            if ok then
                ok, failure = pcall(check, p)
            end
            if not ok then
                local words = ("seed %d: %s\nexit status %s, faults %s\n%s\n%s"):format(seed, tostring(failure),
                    tostring(p.code), table.concat(p.faults, " "), p.line, system.read(path "@err") or "")
                error(words, 0)
            end
            well = failure and well + 1 or well
        end
        assert.is_true(well >= rounds / 10, well .. " went well")
    end)
end)
