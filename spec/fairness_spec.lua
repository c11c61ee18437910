-- Several calls at work on one client: none starves, nothing is mixed up.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local options, ids_of = calls.options, calls.ids_of

describe("one client", function()
    it("serves two calls and an iterator at once", function()
        local client = kapture.new((options("delay,ms=5,jitter=10", { batch_size = 5, concurrency = 4 })))
        local a, b, c = sandbox.ids(200), sandbox.ids(60, 1000), sandbox.ids(150, 2000)
        local ra, rb = client:submit(a), client:submit(b)
        local n, b_done = 0, nil
        for id, ticket in client:tickets(c) do
            n = n + 1
            assert.equal(c[n], id)
            assert.equal(id, calls.id_of(ticket))
            if not b_done and rb:done() then b_done = n end
        end
        assert.equal(150, n)
        assert.same(a, ids_of(assert(ra:wait(30))))
        assert.same(b, ids_of(assert(rb:wait(30))))
        assert.is_true(b_done ~= nil and b_done < 150, tostring(b_done))
        client:close()
    end)

    it("lets a small call pass beside a large one", function()
        local client = kapture.new((options("delay,ms=20", { batch_size = 1, concurrency = 4 })))
        local large = client:submit(sandbox.ids(200))
        local started = calls.now()
        assert.same(sandbox.ids(4, 5000), ids_of(assert(client:get_ticket(sandbox.ids(4, 5000)))))
        local small = calls.now() - started
        assert.is_false(large:done())
        assert(large:wait(30))
        local all = calls.now() - started
        assert.is_true(small < all / 2, ("%g of %g s"):format(small, all))
        client:close()
    end)

    it("keeps all its calls together to its concurrency", function()
        local client = kapture.new { concurrency = 3 }
        local key, list = sandbox.key(), {}
        for i = 1, 5 do
            list[i] = client:submit(sandbox.ids(10, i * 100), (options("delay,ms=20,key=" .. key,
                { batch_size = 1 })))
        end
        for _, r in ipairs(list) do assert(r:wait(30)) end
        assert.equal(3, sandbox.stats(key).most)
        client:close()
    end)

    it("keeps the failures of one call from the others", function()
        local client = kapture.new((options(nil, { batch_size = 5, concurrency = 4 })))
        local bad = client:submit(sandbox.ids(40), (options("expired,skip=1")))
        local outage = client:submit(sandbox.ids(40), (options("outage", { retries = 0 })))
        local hung = client:submit(sandbox.ids(5), (options("hang,s=30", { timeout = 0.3, retries = 0 })))
        local n = 0
        for _, ticket in client:tickets(sandbox.ids(60, 300)) do
            assert(ticket)
            n = n + 1
        end
        assert.equal(60, n)
        assert.same(sandbox.ids(30), ids_of(assert(client:get_ticket(sandbox.ids(30)))))
        local kinds = {}
        for i, r in ipairs { bad, outage, hung } do
            local _, _, err = r:wait(30)
            kinds[i] = err and err.kind
        end
        assert.same({ "auth", "server", "timeout" }, kinds)
        client:close()
    end)

    it("serves iterators in each other's loops, and calls in hooks", function()
        local o = options(nil, { batch_size = 3, concurrency = 2 })
        local client = kapture.new(o)
        local inner, hooked = 0, 0
        local outer = {}
        for id in client:tickets(sandbox.ids(7), { hook = function(e)
            if e.event == "response" and hooked < 3 then
                hooked = hooked + 1
                assert(client:get_ticket(sandbox.id(900 + hooked)))
            end
        end }) do
            outer[#outer + 1] = id
            for i in client:tickets(sandbox.ids(4, 500)) do
                inner = inner + 1
                assert(i)
            end
            assert(client:get_ticket(sandbox.id(800)))
        end
        assert.same(sandbox.ids(7), outer)
        assert.equal(28, inner)
        assert.equal(3, hooked)
        client:close()
    end)
end)
