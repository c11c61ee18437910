-- One deadline over all that a call does, and what a single attempt may take.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local options, ids_of = calls.options, calls.ids_of
local unpack = table.unpack or unpack -- luacheck: compat

-- A call that ends by its deadline, on time whatever it was at.
local function in_time(ids, o, deadline)
    o.deadline = deadline
    local client = calls.client(o)
    local started = calls.now()
    local tickets, message, err = client:get_ticket(ids, o)
    local took = calls.now() - started
    client:close()
    assert.is_nil(tickets)
    assert.equal("timeout", err.kind, message)
    assert.is_true(took > deadline - 0.1 and took < deadline + 3, took)
    return err
end

describe("the deadline", function()
    it("covers connecting, the handshake, and waiting for an answer", function()
        for _, listener in ipairs { "blackhole", "stall" } do
            local o = options(nil, { on = listener, retries = 5 })
            assert.same({ sandbox.id(1) }, in_time(sandbox.id(1), o, 0.4).ids)
        end
        in_time(sandbox.id(1), (options("hang,s=30", { retries = 5 })), 0.4)
    end)

    it("covers a body that drips or stalls", function()
        in_time(sandbox.id(1), (options({ "identity", "drip,bytes=10,ms=50" })), 0.4)
        in_time(sandbox.id(1), (options "stall,s=30"), 0.4)
    end)

    it("covers retries and their pauses", function()
        local o, key = options("status,code=503,body=none", { backoff = 0.1, max_backoff = 0.1, retries = 20 })
        o.deadline = 0.5
        local started = calls.now()
        local tickets, _, err = kapture.get_ticket(sandbox.id(1), o)
        assert.is_nil(tickets)
        assert.is_true(calls.now() - started < 4)
        assert.is_true(err.kind == "server" or err.kind == "timeout", err.kind)
        assert.is_true(sandbox.stats(key).requests <= 21)
        -- a pause that would pass it is not begun
        o = options("status,code=503", { backoff = 1000, max_backoff = 1000, deadline = 0.9 })
        started = calls.now()
        _, _, err = kapture.get_ticket(sandbox.id(1), o)
        assert.is_true(calls.now() - started < 4)
        assert.is_true(err.kind == "server" or err.kind == "timeout", err.kind)
    end)

    it("covers timeouts that are tried again", function()
        local o, key = options("hang,s=30", { timeout = 0.2, retries = 20 })
        in_time(sandbox.id(1), o, 0.7)
        assert.is_true(sandbox.stats(key).requests >= 2)
    end)

    it("covers queueing for concurrency", function()
        local o, key = options("hang,s=30", { batch_size = 1, concurrency = 2 })
        local err = in_time(sandbox.ids(6), o, 0.5)
        assert.same(sandbox.ids(6), err.ids)
        assert.equal(2, sandbox.stats(key).requests)
        for _, f in ipairs(err.failed) do assert.equal("timeout", f.kind) end
        assert.equal(1, err.attempts) -- of those that were sent
    end)

    it("leaves no trace of what never went out but its ids", function()
        local went, failed = 0, {}
        local o, key = options(nil, { batch_size = 1, rate = 4, partial = true, deadline = 1.1, hook = function(e)
            if e.event == "request" then went = went + 1 end
            if e.event == "failure" then failed[#failed + 1] = e.attempt end
        end })
        local tickets, info = assert(calls.client(o):get_ticket(sandbox.ids(12), o))
        assert.is_true(#tickets < 12)
        assert.equal(sandbox.stats(key).requests, info.requests)
        assert.equal(went, info.requests)
        calls.account(sandbox.ids(12), tickets, info.missing, info.failed)
        for i, f in ipairs(info.failed) do
            assert.equal(0, f.attempts)
            assert.equal(0, failed[i] or 0)
        end
    end)

    it("is that of the call, not of each batch", function()
        local o = options("delay,ms=250", { batch_size = 1, concurrency = 1 })
        local err = in_time(sandbox.ids(10), o, 0.9)
        assert.is_true(#err.tickets >= 1 and #err.tickets <= 3)
        assert.same({ unpack(sandbox.ids(10), 1, #err.tickets) }, ids_of(err.tickets))
        calls.account(sandbox.ids(10), err.tickets, err.missing, err.failed)
    end)

    it("covers halves", function()
        local o = options({ "delay,ms=200", "badid,status=400,id=" .. sandbox.id(1) })
        local err = in_time(sandbox.ids(64), o, 0.7)
        calls.account(sandbox.ids(64), err.tickets, err.missing, err.failed)
    end)

    it("lets a call pass that is done before", function()
        assert(kapture.get_ticket(sandbox.ids(3), (options("delay,ms=100", { deadline = 20 }))))
        assert(kapture.get_ticket(sandbox.ids(3), (options(nil, { deadline = math.huge, timeout = math.huge,
            connect_timeout = math.huge }))))
    end)
end)

describe("the timeouts of an attempt", function()
    it("end it, and say so", function()
        local started = calls.now()
        local o, key = options("hang,s=30", { timeout = 0.3, retries = 1 })
        local _, _, err = kapture.get_ticket(sandbox.id(1), o)
        local took = calls.now() - started
        assert.equal("timeout", err.kind)
        assert.is_true(err.retryable)
        assert.equal(2, err.attempts)
        assert.is_true(took >= 0.55 and took < 5, took)
        assert.equal(2, sandbox.stats(key).requests)
    end)

    it("are shorter for connecting", function()
        for _, listener in ipairs { "blackhole", "stall" } do
            local started = calls.now()
            local o = options(nil, { on = listener, connect_timeout = 0.3, retries = 0 })
            local client = kapture.new()
            local _, _, err = client:get_ticket(sandbox.id(1), o)
            client:close()
            assert.equal("timeout", err.kind)
            assert.is_true(calls.now() - started < 4)
        end
        -- connected, it no longer counts
        assert(kapture.get_ticket(sandbox.id(1), (options("delay,ms=500", { connect_timeout = 0.4 }))))
    end)

    it("leave other batches alone", function()
        local ids = sandbox.ids(6)
        local o = options("hang,s=30,ifid=" .. ids[2], { batch_size = 2, timeout = 0.4, retries = 0, partial = true,
            isolate = false })
        local tickets, info = assert(kapture.get_ticket(ids, o))
        assert.same({ unpack(ids, 3) }, ids_of(tickets))
        assert.equal("timeout", info.failed[1].kind)
        assert.same({ ids[1], ids[2] }, info.failed[1].ids)
    end)
end)
