-- The hook, where one request is concerned: its events, and what it may do.
-- Then everybody else who may call in: finalizers, coroutines, odd arguments.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local pace = require "spec.support.pace"
local sandbox = require "spec.support.sandbox"

local abi = os.getenv "ABI"

local function recorder()
    local events = {}
    return events, function(event) events[#events + 1] = event end
end

local function names(events)
    local list = {}
    for i, event in ipairs(events) do list[i] = event.event end
    return table.concat(list, " ")
end

describe("a hook", function()
    it("is told of the request and of the response", function()
        local events, hook = recorder()
        local got = ask("2,1", { hook = hook })
        assert.are.equal("request response", names(events))
        local request, response = events[1], events[2]
        assert.are.equal("number", type(request.request))
        assert.are.equal(request.request, response.request)
        assert.are.equal("2,1", table.concat(request.ids, ","))
        assert.are.equal(1, request.attempt)
        assert.is_nil(request.status)
        assert.are.equal(200, response.status)
        assert.are.equal(got.info.bytes, response.bytes)
        assert.is_true(response.elapsed > 0)
        assert.is_nil(response.kind)
    end)

    it("is told of a failure", function()
        local events, hook = recorder()
        local got = ask("1", { hook = hook }, "status,code=403,message=no")
        assert.are.equal("request response failure", names(events))
        assert.are.equal("forbidden", events[3].kind)
        assert.are.equal(got.message, events[3].message)
        assert.are.equal(403, events[3].status)
        events, hook = recorder()
        local client = kapture.new() -- a kept connection would be given up for a new one
        ask.on(function(...) return client:get_ticket(...) end, "1", { hook = hook }, "reset")
        assert.are.equal("request failure", names(events))
        assert.are.equal("network", events[2].kind)
    end)

    it("is told of nothing where nothing is sent", function()
        local events, hook = recorder()
        ask("#", { hook = hook })
        ask("1", { hook = hook, token = "" })
        assert.are.equal("", names(events))
    end)

    it("may raise, whatever: nothing else changes", function()
        for _, value in ipairs { "text", {}, 5, false } do
            local got = ask("1", { hook = function() error(value) end })
            assert.are.equal(1, #got.tickets)
        end
        assert.are.equal(1, #ask("1", { hook = function() error() end }).tickets)
        assert.are.equal(1, #ask("1", { hook = function() return nil + 1 end }).tickets)
        local function endless() return endless() + 1 end
        assert.are.equal(1, #ask("1", { hook = endless }).tickets)
    end)

    it("may not yield, and nothing is lost by it", function()
        assert.are.equal(1, #ask("1", { hook = coroutine.yield }).tickets)
        local co = coroutine.wrap(function()
            return #ask("1", { hook = function() coroutine.yield "yielded" end }).tickets
        end)
        assert.are.equal(1, co())
    end)

    it("may fetch, on the same client too, to any depth", function()
        local client, depth, most = kapture.new(ask.opts()), 0, 0
        local function hook()
            if depth >= 5 then return end
            depth = depth + 1
            most = math.max(most, depth)
            assert(#client:get_ticket("2", { hook = hook }) == 1)
            assert(#kapture.get_ticket("3", ask.opts()) == 1)
            depth = depth - 1
        end
        assert.are.equal(1, #client:get_ticket("1", { hook = hook }))
        assert.are.equal(5, most)
    end)

    for _, at in ipairs { "request", "response", "failure", "retry" } do
        it("may close the client at a " .. at, function()
            local fault = (at == "failure" or at == "retry") and "status,code=503" or "tag"
            local client
            client = kapture.new(ask.opts({ retries = at == "retry" and 2 or 0, backoff = 0, hook = function(event)
                if event.event == at then client:close() end
                collectgarbage()
            end }, fault))
            local tickets, message, err = client:get_ticket "1,2"
            if tickets then
                assert.are.equal(2, #tickets)
            else
                assert.is_truthy(err.kind == "closed" or err.kind == "server", message)
            end
            assert.are.equal("closed", select(3, client:get_ticket "1").kind)
        end)
    end

    it("may wait for its own request", function()
        for _, name in ipairs { "request", "response" } do
            local request, seen
            local client = kapture.new(ask.opts({ hook = function(event)
                if request and event.event == name and not seen then seen = { request:wait(5) } end
            end }))
            request = client:submit "1"
            client:step(name == "request" and 0 or 5)
            assert.are.equal(1, #request:wait())
            assert.are.equal(1, #seen[1])
        end
    end)

    it("may call the iterator that it is of, outside of a round", function()
        local ids = sandbox.ids(2)
        local client = kapture.new(ask.opts({ concurrency = 2 }, "delay,ms=200,ifid=" .. ids[2]))
        local armed, next_one, seen
        next_one = client:tickets(ids, { batch_size = 1, hook = function(event)
            if armed and event.event == "response" then seen = { next_one() } end
        end })
        assert.are.equal(ids[1], (next_one()))
        armed = true
        assert.are.equal(1, #client:get_ticket(ids[2]))
        assert.are.equal(ids[2], seen[1])
        assert.is_table(seen[2])
        assert.is_nil((next_one()))
    end)

    it("is told that the iterator is at work within a round of its own", function()
        local ids, why = sandbox.ids(3), nil
        local next_one
        next_one = kapture.tickets(ids, ask.opts { hook = function(event)
            if event.event == "response" and not why then why = { pcall(next_one) } end
        end })
        local n = 0
        for id, ticket in next_one do
            n = n + 1
            assert.are.equal(ids[n], id)
            assert.is_table(ticket)
        end
        assert.are.equal(3, n)
        assert.is_false(why[1])
        assert.is_truthy(tostring(why[2]):find("at work", 1, true), why[2])
    end)

    it("may change its event as it likes", function()
        local got = ask("2,1", { hook = function(event)
            event.ids[1] = "x"
            for name in pairs(event) do event[name] = nil end
        end })
        assert.are.equal("2,1", ask.ids_of(got.tickets))
    end)
end)

-- Calls `finalizer` whenever garbage is collected, until told to stop.
local function haunt(finalizer)
    local going = true
    local arm
    local function gc()
        if not going then return end
        finalizer()
        arm()
    end
    function arm()
        if abi == "5.1" or abi == "luajit" then
            local proxy = newproxy(true)
            getmetatable(proxy).__gc = gc
        else
            setmetatable({}, { __gc = gc })
        end
    end
    arm()
    return function() going = false end
end

describe("a finalizer", function()
    local function with(pause, body)
        -- 5.4's and 5.5's interpreters begin in generational mode, which may put a major
        -- collection off until the heap has grown many times over
        local mode_before = _VERSION >= "Lua 5.4" and collectgarbage "incremental"
        local pause_before, step_before = pace(pause, 1000)
        collectgarbage() -- the pause before this one was still the old one
        local ok, why = pcall(body)
        pace(pause_before, step_before)
        if mode_before == "generational" then collectgarbage(mode_before) end
        assert.is_true(ok, why)
    end

    it("may fetch while a response is decoded", function()
        local client, inside, calls = kapture.new(ask.opts()), false, 0
        local stop = haunt(function()
            if inside or calls > 20 then return end
            inside, calls = true, calls + 1
            -- in the middle of the client's work it can't wait; else it may
            local tickets, message, err = client:get_ticket "2"
            inside = false
            assert(tickets and #tickets == 1 or err.kind == "cancelled", message)
        end)
        local rounds
        with(10, function()
            calls = 0
            for round = 1, 600 do -- a large heap takes long to go round
                rounds = round
                if round > 5 and calls > 5 then break end
                local list = sandbox.ids(50)
                assert.are.equal(table.concat(list, ","), ask.ids_of((client:get_ticket(list))))
            end
        end)
        stop()
        assert.is_true(calls > 0, ("%d rounds, %.0f KiB, the collector %s"):format(rounds, collectgarbage "count",
            abi == "5.1" and "?" or collectgarbage "isrunning" and "runs" or "is stopped"))
        collectgarbage()
    end)

    it("may close the client at any time", function()
        with(10, function()
            for round = 1, 40 do
                local fault = round % 3 == 0 and "badid,id=713000000007+713000000009" or "tag"
                local client = kapture.new(ask.opts({ hook = function() end, batch_size = 5 }, fault))
                local left = round
                local stop = haunt(function()
                    left = left - 1
                    if left == 0 then client:close() end
                end)
                local tickets, message, err = client:get_ticket(sandbox.ids(30))
                if tickets then
                    assert.are.equal(30, #tickets)
                else
                    assert.is_truthy(err.kind == "closed" or err.kind == "server", message)
                end
                stop()
                client:close()
            end
        end)
    end)
end)

describe("a finalizer in a small heap", function()
    -- A program in which at_gc(n, f) calls f at the n-th collection from then on.
    -- Freed memory is overwritten, so that whoever reads it is found out.
    local function small(program, ...)
        local output, code = ask.child(([[
            local kapture = require "kapture"
            local function at_gc(n, f)
                local left = n
                local function arm()
                    local function gc()
                        left = left - 1
                        if left == 0 then f() elseif left > 0 then arm() end
                    end
                    if newproxy then
                        getmetatable(newproxy(true)).__gc = gc
                    else
                        setmetatable({}, { __gc = gc })
                    end
                end
                arm()
            end
            if _VERSION == "Lua 5.4" then
                collectgarbage("incremental", 10, 1000, 1)
            else
                require "spec.support.pace" (10, 10000)
            end
        ]] .. program):format(...), { MALLOC_PERTURB_ = "165" })
        assert.are.equal("true\n", output)
        assert.are.equal(0, code)
    end

    it("may close the client at whichever allocation of a call", function()
        small([[
            local closed, whole = 0, 0
            for n = 1, 300 do
                local client = kapture.new { base_url = %q, token = %q, hook = function() end, batch_size = 2,
                    retries = 0, concurrency = 2 }
                at_gc(n, function() client:close() end)
                local tickets, message, err = client:get_ticket("1,2,3", n %% 2 == 0 and { cookie = "a" } or nil)
                if tickets then whole = whole + 1 else closed = closed + 1 end
                assert(tickets or err.kind == "closed" or err.kind == "server", message)
                client:close()
            end
            print(closed > 0)
        ]], sandbox.url("badid,id=2", { on = "http" }), sandbox.token)
    end)

    for _, what in ipairs { "loop", "client" } do
        it("may close the " .. what .. " at whichever allocation of a loop", function()
            small([[
                local early, what = 0, %q
                for n = 1, 300 do
                    local client, loop = kapture.new { base_url = %q, token = %q, batch_size = 2, retries = 0 }, nil
                    at_gc(n, function()
                        if what == "client" then client:close() elseif loop then loop:close() end
                    end)
                    loop = client:tickets({ "1", "no id", "2,3", "404000000001", true, 4 },
                        n %% 2 == 0 and { cookie = "a" } or nil)
                    local rounds = 0
                    for _, _, err in loop do
                        rounds = rounds + 1
                        if err and err.kind == "closed" then rounds = rounds - 1 end
                    end
                    if rounds < 7 then early = early + 1 end
                    loop:close()
                    client:close()
                end
                print(early > 0)
            ]], what, sandbox.url("badid,id=2", { on = "http" }), sandbox.token)
        end)
    end
end)

describe("a coroutine", function()
    it("may fetch, and be gone afterwards", function()
        local client = kapture.new(ask.opts())
        for _ = 1, 10 do
            coroutine.wrap(function()
                assert(#client:get_ticket "1" == 1)
                coroutine.yield()
            end)()
            collectgarbage()
        end
        assert.are.equal(1, #client:get_ticket "1")
    end)
end)

describe("odd arguments", function()
    local client = kapture.new(ask.opts())
    local request = client:submit "1"
    request:wait()
    local odd = {
        0 / 0, math.huge, -1, 2 ^ 63, "", "a\0b", ("x"):rep(100000), true, {}, type, io.stdout,
        coroutine.create(function() end), setmetatable({}, { __index = error, __len = error }), client, request,
        kapture.null, kapture,
    }

    it("as self are argument errors", function()
        for _, object in ipairs { client, request } do
            for _, name in ipairs { "get_ticket", "tickets", "submit", "fd", "step", "close", "done", "result", "wait",
                                    "cancel" } do
                local ok, method = pcall(function() return object[name] end)
                if ok and method then
                    assert.has_error(function() method() end)
                    for _, self in ipairs(odd) do
                        if self ~= object then assert.has_error(function() method(self) end) end
                    end
                end
            end
        end
    end)

    it("anywhere else raise or fail, and harm nothing", function()
        for _, one in ipairs(odd) do
            pcall(kapture.new, one)
            for _, two in ipairs(odd) do
                pcall(kapture.get_ticket, one, two)
                pcall(client.get_ticket, client, one, two)
                pcall(kapture.tickets, one, two)
            end
            pcall(client.get_ticket, client, one, { base_url = sandbox.refused, retries = 0 })
            pcall(kapture.get_ticket, "#", { base_url = sandbox.refused, token = one })
            pcall(client.step, client, 0, one)
        end
        assert.are.equal(1, #client:get_ticket "1")
    end)
end)
