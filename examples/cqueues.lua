-- Calls in coroutines of cqueues, each written as if it blocked:
-- lua5.4 examples/cqueues.lua ID ...
local cqueues = require "cqueues"
local loop, client = cqueues.new(), require("kapture.cqueues").new()

for _, id in ipairs(arg) do
    loop:wrap(function()
        local tickets, message, err = client:get_ticket(id)
        if not tickets then
            print(id, err.kind, message)
        elseif not tickets[1] then
            print(id, "no such ticket")
        else
            print(id, tickets[1].task_details.status)
        end
    end)
end
assert(loop:loop())
client:close()
