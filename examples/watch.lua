-- Says when a ticket changes: lua5.4 examples/watch.lua SECONDS ID ...
-- A client keeps its connection between the rounds.
local kapture = require "kapture"

local pause = tonumber(table.remove(arg, 1))
local rounds = tonumber(os.getenv "ROUNDS" or "") or math.huge
local watched = { "status", "substatus", "assignedToName", "priority", "lastConvesationTime" }

local client = kapture.new { timeout = 20 }
local before, round = {}, 0
while round < rounds do
    if round > 0 then
        -- 5.1 has the status, later ones true; Ctrl-C ends sleep and not us
        local slept = os.execute("sleep " .. pause)
        if slept ~= true and slept ~= 0 then
            os.exit(130)
        end
    end
    round = round + 1
    local tickets, message, err = client:get_ticket(arg)
    if not tickets and not err.retryable then
        error(err.kind .. ": " .. message, 0)
    elseif not tickets then
        io.stderr:write(message, "; again in ", pause, " s\n")
    end
    for _, ticket in ipairs(tickets or {}) do
        local now = ticket.task_details
        local old = before[now.ticketId]
        for _, name in ipairs(watched) do
            if not old then
                print(("%s %s: %s"):format(now.ticketId, name, tostring(now[name])))
            elseif old[name] ~= now[name] then
                print(("%s %s: %s -> %s"):format(now.ticketId, name, tostring(old[name]), tostring(now[name])))
            end
        end
        before[now.ticketId] = now
    end
    io.stdout:flush()
end
