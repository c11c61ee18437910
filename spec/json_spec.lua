-- What becomes of the JSON that arrives: integers, text, arrays; with `fields`,
-- what is skipped. The decoder's own table of documents: decode specs.
local ask = require "spec.support.ask"
local sandbox = require "spec.support.sandbox"

describe("fields", function()
    it("skips containers of both kinds that follow each other", function()
        local list = sandbox.ids(120)
        local got = ask(list, { fields = { "task_details.ticketId" }, history_type = "all", conversation_type = "all" })
        assert.is_nil(got.message)
        assert.are.equal(table.concat(list, ","), ask.ids_of(got.tickets))
        for _, ticket in ipairs(got.tickets) do
            assert.are.equal("task_details", next(ticket))
            assert.is_nil(next(ticket, "task_details"))
            assert.are.equal("ticketId", next(ticket.task_details))
        end
    end)
end)
