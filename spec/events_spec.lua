-- The events of a call, and what a hook may do in the middle of them.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local options, ids_of = calls.options, calls.ids_of
local KEYS = { event = "string", request = "number", ids = "table", attempt = "number", status = "number",
    kind = "string", message = "string", bytes = "number", elapsed = "number", delay = "number", seen = "number" }

local function names(r)
    local list = {}
    for i, e in ipairs(r.list) do list[i] = e.event end
    return table.concat(list, " ")
end

describe("events: a hook", function()
    it("hears of each request and response", function()
        local r = calls.recorder()
        local o = options(nil, { hook = r.hook, batch_size = 2, concurrency = 1 })
        local _, info = assert(kapture.get_ticket(sandbox.ids(3), o))
        local requests, responses = r.of "request", r.of "response"
        assert.equal(4, #r.list)
        for i, ids in ipairs { { sandbox.id(1), sandbox.id(2) }, { sandbox.id(3) } } do
            assert.same(ids, requests[i].ids)
            assert.same(ids, responses[i].ids)
            assert.equal(requests[i].request, responses[i].request)
        end
        assert.are_not.equal(requests[1].request, requests[2].request)
        local bytes = 0
        for _, e in ipairs(r.of "response") do
            assert.equal(200, e.status)
            assert.equal(1, e.attempt)
            assert.is_true(e.elapsed > 0)
            assert.is_nil(e.kind)
            bytes = bytes + e.bytes
        end
        assert.equal(info.bytes, bytes)
    end)

    it("hears of retries with their pauses, and of the end", function()
        local r = calls.recorder()
        local o = options("status,code=503,message=busy", { hook = r.hook, retries = 1, backoff = 0.01 })
        local _, message = kapture.get_ticket(sandbox.id(1), o)
        assert.equal("request response retry request response failure", names(r))
        local retry, failure = r.of "retry"[1], r.of "failure"[1]
        assert.equal("server", retry.kind)
        assert.equal(503, retry.status)
        assert.equal(1, retry.attempt)
        assert.is_true(retry.delay >= 0 and retry.delay <= 0.01)
        assert.equal(2, failure.attempt)
        assert.equal(message, failure.message)
        assert.equal(r.list[1].request, r.list[4].request)
    end)

    it("hears of what had no response", function()
        local r = calls.recorder()
        local o = options(nil, { hook = r.hook, retries = 1, on = "refused" })
        local _, _, err = kapture.get_ticket(sandbox.id(1), o)
        assert.equal("network", err.kind)
        assert.equal("request retry request failure", names(r))
        assert.is_nil(r.list[4].status)
        assert.equal("network", r.list[4].kind)
    end)

    it("hears of ids that were never sent as of one more failure", function()
        local faults = { auth = "expired,skip=1", timeout = "delay,ms=120" }
        for kind, fault in pairs(faults) do
            for _, concurrency in ipairs { 1, 4 } do
                local r = calls.recorder()
                local client = kapture.new { concurrency = concurrency }
                local o = options(fault, { hook = r.hook, batch_size = 2,
                    deadline = kind == "timeout" and 0.2 or nil })
                local ids = sandbox.ids(80)
                local _, _, err = client:get_ticket(ids, o)
                assert.equal(kind, err.kind)
                local told = {}
                for _, e in ipairs(r.of "failure") do
                    assert.equal(kind, e.kind)
                    assert.equal(err.message, e.message)
                    for _, id in ipairs(e.ids) do told[#told + 1] = id end
                end
                table.sort(told)
                assert.same(err.ids, told)
                assert.equal(#err.failed, r.count.failure)
                local last = r.list[#r.list]
                assert.equal("failure", last.event)
                assert.equal(0, last.attempt)
                assert.is_number(last.request)
                assert.is_nil(last.status)
                client:close()
            end
        end
    end)

    it("may end the call when it hears of them", function()
        local client, n = kapture.new { concurrency = 1 }, 0
        local o = options("expired", { batch_size = 2 })
        o.hook = function(e)
            n = n + 1
            if e.event == "failure" and e.attempt == 0 then client:close() end
        end
        local _, _, err = client:get_ticket(sandbox.ids(20), o)
        assert.equal("auth", err.kind) -- the call has ended when it hears of them
        assert.equal(20, #err.ids)
        assert.equal(4, n)
        assert.equal("closed", select(3, client:get_ticket "1").kind)
    end)

    it("is given the keys of the contract, each of its type, and never the token", function()
        local r = calls.recorder()
        for _, fault in ipairs { "echo-token", "echo-token,where=html", "status,code=400", "close", "expired" } do
            kapture.get_ticket(sandbox.ids(3), (options(fault, { hook = r.hook, retries = 1, on = "https1" })))
        end
        assert.is_true(#r.list > 20)
        for _, e in ipairs(r.list) do
            for k, v in pairs(e) do
                assert.equal(KEYS[k], type(v), k)
                assert.is_nil(tostring(v):find(sandbox.token, 1, true))
            end
            assert.is_nil(getmetatable(e))
        end
    end)

    it("hears of each request that went out, also of what nobody's failure made necessary", function()
        local faults = { https = { "close,ifconn=kept,times=2", "idleclose,ms=1", "close,scope=stream,times=3" },
            https1 = { "close,ifconn=kept,times=2", "idleclose,ms=1" } }
        for on, list in pairs(faults) do
            for _, fault in ipairs(list) do
                local r = calls.recorder()
                local o, key = options(fault, { on = on, hook = r.hook, batch_size = 7, retries = 0 })
                local client = kapture.new()
                local _, info = assert(client:get_ticket(sandbox.ids(99), o))
                client:close()
                assert.equal(info.requests, r.count.request, fault)
                assert.equal(0, info.retries)
                assert.equal(0, r.count.retry)
                assert.equal(15, r.count.response)
                -- a request to a dead connection need not have come there
                assert.is_true(sandbox.stats(key).requests <= info.requests)
                if fault:find "times" then assert.is_true(info.requests > 15, fault) end
            end
        end
    end)

    it("hears of no retry after it has ended the call", function()
        for _, how in ipairs { "cancel", "close" } do
            local client, seen, r = kapture.new(), {}, nil
            r = client:submit(sandbox.ids(4), (options("status,code=503", { hook = function(e)
                seen[#seen + 1] = e.event
                if e.event ~= "response" then return end
                if how == "close" then client:close() else r:cancel() end
            end })))
            assert.is_nil((r:wait(20)))
            assert.same({ "request", "response" }, seen)
            client:close()
        end
    end)

    it("changes nothing by its errors", function()
        local o = options({ "status,code=503,times=1", "badid,status=400,id=" .. sandbox.id(2) })
        local n = 0
        o.hook = function()
            n = n + 1
            error(n % 2 == 0 and {} or "oops")
        end
        local tickets, _, err = kapture.get_ticket(sandbox.ids(4), o)
        assert.is_nil(tickets)
        assert.same({ sandbox.id(2) }, err.ids)
        assert.equal(3, #err.tickets)
        assert.is_true(n >= 10)
    end)

    it("may call any client function", function()
        local client = kapture.new((options()))
        local seen, other = {}, nil
        local o = options(nil, { batch_size = 1 })
        o.hook = function(e)
            seen[#seen + 1] = e.event
            if #seen == 2 then
                assert(client:get_ticket(sandbox.id(9)))
                other = client:submit(sandbox.id(8))
                client:step()
                assert.is_number(client:fd())
                for id in client:tickets(sandbox.ids(2)) do assert(id) end
            end
        end
        assert.same(sandbox.ids(5), ids_of(assert(client:get_ticket(sandbox.ids(5), o))))
        assert.same({ sandbox.id(8) }, ids_of(assert(other:wait(20))))
        assert.equal(10, #seen)
        client:close()
    end)

    it("may close the client, or cancel its request", function()
        local function spoilt(hook)
            local o = options({ "status,code=503,times=2", "badid,status=400,id=" .. sandbox.id(1) },
                { batch_size = 4, concurrency = 1 })
            o.hook = hook
            return kapture.new(o)
        end
        for _, at in ipairs { "request", "response", "split", "retry", "failure" } do
            local client, r
            client = spoilt(function(e)
                if e.event == at then client:close() end
            end)
            local _, _, err = client:get_ticket(sandbox.ids(16))
            assert.equal("closed", err.kind, at)
            calls.account(sandbox.ids(16), err.tickets, err.missing, err.failed)

            client = spoilt(function(e)
                if e.event == at then r:cancel() end
            end)
            r = client:submit(sandbox.ids(16))
            _, _, err = r:wait(20)
            assert.equal("cancelled", err.kind, at)
            client:close()
        end
    end)

    it("can't yield", function()
        local o, inside = options(), nil
        o.hook = function() inside = pcall(coroutine.yield) end
        assert(coroutine.wrap(function() return kapture.get_ticket(sandbox.id(1), o) end)())
        assert.is_false(inside)
    end)
end)
