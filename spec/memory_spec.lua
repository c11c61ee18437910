-- Tickets are collected as soon as nobody holds them. What has a finalizer, and
-- all that hangs on it, the collector frees a cycle later than the rest: no
-- ticket may hang there.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local TICKETS = 500

-- KiB that one cycle frees, and that another one frees after it.
local function freed(work)
    collectgarbage()
    collectgarbage()
    collectgarbage "stop"
    work()
    local after = collectgarbage "count"
    collectgarbage()
    local once = collectgarbage "count"
    collectgarbage()
    local twice = collectgarbage "count"
    collectgarbage "restart"
    return after - once, once - twice
end

local function frees_at_once(work)
    local first, second = freed(work)
    assert.is_true(first > TICKETS and second < first / 20, ("%.0f KiB at once, %.0f later"):format(first, second))
end

describe("the tickets of", function()
    it("get_ticket do not wait for a finalizer", function()
        local client = kapture.new()
        frees_at_once(function()
            assert.equal(TICKETS, #assert(client:get_ticket(sandbox.ids(TICKETS), calls.options())))
        end)
        client:close()
    end)

    it("an iterator do not, while it goes on", function()
        local client = kapture.new()
        local next_ticket
        frees_at_once(function()
            next_ticket = client:tickets(sandbox.ids(TICKETS + 100), calls.options(nil, { concurrency = 1 }))
            for _ = 1, TICKETS + 1 do assert(next_ticket()) end
        end)
        next_ticket:close()
        client:close()
    end)
end)
