#!/usr/bin/env lua
-- tools/types.lua [--check]: the options and the kinds of failure in library/kapture.lua,
-- and with the events in doc/reference.md, from the tables of csrc/config/settings.c,
-- csrc/base/failure.c and csrc/policy/event.h; the fields of task_details in the former
-- from doc/ticket.md. With --check, whether they are so.

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

-- The string literals in a piece of C, without quotes and escapes.
local function literals(text)
    local list = {}
    for literal in text:gsub("\\(.)", function(c) return ("\\%03d"):format(c:byte()) end):gmatch '"([^"]*)"' do
        list[#list + 1] = literal:gsub("\\(%d%d%d)", function(n) return string.char(tonumber(n)) end)
    end
    return list
end

local types = {
    STRING = "string", TOKEN = "string|(fun(): string)", SECONDS = "number", PAUSE = "number", RATE = "number",
    COUNT = "integer", LIMIT = "integer", SIZE = "number", FLAG = "boolean", PARAM = "string|boolean|number",
    HEADERS = "table<string, string>", BODY = "table", FIELDS = "string[]", HOOK = "fun(event: kapture.Event)",
}
local untold = { none = true, [""] = true, ['""'] = true } -- defaults

-- What a table lacks, or what of it can't be read here, is said before anything is made.
local function demand(ok, words, ...)
    if not ok then
        io.stderr:write(words:format(...), "\n")
        os.exit(1)
    end
end

-- The rows of csrc/config/settings.c: name, kind, range, default, description.
local function option_rows()
    local rows, read_here = {}, {}
    for name, kind, initial, min, max, rest in read("csrc/config/settings.c"):gmatch
        '\n    {"([%w_]+)",%s+KAP_OPTION_(%u+),%s+AT[^ ]+%s+([^,]+),%s+(%d+),%s+(%d+),(.-)},\n?%f[%s}]' do
        local texts = literals(rest)
        local default = rest:match "^%s*NULL" and initial or table.remove(texts, 1)
        local counts = kind == "COUNT" or kind == "LIMIT"
        read_here[name] = true
        demand(types[kind], "tools/types.lua: no type for KAP_OPTION_%s, of option '%s'", kind, name)
        rows[#rows + 1] = { name = name, type = types[kind], default = default,
            doc = table.concat(texts), range = counts and ("%s to %s"):format(min, max) or nil }
    end
    for name in read("csrc/config/settings.c"):gmatch '\n    {"([%w_]+)",' do
        demand(read_here[name], "csrc/config/settings.c: the row of '%s' is not of the others' form", name)
    end
    return rows
end

-- Those of csrc/base/failure.c: name, whether it isolates, description.
local function kind_rows()
    local rows, has_row = {}, {}
    local hidden = { none = true, nomem = true } -- no caller ever sees them
    for constant, name, isolates, rest in
        read("csrc/base/failure.c"):gmatch '%[(KAP_KIND_[%u_]+)%] = {"([%l_]+)", %l+,%s+(%l+),(.-)},\n' do
        has_row[constant] = true
        if not hidden[name] then
            rows[#rows + 1] = { name = name, isolates = isolates == "true", doc = table.concat(literals(rest)) }
        end
    end
    for constant in read("csrc/base/failure.h"):gmatch "\n    (KAP_KIND_[%u_]+)" do
        demand(has_row[constant] or constant == "KAP_KIND_COUNT",
            "csrc/base/failure.c: %s has no row, or not of the others' form", constant)
    end
    return rows
end

-- The events, with what csrc/policy/event.h says of each.
local function event_rows()
    local rows, names = {}, {}
    for constant, name in read("csrc/lua/hook.c"):gmatch '%[(KAP_EVENT_%u+)%] = "(%l+)"' do
        names[constant] = name
    end
    for constant, doc in read("csrc/policy/event.h"):gmatch "\n    (KAP_EVENT_%u+),?%s+/%* (.-) %*/" do
        demand(names[constant], "csrc/lua/hook.c: %s has no name there", constant)
        rows[#rows + 1] = { name = names[constant], doc = doc }
        names[constant] = nil
    end
    demand(not next(names), "csrc/policy/event.h: %s has no comment that says when", next(names))
    return rows
end

local function options()
    local out = { "---@class kapture.Options" }
    for _, row in ipairs(option_rows()) do
        out[#out + 1] = ("---@field %s %s|nil %s%s%s"):format(row.name, row.type, row.doc,
            row.range and ", " .. row.range or "", untold[row.default] and "" or " (" .. row.default .. ")")
    end
    return table.concat(out, "\n")
end

local function kinds()
    local out = { "---@alias kapture.Kind" }
    for _, row in ipairs(kind_rows()) do
        out[#out + 1] = ('---| "%s" %s'):format(row.name, row.doc)
    end
    return table.concat(out, "\n")
end

-- The fields of task_details, from the table in doc/ticket.md.
local function details()
    local out = { "---@class kapture.TaskDetails" }
    local names = { string = "string", number = "integer", array = "any[]" }
    local section = read("doc/ticket.md"):match "\n## task_details\n(.-)\n## "
    for name, kind, doc in section:gmatch "\n| `([%w_]+)` | (%l+) | `[^`]*` | ?([^\n]-) ?|%f[\n]" do
        doc = doc:gsub("; see %[.-%]%(.-%)", ""):gsub("\\|", "|")
        local null = name == "ticketId" and "" or "|kapture.Null"
        out[#out + 1] = ("---@field %s %s%s %s"):format(name, assert(names[kind]), null, doc):gsub(" $", "")
    end
    out[#out + 1] = "---@field [string] any"
    return table.concat(out, "\n")
end

-- The tables of doc/reference.md.
local function markdown(head, rows, cells)
    local out = { head, (head:gsub("[^|]+", "---")) }
    for _, row in ipairs(rows) do
        local line = cells(row)
        for i, cell in ipairs(line) do
            line[i] = cell:gsub("|", "\\|")
        end
        out[#out + 1] = "| " .. table.concat(line, " | ") .. " |"
    end
    return table.concat(out, "\n") .. "\n"
end

local function code(text)
    return "`" .. text .. "`"
end

local plain = { none = true, all = true, environment = true, ["64 MiB"] = true }

-- A type in words.
local function in_words(kind)
    local names = { [types.TOKEN] = "string or function", [types.HOOK] = "function", [types.HEADERS] = "table" }
    return names[kind] or kind:gsub("|", ", ")
end

local reference = {
    options = markdown("| option | type | default | |", option_rows(), function(row)
        return { code(row.name), in_words(row.type), plain[row.default] and row.default or code(row.default),
            row.doc .. (row.range and ": " .. row.range or "") }
    end),
    kinds = markdown("| kind | when | taken apart |", kind_rows(), function(row)
        return { code(row.name), row.doc, row.isolates and "yes" or "" }
    end),
    events = markdown("| event | when |", event_rows(), function(row)
        return { code(row.name), row.doc }
    end),
}

-- The block of annotations that begins with this line.
local function replace(whole, block)
    local from = assert(whole:find(block:match "^[^\n]+" .. "\n", 1, true))
    local to = assert(whole:find("\n\n", from, true))
    return whole:sub(1, from - 1) .. block .. whole:sub(to)
end

-- What stands between <!-- name --> and <!-- /name -->.
local function fill(whole, name, block)
    local open, close = ("<!-- %s -->\n"):format(name), ("<!-- /%s -->"):format(name)
    local _, from = whole:find(open, 1, true)
    local to = assert(whole:find(close, assert(from, name), true))
    return whole:sub(1, from) .. block .. whole:sub(to)
end

local library, page = read "library/kapture.lua", read "doc/reference.md"
for _, block in ipairs { options(), kinds(), details() } do
    library = replace(library, block)
end
local new = { ["library/kapture.lua"] = library, ["doc/reference.md"] = page }
for name, block in pairs(reference) do
    new["doc/reference.md"] = fill(new["doc/reference.md"], name, block)
end

local stale = false
for path, text in pairs(new) do
    if text ~= read(path) then
        if arg[1] == "--check" then
            io.write(path, ": run tools/types.lua\n")
            stale = true
        else
            local file = assert(io.open(path, "wb"))
            file:write(text)
            file:close()
        end
    end
end
os.exit(not stale)
