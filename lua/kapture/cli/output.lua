--- The forms in which tickets are written: table, json, ndjson, csv.

local json = require "kapture.cli.json"
local at = require("kapture.cli.project").at
local fit = require("kapture.cli.system").fit
local unescape = require("kapture.ticket").unescape

local M = {}

local default_columns = {
    "task_details.ticketId", "task_details.status", "task_details.priority",
    "task_details.assignedToName", "task_details.date", "task_details.title",
}

local function cell(value)
    if value == nil or value == require("kapture").null then
        return ""
    elseif type(value) == "string" then
        return value
    end
    return json.encode(value)
end

-- Control characters of a ticket's text must not reach a terminal.
local function one_line(text)
    return (text:gsub("%c+", " "):gsub("\194[\128-\159]", " "))
end

local function heading(path)
    return path:match "[^.]+$"
end

local function width(text)
    return text:find "[\128-\255]" and select(2, fit(text, math.huge)) or #text
end

-- The text in so many columns, with an ellipsis where it is longer; its width.
local function shorten(text, room)
    local bytes, columns = fit(text, room)
    if bytes == #text then
        return text, columns
    elseif room > 1 then
        bytes, columns = fit(text, room - 1)
        return text:sub(1, bytes) .. "\226\128\166", columns + 1
    end
    return text:sub(1, bytes), columns
end

---@class kapture.cli.writer
---@field ticket fun(self, ticket: table|string) a string, its JSON: for ndjson alone
---@field finish fun(self) also after an interruption: what was written is whole then

local writers = {}

function writers.ndjson(out)
    return {
        ticket = function(_, ticket)
            out((type(ticket) == "string" and ticket or json.encode(ticket)) .. "\n")
        end,
        finish = function() end,
    }
end

-- `out` counts what it has written, so that an interruption can't come between
-- the two.
function writers.json(out)
    return {
        ticket = function(_, ticket)
            out((out() == 0 and "[\n" or ",\n") .. json.encode(ticket, true))
        end,
        finish = function()
            out(out() == 0 and "[]\n" or "\n]\n")
        end,
    }
end

-- What a spreadsheet would take for a formula: OWASP's list. A number may be
-- negative. The apostrophe is what people type there for a text.
local function disarm(text)
    if text:find "^[=+@\t\r-]" and not text:find "^-%d+%.?%d*$" then
        return "'" .. text
    end
    return text
end

function writers.csv(out, columns, opts)
    columns = columns or default_columns
    local function quote(text)
        return text:find '[",\r\n]' and '"' .. text:gsub('"', '""') .. '"' or text
    end
    local function line(cells)
        local quoted = {}
        for i, text in ipairs(cells) do
            quoted[i] = quote(opts.excel and disarm(text) or text)
        end
        return table.concat(quoted, ",") .. "\r\n"
    end
    local function start()
        if out() == 0 then
            out((opts.excel and "\239\187\191" or "") .. line(columns))
        end
    end
    return {
        ticket = function(_, ticket)
            start()
            local cells = {}
            for i, path in ipairs(columns) do
                local text = cell(at(ticket, path))
                cells[i] = opts.plain and unescape(text) or text
            end
            out(line(cells))
        end,
        finish = start,
    }
end

-- A table needs the widths of all its rows: of many, those of the first screen.
local SAMPLE = 200

function writers.table(out, columns, opts)
    local terminal_width = opts.width
    columns = columns or default_columns
    local rows, widths, started = {}, {}, false
    local function row_of(row)
        local parts, left = {}, terminal_width
        for i, text in ipairs(row) do
            local room = math.min(widths[i], left)
            local shown, taken = shorten(text, room)
            local last = i == #row or left - room - 2 <= 0
            parts[#parts + 1] = last and shown or shown .. (" "):rep(room - taken)
            left = left - room - 2
            if last then
                break
            end
        end
        return (table.concat(parts, "  "):gsub("%s+$", "")) .. "\n"
    end
    local function flush()
        if not started then
            local head = {}
            for i, path in ipairs(columns) do
                head[i] = heading(path)
                widths[i] = width(head[i])
            end
            for _, row in ipairs(rows) do
                for i, text in ipairs(row) do
                    widths[i] = math.min(math.max(widths[i], width(text)), 60)
                end
            end
            out(row_of(head))
            started = true
        end
        while rows[1] do
            out(row_of(table.remove(rows, 1)))
        end
    end
    return {
        ticket = function(_, ticket)
            local row = {}
            for i, path in ipairs(columns) do
                row[i] = one_line(unescape(cell(at(ticket, path)))) -- a table is for people
            end
            rows[#rows + 1] = row
            if started or #rows >= SAMPLE then
                flush()
            end
        end,
        finish = flush,
    }
end

--- A writer of this form. `out` is given a string, or none: then it says how many
--- it was given so far. `columns` are paths.
---@param opts { width: number, plain: boolean|nil, excel: boolean|nil }
---@return kapture.cli.writer
function M.new(form, out, columns, opts)
    return writers[form](out, columns, opts)
end

return M
