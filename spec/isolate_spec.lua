-- A bad id alone: requests that fail are taken apart.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local pace = require "spec.support.pace"
local sandbox = require "spec.support.sandbox"

local options, ids_of = calls.options, calls.ids_of

local function log2(n)
    local k = 0
    while 2 ^ k < n do k = k + 1 end
    return k
end

-- A call for `n` ids of which those at `bad` spoil each request they are in, on a
-- client with a budget of its own.
local function with_bad(n, bad, extra, status)
    local ids, list, good = sandbox.ids(n), {}, {}
    local is_bad = {}
    for i, at in ipairs(bad) do
        list[i] = ids[at]
        is_bad[ids[at]] = true
    end
    for _, id in ipairs(ids) do
        if not is_bad[id] then good[#good + 1] = id end
    end
    local o, key = options(("badid,id=%s,status=%d"):format(table.concat(list, "+"), status or 400), extra)
    local client = calls.client(o)
    local tickets, message, err = client:get_ticket(ids, o)
    client:close()
    return { tickets = tickets, message = message, err = err, ids = ids, bad = list, good = good, key = key,
        requests = sandbox.stats(key).requests }
end

-- Places from .. to, behind those of `list`.
local function places(from, to, list)
    list = list or {}
    for at = from, to do list[#list + 1] = at end
    return list
end

local function alone(r)
    assert.is_nil(r.tickets)
    assert.same(r.good, ids_of(r.err.tickets))
    assert.same({}, r.err.missing)
    assert.same(r.bad, calls.failed_ids(r.err.failed))
    assert.equal(#r.bad, #r.err.failed)
    assert.same(r.bad, r.err.ids)
end

describe("isolate", function()
    it("finds a bad id with two requests a halving", function()
        for _, n in ipairs { 2, 3, 7, 16, 33, 50 } do
            for _, at in ipairs { 1, math.ceil(n / 2), n } do
                local r = with_bad(n, { at })
                alone(r)
                assert.equal("bad_request", r.err.kind)
                assert.equal(400, r.err.status)
                local extra = r.requests - 1
                assert.is_true(extra <= 2 * log2(n), ("%d of %d: %d more requests"):format(at, n, extra))
            end
        end
    end)

    it("does so among many batches", function()
        local r = with_bad(200, { 117 }, { batch_size = 50 })
        alone(r)
        assert.is_true(r.requests <= 4 + 2 * log2(50), r.requests)
    end)

    it("does so for each status it is for", function()
        local kinds = { [400] = "bad_request", [404] = "not_found", [413] = "bad_request", [414] = "bad_request",
            [422] = "bad_request", [500] = "server", [501] = "server", [503] = "server", [200] = "bad_request" }
        for status, kind in pairs(kinds) do
            local r = with_bad(9, { 5 }, { retries = 0 }, status)
            alone(r)
            assert.equal(kind, r.err.kind)
            assert.is_true(r.requests <= 1 + 2 * log2(9))
        end
    end)

    it("tries the bad id itself again, and no half", function()
        local r = with_bad(8, { 3 }, { retries = 2 }, 500)
        alone(r)
        assert.equal(3, r.err.attempts)
        assert.equal(3 + 2 * 3 + 2, r.requests)
    end)

    it("costs no more for several bad ids", function()
        for _, bad in ipairs { { 1, 2 }, { 1, 50 }, { 10, 11, 40 }, { 5, 15, 25, 35, 45 } } do
            local r = with_bad(50, bad)
            alone(r)
            assert.is_true(r.requests - 1 <= #bad * 2 * log2(50), r.requests)
        end
    end)

    it("finds the one good id among a few", function()
        for at = 1, 6 do
            local bad = {}
            for i = 1, 6 do
                if i ~= at then bad[#bad + 1] = i end
            end
            alone(with_bad(6, bad))
        end
    end)

    it("finds bad ids that stand together", function()
        local cases = {
            { 50, { 5, 14, 15, 16, 17, 18, 19, 20, 30 } }, { 50, places(1, 20) }, { 50, places(1, 30) },
            { 50, places(31, 50) }, { 50, places(2, 40) }, { 200, places(1, 150) }, { 400, places(1, 300) },
            { 200, places(190, 190, places(1, 75)), 200 },
            { 1000, places(301, 700), 1000 },
        }
        for _, case in ipairs(cases) do
            for _, status in ipairs { 404, 500 } do
                local r = with_bad(case[1], case[2], { retries = 0, batch_size = case[3] }, status)
                alone(r)
                assert.is_true(r.requests <= #case[2] * 2 * log2(#r.ids), r.requests)
            end
        end
    end)

    it("finds the few good ids among many bad ones", function()
        local bad = {}
        for at = 1, 50 do
            if at % 6 ~= 0 then bad[#bad + 1] = at end
        end
        local r = with_bad(50, bad, nil, 404)
        alone(r)
        assert.equal(8, #r.err.tickets)
    end)

    it("loses nothing with one request at a time", function()
        local r = with_bad(200, places(120, 120, places(1, 50)), { concurrency = 1 }, 404)
        alone(r)
        assert.equal(149, #r.err.tickets)
        local ids, list, is_bad = sandbox.ids(200), {}, {}
        for i, at in ipairs { 5, 14, 15, 16, 17, 18, 19, 20, 30 } do
            list[i] = ids[at]
            is_bad[ids[at]] = true
        end
        for _, concurrency in ipairs { 1, 3 } do
            local o = options("badid,status=404,id=" .. table.concat(list, "+"), { concurrency = concurrency })
            local n = 0
            for id, ticket, err in kapture.tickets(ids, o) do
                n = n + 1
                assert.equal(ids[n], id)
                assert.equal(is_bad[id] and "not_found" or nil, err and err.kind)
                assert.equal(not is_bad[id], ticket ~= nil)
            end
            assert.equal(200, n)
        end
    end)

    it("asks for the canary where it can't tell bad ids from an outage", function()
        local seen = calls.recorder()
        local r = with_bad(200, places(51, 200), { hook = seen.hook }, 404)
        alone(r)
        assert.equal(50, #r.err.tickets)
        local asked = 0
        for _, e in ipairs(seen.of "request") do
            if #e.ids == 1 and e.ids[1] <= r.ids[50] then
                assert.equal(r.ids[1], e.ids[1])
                asked = asked + 1
            end
        end
        assert.is_true(asked >= 3 and asked <= 300 / 16, asked)
        assert.equal(r.requests, seen.count.request)
        assert.equal(150, seen.count.failure)
    end)

    it("takes an id that was missing for the canary where no ticket has come", function()
        local ids, bad, missing = {}, {}, {}
        for i = 1, 200 do
            local unknown = i <= 50 or i == 125 or i == 200
            ids[i] = unknown and calls.unknown(i) or sandbox.id(i)
            local list = unknown and missing or bad
            list[#list + 1] = ids[i]
        end
        for _, concurrency in ipairs { 1, 4 } do
            local client = kapture.new { concurrency = concurrency }
            local _, _, err = client:get_ticket(ids, (options("badid,status=400,id=" .. table.concat(bad, "+"))))
            assert.same(missing, err.missing)
            assert.equal(148, #err.failed)
            client:close()
        end
    end)

    it("asks for the canary among an iterator's batches, and hands it out once", function()
        local ids, list = sandbox.ids(200), {}
        for at = 51, 150 do list[#list + 1] = ids[at] end
        for _, concurrency in ipairs { 1, 4 } do
            local o, key = options("badid,status=404,id=" .. table.concat(list, "+"), { concurrency = concurrency })
            local n = 0
            for id, ticket in kapture.tickets(ids, o) do
                n = n + 1
                assert.equal(ids[n], id)
                assert.equal(n > 50 and n <= 150, ticket == nil)
            end
            assert.equal(200, n)
            assert.is_true(sandbox.stats(key).requests > 2 * 100)
        end
    end)

    it("takes no lost request for an outage", function()
        local ids, bad = sandbox.ids(150), {}
        for _, at in ipairs(places(51, 149)) do bad[#bad + 1] = ids[at] end
        for _, fault in ipairs { "status,code=503", "status,code=429", "close,scope=stream" } do
            local seen = calls.recorder()
            local client = kapture.new()
            -- the first that holds this id brings it, the second asks for it once more
            local o = options({ fault .. ",skip=1,times=1,ifid=" .. ids[1], "badid,status=500,id=" ..
                table.concat(bad, "+") }, { retries = 0, hook = seen.hook })
            local _, _, err = client:get_ticket(ids, o)
            assert.same(bad, err.ids)
            assert.equal(51, #err.tickets)
            assert.equal(#bad, seen.count.failure)
            for _, e in ipairs(seen.of "failure") do assert.are_not.equal(ids[1], e.ids[1]) end
            client:close()
        end
    end)

    it("finds its way out of an outage in which every answer is spoilt by one id", function()
        local ids, bad = sandbox.ids(600), places(51, 100)
        for batch = 2, 11 do bad[#bad + 1] = batch * 50 + 7 end
        local is_bad, list = {}, {}
        for i, at in ipairs(bad) do
            is_bad[at] = true
            list[i] = ids[at]
        end
        -- no answer to the first four of those that ask for it once more
        local o = options({ "status,code=503,skip=1,times=4,ifid=" .. ids[1], "badid,status=404,id=" ..
            table.concat(list, "+") }, { concurrency = 1 })
        local n, lost = 0, 0
        for id, ticket in kapture.tickets(ids, o) do
            n = n + 1
            assert.equal(ids[n], id)
            if is_bad[n] then assert.is_nil(ticket) end
            if not ticket and not is_bad[n] then lost = lost + 1 end
        end
        assert.equal(600, n)
        assert.is_true(lost > 0 and lost <= 3 * 49, lost) -- of 490
    end)

    it("goes on where the ids of a part have come with another request meanwhile", function()
        local ids = sandbox.ids(6)
        local o = calls.options({ "unasked,id=" .. ids[2] .. ",ifid=" .. ids[6],
            ("badid,status=404,id=%s+%s"):format(ids[1], ids[3]) }, { batch_size = 2, retries = 0, partial = true })
        local client = kapture.new { concurrency = 1 }
        local tickets, info = client:submit(ids, o):wait(10)
        assert.same({ ids[2], ids[4], ids[5], ids[6] }, tickets and calls.ids_of(tickets))
        assert.same({ ids[1], ids[3] }, calls.failed_ids(info.failed))
        client:close()
    end)

    it("waits for what is still under way before it gives up", function()
        local ids, bad = sandbox.ids(200), {}
        for _, at in ipairs(places(151, 200, places(120, 120, places(1, 50)))) do bad[#bad + 1] = ids[at] end
        local faults = { "delay,ms=400,ifid=" .. ids[70], "badid,status=404,id=" .. table.concat(bad, "+") }
        local client = kapture.new()
        local _, _, err = client:get_ticket(ids, (options(faults)))
        assert.same(bad, err.ids)
        assert.equal(99, #err.tickets)
        local failed = {}
        for id, ticket in client:tickets(ids, (options(faults))) do
            if not ticket then failed[#failed + 1] = id end
        end
        assert.same(bad, failed)
        client:close()
    end)

    it("looks into what comes late before it gives up", function()
        local ids, bad = sandbox.ids(150), {}
        for _, at in ipairs(places(140, 140, places(1, 100))) do bad[#bad + 1] = ids[at] end
        local client = kapture.new()
        local _, _, err = client:get_ticket(ids, (options { "delay,ms=300,ifid=" .. ids[120],
            "badid,status=404,id=" .. table.concat(bad, "+") }))
        assert.same(bad, err.ids)
        assert.equal(49, #err.tickets)
        client:close()
    end)

    -- eight others of nothing but bad ids would take all of it
    it("leaves a part of the budget to what is under way", function()
        local ids, bad = sandbox.ids(34), {}
        for at = 3, 34 do bad[#bad + 1] = ids[at] end
        local client = kapture.new()
        local _, _, err = client:get_ticket(ids, (options({ "delay,ms=300,ifid=" .. ids[1],
            "badid,status=500,id=" .. table.concat(bad, "+") }, { batch_size = 4, retries = 0 })))
        assert.same(bad, err.ids)
        assert.equal(2, #err.tickets)
        client:close()
    end)

    it("looks into each batch of an iterator before it gives up", function()
        local ids, is_bad, list = sandbox.ids(500), {}, {}
        for batch = 0, 9 do
            for at = 1, batch == 0 and 50 or 1 do
                local place = batch * 50 + at
                is_bad[ids[place]] = true
                list[#list + 1] = ids[place]
            end
        end
        for _, concurrency in ipairs { 1, 4 } do
            for _, slow in ipairs { "tag", "delay,ms=100,ifid=" .. ids[60] .. "+" .. ids[110] .. "+" .. ids[160] } do
                local client = kapture.new { concurrency = concurrency }
                local o = options { slow, "badid,status=404,id=" .. table.concat(list, "+") }
                local lost = 0
                for id, ticket in client:tickets(ids, o) do
                    assert.is_false(ticket ~= nil and is_bad[id] == true)
                    if not ticket and not is_bad[id] then lost = lost + 1 end
                end
                assert.equal(0, lost, concurrency .. " " .. slow)
                client:close()
            end
        end
    end)

    it("looks into each batch, of whatever size, whatever the retries", function()
        for _, case in ipairs { { 16, 4, 2 }, { 8, 4, 5 }, { 4, 4, 8 }, { 4, 16, 2 }, { 25, 4, 2 } } do
            local size, concurrency, retries = (table.unpack or unpack)(case)
            local batches = concurrency + 2
            local ids, is_bad, list = sandbox.ids(size * batches), {}, {}
            for at = 1, #ids do
                if at <= size or at % size == 1 then
                    is_bad[ids[at]] = true
                    list[#list + 1] = ids[at]
                end
            end
            local client, lost = kapture.new { concurrency = concurrency }, 0
            local o = options("badid,status=500,id=" .. table.concat(list, "+"),
                { batch_size = size, retries = retries })
            for id, ticket in client:tickets(ids, o) do
                if not ticket and not is_bad[id] then lost = lost + 1 end
            end
            assert.equal(0, lost, table.concat(case, " "))
            client:close()
        end
    end)

    it("tries no single id again where nothing works", function()
        for _, n in ipairs { 2, 8, 12, 16, 20, 23, 30 } do
            local o, key = options("outage,code=500")
            local client = kapture.new()
            local _, _, err = client:get_ticket(sandbox.ids(n), o)
            assert.equal(n, #err.ids)
            local requests = sandbox.stats(key).requests
            assert.is_true(requests < 60, requests)
            if n <= 8 then assert.equal(3 + 2 * (n - 1), requests) end
            client:close()
        end
    end)

    it("ends without a canary that nobody needs any more", function()
        local ids, bad = sandbox.ids(150), {}
        for _, at in ipairs(places(51, 100)) do bad[#bad + 1] = ids[at] end
        -- the first that holds it brings it, the second hangs; the last batch comes late
        local o = options({ "hang,s=30,skip=1,ifid=" .. ids[1], "delay,ms=500,ifid=" .. ids[150],
            "badid,status=404,id=" .. table.concat(bad, "+") }, { timeout = 20 })
        local client, started = kapture.new(), calls.now()
        local _, _, err = client:get_ticket(ids, o)
        assert.equal(100, #err.tickets)
        assert.is_true(calls.now() - started < 15)
        client:close()
    end)

    it("waits for a late batch in an outage, too", function()
        local ids, bad = sandbox.ids(300), {}
        for _, at in ipairs(places(210, 210, places(1, 200))) do bad[#bad + 1] = ids[at] end
        local faults = { "delay,ms=300,ifid=" .. ids[270], "badid,status=404,id=" .. table.concat(bad, "+") }
        local failed = {}
        for id, ticket in kapture.tickets(ids, (options(faults))) do
            if not ticket then failed[#failed + 1] = id end
        end
        assert.same(bad, failed)
    end)

    it("may be left and collected while it asks", function()
        local ids, bad, asked = sandbox.ids(104), {}, false
        for _, at in ipairs(places(41, 104)) do bad[#bad + 1] = ids[at] end
        local client = kapture.new((options({ "delay,ms=20", "badid,status=500,id=" .. table.concat(bad, "+"),
            "close,skip=1,ifid=" .. ids[1] }, { retries = 0, concurrency = 2, batch_size = 40, on = "http" })))
        collectgarbage()
        collectgarbage "stop"
        do
            local loop = client:tickets(ids, { hook = function(e)
                asked = asked or (e.event == "request" and #e.ids == 1 and e.ids[1] == ids[1])
            end })
            for _ = 1, 40 do assert(loop()) end
            local other = client:submit(ids[2], { base_url = sandbox.url("hang,s=30", { on = "http" }) })
            while not asked do client:step(0.01) end
            assert.is_false(other:done())
        end
        -- each allocation may be the one at which it is collected
        local pause, stepmul = pace(0, 10000)
        collectgarbage "restart"
        for _ = 1, 2 do client:step(1) end
        pace(pause, stepmul)
        client:close()
    end)

    it("takes it for an outage if the canary does not come, either", function()
        for _, fault in ipairs { "outage,skip=1", "close,skip=1", "expired,skip=1" } do
            local bad, ids = {}, sandbox.ids(100)
            for at = 51, 100 do bad[#bad + 1] = ids[at] end
            local client = kapture.new()
            -- what is asked for once more fails so, the second time
            local o = options({ fault .. ",ifid=" .. ids[1], "badid,status=404,id=" .. table.concat(bad, "+") },
                { retries = 1 })
            local _, _, err = client:get_ticket(ids, o)
            assert.equal(50, #err.tickets, fault)
            assert.same(bad, err.ids)
            assert.same(bad, calls.failed_ids(err.failed))
            assert.is_true(#err.failed < 50, #err.failed)
            for _, f in ipairs(err.failed) do
                assert.is_true(#f.ids > 0)
                assert.equal("not_found", f.kind)
            end
            client:close()
        end
    end)

    it("leaves what the service does not know alone", function()
        local o = options("badid,id=" .. sandbox.id(2))
        local ids = { calls.unknown(1), sandbox.id(2), sandbox.id(3), calls.unknown(2) }
        local _, _, err = kapture.get_ticket(ids, o)
        assert.same({ sandbox.id(3) }, ids_of(err.tickets))
        assert.same({ calls.unknown(1), calls.unknown(2) }, err.missing)
        assert.same({ sandbox.id(2) }, err.ids)
    end)

    it("halves until a request fits", function()
        for _, status in ipairs { 413, 414 } do
            for _, most in ipairs { 1, 10, 49 } do
                local o, key = options(("maxids,n=%d,status=%d"):format(most, status))
                local ids = sandbox.ids(100)
                assert.same(ids, ids_of(assert(kapture.get_ticket(ids, o))))
                for _, entry in ipairs(sandbox.requests(key)) do
                    assert.equal(entry.count > most and status or 200, entry.status)
                end
            end
        end
    end)

    it("may be turned off", function()
        local r = with_bad(8, { 3 }, { isolate = false, batch_size = 4 })
        assert.equal(2, r.requests)
        assert.equal(1, #r.err.failed)
        assert.same({ r.ids[1], r.ids[2], r.ids[3], r.ids[4] }, r.err.failed[1].ids)
        assert.same({ r.ids[5], r.ids[6], r.ids[7], r.ids[8] }, ids_of(r.err.tickets))
    end)

    it("is for no other failure", function()
        for _, fault in ipairs {
            "status,code=403", "status,code=429", "close", "truncate",
        } do
            local o, key = options(fault, { retries = 0, on = "https1" })
            local client = kapture.new()
            local _, _, err = client:get_ticket(sandbox.ids(8), o)
            client:close()
            assert.equal(8, #err.ids, fault)
            assert.equal(1, sandbox.stats(key).requests, fault)
        end
    end)

    it("gives up early when nothing works", function()
        for _, status in ipairs { 500, 400, 404, 503 } do
            local o, key = options("outage,code=" .. status)
            local ids = sandbox.ids(200)
            local tickets, _, err = kapture.get_ticket(ids, o)
            assert.is_nil(tickets)
            assert.same(ids, err.ids)
            assert.same(ids, calls.failed_ids(err.failed))
            local requests = sandbox.stats(key).requests
            assert.is_true(requests < 60, status .. ": " .. requests)
        end
    end)

    it("gives up as early in an iterator", function()
        for _, concurrency in ipairs { 1, 2, 4, 8 } do
            local o, key = options("outage,code=500", { concurrency = concurrency })
            local client, n = kapture.new(o), 0
            for id, ticket, err in client:tickets(sandbox.ids(200)) do
                n = n + 1
                assert.equal(sandbox.id(n), id)
                assert.is_nil(ticket)
                assert.equal("server", err.kind)
            end
            assert.equal(200, n)
            local requests = sandbox.stats(key).requests
            assert.is_true(requests < 60, concurrency .. ": " .. requests)
            client:close()
        end
    end)

    it("gives up as early with requests of other sizes, and with more retries", function()
        -- An outage costs the batches' own attempts, and what is then asked for in
        -- parts: with the defaults 12 of the 60 are the batches' own.
        local parts = 60 - 12
        for _, extra in ipairs {
            { batch_size = 200 }, { batch_size = 100 }, { batch_size = 20 }, { retries = 4 }, { concurrency = 1 },
            { retries = 0, batch_size = 10 },
        } do
            local o, key = options("outage,code=500", extra)
            local client = kapture.new(o)
            local _, _, err = client:get_ticket(sandbox.ids(200))
            assert.same(sandbox.ids(200), calls.failed_ids(err.failed))
            local own = 200 / (extra.batch_size or 50) * (1 + (extra.retries or 2))
            local requests = sandbox.stats(key).requests
            assert.is_true(requests <= own + parts, requests)
            client:close()
        end
    end)

    it("goes on where an outage ends", function()
        local o = options("outage,times=14", { retries = 0, concurrency = 1 })
        local ids = sandbox.ids(400)
        local _, _, err = kapture.get_ticket(ids, o)
        if err then -- single ids may have met the outage alone
            assert.is_true(#err.tickets >= 390, #err.tickets)
        end
    end)

    it("does not amplify an outage that begins later", function()
        local o, key = options("outage,skip=4", { retries = 0 })
        local ids = sandbox.ids(800)
        local _, _, err = kapture.get_ticket(ids, o)
        assert.equal(200, #err.tickets)
        assert.equal(600, #err.ids)
        assert.is_true(sandbox.stats(key).requests < 80, sandbox.stats(key).requests)
    end)

    it("never takes a refused token for a bad id", function()
        local o, key = options("expired,skip=2", { concurrency = 1, batch_size = 10 })
        local ids = sandbox.ids(100)
        local tickets, message, err = kapture.get_ticket(ids, o)
        assert.is_nil(tickets)
        assert.is_string(message)
        assert.equal("auth", err.kind)
        assert.equal(3, sandbox.stats(key).requests)
        assert.equal(20, #err.tickets)
        assert.equal(80, #err.ids)
        for _, f in ipairs(err.failed) do assert.equal("auth", f.kind) end
        assert.same({ (table.unpack or unpack)(ids, 21) }, calls.failed_ids(err.failed))
    end)

    it("tells hooks of each split", function()
        local r = calls.recorder()
        with_bad(8, { 3 }, { hook = r.hook })
        assert.equal(3, r.count.split)
        assert.equal(1, r.count.failure)
        assert.equal(7, r.count.request)
        assert.equal(7, r.count.response)
        local sizes = {}
        for i, e in ipairs(r.of "split") do
            sizes[i] = #e.ids
            assert.equal("bad_request", e.kind)
            assert.equal(400, e.status)
        end
        assert.same({ 8, 4, 2 }, sizes)
        assert.same({ sandbox.id(3) }, r.of "failure"[1].ids)
    end)
end)
