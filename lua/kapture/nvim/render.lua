--- A ticket as lines of a buffer, with what to fold and what to highlight. Pure:
--- it touches no buffer.

local unescape = require("kapture.ticket").unescape
local null = require("kapture").null

local M = {}

---@class kapture.nvim.Page
---@field lines string[]
---@field levels table<integer, string> foldexpr's answer by line
---@field marks {[1]: integer, [2]: integer, [3]: integer, [4]: string}[] line, first and last byte (from 0), group
---@field closed integer[] lines whose fold is closed to begin with

local Page = {}
Page.__index = Page

local function new_page()
    return setmetatable({ lines = {}, levels = {}, marks = {}, closed = {}, level = 0 }, Page)
end

-- One line of text becomes one line of the buffer, whatever is in it.
local function plain(text)
    return (text:gsub("\r", ""):gsub("[%z\1-\8\11-\31\127]", "?"))
end

function Page:line(text, group, from, to)
    local n = #self.lines + 1
    self.lines[n] = text
    self.levels[n] = tostring(self.level)
    if group then self.marks[#self.marks + 1] = { n, from or 0, to or #text, group } end
    return n
end

--- Text that may have several lines, each behind this indent.
function Page:text(indent, text)
    text = plain(unescape(text))
    for line in (text .. "\n"):gmatch "(.-)\n" do self:line(indent .. line) end
end

--- Opens a fold with this heading; runs f inside; leaves no empty section.
function Page:section(heading, group, f, closed)
    if self.level == 0 and self.lines[#self.lines] ~= "" then self:line "" end
    self.level = self.level + 1
    local n = self:line(heading, group)
    self.levels[n] = ">" .. self.level
    f()
    self.level = self.level - 1
    if closed then self.closed[#self.closed + 1] = n end
end

local function is_text(value)
    return type(value) == "string" and value:find "%S" ~= nil
end

local function shown(value)
    if value == nil or value == null or value == "" then return nil end
    if type(value) == "table" then return nil end
    if type(value) == "number" and value == math.floor(value) and math.abs(value) < 1e15 then
        return ("%d"):format(value)
    end
    return (plain(unescape(tostring(value))):gsub("%s*\n%s*", " "))
end

local function sorted_keys(t)
    local keys = {}
    for k in pairs(t) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b)
        if type(a) == type(b) then return a < b end
        return type(a) == "number"
    end)
    return keys
end

function Page:fields(indent, list)
    local width = 0
    for _, field in ipairs(list) do width = math.max(width, vim.fn.strdisplaywidth(field[1])) end
    for _, field in ipairs(list) do
        local pad = (" "):rep(width - vim.fn.strdisplaywidth(field[1]) + 2)
        self:line(indent .. field[1] .. pad .. field[2], "KaptureLabel", #indent, #indent + #field[1])
    end
end

-- Any JSON value below a heading, nested as it is.
function Page:tree(indent, value)
    local flat, nested = {}, {}
    for _, k in ipairs(sorted_keys(value)) do
        local v = value[k]
        if type(v) == "table" and next(v) ~= nil then
            nested[#nested + 1] = k
        else
            local text = shown(v)
            if text then flat[#flat + 1] = { plain(tostring(k)), text } end
        end
    end
    self:fields(indent, flat)
    for _, k in ipairs(nested) do
        self:line(indent .. plain(tostring(k)), "KaptureSub", #indent)
        self:tree(indent .. "  ", value[k])
    end
end

local json = require("kapture.cli.json").encode

-- The ticket exactly as it came, a value a line.
function Page:raw(indent, key, value, last)
    local prefix = indent .. (key and json(key) .. ": " or "")
    local comma = last and "" or ","
    local from, to = #indent, #indent + (key and #json(key) or 0)
    local group = key and "KaptureLabel" or nil
    if type(value) ~= "table" then
        self:line(prefix .. json(value) .. comma, group, from, to)
        return
    end
    local array = #value > 0 or getmetatable(value) == require("kapture").array_mt
    local open, close = array and "[" or "{", array and "]" or "}"
    if next(value) == nil then
        self:line(prefix .. open .. close .. comma, group, from, to)
        return
    end
    self:line(prefix .. open, group, from, to)
    local keys = sorted_keys(value)
    for i, k in ipairs(keys) do self:raw(indent .. "  ", not array and tostring(k) or nil, value[k], i == #keys) end
    self:line(indent .. close .. comma)
end

-- Conversations -------------------------------------------------------------------

local function first_of(t, names)
    for _, name in ipairs(names) do
        local text = shown(t[name])
        if text then return text end
    end
end

local SENDER = { "sender_name", "employeeName", "creatorName", "from", "sender" }
local RECEIVER = { "receiver_name", "to" }
local WHEN = { "sentDate", "date", "createdDate", "createTime" }
local TEXT = { "chat_message", "detail", "message", "body", "text", "subject" }

function Page:message(indent, message)
    if is_text(message) then
        self:text(indent, message)
    elseif type(message) == "table" then
        for _, part in ipairs(message) do
            if type(part) == "table" then
                if is_text(part.message) then self:text(indent, part.message) end
                local mime = is_text(part.mime) and " (" .. plain(part.mime) .. ")" or ""
                if is_text(part.url) then self:text(indent, part.url .. mime) end
            elseif is_text(part) then
                self:text(indent, part)
            end
        end
    end
end

function Page:entry(entry)
    if type(entry) ~= "table" then
        self:message("    ", entry)
        return
    end
    local sender, receiver, when = first_of(entry, SENDER), first_of(entry, RECEIVER), first_of(entry, WHEN)
    local who = sender or "?"
    if receiver then who = who .. " to " .. receiver end
    local status = shown(entry.status)
    local heading = "  " .. ((sender or receiver) and who or "-")
    if when then heading = heading .. "  " .. when end
    if status then heading = heading .. "  " .. status end
    self:line(heading, "KaptureSender", 2)
    for _, name in ipairs(TEXT) do self:message("    ", entry[name]) end
end

function Page:entries(heading, list)
    if type(list) ~= "table" or #list == 0 then return end
    self:section(("%s (%d)"):format(heading, #list), "KaptureSection", function()
        for _, entry in ipairs(list) do self:entry(entry) end
    end)
end

local function title_case(name)
    return (tostring(name):gsub("_", " "):gsub("^%l", string.upper))
end

-- The ticket ----------------------------------------------------------------------

local function summary(t)
    local function joined(a, b)
        a, b = shown(a), shown(b)
        if a and b and a ~= b then return a .. " (" .. b .. ")" end
        return a or b
    end
    local customer = {}
    for _, name in ipairs { "email", "ticketEmail", "phone" } do
        local text = shown(t[name])
        if text and text ~= customer[1] then customer[#customer + 1] = text end
    end
    local rows = {
        { "Status", joined(t.status, t.substatus) },
        { "Priority", shown(t.priority) },
        { "Assignee", shown(t.assignedToName) },
        { "Creator", shown(t.creatorName) },
        { "Customer", customer[1] and table.concat(customer, ", ") },
        { "Created", shown(t.date) },
        { "Last follow-up", shown(t.lastFollowUp) },
        { "Next follow-up", shown(t.nextFollowUp) },
        { "Last conversation", shown(t.lastConvesationTime) },
        { "Ended", shown(t.taskEnddate) },
        { "SLA", shown(t.slaStatus) },
        { "Queue", shown(t.queueName) },
        { "Disposition", shown(t.disposition) },
        { "Source", joined(t.primarySource, t.lastSource) },
        { "Merged into", shown(t.mergedTicketId) },
        { "URL", shown(t.url) },
    }
    return vim.tbl_filter(function(row) return row[2] ~= nil end, rows)
end

--- A line that tells this ticket from others.
---@param ticket table
---@return string
function M.label(ticket)
    local t = type(ticket.task_details) == "table" and ticket.task_details or {}
    local parts = { shown(t.ticketId) or "?", shown(t.status) or "", shown(t.title) or "" }
    return (table.concat(parts, "  "):gsub("%s+$", ""))
end

---@param ticket table
---@return kapture.nvim.Page
function M.ticket(ticket)
    local page = new_page()
    local t = type(ticket.task_details) == "table" and ticket.task_details or {}
    local id = shown(t.ticketId) or "?"
    page:line(id .. "  " .. (shown(t.title) or "(no title)"), "KaptureTitle")
    page:line ""
    page:fields("", summary(t))
    if is_text(t.detail) then
        page:section("Detail", "KaptureSection", function() page:text("  ", t.detail) end)
    end
    local conversations = ticket.conversation_type
    if type(conversations) == "table" then
        for _, name in ipairs(sorted_keys(conversations)) do page:entries(title_case(name), conversations[name]) end
    end
    local info = ticket.additional_info
    if type(info) == "table" and next(info) ~= nil then
        page:section("Additional info", "KaptureSection", function() page:tree("  ", info) end)
    end
    local history = ticket.history
    if type(history) == "table" and next(history) ~= nil then
        if #history > 0 then history = { history = history } end
        for _, name in ipairs(sorted_keys(history)) do
            local value = history[name]
            if type(value) == "table" and #value > 0 then
                page:entries(title_case(name), value)
            elseif type(value) == "table" and next(value) ~= nil then
                page:section(title_case(name), "KaptureSection", function() page:tree("  ", value) end)
            end
        end
    end
    page:section("Raw fields", "KaptureSection", function() page:raw("  ", nil, ticket, true) end, true)
    return page
end

--- What stands there while there is no ticket.
---@param id string
---@param text string[]
---@param group string|nil
---@return kapture.nvim.Page
function M.note(id, text, group)
    local page = new_page()
    page:line(id, "KaptureTitle")
    page:line ""
    for _, line in ipairs(text) do page:line((plain(line):gsub("%s*\n%s*", " ")), group) end
    return page
end

return M
