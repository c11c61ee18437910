-- What is tried again, when, and for how long.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local options, ids_of = calls.options, calls.ids_of
local id = sandbox.id(1)

-- A call on a client of its own: that the service wants to be left alone holds
-- for all calls of a client.
local function alone(ids, o)
    local client = calls.client(o)
    local tickets, info, err = client:get_ticket(ids, o)
    client:close()
    return tickets, info, err
end

-- Requests that arrived, where each of them fails with this.
local function attempts(faults, extra)
    local o, key = options(faults, extra)
    local tickets, _, err = kapture.get_ticket(id, o)
    assert.is_nil(tickets)
    return sandbox.stats(key).requests, err
end

describe("retries", function()
    it("bring what fails at first", function()
        for _, fault in ipairs {
            "status,code=500,times=2", "status,code=502,body=html,times=2", "status,code=503,body=none,times=2",
            "status,code=504,body=html,times=2", "status,code=429,times=2", "close,times=2", "reset,times=2",
            "truncate,times=2", "reset,at=0.5,times=2", "error,name=ServerFailure,times=2",
        } do
            local o, key = options(fault, { on = "https1" })
            local client = kapture.new() -- without kept connections, on which libcurl sends once more
            local tickets, info = client:get_ticket(id, o)
            client:close()
            assert(tickets, fault .. ": " .. tostring(info))
            assert.same({ id }, ids_of(tickets))
            assert.equal(2, info.retries, fault)
            assert.equal(3, info.requests, fault)
            assert.equal(3, sandbox.stats(key).requests, fault)
        end
    end)

    it("bring what takes longer than the timeout", function()
        local o = options("hang,times=1", { timeout = 2 })
        local _, info = assert(kapture.get_ticket(id, o))
        assert.equal(1, info.retries)
    end)

    it("are as many as asked for, and the failure says so", function()
        for _, n in ipairs { 0, 1, 2, 5 } do
            local requests, err = attempts("status,code=503", { retries = n })
            assert.equal(n + 1, requests)
            assert.equal(n + 1, err.attempts)
            assert.equal("server", err.kind)
            assert.is_true(err.retryable)
        end
        assert.equal(3, (attempts "outage"))
    end)

    it("are not spent on what stays as it is", function()
        local kinds = {
            { "status,code=400", "bad_request" }, { "status,code=403", "forbidden" },
            { "status,code=404", "not_found" }, { "status,code=405", "bad_request" },
            { "status,code=409", "bad_request" },
            { "status,code=413,body=html", "bad_request" }, { "status,code=414", "bad_request" },
            { "status,code=501", "server" }, { "status,code=505", "server" },
            { "status,code=401", "auth" }, { "error,name=APIExpired", "auth" },
            { "error,name=ReqFieldMissing", "bad_request" },
            { "notjson", "protocol" }, { "redirect", "protocol" },
            { "oversized,bytes=5000", "too_large", { max_response_bytes = 4000 } },
        }
        for _, case in ipairs(kinds) do
            local requests, err = attempts(case[1], case[3])
            assert.equal(case[2], err.kind, case[1])
            assert.equal(1, requests, case[1])
            assert.equal(1, err.attempts, case[1])
            assert.is_false(err.retryable, case[1])
        end
    end)

    it("pause at random, twice as long at most each time", function()
        local seen = {}
        for _ = 1, 6 do
            local r = calls.recorder()
            attempts("status,code=503", { retries = 4, backoff = 0.04, max_backoff = 0.08, hook = r.hook })
            local delays = r.of "retry"
            assert.equal(4, #delays)
            for i, e in ipairs(delays) do
                local most = math.min(0.04 * 2 ^ (i - 1), 0.08)
                assert.is_true(e.delay >= 0 and e.delay <= most, ("delay %d is %g"):format(i, e.delay))
                seen[#seen + 1] = e.delay / most
            end
        end
        local low, high = 1, 0
        for _, share in ipairs(seen) do low, high = math.min(low, share), math.max(high, share) end
        assert.is_true(low < 0.3 and high > 0.7, "no jitter")
    end)

    it("wait as long as they said", function()
        local r = calls.recorder()
        local started = calls.now()
        attempts("status,code=503", { retries = 3, backoff = 0.2, hook = r.hook })
        local sum = 0
        for _, e in ipairs(r.of "retry") do sum = sum + e.delay end
        assert.is_true(calls.now() - started >= sum)
    end)

    it("leave a service alone that is asked too much, and lose nothing by it", function()
        local o = options("ratelimit,n=20,per=1,after=1", { batch_size = 10, fields = { "task_details.ticketId" } })
        local client = kapture.new()
        assert.equal(800, #assert(client:get_ticket(sandbox.ids(800), o)))
        client:close()
    end)

    it("let other batches go on meanwhile", function()
        local ids = sandbox.ids(30)
        local first = {}
        for i = 1, 6 do first[i] = ids[i] end
        -- more of them in a pause than may be in flight
        local o = options("status,code=503,times=6,ifid=" .. table.concat(first, "+"),
            { batch_size = 1, concurrency = 2, backoff = 4, max_backoff = 4 })
        local r = calls.recorder()
        o.hook = r.hook
        assert.same(ids, ids_of(assert(kapture.get_ticket(ids, o))))
        local retried, meanwhile = {}, 0
        for _, e in ipairs(r.list) do
            if e.event == "retry" then retried[#retried + 1] = e.seen + e.delay end
        end
        local longest = math.max((table.unpack or unpack)(retried)) -- luacheck: compat
        for _, e in ipairs(r.of "response") do
            if e.status == 200 and e.seen < longest then meanwhile = meanwhile + 1 end
        end
        assert.is_true(meanwhile > 6, meanwhile .. " of 24") -- all, on an idle machine
    end)
end)

describe("Retry-After", function()
    it("in seconds is a minimum", function()
        local r = calls.recorder()
        local o = options("retry-after,code=429,after=1,times=1", { hook = r.hook })
        local started = calls.now()
        local _, info = assert(alone(id, o))
        assert.equal(1, info.retries)
        assert.is_true(calls.now() - started >= 1)
        assert.is_true(r.of "retry"[1].delay >= 1)
    end)

    it("as a date of each form is one too", function()
        for _, form in ipairs { "date", "rfc850", "asctime" } do
            local r = calls.recorder()
            local o = options("retry-after,code=503,after=40,times=1,form=" .. form, { deadline = 20, hook = r.hook })
            local _, _, err = alone(id, o)
            -- in whole seconds, by two clocks that tick a moment apart
            assert.is_true(err.retry_after > 30 and err.retry_after <= 42, form .. ": " .. err.retry_after)
        end
        local o = options("retry-after,code=503,after=1.5,times=1,form=date")
        local started = calls.now()
        assert(alone(id, o))
        local took = calls.now() - started
        assert.is_true(took >= 1 and took < 8)
    end)

    it("does not shorten the pause", function()
        local longest = 0
        for _ = 1, 8 do
            local r = calls.recorder()
            local o = options("retry-after,after=0", { backoff = 0.1, retries = 1, hook = r.hook })
            alone(id, o)
            longest = math.max(longest, r.of "retry"[1].delay)
        end
        assert.is_true(longest > 0.02)
    end)

    it("in the past, or of no known form, means nothing", function()
        for _, after in ipairs { "after=-5", "after=soon", "after=5e3", "after=", "after=-10,form=date" } do
            local o = options("retry-after,times=1," .. after)
            local started = calls.now()
            local _, info = alone(id, o)
            assert.equal(1, info.retries, after)
            assert.is_true(calls.now() - started < 4, after)
        end
    end)

    it("beyond the deadline fails at once", function()
        for _, code in ipairs { 429, 503 } do
            for _, form in ipairs { "seconds", "date" } do
                local started = calls.now()
                local o, key = options(("retry-after,code=%d,after=60,form=%s"):format(code, form), { deadline = 20 })
                local tickets, _, err = alone(sandbox.ids(8), o)
                assert.is_nil(tickets)
                assert.is_true(calls.now() - started < 5)
                assert.equal(1, sandbox.stats(key).requests)
                assert.equal(code, err.status)
                assert.equal(code == 429 and "rate_limited" or "server", err.kind)
                assert.is_true(err.retryable)
                assert.is_true(err.retry_after > 50 and err.retry_after <= 61)
                assert.same(sandbox.ids(8), err.ids)
            end
        end
    end)

    it("holds for the halves as well", function()
        local o, key = options("retry-after,code=503,after=1,times=1", { retries = 0 })
        local started = calls.now()
        assert(alone(sandbox.ids(2), o))
        assert.is_true(calls.now() - started >= 1)
        assert.equal(3, sandbox.stats(key).requests)
    end)
end)

describe("the budget", function()
    it("keeps an outage from being amplified", function()
        local client = kapture.new(options("outage", { batch_size = 1, concurrency = 16, retries = 5 }))
        local tickets, _, err = client:get_ticket(sandbox.ids(300))
        assert.is_nil(tickets)
        assert.equal(300, #err.ids)
        local requests = 0
        for _, f in ipairs(err.failed) do requests = requests + f.attempts end
        assert.equal(400, requests) -- 100 retries are all there is
        local _, _, again = client:get_ticket(sandbox.id(1))
        assert.equal(1, again.attempts)
        client:close()
    end)

    it("is the client's own, and comes back with success", function()
        local client = kapture.new(options(nil, { batch_size = 1, concurrency = 16, retries = 1 }))
        client:get_ticket(sandbox.ids(120), (options "outage"))
        local down = options "status,code=503"
        down.isolate = false
        assert.equal(1, select(3, client:get_ticket(id, down)).attempts)
        assert(client:get_ticket(sandbox.ids(5)))
        assert.equal(2, select(3, client:get_ticket(id, down)).attempts)
        assert.equal(1, select(3, client:get_ticket(id, down)).attempts)
        client:close()
    end)
end)

describe("a stale kept-alive connection", function()
    for protocol, on in pairs { ["HTTP/2"] = "https", ["HTTP/1.1"] = "https1" } do
        describe("of " .. protocol, function()
            it("is nobody's failure", function()
                local client = kapture.new(options(nil, { on = on }))
                assert(client:get_ticket(id))
                for _ = 1, 3 do
                    local o, key = options("close,ifconn=kept", { on = on, retries = 0 })
                    local _, info = assert(client:get_ticket(id, o))
                    assert.equal(0, info.retries)
                    assert.equal(sandbox.stats(key).requests, info.requests)
                    assert.equal(2, info.requests)
                end
                client:close()
            end)

            -- a call on a pool that such a fault kills costs no retry
            local function forgiven(fault, concurrency)
                local o = { on = on, batch_size = 1, concurrency = concurrency }
                local client = kapture.new(options("delay,ms=50", o))
                assert(client:get_ticket(sandbox.ids(2 * concurrency)))
                local _, info = assert(client:get_ticket(id, (options(fault, { on = on, retries = 0 }))))
                assert.equal(0, info.retries)
                client:close()
            end

            it("that is reset is none either", function() forgiven("reset,ifconn=kept", 1) end)

            it("of which only a stream is reset is none either", function()
                forgiven("reset,ifconn=kept,scope=stream", 1)
            end)

            it("of many may be followed by another", function() forgiven("reset,ifconn=kept", 16) end)

            it("after a restart of all of them costs no retry and no pause", function()
                local client = kapture.new(options("delay,ms=30", { on = on, batch_size = 1, concurrency = 4 }))
                assert(client:get_ticket(sandbox.ids(8)))
                -- one death is all streams' of a connection
                local close = "close,ifconn=kept" .. (on == "https" and ",times=1" or "")
                local o = options({ "delay,ms=30", close }, { on = on, retries = 0, batch_size = 1 })
                local _, info = assert(client:get_ticket(sandbox.ids(8), o))
                assert.equal(0, info.retries)
                client:close()
            end)

            it("is no failure where the server closes it just when a request goes out", function()
                local client = kapture.new(options("idleclose,ms=30", { on = on, retries = 0 }))
                for i = 1, 60 do
                    assert(client:get_ticket(id))
                    calls.sleep(0.0285 + 0.00003 * i)
                end
                client:close()
            end)
        end)
    end

    it("is no excuse for a new one", function()
        for _, on in ipairs { "https", "https1" } do
            local o, key = options("close", { on = on, retries = 0 })
            local client = kapture.new(o)
            local _, _, err = client:get_ticket(id)
            assert.equal("network", err.kind)
            assert.equal(1, err.attempts)
            assert.equal(1, sandbox.stats(key).requests)
            client:close()
        end
    end)
end)
