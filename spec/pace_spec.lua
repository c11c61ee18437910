-- A service that wants to be asked less: what its client makes of that.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local options, ids_of = calls.options, calls.ids_of
local ID = sandbox.id(1)

-- Arrivals in order, and how many of them were refused.
local function arrivals(key)
    local times, refused = {}, 0
    for i, e in ipairs(sandbox.requests(key)) do
        times[i] = e.time
        if e.status ~= 200 then refused = refused + 1 end
    end
    table.sort(times)
    return times, refused
end

-- The most arrivals within a second, after the first second.
local function burst(times)
    local most, j = 0, 1
    for i = 1, #times do
        if times[i] >= times[1] + 1 then
            while times[j] and times[j] < times[i] + 1 do j = j + 1 end
            most = math.max(most, j - i)
        end
    end
    return most
end

-- Fetches so many ids from a service that is held to a limit so.
local function job(faults, count, extra)
    local o, key = options(faults, extra)
    o.fields, o.backoff = { "task_details.ticketId" }, extra.backoff or 0.5
    local client = calls.client(o)
    local ids = sandbox.ids(count)
    local tickets, info, err = client:get_ticket(ids, o)
    client:close()
    assert(tickets, err and ("%s, %d failed: %s"):format(err.message, #err.ids, #err.tickets))
    assert.same(ids, ids_of(tickets))
    local times, refused = arrivals(key)
    assert.equal(#times, info.requests)
    return times, refused, info
end

describe("a bulk arrives whole #once", function()
    for _, case in ipairs {
        { "5 a second, Retry-After", "ratelimit,n=5,per=1,after=1", 1000, { concurrency = 4 }, 0.2, 7 },
        { "5 a second, 16 at once", "ratelimit,n=5,per=1", 1000, { concurrency = 16 }, nil, 10 },
        { "5 a second, 503 with Retry-After", "ratelimit,n=5,per=1,code=503,after=1", 1000, { concurrency = 16 },
            nil, 7 },
        { "5 a second by the clock", "ratelimit,n=5,per=1,from=clock,after=1", 1000, { concurrency = 4 }, 0.3, 8 },
        { "2 at a time", "atonce,n=2", 1500, { concurrency = 16 } },
        { "20, then 2 a second", "bucket,n=20,rate=2", 1250, { concurrency = 16 }, nil, 8 },
    } do
        it("from a service that takes " .. case[1], function()
            local times, refused = job(case[2], case[3], case[4])
            local share = refused / #times
            if case[5] then assert.is_true(share <= case[5], ("%d of %d refused"):format(refused, #times)) end
            if case[6] then assert.is_true(burst(times) <= case[6], burst(times) .. " within a second") end
        end)
    end

    it("by several clients that share a limit", function()
        local key, clients, requests = sandbox.key(), {}, {}
        for i = 1, 4 do
            local o = options("ratelimit,n=5,per=1,after=1,key=" .. key, { backoff = 0.5 })
            clients[i] = kapture.new(o)
            requests[i] = clients[i]:submit(sandbox.ids(200, i * 1000))
        end
        for i, r in ipairs(requests) do
            assert.same(sandbox.ids(200, i * 1000), ids_of((assert(r:wait(100)))))
            clients[i]:close()
        end
    end)

    it("without a retry to spend, and without touching the budget", function()
        local _, refused, info = job("ratelimit,n=5,per=1,after=0.2", 40, { batch_size = 1, retries = 0 })
        assert.is_true(refused > 0)
        assert.equal(0, info.retries)
    end)

    it("with all its attempts left after having waited for its turn", function()
        local ids, r = sandbox.ids(120), calls.recorder()
        local late = ",ifid=" .. ids[10]
        local o = options({ "retry-after,after=0,times=3" .. late, "status,code=503,skip=3,times=1" .. late },
            { batch_size = 1, retries = 1, backoff = 0.01, hook = r.hook })
        local client = kapture.new()
        local tickets, info = assert(client:get_ticket(ids, o))
        client:close()
        assert.same(ids, ids_of(tickets))
        assert.equal(1, info.retries)
        assert.same({ 124, 3 }, { info.requests, #r.of "pause" })
    end)
end)

describe("requests that were refused together", function()
    it("do not come back together", function()
        local o, key = options("ratelimit,n=1,per=0.5",
            { batch_size = 1, concurrency = 16, backoff = 0.5, retries = 5 })
        local client = calls.client(o)
        client:get_ticket(sandbox.ids(16), o)
        client:close()
        local times, together = arrivals(key), 0
        for i = 18, #times do
            if times[i] - times[i - 1] < 0.003 then together = together + 1 end
        end
        assert.is_true(#times > 18, #times)
        assert.is_true(together <= 1, together .. " together")
    end)
end)

describe("a pause", function()
    -- A client that was told to wait so long.
    local function paused(after, code)
        local client = kapture.new(options(nil, { batch_size = 1 }))
        local o = options(("retry-after,after=%s,code=%d"):format(after, code or 429), { retries = 0 })
        assert.is_nil((client:get_ticket(ID, o)))
        return client
    end

    it("holds for another call of the client, too", function()
        for _, code in ipairs { 429, 503, 403 } do
            local client, started = paused(1, code), calls.now()
            local o, key = options()
            assert(client:get_ticket(ID, o))
            assert.is_true(calls.now() - started > 0.95, code)
            assert.equal(1, sandbox.stats(key).requests)
            client:close()
        end
    end)

    it("longer than the deadline is a failure at once, of what was never sent", function()
        local client, started = paused(60), calls.now()
        local o, key = options(nil, { deadline = 20 })
        for _, method in ipairs { "get_ticket", "submit" } do
            local tickets, message, err = client[method](client, sandbox.ids(3), o)
            if method == "submit" then tickets, message, err = tickets:wait(10) end
            assert.is_nil(tickets)
            assert.equal("rate_limited", err.kind, message)
            assert.is_truthy(message:find("not sent", 1, true), message)
            assert.is_true(err.retry_after > 50 and err.retry_after < 70, err.retry_after)
            assert.is_true(err.retryable)
            assert.equal(0, err.attempts)
            assert.same(sandbox.ids(3), err.ids)
        end
        local n = 0
        for _, ticket, err in client:tickets(sandbox.ids(3), o) do
            n = n + 1
            assert.is_nil(ticket)
            assert.equal("rate_limited", err.kind)
        end
        assert.equal(3, n)
        assert.is_true(calls.now() - started < 10)
        assert.equal(0, sandbox.stats(key).requests)
        client:close()
    end)

    it("is another client's own matter, and none after a refused token", function()
        local client, started = paused(60), calls.now()
        assert(kapture.new(options()):get_ticket(ID))
        client:close()
        client = kapture.new(options())
        assert.equal("auth", select(3, client:get_ticket(ID, (options "retry-after,after=60,code=401"))).kind)
        assert(client:get_ticket(ID))
        client:close()
        assert.is_true(calls.now() - started < 20)
    end)

    it("is told to the hook, once, with its reason", function()
        local r = calls.recorder()
        local o = options("retry-after,after=1,times=1", { hook = r.hook, retries = 1 })
        local client = kapture.new()
        assert(client:get_ticket(ID, o))
        client:close()
        assert.equal(1, r.count.pause)
        local e = r.of "pause"[1]
        assert.equal(429, e.status)
        assert.equal("rate_limited", e.kind)
        assert.is_string(e.message)
        assert.is_true(e.delay >= 1 and e.delay < 1.5, e.delay)
    end)
end)

describe("the retry budget", function()
    it("is named where a retry was not made for it", function()
        local client = kapture.new(options("outage", { batch_size = 1, retries = 5, isolate = false, backoff = 0 }))
        local _, _, err = client:get_ticket(sandbox.ids(60))
        local named = 0
        for _, f in ipairs(err.failed) do
            local where = f.message:find("(not tried again: the client's retry budget is used up)", 1, true)
            if where then named = named + 1 end
        end
        assert.is_true(named > 30 and named < 60, named)
        client:close()
    end)
end)
