local kapture = require "kapture"
local tickets, message = kapture.get_ticket("713516551148")
if not tickets then error(message, 0) end
for _, ticket in ipairs(tickets) do print(ticket.task_details.title) end
