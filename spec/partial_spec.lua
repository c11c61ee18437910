-- What comes back beside a failure: nothing that was fetched is lost.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local options, ids_of = calls.options, calls.ids_of

describe("partial", function()
    local bad = sandbox.id(3)

    it("returns the rest, and lists what failed", function()
        local o = options("badid,status=500,id=" .. bad, { partial = true, retries = 1 })
        local ids = { sandbox.id(1), calls.unknown(1), bad, sandbox.id(2) }
        local tickets, info = assert(kapture.get_ticket(ids, o))
        assert.same({ sandbox.id(1), sandbox.id(2) }, ids_of(tickets))
        assert.same({ calls.unknown(1) }, info.missing)
        assert.equal(1, #info.failed)
        local f = info.failed[1]
        assert.same({ bad }, f.ids)
        assert.equal("server", f.kind)
        assert.equal(500, f.status)
        assert.is_string(f.message)
        assert.is_true(info.requests >= 5 and info.retries >= 1)
    end)

    it("has an empty list where nothing failed", function()
        local _, info = assert(kapture.get_ticket(sandbox.id(1), (options(nil, { partial = true }))))
        assert.same({}, info.failed)
    end)

    it("is a failure all the same where every request failed", function()
        local o = options("outage", { partial = true, batch_size = 5 })
        local tickets, message, err = kapture.get_ticket(sandbox.ids(10), o)
        assert.is_nil(tickets)
        assert.equal(message, err.message)
        assert.equal("server", err.kind)
        assert.equal(10, #err.ids)
    end)

    it("holds where a request found no ticket but did not fail", function()
        local o = options("badid,id=" .. bad, { partial = true })
        local tickets, info = assert(kapture.get_ticket({ calls.unknown(1), bad }, o))
        assert.same({}, tickets)
        assert.same({ calls.unknown(1) }, info.missing)
        assert.same({ bad }, info.failed[1].ids)
    end)

    it("keeps what came before the deadline", function()
        local o = options("hang,skip=2", { partial = true, batch_size = 2, concurrency = 1, deadline = 0.7 })
        local tickets, info = assert(kapture.get_ticket(sandbox.ids(10), o))
        assert.same(sandbox.ids(4), ids_of(tickets))
        assert.same({ (table.unpack or unpack)(sandbox.ids(10), 5) }, calls.failed_ids(info.failed))
        for _, f in ipairs(info.failed) do assert.equal("timeout", f.kind) end
    end)

    it("keeps what came before the token was refused", function()
        local o = options("expired,skip=1", { partial = true, batch_size = 2, concurrency = 1 })
        local tickets, info = assert(kapture.get_ticket(sandbox.ids(6), o))
        assert.same(sandbox.ids(2), ids_of(tickets))
        for _, f in ipairs(info.failed) do assert.equal("auth", f.kind) end
        assert.equal(4, #calls.failed_ids(info.failed))
    end)
end)

describe("without partial", function()
    it("a failure has what did arrive", function()
        local bad = sandbox.id(3)
        local o = options("badid,status=404,id=" .. bad)
        local ids = { sandbox.id(1), calls.unknown(1), bad, sandbox.id(2) }
        local tickets, message, err = kapture.get_ticket(ids, o)
        assert.is_nil(tickets)
        assert.equal(err.message, message)
        assert.equal("not_found", err.kind)
        assert.same({ sandbox.id(1), sandbox.id(2) }, ids_of(err.tickets))
        assert.same({ calls.unknown(1) }, err.missing)
        assert.same({ bad }, err.ids)
        assert.equal(1, #err.failed)
        assert.equal("not_found", err.failed[1].kind)
        assert.equal(404, err.failed[1].status)
    end)

    it("a ticket that came with another batch is no failure of its own", function()
        local ids = sandbox.ids(4)
        for _, order in ipairs { "delay,ms=60,ifid=" .. ids[3], "delay,ms=60,ifid=" .. ids[1] } do
            local faults = { order, "badid,status=403,id=" .. ids[3], "unasked,id=" .. ids[3] }
            for _, partial in ipairs { false, true } do
                local o = options(faults, { batch_size = 2, partial = partial })
                local tickets, info, err = kapture.get_ticket(ids, o)
                local failed = tickets and info.failed or err.failed
                assert.same({ ids[1], ids[2], ids[3] }, ids_of(tickets or err.tickets))
                assert.equal(1, #failed)
                assert.same({ ids[4] }, failed[1].ids)
                assert.same({}, (err or info).missing)
                if err then assert.same({ ids[4] }, err.ids) end
            end
            -- and where that was all that failed, nothing did
            local o = options(faults, { batch_size = 1 })
            local tickets = assert(kapture.get_ticket({ ids[1], ids[3] }, o))
            assert.same({ ids[1], ids[3] }, ids_of(tickets))
        end
    end)

    it("so it is with parts of an iterator's request", function()
        local ids = sandbox.ids(4)
        local o = options { "unasked,id=" .. ids[3] .. ",ifid=" .. ids[1], "badid,status=404,id=" .. ids[3] }
        local got = {}
        for id, ticket in kapture.tickets(ids, o) do
            if ticket then got[#got + 1] = id end
        end
        assert.same(ids, got)
    end)

    it("other batches run to their end", function()
        local ids = sandbox.ids(40)
        local o, key = options("status,code=403,ifid=" .. ids[1], { batch_size = 4, concurrency = 2 })
        local _, _, err = kapture.get_ticket(ids, o)
        assert.equal("forbidden", err.kind)
        assert.same({ ids[1], ids[2], ids[3], ids[4] }, err.ids)
        assert.same({ (table.unpack or unpack)(ids, 5) }, ids_of(err.tickets))
        assert.equal(10, sandbox.stats(key).requests)
    end)

    it("the error has the kind of the first failure", function()
        local ids = sandbox.ids(4)
        local o = options({ "status,code=403,ifid=" .. ids[2], "delay,ms=60,ifid=" .. ids[3],
            "html,ifid=" .. ids[3] .. ",code=200" }, { batch_size = 1 })
        local _, _, err = kapture.get_ticket(ids, o)
        assert.equal("forbidden", err.kind)
        assert.equal(2, #err.failed)
        assert.equal("forbidden", err.failed[1].kind)
        assert.equal("protocol", err.failed[2].kind)
        assert.same({ ids[2], ids[3] }, err.ids)
        assert.same({ ids[1], ids[4] }, ids_of(err.tickets))
    end)

    it("a refused token ends it: what is in flight arrives, nothing more is sent", function()
        local ids = sandbox.ids(12)
        local o, key = options({ "delay,ms=400,ifid=" .. ids[1], "expired,ifid=" .. ids[2] },
            { batch_size = 1, concurrency = 2 })
        local r = calls.recorder()
        o.hook = r.hook
        local _, _, err = kapture.get_ticket(ids, o)
        assert.equal("auth", err.kind)
        assert.same({ ids[1] }, ids_of(err.tickets))
        assert.equal(2, sandbox.stats(key).requests)
        assert.same({ (table.unpack or unpack)(ids, 2) }, calls.failed_ids(err.failed))
        for _, f in ipairs(err.failed) do assert.equal("auth", f.kind) end
    end)

    it("retries and halves end with the token as well", function()
        local ids = sandbox.ids(8)
        local o, key = options({ "status,code=503,ifid=" .. ids[1], "status,code=400,ifid=" .. ids[3],
            "delay,ms=150,ifid=" .. ids[5], "expired,ifid=" .. ids[5] },
            { batch_size = 2, concurrency = 4, backoff = 50, max_backoff = 50 })
        local started = calls.now()
        local _, _, err = kapture.get_ticket(ids, o)
        assert.is_true(calls.now() - started < 5)
        assert.is_true(sandbox.stats(key).requests <= 6)
        assert.same({ ids[7], ids[8] }, { (table.unpack or unpack)(ids_of(err.tickets), #err.tickets - 1) })
        calls.account(ids, err.tickets, err.missing, err.failed)
    end)
end)
