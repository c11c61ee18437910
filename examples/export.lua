-- A CSV file from any number of ids, in constant memory:
-- lua5.4 examples/export.lua < ids.txt > tickets.csv
local kapture = require "kapture"

local columns = { "ticketId", "status", "priority", "assignedToName", "date", "title" }
local fields = {} -- what is not asked for is skipped while decoding
for i, name in ipairs(columns) do
    fields[i] = "task_details." .. name
end

local function line(cells)
    for i, cell in ipairs(cells) do
        cells[i] = cell:find '[",\r\n]' and '"' .. cell:gsub('"', '""') .. '"' or cell
    end
    assert(io.write(table.concat(cells, ","), "\r\n"))
end

line { "ticketId", "status", "priority", "assignedToName", "date", "title" }
local failed = 0
for id, ticket, err in kapture.tickets(io.lines(), { fields = fields }) do
    if ticket then
        local cells = {}
        for i, name in ipairs(columns) do
            local value = ticket.task_details[name]
            cells[i] = (value == nil or value == kapture.null) and "" or tostring(value)
        end
        line(cells)
    else
        failed = failed + 1
        io.stderr:write(id, ": ", err.kind, ": ", err.message, "\n")
    end
end
os.exit(failed == 0 and 0 or 1)
