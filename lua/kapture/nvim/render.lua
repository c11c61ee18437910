--- A ticket as lines of a buffer, with what to fold and what to highlight. Pure:
--- it touches no buffer. A ticket may be of any size and hold any text: the work
--- can be done in slices (kapture.nvim.slices), and one line of it is one line.

local unescape = require("kapture.ticket").unescape
local null = require("kapture").null
local tick = require("kapture.nvim.slices").tick

local M = {}

---@class kapture.nvim.Fold
---@field first integer its heading's line
---@field last integer
---@field closed boolean|nil to begin with
---@field name string

--- Some lines of a page.
---@class kapture.nvim.Block
---@field before integer how many lines there are before it
---@field count integer
---@field text string the lines, with a line break between two
---@field marks (integer|string)[] of each four in a row: line, first byte and the one behind (from 0), group

--- The lines are kept as a few large strings: Lua files each string there is in
--- one table, and stands still whenever that has to grow. The collector, too,
--- takes many small tables in its stride, and not one of a hundred thousand.
---@class kapture.nvim.Page
---@field blocks kapture.nvim.Block[]
---@field count integer of lines
---@field folds kapture.nvim.Fold[]
---@field private lines string[] those of the next block
---@field private marks (integer|string)[] theirs
---@field private bytes integer theirs
---@field private last string|nil the latest line
---@field private heading string|nil of a section that has nothing in it yet
---@field private first integer the line of the latest heading

local Page = {}
Page.__index = Page

local function new_page()
    return setmetatable({ blocks = {}, count = 0, folds = {}, lines = {}, marks = {}, bytes = 0 }, Page)
end

-- What goes into a buffer at a time: about a millisecond.
local BLOCK_LINES, BLOCK_BYTES = 256, 65536

function Page:seal()
    local n = #self.lines
    if n == 0 then return end
    self.blocks[#self.blocks + 1] = {
        before = self.count - n, count = n, text = table.concat(self.lines, "\n"), marks = self.marks,
    }
    self.lines, self.marks, self.bytes = {}, {}, 0
end

-- Bytes that are worked on at a time.
local PIECE = 32768
-- Neovim lays out a line as a whole, however much of it is on the screen.
local LONGEST_LINE = 100000
-- A label that is longer has its value behind it, not in the column.
local WIDEST_LABEL = 32

local function is_null(value)
    return value == nil or value == null or value == vim.NIL
end

-- Where to cut text before `stop`: not inside of an entity, nor of a character.
local function cut_before(text, from, stop)
    local cut = stop
    local entity = text:sub(math.max(from, cut - 40), cut):match "()&[^;%s]*$"
    if entity then cut = math.max(from, cut - 40) + entity - 2 end
    while cut > from and (text:byte(cut + 1) or 0) >= 0x80 and text:byte(cut + 1) < 0xC0 do cut = cut - 1 end
    return cut > from and cut or stop
end

