-- The iterator: any number of ids, in order, in constant memory.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"
local server = require "spec.support.server"

local options = calls.options
local unpack = table.unpack or unpack -- luacheck: compat

-- A source that counts what was taken from it.
local function counting(ids)
    local s = { taken = 0 }
    function s.next()
        local id = ids[s.taken + 1]
        if id then s.taken = s.taken + 1 end
        return id
    end
    return s
end

-- All rounds as { id, ticket's id or nil, kind or nil }.
local function rounds(ids, o)
    local list = {}
    for id, ticket, err in kapture.tickets(ids, o) do
        if ticket then assert.equal(id, calls.id_of(ticket)) end
        assert.is_true((ticket == nil) ~= (err == nil))
        list[#list + 1] = { id, ticket and "ticket" or err.kind }
    end
    return list
end

local function all_tickets(ids)
    local list = {}
    for i, id in ipairs(ids) do list[i] = { id, "ticket" } end
    return list
end

local function file_with(text)
    local name = os.tmpname()
    local f = assert(io.open(name, "wb"))
    f:write(text)
    f:close()
    return name
end

describe("the iterator", function()
    it("gives a round for each id, in order", function()
        local ids = sandbox.ids(23)
        local o, key = options({ "shuffle", "delay,ms=0,jitter=40" }, { batch_size = 5, concurrency = 3 })
        assert.same(all_tickets(ids), rounds(ids, o))
        assert.equal(5, sandbox.stats(key).requests)
    end)

    it("takes a table, a string, a number, a function", function()
        local ids = sandbox.ids(12)
        for _, source in ipairs { ids, table.concat(ids, " , "), counting(ids).next } do
            assert.same(all_tickets(ids), rounds(source, (options(nil, { batch_size = 5 }))))
        end
        assert.same({ { "713", "ticket" } }, rounds(713, (options())))
        assert.same(all_tickets(ids), rounds({ ids[1], table.concat({ unpack(ids, 2, 9) }, ","), unpack(ids, 10) },
            (options(nil, { batch_size = 4 }))))
    end)

    it("takes the lines of a file: blanks, CR, empty lines", function()
        local ids = sandbox.ids(6)
        local name = file_with(("%s\r\n\r\n  %s\t\n\n%s,%s \r\n%s\n   \n%s"):format(unpack(ids)))
        assert.same(all_tickets(ids), rounds(io.lines(name), (options(nil, { batch_size = 2 }))))
        local o = options()
        local client, n = kapture.new(o), 0
        for id in client:tickets(io.lines(name)) do -- in 5.4, io.lines returns four values
            n = n + 1
            assert.equal(ids[n], id)
        end
        assert.equal(6, n)
        client:close()
        os.remove(name)
    end)

    it("ends at once where there is nothing", function()
        for _, source in ipairs { {}, "", "  ", function() end } do
            assert.same({}, rounds(source, (options())))
        end
    end)

    it("stays at its end", function()
        local it = kapture.tickets({ sandbox.id(1) }, (options()))
        assert.equal(sandbox.id(1), (it()))
        assert.is_nil((it()))
        assert.is_nil((it()))
    end)

    it("gives an id asked for twice twice", function()
        local a, b = sandbox.id(1), sandbox.id(2)
        local o, key = options(nil, { batch_size = 4 })
        assert.same(all_tickets { a, b, a, a, a, b }, rounds({ a, b, a, a, a, b }, o))
        for _, entry in ipairs(sandbox.requests(key)) do
            assert.is_true(entry.count <= 2) -- on the wire once a request
        end
    end)

    it("says what is missing, invalid or failed, in its place", function()
        local bad = sandbox.id(5)
        local o = options("badid,status=400,id=" .. bad, { batch_size = 4 })
        local source = { sandbox.id(1), calls.unknown(1), "no id", bad, true, sandbox.id(2), -3, 1.5, ("x"):rep(65),
            sandbox.id(3) .. ",," .. sandbox.id(4) }
        assert.same({
            { sandbox.id(1), "ticket" }, { calls.unknown(1), "missing" }, { "no id", "invalid_ids" },
            { bad, "bad_request" }, { "true", "invalid_ids" }, { sandbox.id(2), "ticket" }, { "-3", "invalid_ids" },
            { "1.5", "invalid_ids" }, { ("x"):rep(65), "invalid_ids" }, { sandbox.id(3), "ticket" },
            { "", "invalid_ids" }, { sandbox.id(4), "ticket" },
        }, rounds(source, o))
    end)

    it("complains of a hole in a table, which is no id, and ends there", function()
        local a, b = sandbox.id(1), sandbox.id(2)
        assert.same({ { a, "ticket" }, { "nil", "invalid_ids" } }, rounds({ a, nil, b }, (options())))
        assert.same({ { "nil", "invalid_ids" } }, rounds({ [7] = b }, (options())))
        assert.same({ { a, "ticket" } }, rounds({ [0] = "script.lua", a, n = 3 }, (options()))) -- arg
    end)

    it("gives errors in the shape of get_ticket's", function()
        local bad, seen = sandbox.id(5), {}
        local o = options("badid,status=404,id=" .. bad)
        for id, _, err in kapture.tickets({ calls.unknown(1), "?", bad }, o) do
            seen[#seen + 1] = err.kind
            assert.same({ id }, err.ids)
            assert.is_string(err.message)
            assert.is_boolean(err.retryable)
            assert.is_number(err.attempts)
            assert.same({}, err.tickets)
            assert.same({}, err.missing)
            if err.kind == "not_found" then
                assert.equal(404, err.status)
                local _, _, want = kapture.get_ticket(bad, o)
                assert.same(want.failed, err.failed)
            else
                assert.same({}, err.failed)
            end
        end
        assert.same({ "missing", "invalid_ids", "not_found" }, seen)
    end)

    it("gives each id an error table of its own, with its request's failure", function()
        local o, errors = options("status,code=500", { batch_size = 2, retries = 0, isolate = false }), {}
        for _, _, err in kapture.tickets({ 1, 2, 3 }, o) do errors[#errors + 1] = err end
        assert.are_not.equal(errors[1], errors[2])
        assert.same({ { "1", "2" }, { "1", "2" }, { "3" } }, { errors[1].ids, errors[2].ids, errors[3].ids })
        for _, err in ipairs(errors) do
            assert.equal(1, #err.failed)
            assert.equal("server", err.failed[1].kind)
            assert.same(err.ids, err.failed[1].ids)
        end
    end)

    it("gives ids that were never sent nothing of another's answer", function()
        local o, n = options("expired", { batch_size = 2, concurrency = 1 }), 0
        for id, _, err in kapture.tickets("1,2,3,4,5,6", o) do
            n = n + 1
            assert.same({ tostring(n), "auth" }, { id, err.kind })
            local sent = n <= 2
            for _, e in ipairs { err, err.failed[1] } do
                assert.equal(sent, e.status ~= nil)
                assert.equal(sent, e.body ~= nil)
                assert.equal(sent and 1 or 0, e.attempts)
            end
        end
        assert.equal(6, n)
    end)

    it("drops tickets that nobody asked for", function()
        local ids = sandbox.ids(6)
        assert.same(all_tickets(ids), rounds(ids, (options("unasked,id=799999999991", { batch_size = 2 }))))
    end)

    it("gives an id asked for again its ticket, whatever else is in the answer", function()
        -- the first answer on, each begins with what was asked for before
        local s = server [[
            local before = {}
            for request in c:requests() do
                local ids = {}
                for _, id in ipairs(before) do ids[#ids + 1] = id end
                for _, id in ipairs(request.ids) do ids[#ids + 1] = id end
                c:answer(ids)
                before = { request.ids[1] }
            end
        ]]
        local ids = { "1", "2", "2", "3", "3", "1", "1", "2", "3" }
        for _, n in ipairs { 1, 2, 3 } do
            local o = { base_url = s.http, token = "t", batch_size = n, concurrency = 1 }
            assert.same(all_tickets(ids), rounds(ids, o))
        end
        s.stop()
    end)

    it("keeps nothing of what comes again, or failed after it had come", function()
        for _, body in ipairs {
            'local t = c:tickets(ids) ids = request.ids', -- a list of what came before, and of what is asked for
            'local t = c:tickets(request.ids) .. "."',
        } do
            local s = server(([[
                local ids, big = {}, ("x"):rep(4000)
                for request in c:requests() do
                    for _, id in ipairs(request.ids) do ids[#ids + 1] = id end
                    %s
                    t = t:gsub('"detail":"', '%%0' .. big)
                    c:send(c:head(200, "Content-Length: " .. #t) .. t)
                end
            ]]):format(body))
            local o = { base_url = s.http, token = "t", batch_size = 10, concurrency = 1, isolate = false, retries = 0 }
            local function run(it, n)
                for _ = 1, n do assert(it()) end
                for _ = 1, 3 do collectgarbage() end
                return collectgarbage "count"
            end
            local it = kapture.tickets(sandbox.ids(1000), o)
            local before = run(it, 300)
            assert.is_true(run(it, 600) - before < 600) -- KB: those tickets have 2400
            it:close()
            s.stop()
        end
    end)

    it("reads ahead concurrency * batch_size ids at most, and keeps at it", function()
        local s = counting(sandbox.ids(200))
        local given, most = 0, 0
        for id in kapture.tickets(s.next, (options(nil, { batch_size = 5, concurrency = 3 }))) do
            most = math.max(most, s.taken - given)
            given = given + 1
            assert(id)
        end
        assert.equal(200, given)
        assert.equal(15, most)
    end)

    it("takes one string of very many ids as it goes, and keeps no copy of them", function()
        local text = table.concat(sandbox.ids(50000), ",")
        collectgarbage()
        collectgarbage()
        local before = collectgarbage "count"
        local loop = kapture.tickets(text, (options(nil, { concurrency = 1 })))
        assert.equal(sandbox.id(1), (loop()))
        local kept = collectgarbage "count" - before
        loop:close()
        assert.is_true(kept < 1000, kept) -- KB; the ids alone would be 2,000
    end)

    it("stops fetching while its consumer is slow", function()
        local s = counting(sandbox.ids(100))
        local o, key = options(nil, { batch_size = 5, concurrency = 2 })
        local it = kapture.tickets(s.next, o)
        for _ = 1, 3 do it() end
        calls.sleep(0.3)
        it()
        assert.equal(10, s.taken)
        assert.is_true(sandbox.stats(key).requests <= 2)
        it:close()
    end)

    it("goes on after pauses longer than the timeout, requests in flight", function()
        local o, key = options({ "delay,ms=150", "drip,bytes=3000,ms=15" },
            { batch_size = 4, concurrency = 3, timeout = 1, retries = 0, on = "https1" })
        local ids, n = sandbox.ids(48), 0
        for id, ticket, err in kapture.tickets(ids, o) do
            n = n + 1
            assert(ticket, err and err.message)
            assert.equal(ids[n], id)
            if n == 1 or n == 17 or n == 40 then calls.sleep(1.3) end
        end
        assert.equal(48, n)
        local connections, list = {}, sandbox.requests(key)
        for _, entry in ipairs(list) do connections[entry.conn] = true end
        local count = 0
        for _ in pairs(connections) do count = count + 1 end
        assert.is_true(count <= 3, count .. " connections")
        assert.equal(12, #list)
    end)

    it("counts no pause against deadlines or connecting", function()
        -- (one request may meet both 503: it pauses 0.3 s at most)
        local o = options("status,code=503,times=2,skip=1", { batch_size = 2, concurrency = 3, deadline = 0.8,
            connect_timeout = 0.6, backoff = 0.1 })
        local n = 0
        for _, ticket, err in kapture.tickets(sandbox.ids(20), o) do
            n = n + 1
            assert(ticket, err and err.message)
            if n % 6 == 1 then calls.sleep(1) end
        end
        assert.equal(20, n)
    end)

    it("counts no pause of the source either", function()
        local ids, n = sandbox.ids(12), 0
        local o = options("delay,ms=100",
            { batch_size = 2, concurrency = 2, timeout = 0.6, deadline = 0.7, retries = 0 })
        local function source()
            n = n + 1
            if n == 4 or n == 9 then calls.sleep(0.8) end
            return ids[n]
        end
        assert.same(all_tickets(ids), rounds(source, o))
    end)

    it("still times out what hangs, after a pause as well", function()
        local ids = sandbox.ids(4)
        local o = options("hang,s=30,ifid=" .. ids[3], { batch_size = 2, concurrency = 2, timeout = 2, retries = 0 })
        local started = calls.now()
        local it = kapture.tickets(ids, o)
        assert.equal(ids[1], (it()))
        local paused = calls.now()
        calls.sleep(1.2)
        started = started + calls.now() - paused
        it()
        local id, _, err = it()
        assert.equal(ids[3], id)
        assert.equal("timeout", err.kind)
        local took = calls.now() - started
        assert.is_true(took > 1.5 and took < 8, took)
    end)

    it("has a deadline for each batch, from its start", function()
        local ids = sandbox.ids(12)
        local o = options("delay,ms=250", { batch_size = 2, concurrency = 1, deadline = 1 })
        assert.same(all_tickets(ids), rounds(ids, o)) -- 1.5 s in all
        o = options("hang,s=30,ifid=" .. ids[5], { batch_size = 2, concurrency = 2, deadline = 0.7 })
        local got = rounds(ids, o)
        local expected = all_tickets(ids)
        expected[5][2], expected[6][2] = "timeout", "timeout"
        assert.same(expected, got)
    end)

    it("counts no waiting for its own rate against the deadline", function()
        local ids = sandbox.ids(5)
        local o, key = options("tag", { batch_size = 1, concurrency = 4, rate = 2.5, deadline = 0.9 })
        assert.same(all_tickets(ids), rounds(ids, o)) -- the fourth starts after 1.2 s
        assert.equal(5, sandbox.stats(key).requests)
    end)

    it("counts no waiting for other calls of its client either", function()
        for _, threaded in ipairs { false, true } do
            local ids = sandbox.ids(2)
            local slow = options("delay,ms=1000", { concurrency = 1 })
            local o = options("tag", { batch_size = 1, deadline = 0.8 })
            local client = kapture.new(slow)
            local got, other = {}, nil
            if threaded then other = client:submit(sandbox.id(9)) end
            for id, ticket, err in client:tickets(ids, o) do
                got[#got + 1] = { id, ticket and "ticket" or err.kind }
                if not threaded then assert(client:get_ticket(sandbox.id(9))) end
            end
            assert.same(all_tickets(ids), got)
            if other then assert(other:wait(10)) end
            client:close()
        end
    end)

    it("keeps to the deadline through a batch's retries, their rate included", function()
        local ids = sandbox.ids(3)
        local o, key = options("status,code=503,ifid=" .. ids[3], { batch_size = 1, concurrency = 3, rate = 3,
            deadline = 1.2, retries = 20 })
        local started = calls.now()
        local got = rounds(ids, o)
        assert.same({ ids[1], "ticket" }, got[1])
        assert.same({ ids[2], "ticket" }, got[2])
        assert.is_true(got[3][2] == "timeout" or got[3][2] == "server", got[3][2])
        local took = calls.now() - started
        assert.is_true(took > 1.4 and took < 6, took) -- its own start at 0.67 s
        local n = sandbox.stats(key).requests
        assert.is_true(n >= 4 and n <= 7, n)
    end)

    it("ends with a refused token, after what was taken from the source", function()
        local s = counting(sandbox.ids(200))
        local o, key = options("expired,skip=3", { batch_size = 5, concurrency = 2 })
        local got = rounds(s.next, o)
        assert.equal(s.taken, #got)
        assert.is_true(#got <= 30, #got)
        for i, round in ipairs(got) do
            assert.equal(sandbox.id(i), round[1])
            assert.equal(i <= 15 and "ticket" or "auth", round[2])
        end
        assert.is_true(sandbox.stats(key).requests <= 5)
    end)

    it("sends no further batch once the token was refused", function()
        local ids = sandbox.ids(40)
        local o, key = options({ "retry-after,code=503,after=3,times=1,ifid=" .. ids[1], "delay,ms=100",
            "expired,ifid=" .. ids[3] }, { batch_size = 2, concurrency = 3 })
        local started = calls.now()
        local got = rounds(ids, o)
        assert.is_true(calls.now() - started < 2.5)
        assert.same({ ids[1], "auth" }, got[1])
        assert.same({ ids[3], "auth" }, got[3])
        assert.is_true(#got <= 6)
        assert.is_true(sandbox.stats(key).requests <= 3)
    end)

    it("gives what one value of the source held, to its end", function()
        local many = table.concat(sandbox.ids(50), ",")
        local n = 0
        local got = rounds(function()
            n = n + 1
            return many
        end, (options("expired", { batch_size = 3, concurrency = 2 })))
        assert.equal(50 * n, #got)
        for _, round in ipairs(got) do assert.equal("auth", round[2]) end
    end)

    it("says in one round what keeps it from starting", function()
        local s = counting(sandbox.ids(10))
        local o = options()
        o.token = function() error "no keyring" end
        local got = {}
        for id, ticket, err in kapture.tickets(s.next, o) do
            got[#got + 1] = { id, ticket, err.kind, err.message:find("no keyring", 1, true) ~= nil }
        end
        assert.same({ { sandbox.id(1), nil, "config", true } }, got)
        assert.equal(1, s.taken)
    end)

    it("passes on the error of its source as it is, cleaned up before", function()
        local mistake, n = { "mine" }, 0
        local o, key = options("hang,s=30", { batch_size = 1, concurrency = 3, on = "https1" })
        local it = kapture.tickets(function()
            n = n + 1
            if n == 3 then
                calls.eventually(function() return sandbox.stats(key).requests >= 0 end)
                error(mistake)
            end
            return sandbox.id(n)
        end, o)
        local ok, e = pcall(it)
        assert.is_false(ok)
        assert.equal(mistake, e)
        assert.is_nil((it()))
        assert.equal(3, n)
    end)

    it("closes the sockets of what was in flight when its source fails", function()
        local o, key = options({ "delay,ms=300,ifid=" .. sandbox.id(1), "hang,s=30,ifid=" .. sandbox.id(3) },
            { batch_size = 2, concurrency = 2, on = "https1" })
        local n = 0
        local it = kapture.tickets(function()
            n = n + 1
            if n == 6 then error("no more", 0) end
            return sandbox.id(n)
        end, o)
        it()
        it()
        assert.same({ false, "no more" }, { pcall(it) })
        calls.eventually(function()
            local hung = sandbox.requests(key)
            return #hung == 2 and (hung[1].aborted or hung[2].aborted)
        end)
    end)

    it("cancels what is in flight when the loop is left", function()
        local o, key = options({ "delay,ms=300,ifid=" .. sandbox.id(1), "hang,s=30,ifid=" .. sandbox.id(3) },
            { batch_size = 2, concurrency = 3, on = "https1" })
        local client = kapture.new(o)
        do
            local it, state, control, closing = client:tickets(sandbox.ids(100))
            for id in it, state, control, closing do -- luacheck: ignore
                assert.equal(sandbox.id(1), id)
                calls.eventually(function() return sandbox.stats(key).requests >= 3 end)
                break
            end
            if _VERSION < "Lua 5.4" then it:close() end
        end
        local aborted = calls.eventually(function()
            for _, entry in ipairs(sandbox.requests(key)) do
                if entry.aborted then return entry end
            end
        end)
        assert.equal(2, aborted.count)
        assert(client:get_ticket(sandbox.id(1))) -- the client goes on
        client:close()
    end)

    it("cancels when it is collected", function()
        local o, key = options({ "delay,ms=300,ifid=" .. sandbox.id(1), "hang,s=30,ifid=" .. sandbox.id(3) },
            { batch_size = 2, concurrency = 3, on = "https1" })
        local client = kapture.new(o)
        do
            local it = client:tickets(sandbox.ids(100))
            it()
            calls.eventually(function() return sandbox.stats(key).requests >= 3 end)
        end
        collectgarbage()
        collectgarbage()
        calls.eventually(function()
            for _, entry in ipairs(sandbox.requests(key)) do
                if entry.aborted then return true end
            end
        end)
        client:close()
    end)

    it("leaves nothing behind in its client", function()
        local client = kapture.new((options(nil, { batch_size = 2, concurrency = 8 })))
        local function leave()
            for _ = 1, 20 do
                local it = client:tickets(sandbox.ids(100))
                it()
            end
            for _ = 1, 5 do collectgarbage() end -- finalizers keep things for a round each
            return collectgarbage "count"
        end
        leave()
        local before = leave()
        for _ = 1, 4 do leave() end
        assert.is_true(leave() - before < 20, leave() - before)
        client:close()
    end)

    it("may be closed at any time, more than once", function()
        local it = kapture.tickets(sandbox.ids(10), (options()))
        it:close()
        assert.is_nil((it()))
        it:close()
        it = kapture.tickets(sandbox.ids(10), (options()))
        it()
        it:close()
        it:close()
        assert.is_nil((it()))
    end)

    it("may be closed by its source and by its hook", function()
        local it
        it = kapture.tickets(function()
            it:close()
            return sandbox.id(1)
        end, (options()))
        assert.is_nil((it()))
        local o = options(nil, { batch_size = 2 })
        o.hook = function(e)
            if e.event == "response" then it:close() end
        end
        it = kapture.tickets(sandbox.ids(10), o)
        assert.is_nil((it()))
    end)

    it("can't be called by its source", function()
        local it, n = nil, 0
        it = kapture.tickets(function()
            n = n + 1
            if n == 2 then
                local ok, e = pcall(it)
                assert.is_false(ok)
                assert.truthy(tostring(e):find("at work", 1, true))
            end
            return sandbox.ids(3)[n]
        end, (options()))
        local got = {}
        for id in it do got[#got + 1] = id end
        assert.same(sandbox.ids(3), got)
    end)

    it("comes out with `closed` when its client is closed", function()
        local ids = sandbox.ids(20)
        local client = kapture.new((options("delay,ms=500,ifid=" .. ids[3], { batch_size = 2, concurrency = 2 })))
        local s, got = counting(ids), {}
        for _, ticket, err in client:tickets(s.next) do
            got[#got + 1] = ticket and "ticket" or err.kind
            if #got == 1 then client:close() end
        end
        assert.equal(s.taken, #got)
        assert.equal("closed", got[#got])
        for _, _, err in client:tickets { sandbox.id(1) } do assert.equal("closed", err.kind) end
    end)

    it("gives up an outage early", function()
        local o, key = options("outage")
        local got = rounds(sandbox.ids(200), o)
        assert.equal(200, #got)
        for _, round in ipairs(got) do assert.equal("server", round[2]) end
        assert.is_true(sandbox.stats(key).requests < 60, sandbox.stats(key).requests)
    end)

    it("finds bad ids alone, in every batch", function()
        local ids = sandbox.ids(60)
        local o = options("badid,status=400,id=" .. table.concat({ ids[1], ids[10], ids[11], ids[60] }, "+"),
            { batch_size = 10 })
        local expected = all_tickets(ids)
        for _, at in ipairs { 1, 10, 11, 60 } do expected[at][2] = "bad_request" end
        assert.same(expected, rounds(ids, o))
    end)

    it("works in a coroutine that is gone before it ends", function()
        local client, it = kapture.new((options(nil, { batch_size = 2 })), nil)
        local co = coroutine.create(function()
            it = client:tickets(sandbox.ids(9))
            it()
        end)
        assert(coroutine.resume(co))
        co = nil -- luacheck: ignore
        collectgarbage()
        local n = 1
        for _ in it do n = n + 1 end
        assert.equal(9, n)
        client:close()
    end)

    it("raises for what is no source, and for options that are none", function()
        for _, source in ipairs { true, io.stdout, coroutine.create(function() end) } do
            local ok, e = pcall(kapture.tickets, source, {})
            assert.is_false(ok)
            assert.truthy(e:find("bad argument #1 to 'tickets'", 1, true), e)
        end
        local ok, e = pcall(kapture.tickets, nil, { timout = 3 })
        assert.is_false(ok)
        assert.truthy(e:find("bad argument", 1, true), e)
    end)
end)
