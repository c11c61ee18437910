-- Tickets that nobody holds are collected at once: none hangs on a finalizer.
local kapture = require "kapture"
local calls = require "spec.support.calls"
local frees = require "spec.support.frees"
local sandbox = require "spec.support.sandbox"

local TICKETS = 500 -- of more than a KiB each

describe("the tickets of", function()
    it("get_ticket do not wait for a finalizer", function()
        local client = kapture.new()
        frees.at_once(TICKETS, frees.measure(function()
            assert.equal(TICKETS, #assert(client:get_ticket(sandbox.ids(TICKETS), calls.options())))
        end))
        client:close()
    end)

    it("an iterator do not, while it goes on", function()
        local client = kapture.new { concurrency = 1 }
        local next_ticket
        frees.at_once(TICKETS, frees.measure(function()
            next_ticket = client:tickets(sandbox.ids(TICKETS + 100), calls.options())
            for _ = 1, TICKETS + 1 do assert(next_ticket()) end
        end))
        next_ticket:close()
        client:close()
    end)
end)
