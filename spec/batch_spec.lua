-- Ids cut into requests, several in flight, put together in order.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"
local server = require "spec.support.server"

local options, ids_of = calls.options, calls.ids_of

local function sizes(key)
    local list = {}
    for i, entry in ipairs(sandbox.requests(key)) do list[i] = entry.count end
    table.sort(list)
    return list
end

describe("batches", function()
    it("cut the ids into requests of batch_size", function()
        local o, key = options(nil, { batch_size = 10 })
        local ids = sandbox.ids(35)
        local tickets, info = assert(kapture.get_ticket(ids, o))
        assert.same(ids, ids_of(tickets))
        assert.equal(4, info.requests)
        assert.equal(0, info.retries)
        assert.same({ 5, 10, 10, 10 }, sizes(key))
    end)

    it("are of 50 where nothing is said", function()
        local o, key = options()
        local ids = sandbox.ids(101)
        assert.same(ids, ids_of(assert(kapture.get_ticket(ids, o))))
        assert.same({ 1, 50, 50 }, sizes(key))
    end)

    it("may be of one id, and of a thousand", function()
        local o, key = options(nil, { batch_size = 1 })
        local ids = sandbox.ids(7)
        assert.same(ids, ids_of(assert(kapture.get_ticket(ids, o))))
        assert.same({ 1, 1, 1, 1, 1, 1, 1 }, sizes(key))
        o, key = options(nil, { batch_size = 1000, fields = { "task_details.ticketId" } })
        ids = sandbox.ids(1001)
        assert.same(ids, ids_of(assert(kapture.get_ticket(ids, o))))
        assert.same({ 1, 1000 }, sizes(key))
    end)

    it("come back in the order of asking, whichever ends first", function()
        local o = options({ "shuffle", "delay,ms=0,jitter=60" }, { batch_size = 3, concurrency = 8 })
        local ids = {}
        for i, id in ipairs(sandbox.ids(60)) do ids[(i * 37) % 60 + 1] = id end
        assert.same(ids, ids_of(assert(kapture.get_ticket(ids, o))))
    end)

    it("ask for each id once, however often it was named", function()
        local o, key = options(nil, { batch_size = 2 })
        local a, b, c = sandbox.id(1), sandbox.id(2), sandbox.id(3)
        local tickets = assert(kapture.get_ticket({ a, b, a, a .. "," .. b, c, c }, o))
        assert.same({ a, b, c }, ids_of(tickets))
        assert.same({ 1, 2 }, sizes(key))
    end)

    it("are never more than `concurrency` at once", function()
        for _, most in ipairs { 1, 3 } do
            local o, key = options("delay,ms=30", { batch_size = 1, concurrency = most })
            assert(kapture.get_ticket(sandbox.ids(12), o))
            assert.equal(most, sandbox.stats(key).most)
        end
    end)

    it("wait for nobody else's answer to begin", function()
        for _, on in ipairs { "http", "https1", "https" } do
            local o, key = options("delay,ms=1000", { batch_size = 1, on = on, deadline = 60 })
            local client = kapture.new()
            assert.equal(4, #assert(client:get_ticket(sandbox.ids(4), o)))
            assert.equal(4, sandbox.stats(key).most, on)
            client:close()
        end
    end)

    it("come and go while another's large answer is worked on", function()
        local large = sandbox.id(1)
        -- What the third fastest of the four told of next took, and the work.
        -- More ids than are asked for while the sandbox makes the large answer and
        -- sends it, however long that takes: the rest is left once all is known.
        local function measured()
            local client, last, work, meanwhile = kapture.new { concurrency = 4 }, math.huge, nil, {}
            local o = options({ "identity", "thick,entries=100000,ifid=" .. large, "delay,ms=30" }, {
                batch_size = 1, on = "https1", deadline = 60, hook = function(e)
                    if e.event ~= "response" then return end
                    if e.ids[1] == large then
                        work = calls.now() - last
                    elseif work then
                        meanwhile[#meanwhile + 1] = e.elapsed
                        if #meanwhile == 4 then client:close() end
                    end
                    last = calls.now()
                end,
            })
            local _, _, err = client:get_ticket(sandbox.ids(2000), o)
            assert.equal("closed", err.kind)
            table.sort(meanwhile)
            return meanwhile[3], work
        end
        local took, work
        for _ = 1, 4 do -- a machine may be late by itself
            took, work = measured()
            if took < 0.03 + work / 2 then break end
        end
        assert.is_true(took < 0.03 + work / 2, ("%g s beside %g s of work"):format(took, work))
    end)

    it("go on kept connections", function()
        local o, key = options(nil, { on = "https1", batch_size = 1, concurrency = 3 })
        local client = calls.client(o)
        assert(client:get_ticket(sandbox.ids(12), o))
        assert(client:get_ticket(sandbox.ids(12), o))
        local connections, n = {}, 0
        for _, entry in ipairs(sandbox.requests(key)) do
            if not connections[entry.conn] then n = n + 1 end
            connections[entry.conn] = true
        end
        assert.is_true(n <= 3, n .. " connections")
        client:close()
    end)

    it("share one connection over HTTP/2", function()
        local o, key = options("delay,ms=20", { batch_size = 1, concurrency = 16 })
        local client = calls.client(o)
        assert(client:get_ticket(sandbox.ids(32), o))
        local connections, n = {}, 0
        for _, entry in ipairs(sandbox.requests(key)) do
            if not connections[entry.conn] then n = n + 1 end
            connections[entry.conn] = true
            assert.equal("HTTP/2.0", entry.proto)
        end
        assert.is_true(n <= 4, n .. " connections")
        assert.is_true(sandbox.stats(key).most > 4)
        client:close()
    end)

    it("list what the service does not know, in order", function()
        local o = options(nil, { batch_size = 2 })
        local u = calls.unknown
        local a, b = sandbox.id(1), sandbox.id(2)
        local tickets, info = assert(kapture.get_ticket({ u(3), a, u(1), u(2), b, u(4) }, o))
        assert.same({ a, b }, ids_of(tickets))
        assert.same({ u(3), u(1), u(2), u(4) }, info.missing)
        assert.is_nil(info.failed)
    end)

    it("that know no id at all are no failure", function()
        local tickets, info = assert(kapture.get_ticket({ calls.unknown(1), calls.unknown(2) }, (options())))
        assert.same({}, tickets)
        assert.same({ calls.unknown(1), calls.unknown(2) }, info.missing)
    end)

    it("keep unasked tickets at the end, each once", function()
        local o = options("unasked,id=799999999991", { batch_size = 2 })
        local ids = sandbox.ids(6)
        local got = ids_of(assert(kapture.get_ticket(ids, o)))
        assert.equal("799999999991", table.remove(got))
        assert.same(ids, got)
    end)

    it("keep the unasked ones of all, though one was sent again for its answer", function()
        -- "1": its unasked ones and then nothing, and on the second time, late, all of it
        local name = os.tmpname()
        local s = server(([[
            for request in c:requests() do
                if request.ids[1] == "1" then
                    local again = io.open(%q):read "*a" ~= ""
                    local f = io.open(%q, "w") f:write "again" f:close()
                    local ids = { "91", "92", "1" }
                    if not again then
                        local text = c:tickets(ids):sub(1, -20)
                        c:send(c:head(200, "Content-Length: " .. #text) .. text)
                    else
                        c:sleep(0.4)
                        c:answer(ids)
                    end
                else
                    c:sleep(0.2)
                    c:answer { "81", "82", "2" }
                end
            end
        ]]):format(name, name))
        local tickets, info = assert(kapture.get_ticket({ "1", "2" },
            { base_url = s.http, token = "t", batch_size = 1, retries = 1, backoff = 0 }))
        assert.same({ "1", "2", "81", "82", "91", "92" }, ids_of(tickets))
        assert.equal(1, info.retries)
        s.stop()
        os.remove(name)
    end)

    it("take a ticket that came with another batch for the one asked for", function()
        local a, b = sandbox.id(1), sandbox.id(2)
        local o = options({ "unasked,id=" .. b .. ",ifid=" .. a, "drop,id=" .. b .. ",ifid=" .. b }, { batch_size = 1 })
        local tickets, info = assert(kapture.get_ticket({ b, a }, o))
        assert.same({ b, a }, ids_of(tickets))
        assert.same({}, info.missing)
    end)

    it("keep the last of a ticket that comes twice", function()
        local ids = sandbox.ids(3)
        local tickets = assert(kapture.get_ticket(ids, (options "duplicates,n=2")))
        assert.same(ids, ids_of(tickets))
        local second = 0
        for _, t in ipairs(tickets) do
            if t.task_details.title == "second" then second = second + 1 end
        end
        assert.equal(2, second)
    end)

    it("say what they cost", function()
        local o, key = options("status,code=503,times=2", { batch_size = 10, concurrency = 1 })
        local started = calls.now()
        local _, info = assert(kapture.get_ticket(sandbox.ids(30), o))
        assert.equal(5, info.requests)
        assert.equal(2, info.retries)
        assert.equal(5, #sandbox.requests(key))
        local sent = 0
        for _, entry in ipairs(sandbox.requests(key)) do sent = sent + entry.sent end
        assert.equal(sent, info.bytes)
        assert.is_true(info.elapsed > 0 and info.elapsed <= calls.now() - started + 0.001)
    end)
end)
