-- The C clients of a worker: those that are asked for with the same options
-- share one. It is made at the first call, so nothing is started before nginx
-- forks.
local core = require "kapture"

local now = ngx.now

-- How many option sets a worker keeps connections for when nobody holds a
-- client of theirs; as the C module does.
local KEPT = 8

---@class resty.kapture.Entry a C client, and who waits for it: see pump.lua
---@field core table the C client
---@field waiters table<table, resty.kapture.Waiter> by request or iterator
---@field waiting integer how many they are
---@field iterators boolean|nil whether there may be iterators among them
---@field pump "starting"|"running"|nil
---@field asked number|nil when the pump's timer was asked for
---@field beat number|nil its last sign of life
---@field deaf boolean|nil the pump's socket has nothing to say any more
---@field used number when last something was waited for

local M = {}

local kept = {} -- most recently used first
local known = setmetatable({}, { __mode = "v" }) -- by key, while anybody has it

local function serialize(value, out)
    local t = type(value)
    if t == "table" then
        local names = {}
        for name in pairs(value) do names[#names + 1] = name end
        table.sort(names, function(a, b)
            if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
            return tostring(a) < tostring(b)
        end)
        out[#out + 1] = "{"
        for _, name in ipairs(names) do
            serialize(name, out)
            serialize(value[name], out)
        end
        out[#out + 1] = "}"
    elseif t == "number" then
        out[#out + 1] = ("%.17g;"):format(value)
    elseif t == "string" then
        out[#out + 1] = #value .. ":" .. value
    else
        out[#out + 1] = tostring(value) .. ";"
    end
end

--- A string that is the same for the same options.
function M.key(options)
    local out = {}
    serialize(options, out)
    return table.concat(out)
end

--- The C client for these options.
---@return resty.kapture.Entry
function M.entry(key, options)
    local entry = known[key]
    if not entry then
        entry = { core = core.new(options), waiters = {}, waiting = 0, used = now() }
        known[key] = entry
    end
    for i = 1, #kept do
        if kept[i] == entry then
            table.remove(kept, i)
            break
        end
    end
    table.insert(kept, 1, entry)
    kept[KEPT + 1] = nil
    return entry
end

return M