-- Each piece of a text through f.
local function by_pieces(text, f)
    tick(16 + #text / 16)
    if #text <= PIECE then return f(text) end
    local pieces, from = {}, 1
    while from <= #text do
        local stop = #text
        if stop - from >= PIECE then stop = cut_before(text, from, from + PIECE - 1) end
        pieces[#pieces + 1] = f(text:sub(from, stop))
        tick(PIECE / 16)
        from = stop + 1
    end
    return table.concat(pieces)
end

-- Entities resolved, and no byte left that would do something to a screen.
local function readable_piece(text)
    return (unescape(text):gsub("\r", ""):gsub("[%z\1-\8\11-\31\127]", "?"))
end

local function readable(text)
    return by_pieces(text, readable_piece)
end

-- One line of text becomes one line of the buffer, whatever is in it.
local function one_line(text)
    return by_pieces(text, function(piece) return (readable_piece(piece):gsub("\n+%s*", " ")) end)
end

-- What is longer than a line may be ends with its length.
local function shortened(text)
    if #text <= LONGEST_LINE then return text end
    return ("%s … (%d bytes)"):format(text:sub(1, cut_before(text, 1, LONGEST_LINE)), #text)
end

-- A name is not escaped.
local function plain_name(name)
    return shortened((tostring(name):gsub("[%c\127]+", " ")))
end

function Page:line(text, group, from, to)
    local heading = self.heading
    if heading then
        self.heading = nil
        if self.last ~= "" then self:line "" end
        self.first = self:line(heading, "KaptureSection")
    end
    if #self.lines >= BLOCK_LINES or self.bytes + #text > BLOCK_BYTES then self:seal() end
    local n = self.count + 1
    self.count, self.last, self.bytes = n, text, self.bytes + #text
    self.lines[#self.lines + 1] = text
    if group then
        local marks, m = self.marks, #self.marks
        marks[m + 1], marks[m + 2], marks[m + 3], marks[m + 4] = n, from or 0, to or #text, group
    end
    tick(32 + #text / 16)
    return n
end

--- Text that may have several lines, each behind this indent.
function Page:text(indent, text)
    text = readable(text)
    local from, newline = 1, 0
    while from <= #text + 1 do
        if newline < from then newline = text:find("\n", from, true) or #text + 1 end
        local last, after = newline - 1, newline + 1
        if last - from >= LONGEST_LINE then -- it goes on in the next line
            last = cut_before(text, from, from + LONGEST_LINE - 1)
            after = last + 1
        end
        self:line(indent .. text:sub(from, last))
        from = after
    end
end

--- A fold with this heading, and in it what f adds; nothing where that is nothing.
function Page:section(heading, f, closed)
    self.heading = heading
    f()
    if self.heading then
        self.heading = nil
        return
    end
    local name = heading:gsub(" %(%d+%)$", "")
    self.folds[#self.folds + 1] = { first = self.first, last = self.count, closed = closed, name = name }
end

local function is_text(value)
    return type(value) == "string" and value:find "%S" ~= nil
end

local function is_shown(value)
    return not (is_null(value) or value == "" or type(value) == "table")
end

local function shown(value)
    if not is_shown(value) then return nil end
    if type(value) == "number" and value == math.floor(value) and math.abs(value) < 1e15 then
        return ("%d"):format(value)
    end
    return shortened(one_line(tostring(value)))
end

local function by_name(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
end

-- table.sort can't be left in the middle: short runs of it, and these merged.
local RUN = 1024

local function merged(keys, width)
    local out, n = {}, #keys
    for from = 1, n, 2 * width do
        local left, middle = from, math.min(from + width, n + 1)
        local right, stop = middle, math.min(from + 2 * width, n + 1)
        for _ = from, stop - 1 do
            if right >= stop or (left < middle and not by_name(keys[right], keys[left])) then
                out[#out + 1], left = keys[left], left + 1
            else
                out[#out + 1], right = keys[right], right + 1
            end
            tick(4)
        end
    end
    return out
end

local function sorted_keys(t)
    local keys = {}
    for k in pairs(t) do
        keys[#keys + 1] = k
        tick(4)
    end
    if #keys <= RUN then
        table.sort(keys, by_name)
        return keys
    end
    for from = 1, #keys, RUN do
        local run = {}
        for i = from, math.min(from + RUN - 1, #keys) do run[#run + 1] = keys[i] end
        table.sort(run, by_name)
        for i, key in ipairs(run) do keys[from + i - 1] = key end
        tick(16 * RUN)
    end
    local width = RUN
    while width < #keys do
        keys = merged(keys, width)
        width = 2 * width
    end
    return keys
end

local function width_of(label)
    if label:find "[\128-\255]" then return vim.fn.strdisplaywidth(label) end
    return #label
end

--- A line for each label, with what `value_of` its place says.
function Page:fields(indent, labels, value_of)
    local widths, column = {}, 0
    for i, label in ipairs(labels) do
        widths[i] = width_of(label)
        if widths[i] <= WIDEST_LABEL then column = math.max(column, widths[i]) end
        tick(8)
    end
    for i, label in ipairs(labels) do
        local pad = (" "):rep(math.max(column - widths[i], 0) + 2)
        self:line(indent .. label .. pad .. value_of(i), "KaptureLabel", #indent, #indent + #label)
    end
end

-- Any JSON value below a heading, nested as it is.
function Page:tree(indent, value)
    local labels, keys, nested = {}, {}, {}
    for _, k in ipairs(sorted_keys(value)) do
        local v = value[k]
        if type(v) == "table" and next(v) ~= nil then
            nested[#nested + 1] = k
        elseif is_shown(v) then
            labels[#labels + 1], keys[#keys + 1] = plain_name(k), k
        end
        tick(8)
    end
    self:fields(indent, labels, function(i) return shown(value[keys[i]]) end)
    for _, k in ipairs(nested) do
        self:line(indent .. plain_name(k), "KaptureSub", #indent)
        self:tree(indent .. "  ", value[k])
    end
end

local encode = require("kapture.cli.json").encode

-- As JSON, cut where nobody could read on.
local function json(value)
    if is_null(value) then return "null" end
    if type(value) ~= "string" or #value <= LONGEST_LINE then return encode(value) end
    local from_start = value:sub(1, cut_before(value, 1, LONGEST_LINE))
    return ("%s … (%d bytes)"):format(encode(from_start), #value)
end

-- The ticket as it came, a value a line.
function Page:raw(indent, key, value, last)
    local label = key and json(key)
    local prefix = indent .. (label and label .. ": " or "")
    local comma = last and "" or ","
    local from, to = #indent, #indent + (label and #label or 0)
    local group = label and "KaptureLabel" or nil
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
    local keys = array and value or sorted_keys(value)
    for i = 1, #keys do
        local name = not array and keys[i] or nil
        self:raw(indent .. "  ", name and tostring(name), array and value[i] or value[keys[i]], i == #keys)
    end
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
                local mime = is_text(part.mime) and " (" .. part.mime .. ")" or ""
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
    self:section(("%s (%d)"):format(heading, #list), function()
        for _, entry in ipairs(list) do self:entry(entry) end
    end)
end

local function title_case(name)
    return (plain_name(name):gsub("_", " "):gsub("^%l", string.upper))
end

-- The ticket ----------------------------------------------------------------------

function Page:summary(t)
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
    local labels, values = {}, {}
    for _, row in ipairs(rows) do
        if row[2] then labels[#labels + 1], values[#values + 1] = row[1], row[2] end
    end
    self:fields("", labels, function(i) return values[i] end)
end

-- What is asked to choose by has a line for each.
local LABEL_BYTES = 200

--- A line that tells this ticket from others.
---@param ticket table
---@return string
function M.label(ticket)
    local t = type(ticket.task_details) == "table" and ticket.task_details or {}
    local title = is_text(t.title) and t.title:sub(1, cut_before(t.title, 1, math.min(#t.title, LABEL_BYTES)))
    local parts = { shown(t.ticketId) or "?" }
    for _, text in ipairs { shown(t.status) or "", shown(title or nil) or "" } do
        if text ~= "" then parts[#parts + 1] = text end
    end
    return table.concat(parts, "  ")
end

---@param ticket table
---@return kapture.nvim.Page
function M.ticket(ticket)
    local page = new_page()
    local t = type(ticket.task_details) == "table" and ticket.task_details or {}
    local id = shown(t.ticketId) or "?"
    page:line(id .. "  " .. (shown(t.title) or "(no title)"), "KaptureTitle")
    page:line ""
    page:summary(t)
    if is_text(t.detail) then
        page:section("Detail", function() page:text("  ", t.detail) end)
    end
    local conversations = ticket.conversation_type
    if type(conversations) == "table" then
        for _, name in ipairs(sorted_keys(conversations)) do page:entries(title_case(name), conversations[name]) end
    end
    local info = ticket.additional_info
    if type(info) == "table" and next(info) ~= nil then
        page:section("Additional info", function() page:tree("  ", info) end)
    end
    local history = ticket.history
    if type(history) == "table" and next(history) ~= nil then
        if #history > 0 then history = { history = history } end
        for _, name in ipairs(sorted_keys(history)) do
            local value = history[name]
            if type(value) == "table" and #value > 0 then
                page:entries(title_case(name), value)
            elseif type(value) == "table" and next(value) ~= nil then
                page:section(title_case(name), function() page:tree("  ", value) end)
            end
        end
    end
    page:section("Raw fields", function() page:raw("  ", nil, ticket, true) end, true)
    page:seal()
    return page
end

return M
