-- kapture.cqueues, and the plain client as a pollable of cqueues.
local there, cqueues = pcall(require, "cqueues")
-- Nobody packages it for 5.5 yet: Debian's, of 2020, is from before github.com/wahern/cqueues/pull/268.
if not there and _VERSION >= "Lua 5.5" then return end
assert(there, cqueues)
local condition = require "cqueues.condition"
local adapter = require "kapture.cqueues"
local kapture = require "kapture"
local options = require("spec.support.ask").opts
local frees = require "spec.support.frees"
local sandbox = require "spec.support.sandbox"

local function id_of(ticket) return ticket.task_details.ticketId end

describe("kapture.cqueues", function()
    it("fetches 200 tickets in 200 coroutines", function()
        local client, loop, got = adapter.new(options { concurrency = 16 }), cqueues.new(), {}
        for i = 1, 200 do
            loop:wrap(function() got[i] = id_of(assert(client:get_ticket(sandbox.id(i)))[1]) end)
        end
        assert(loop:loop(60))
        assert.is_true(loop:empty())
        assert.same(sandbox.ids(200), got)
    end)

    it("leaves no tickets to a finalizer", function()
        local client, loop = adapter.new(options()), cqueues.new()
        frees.at_once(300, frees.measure(function()
            loop:wrap(function() assert.equal(300, #client:get_ticket(sandbox.ids(300))) end)
            assert(loop:loop(30))
        end))
        frees.at_once(300, frees.measure(function() assert.equal(300, #client:get_ticket(sandbox.ids(300))) end))
    end)

    it("lets others run meanwhile", function()
        local client, loop = adapter.new(options()), cqueues.new()
        local ticks, done = 0, false
        loop:wrap(function()
            while not done do
                cqueues.sleep(0.01)
                ticks = ticks + 1
            end
        end)
        loop:wrap(function()
            assert.equal(1, #client:get_ticket("1", { base_url = sandbox.url "delay,ms=600" }))
            done = true
        end)
        assert(loop:loop(30))
        assert.is_true(ticks > 10)
    end)

    it("returns failures, raises mistakes, and ends at once what fails at once", function()
        local client, loop = adapter.new(options()), cqueues.new()
        local rounds = 0
        loop:wrap(function()
            local t, message, err = client:get_ticket "a b"
            assert.is_nil(t)
            assert.equal("invalid_ids", err.kind)
            assert.equal(err.message, message)
            assert.equal("tls", select(3, client:get_ticket("1", { base_url = sandbox.unknownca })).kind)
            assert.equal("timeout", select(3, client:get_ticket("1", {
                base_url = sandbox.stall, deadline = 0.2,
            })).kind)
            local ok, e = pcall(client.get_ticket, client, "1", { timout = 1 })
            assert.is_false(ok)
            assert.truthy(e:find("bad argument #2 to 'get_ticket' (unknown option 'timout'", 1, true), e)
            rounds = rounds + 1
        end)
        assert(loop:loop(30))
        assert.equal(1, rounds)
        assert.is_true(loop:empty())
        assert.is_false(pcall(adapter.new, { timout = 1 }))
    end)

    it("blocks outside of a controller", function()
        local client = adapter.new(options())
        assert.equal(1, #client:get_ticket "1")
        client:close()
        assert.equal("closed", select(3, client:get_ticket "1").kind)
    end)

    it("is closed under those who wait", function()
        local client, loop, kinds = adapter.new(options()), cqueues.new(), {}
        for i = 1, 10 do
            loop:wrap(function()
                local _, _, err = client:get_ticket(i, { base_url = sandbox.url "hang,s=20" })
                kinds[#kinds + 1] = err.kind
            end)
        end
        loop:wrap(function()
            cqueues.sleep(0.2)
            client:close()
            client:close()
        end)
        assert(loop:loop(15))
        assert.is_true(loop:empty())
        assert.equal(10, #kinds)
        for _, kind in ipairs(kinds) do assert.equal("closed", kind) end
    end)

    it("serves two controllers", function()
        local client, one, two = adapter.new(options()), cqueues.new(), cqueues.new()
        local n = 0
        for i = 1, 30 do
            (i % 2 == 0 and one or two):wrap(function()
                assert(client:get_ticket(i))
                n = n + 1
                assert(client:get_ticket(i + 100))
                n = n + 1
            end)
        end
        local outer = cqueues.new()
        outer:wrap(function() assert(one:loop(30)) end)
        outer:wrap(function() assert(two:loop(30)) end)
        assert(outer:loop(60))
        assert.equal(60, n)
        assert.is_true(one:empty() and two:empty() and outer:empty())
    end)

    it("works with condition variables of the caller's", function()
        local client, loop, all = adapter.new(options()), cqueues.new(), condition.new()
        local left, woken = 5, false
        for i = 1, 5 do
            loop:wrap(function()
                assert(client:get_ticket(i))
                left = left - 1
                if left == 0 then all:signal() end
            end)
        end
        loop:wrap(function()
            all:wait()
            woken = true
        end)
        assert(loop:loop(30))
        assert.is_true(woken)
    end)
end)

describe("a plain client in cqueues", function()
    it("is a pollable as it is", function()
        local client, loop, n = kapture.new(options { concurrency = 8 }), cqueues.new(), 0
        for i = 1, 50 do client:submit(sandbox.id(i)) end
        client:submit "a b" -- has ended already: no need to wait
        loop:wrap(function()
            repeat
                cqueues.poll(client)
                local going, ended = client:step()
                n = n + #ended
            until going == 0
        end)
        assert(loop:loop(30))
        assert.equal(51, n)
        assert.is_true(loop:empty())
    end)

    it("times out beside a timeout", function()
        local client, loop, woken = kapture.new(options()), cqueues.new(), nil
        client:submit("1", { base_url = sandbox.url "delay,ms=900" })
        loop:wrap(function()
            woken = cqueues.poll(client, 0.1)
            assert.equal(client, (cqueues.poll(client, 20)))
        end)
        assert(loop:loop(30))
        assert.equal(0.1, woken)
    end)
end)
