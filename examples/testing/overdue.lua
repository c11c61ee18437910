-- A script of yours: which of these tickets are out of their SLA?
local kapture = require "kapture"

local M = {}

function M.overdue(ids, opts)
    local tickets, message, err = kapture.get_ticket(ids, opts)
    if not tickets then
        return nil, err.kind == "auth" and "please renew the token" or message
    end
    local list = {}
    for _, ticket in ipairs(tickets) do
        if ticket.task_details.slaStatus == "out of sla" then
            list[#list + 1] = ticket.task_details.ticketId
        end
    end
    return list
end

return M
