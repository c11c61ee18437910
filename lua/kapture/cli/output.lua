--- The forms in which tickets are written: table, json, ndjson, csv.

local json = require "kapture.cli.json"
local split = require("kapture.cli.project").split
local unescape = require("kapture.ticket").unescape

local M = {}

local default_columns = {
  "task_details.ticketId", "task_details.status", "task_details.priority",
  "task_details.assignedToName", "task_details.date", "task_details.title",
}

local function at(value, path)
  for _, name in ipairs(split(path)) do
    if type(value) ~= "table" then
      return nil
    end
    value = value[name]
  end
  return value
end

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

-- Bytes of the first n characters of UTF-8 text.
local function cut(text, n)
  local count, i = 0, 1
  while i <= #text do
    if count == n then
      return text:sub(1, i - 1), true
    end
    local next_start = text:find("[^\128-\191]", i + 1)
    i = next_start or #text + 1
    count = count + 1
  end
  return text, false
end

local function width(text)
  local _, continuation = text:gsub("[\128-\191]", "")
  return #text - continuation
end

---@class kapture.cli.writer
---@field ticket fun(self, ticket: table)
---@field finish fun(self)

local writers = {}

function writers.ndjson(out)
  return {
    ticket = function(_, ticket)
      out(json.encode(ticket), "\n")
    end,
    finish = function() end,
  }
end

function writers.json(out)
  local first = true
  return {
    ticket = function(_, ticket)
      out(first and "[\n" or ",\n", json.encode(ticket, true))
      first = false
    end,
    finish = function()
      out(first and "[]\n" or "\n]\n")
    end,
  }
end

function writers.csv(out, columns)
  columns = columns or default_columns
  local function quote(text)
    return text:find '[",\r\n]' and '"' .. text:gsub('"', '""') .. '"' or text
  end
  local function line(cells)
    for i, text in ipairs(cells) do
      cells[i] = quote(text)
    end
    out(table.concat(cells, ","), "\r\n")
  end
  local started = false
  local function start()
    if not started then
      line { (table.unpack or unpack)(columns) } -- luacheck: ignore 113
      started = true
    end
  end
  return {
    ticket = function(_, ticket)
      start()
      local cells = {}
      for i, path in ipairs(columns) do
        cells[i] = cell(at(ticket, path))
      end
      line(cells)
    end,
    finish = start,
  }
end

-- A table needs the widths of all its rows: of many, those of the first screen.
local SAMPLE = 200

function writers.table(out, columns, terminal_width)
  columns = columns or default_columns
  local rows, widths, started = {}, {}, false
  local function print_row(row)
    local parts, left = {}, terminal_width
    for i, text in ipairs(row) do
      local room = math.min(widths[i], left)
      local shown, shortened = cut(text, room)
      if shortened and room > 1 then
        shown = cut(text, room - 1) .. "\226\128\166"
      end
      local last = i == #row or left - room - 2 <= 0
      parts[#parts + 1] = last and shown or shown .. (" "):rep(room - width(shown))
      left = left - room - 2
      if last then
        break
      end
    end
    out((table.concat(parts, "  "):gsub("%s+$", "")), "\n")
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
      print_row(head)
      started = true
    end
    for _, row in ipairs(rows) do
      print_row(row)
    end
    rows = {}
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

--- A writer of this form. `out` is given strings; `columns` are paths.
---@return kapture.cli.writer
function M.new(form, out, columns, terminal_width)
  return writers[form](out, columns, terminal_width or math.huge)
end

M.at = at

return M
