-- Thousands of things at random on a few clients: submit, step, wait, cancel,
-- close, drop and collect, from any coroutine and from hooks. Nothing may crash,
-- every call ends exactly once, and every ticket is the one that was asked for.
-- KAPTURE_STRESS_SEED and KAPTURE_STRESS_ROUNDS choose others.
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"
local generator = require("spec.support.random").generator
local host = require "kapture_host"

local KINDS = { cancelled = true, closed = true, network = true, server = true, timeout = true, protocol = true,
    invalid_ids = true, tls = true, config = true, not_found = true }

local function run(seed, rounds)
    local random = generator(seed)
    local clients, live = {}, {}
    local counts = { submitted = 0, ok = 0, failed = 0, clients = 0 }
    local where = {
        sandbox.https, sandbox.https, sandbox.https1, sandbox.http,
        sandbox.url "delay,ms=30,jitter=50", sandbox.url("reset", { on = "https1" }),
        sandbox.url "bytes1", sandbox.url("truncate", { on = "https1" }), sandbox.url "status,code=503",
        sandbox.url "hang,s=5", sandbox.stall, sandbox.refused, sandbox.unknownca,
        "https://no-such-host.invalid", "ftp://nowhere", sandbox.url("drip,ms=3", { on = "http" }),
    }

    local function new_client()
        counts.clients = counts.clients + 1
        return kapture.new {
            base_url = sandbox.https, token = sandbox.token, ca_file = sandbox.ca,
            retries = random(3) - 1, backoff = 0.01, concurrency = random(8), batch_size = random(4),
            deadline = 2, timeout = 1,
        }
    end

    local function check(entry)
        local r = entry.request
        assert(r:done())
        local tickets, message, err = r:result()
        if tickets then
            for i, id in ipairs(entry.ids) do
                assert(tickets[i].task_details.ticketId == id, "another's ticket")
            end
            assert(#tickets == #entry.ids)
            counts.ok = counts.ok + 1
        else
            assert(type(message) == "string" and KINDS[err.kind], tostring(err.kind) .. ": " .. tostring(message))
            counts.failed = counts.failed + 1
        end
        entry.ended = entry.ended + 1
        assert(entry.ended == 1, "ended twice")
    end

    local function forget(entry)
        for i, e in ipairs(live) do
            if e == entry then
                table.remove(live, i)
                return
            end
        end
    end

    local function step(c, seconds)
        local going, ended = c.client:step(seconds)
        assert(going >= 0)
        for _, r in ipairs(ended) do
            local entry = c.entries[r]
            if entry then
                c.entries[r] = nil
                check(entry)
                forget(entry)
            end
        end
    end

    local act

    local function submit(c)
        local n, from = random(6), random(1000)
        local ids = sandbox.ids(n, from)
        local options = { base_url = where[random(#where)] }
        if random(4) == 1 then
            options.hook = function(e)
                assert(e.event)
                if random(12) == 1 then act(c) end
                if random(20) == 1 then error "a hook of ill will" end
            end
        end
        if random(20) == 1 then options.token = function() error "no token" end end
        local r = c.client:submit(random(30) == 1 and "no id" or ids, options)
        local entry = { request = r, ids = ids, ended = 0, client = c }
        c.entries[r] = entry
        live[#live + 1] = entry
        counts.submitted = counts.submitted + 1
    end

    local depth = 0
    function act(c)
        if depth > 3 then return end
        depth = depth + 1
        local what = random(40)
        if what <= 14 then
            if #live < 120 then submit(c) end
        elseif what <= 22 then
            step(c)
        elseif what <= 25 then
            step(c, random(10) / 1000)
        elseif what <= 29 then
            local entry = live[random(math.max(1, #live))]
            if entry then entry.request:cancel() end
        elseif what <= 31 then
            local entry = live[random(math.max(1, #live))]
            if entry then
                entry.request:wait(random(10) / 1000)
                if entry.request:done() and entry.client.entries[entry.request] then
                    -- step will not report it now
                    entry.client.entries[entry.request] = nil
                    check(entry)
                    forget(entry)
                end
            end
        elseif what == 32 then
            -- it queues behind what hangs
            c.client:get_ticket(sandbox.id(random(50)), { base_url = where[random(4)], deadline = 0.1 })
        elseif what == 33 then -- dropped while pending: collected, or reported to nobody
            local entry = live[random(math.max(1, #live))]
            if entry then
                entry.client.entries[entry.request] = nil
                forget(entry)
            end
        elseif what == 34 then
            collectgarbage(random(2) == 1 and "collect" or "step", random(100))
        elseif what == 35 then
            host.poll(c.client:fd() or 0, 0)
            c.client:dirty()
            c.client:timeout()
        elseif what == 36 then
            local co = coroutine.create(function()
                submit(c)
                coroutine.yield()
            end)
            assert(coroutine.resume(co))
        elseif what == 37 then
            local it = c.client:tickets(sandbox.ids(random(20)), { base_url = where[random(4)], deadline = 0.1 })
            for _ = 1, random(5) do it() end
            if random(2) == 1 then it:close() end
        elseif what == 38 and random(6) == 1 then
            c.client:close()
            for r, entry in pairs(c.entries) do
                c.entries[r] = nil
                check(entry)
                forget(entry)
            end
        elseif what == 39 and random(6) == 1 then -- the client, with all that is going on
            for i, other in ipairs(clients) do
                if other == c then clients[i] = { client = new_client(), entries = {} } end
            end
            for _, entry in pairs(c.entries) do forget(entry) end
            c.entries = {}
        end
        depth = depth - 1
    end

    for i = 1, 3 do clients[i] = { client = new_client(), entries = {} } end
    for _ = 1, rounds do
        local at = random(#clients)
        act(clients[at])
        if random(60) == 1 then clients[at] = { client = new_client(), entries = {} } end
    end
    -- what is left comes to its end
    local limit = host.now() + 60
    for _, entry in ipairs { (table.unpack or unpack)(live) } do
        while entry.ended == 0 do
            assert(host.now() < limit, "a call that never ends")
            if random(3) == 1 then entry.request:cancel() end
            step(entry.client, 0.01)
            if entry.request:done() and entry.ended == 0 and entry.client.entries[entry.request] then
                step(entry.client)
                if entry.ended == 0 then -- submitted to a closed client, whose step has nothing to say
                    assert(tostring(entry.client.client):find("closed", 1, true), "ended and not reported")
                    entry.client.entries[entry.request] = nil
                    check(entry)
                end
            elseif not entry.client.entries[entry.request] then
                break
            end
        end
    end
    live, clients = nil, nil
    collectgarbage()
    collectgarbage()
    return counts
end

describe("at random", function()
    local rounds = tonumber(os.getenv "KAPTURE_STRESS_ROUNDS") or 1000
    local first = tonumber(os.getenv "KAPTURE_STRESS_SEED")
    for seed = first or 1, first or 2 do
        it(("seed %d: every call ends once, with its own tickets"):format(seed), function()
            local counts = run(seed * 7919, rounds)
            assert.is_true(counts.submitted > rounds / 10)
            assert.is_true(counts.ok > 0)
            assert.is_true(counts.failed > 0)
        end)
    end

    it("an error thrown through step from a hook or a callback leaves the client usable", function()
        local c = kapture.new { base_url = sandbox.https, token = sandbox.token, ca_file = sandbox.ca }
        local r = c:submit(sandbox.ids(20), { batch_size = 2, hook = function() error(setmetatable({}, {})) end })
        assert.equal(20, #r:wait(30))
    end)
end)
