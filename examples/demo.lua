local kapture = require "kapture"
local tickets, message, err = kapture.get_ticket("713516551148", {
    ca_file = os.getenv "KAPTURE_CA_FILE", -- for the sandbox; the service needs none
})
if not tickets then
    error(err.kind .. ": " .. message, 0) -- "auth: Invalid Auth Key", say
end
for _, ticket in ipairs(tickets) do -- none, if the service does not know the id
    for _, name in ipairs { "ticketId", "title", "status", "priority", "date", "creatorName", "url" } do
        print(("%-12s %s"):format(name, ticket.task_details[name]))
    end
end
