-- So many requests a second, at most, however many calls share a client.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local options, ids_of = calls.options, calls.ids_of

-- Starts as the hook heard of them; `list` is in order of arrival there.
local function starts(r)
    local times = {}
    for i, e in ipairs(r.of "request") do times[i] = e.seen end
    return times
end

-- No window of a second holds more than `rate` and the one it begins with.
local function never_more(times, rate, slack)
    for i = 1, #times do
        local j = i
        while times[j + 1] and times[j + 1] - times[i] < 1 do j = j + 1 end
        assert.is_true(j - i <= rate + (slack or 1), ("%d more within a second of the %dth"):format(j - i, i))
    end
end

local function arrivals(key)
    local times = {}
    for i, entry in ipairs(sandbox.requests(key)) do times[i] = entry.time end
    table.sort(times)
    return times
end

describe("rate", function()
    it("spaces requests evenly", function()
        local o, key = options(nil, { rate = 20, batch_size = 1, concurrency = 16 })
        local client = calls.client(o)
        local started = calls.now()
        assert(client:get_ticket(sandbox.ids(21), o))
        local took = calls.now() - started
        assert.is_true(took >= 0.99 and took < 4, took)
        local times = arrivals(key)
        never_more(times, 20, 2)
        local early = 0
        for i = 2, #times do
            if times[i] - times[i - 1] < 0.02 then early = early + 1 end
        end
        assert.is_true(early <= 4, early .. " of 20 came too early")
        client:close()
    end)

    it("may be less than one a second", function()
        local client = kapture.new(options(nil, { rate = 0.8, batch_size = 1 }))
        local started = calls.now()
        assert(client:get_ticket(sandbox.ids(2)))
        local took = calls.now() - started
        assert.is_true(took >= 1.24, took)
        client:close()
    end)

    it("may be the smallest number there is", function()
        for _, rate in ipairs { 1e-9, 1e-300, 1e-310, 2 ^ -1074 } do
            local o, key = options(nil, { rate = rate, batch_size = 1, deadline = 0.5, partial = true })
            local client = calls.client(o)
            local ids = sandbox.ids(3)
            local tickets, info = assert(client:get_ticket(ids, o))
            assert.same({ ids[1] }, ids_of(tickets))
            for _, f in ipairs(info.failed) do assert.equal("timeout", f.kind) end
            assert.equal(1, sandbox.stats(key).requests)
            client:close()
        end
    end)

    it("does not let a fast one fall behind", function()
        local o = options(nil, { rate = 400, batch_size = 1, concurrency = 8, fields = { "task_details.ticketId" } })
        local client = calls.client(o)
        assert(client:get_ticket(sandbox.id(1), options()))
        local started = calls.now()
        assert(client:get_ticket(sandbox.ids(200), o))
        local took = calls.now() - started
        assert.is_true(took >= 0.49 and took < 3, took)
        client:close()
    end)

    it("holds for retries and halves", function()
        local o, key = options({ "badid,status=500,id=" .. sandbox.id(2) }, { rate = 20, retries = 2 })
        local client = calls.client(o)
        assert(client:get_ticket(sandbox.id(1), options())) -- connecting delays the first, and none after it
        local _, _, err = client:get_ticket(sandbox.ids(8), o)
        assert.same({ sandbox.id(2) }, err.ids)
        local times = arrivals(key)
        assert.equal(11, #times)
        assert.is_true(times[#times] - times[1] >= 0.47, times[#times] - times[1])
        client:close()
    end)

    it("holds for one call after another", function()
        local client = kapture.new(options(nil, { rate = 20 }))
        local started = calls.now()
        for i = 1, 11 do assert(client:get_ticket(sandbox.id(i))) end
        assert.is_true(calls.now() - started >= 0.49)
        client:close()
    end)

    it("is shared by the calls of a client, fairly", function()
        local client = kapture.new { rate = 30, concurrency = 8 }
        local key = sandbox.key()
        local ended, requests = {}, {}
        local function o(name)
            return options("tag,key=" .. key, { batch_size = 1, hook = function(e)
                if e.event == "response" then ended[#ended + 1] = name end
            end })
        end
        local started = calls.now()
        requests[1] = client:submit(sandbox.ids(20), (o "a"))
        requests[2] = client:submit(sandbox.ids(10, 100), (o "b"))
        for _, r in ipairs(requests) do assert(r:wait(20)) end
        local took = calls.now() - started
        assert.is_true(took >= 29 / 30 - 0.01, took)
        never_more(arrivals(key), 30, 2)
        local last_b = 0
        for i, name in ipairs(ended) do
            if name == "b" then last_b = i end
        end
        assert.is_true(last_b <= 24, "b was last at " .. last_b)
        client:close()
    end)

    it("is of the client: a call can't say otherwise, nor can it of concurrency", function()
        local client = kapture.new(options())
        for name, value in pairs { rate = 5, concurrency = 2 } do
            for _, method in ipairs { "get_ticket", "submit", "tickets" } do
                local ok, message = pcall(client[method], client, sandbox.id(1), { [name] = value })
                assert.is_false(ok)
                assert.equal(("bad argument #2 to '%s' (option '%s' is a client's, for all its calls together: "
                    .. "give it to 'new')"):format(method, name), message:match "bad argument.*")
            end
        end
        client:close()
    end)

    it("is kept by the module's own functions, from call to call", function()
        local o, key = options(nil, { rate = 20, batch_size = 1 })
        for i = 1, 6 do assert(kapture.get_ticket(sandbox.id(i), o)) end
        for _, ticket in kapture.tickets(sandbox.ids(5, 10), o) do assert(ticket) end
        local times = arrivals(key)
        assert.equal(11, #times)
        never_more(times, 20, 2)
        assert.is_true(times[11] - times[1] >= 0.45, times[11] - times[1])
        -- others have another client, though they go to the same place
        local started = calls.now()
        o.rate = nil
        for i = 1, 6 do assert(kapture.get_ticket(sandbox.id(i), o)) end
        assert.is_true(calls.now() - started < 0.25)
    end)

    it("counts against the deadline", function()
        local o, key = options(nil, { rate = 5, batch_size = 1, concurrency = 8, deadline = 0.7, partial = true })
        local client = calls.client(o)
        local ids = sandbox.ids(20)
        local started = calls.now()
        local tickets, info = assert(client:get_ticket(ids, o))
        local took = calls.now() - started
        assert.is_true(took >= 0.6 and took < 3, took)
        assert.is_true(#tickets >= 1 and #tickets <= 5, #tickets)
        assert.same({ (table.unpack or unpack)(ids, 1, #tickets) }, ids_of(tickets))
        for _, f in ipairs(info.failed) do assert.equal("timeout", f.kind) end
        calls.account(ids, tickets, info.missing, info.failed)
        assert.is_true(sandbox.stats(key).requests <= 5)
        client:close()
    end)

    it("is told to hooks as it happens", function()
        local r = calls.recorder()
        local o = options(nil, { rate = 10, batch_size = 1, hook = r.hook })
        local client = calls.client(o)
        assert(client:get_ticket(sandbox.ids(4), o))
        local times = starts(r)
        assert.equal(4, #times)
        assert.is_true(times[4] - times[1] >= 0.25)
        client:close()
    end)
end)
