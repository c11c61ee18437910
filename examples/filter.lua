-- Filter, transform and group tickets: plain Lua, and Penlight where it is
-- shorter. lua5.4 examples/filter.lua ID ...
local kapture = require "kapture"
local normalize = require("kapture.ticket").normalize
local List = require "pl.List"
local seq = require "pl.seq"

local tickets, message, err = kapture.get_ticket(arg)
if not tickets then
    error(err.kind .. ": " .. message, 0)
end

-- Entities resolved, dates with an epoch: the service names no zone, so we do.
local list = List(tickets):map(function(ticket)
    return normalize(ticket, { zone = "+05:30" }).task_details
end)
local waiting = list:filter(function(t) return t.status ~= "Complete" end)
waiting:sort(function(a, b) return a.date.epoch < b.date.epoch end)
for t in waiting:iter() do
    print(t.date.iso, t.ticketId, t.title)
end
for priority, n in pairs(seq.count_map(list:map(function(t) return t.priority end))) do
    print(("%d with priority %s"):format(n, priority))
end
