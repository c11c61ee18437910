-- For cron: fetch what there is, keep it, and say by the exit code what to do.
-- Lines of ids.txt that begin with # are comments.
-- 17 2 * * *  lua5.4 /opt/tickets/nightly.lua ids.txt tickets.log
local kapture = require "kapture"

local ids = {}
for line in io.lines(arg[1]) do
    local id = line:match "^%s*([^#%s]+)"
    if id then
        ids[#ids + 1] = id
    end
end
local tickets, info, err = kapture.get_ticket(ids, {
    retries = 4, -- of each request: resets, time-outs, 429, 502, 503 and the like
    deadline = 600, -- seconds for all of it
    partial = true, -- some failed requests are no reason to lose the others
    hook = function(event)
        if event.event == "retry" then
            io.stderr:write(("retry in %.1f s: %s\n"):format(event.delay, event.message))
        end
    end,
})
local out = assert(io.open(arg[2], "a"))
for _, ticket in ipairs(tickets or err.tickets) do
    local t = ticket.task_details
    assert(out:write(os.date "!%Y-%m-%dT%TZ", "\t", t.ticketId, "\t", t.status, "\n"))
end
assert(out:close())
if not tickets then
    io.stderr:write(err.kind, ": ", err.message, "\n")
end
-- What a request failed of for good: sysexits.h has the codes.
local code = 0
for _, failure in ipairs(tickets and info.failed or err.failed) do
    if failure.kind == "auth" then
        code = 77 -- EX_NOPERM: a person has to see to the token
    elseif code == 0 then
        code = 75 -- EX_TEMPFAIL: try again later
    end
end
if not tickets then
    local later = code == 75 and not err.retryable
    os.exit((later or code == 0) and 1 or code)
end
for _, id in ipairs(info.missing) do
    io.stderr:write(id, ": no such ticket\n")
end
for _, failure in ipairs(info.failed) do
    io.stderr:write(table.concat(failure.ids, " "), ": ", failure.kind, ": ", failure.message, "\n")
end
os.exit(code)
