--- Plain helpers on a ticket. The service sends text HTML-escaped, dates in
--- three forms without a time zone and absent values as "": `normalize` returns
--- a copy in which all of that is settled, and leaves the raw ticket alone.

--- "Z", an offset such as "+05:30", or, for zones with daylight saving, a function
--- from a local time to the offset then ("+02:00", or seconds east of Greenwich).
--- Without a zone no epoch is made up.
---@alias kapture.zone string|fun(time: kapture.local_time): (string|number|nil)

---@class kapture.local_time a date as the service writes it, in its own zone
---@field year integer
---@field month integer 1 to 12
---@field day integer
---@field hour integer
---@field min integer
---@field sec integer

---@class kapture.date
---@field text string as the service sent it
---@field iso string ISO 8601, with the offset where one is known
---@field epoch number|nil seconds since 1970-01-01T00:00:00Z; nil without a zone

---@class kapture.normalize_options
---@field zone kapture.zone|nil the zone of the service's dates, which names none

local M = {}

local null = require("kapture").null
-- What stands for it in tickets of kapture.nvim.
local vim = rawget(_G, "vim")
local vim_null = vim and vim.NIL or null

-- Not \u: 5.1 and LuaJIT have no utf8 library.
local function utf8_char(code)
    if code < 0x80 then
        return string.char(code)
    elseif code < 0x800 then
        return string.char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
    elseif code < 0x10000 then
        return string.char(
            0xE0 + math.floor(code / 0x1000),
            0x80 + math.floor(code / 0x40) % 0x40,
            0x80 + code % 0x40
        )
    end
    return string.char(
        0xF0 + math.floor(code / 0x40000),
        0x80 + math.floor(code / 0x1000) % 0x40,
        0x80 + math.floor(code / 0x40) % 0x40,
        0x80 + code % 0x40
    )
end

-- The five of XML, and what HTML mail is full of. Others stay as they are.
local entities = {
    amp = "&", lt = "<", gt = ">", quot = '"', apos = "'",
    nbsp = utf8_char(0xA0), copy = utf8_char(0xA9), reg = utf8_char(0xAE),
    hellip = utf8_char(0x2026), ndash = utf8_char(0x2013), mdash = utf8_char(0x2014),
    lsquo = utf8_char(0x2018), rsquo = utf8_char(0x2019),
    ldquo = utf8_char(0x201C), rdquo = utf8_char(0x201D),
    bull = utf8_char(0x2022), trade = utf8_char(0x2122), euro = utf8_char(0x20AC),
    rupee = utf8_char(0x20B9), pound = utf8_char(0xA3), deg = utf8_char(0xB0),
}

-- Windows-1252, which is meant where a number names a C1 control: mail programs
-- write it, and HTML's own rules read it so. Five of them are nothing there.
local windows = {
    [0x80] = 0x20AC, [0x82] = 0x201A, [0x83] = 0x0192, [0x84] = 0x201E, [0x85] = 0x2026, [0x86] = 0x2020,
    [0x87] = 0x2021, [0x88] = 0x02C6, [0x89] = 0x2030, [0x8A] = 0x0160, [0x8B] = 0x2039, [0x8C] = 0x0152,
    [0x8E] = 0x017D, [0x91] = 0x2018, [0x92] = 0x2019, [0x93] = 0x201C, [0x94] = 0x201D, [0x95] = 0x2022,
    [0x96] = 0x2013, [0x97] = 0x2014, [0x98] = 0x02DC, [0x99] = 0x2122, [0x9A] = 0x0161, [0x9B] = 0x203A,
    [0x9C] = 0x0153, [0x9E] = 0x017E, [0x9F] = 0x0178,
}

-- An emoji as Java and JavaScript have it, in two halves.
local function joined(base)
    return function(first, second)
        local high, low = tonumber(first, base) - 0xD800, tonumber(second, base) - 0xDC00
        if high >= 0 and high < 0x400 and low >= 0 and low < 0x400 then
            return utf8_char(0x10000 + high * 0x400 + low)
        end
    end
end
local joined_decimal, joined_hex = joined(10), joined(16)

local function entity(name)
    local digits = name:match("^#0*(%d+)$")
    local code = digits and tonumber(digits)
    if not digits then
        digits = name:match("^#[xX]0*(%x+)$")
        code = digits and #digits <= 6 and tonumber(digits, 16)
    end
    if code then
        code = windows[code] or code
        local surrogate = code >= 0xD800 and code <= 0xDFFF
        return code > 0 and code <= 0x10FFFF and not surrogate and utf8_char(code) or nil
    end
    return entities[name]
end

--- Text with its HTML entities resolved, once: `&amp;lt;` becomes `&lt;`.
--- Unknown entities stay as they are.
---@param text string
---@return string
function M.unescape(text)
    if not text:find("&", 1, true) then
        return text
    end
    if text:find("&#", 1, true) then
        text = text:gsub("&#0*(5[56]%d%d%d);&#0*(5[67]%d%d%d);", joined_decimal)
        text = text:gsub("&#[xX]0*([dD]%x%x%x);&#[xX]0*([dD]%x%x%x);", joined_hex)
    end
    return (text:gsub("&(#?%w+);", entity))
end

-- Days since 1970-01-01 in the proleptic Gregorian calendar.
local function days_from_civil(year, month, day)
    if month <= 2 then
        year, month = year - 1, month + 12
    end
    local era = math.floor(year / 400)
    local of_era = year - era * 400
    local of_year = math.floor((153 * (month - 3) + 2) / 5) + day - 1
    return era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
end

local month_days = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(t)
    if t.month < 1 or t.month > 12 or t.day < 1 then
        return false
    end
    local leap = t.year % 4 == 0 and (t.year % 100 ~= 0 or t.year % 400 == 0)
    local last = month_days[t.month] + (t.month == 2 and leap and 1 or 0)
    return t.day <= last and t.hour < 24 and t.min < 60 and t.sec < 60
end

-- The forms seen: 19-04-2024 14:19, 2020-05-23 12:11:08 and 2020-05-23 12:37.
---@return kapture.local_time|nil
local function parse_date(text)
    local day, month, year, hour, min = text:match("^(%d%d)%-(%d%d)%-(%d%d%d%d) (%d%d):(%d%d)$")
    local sec = "0"
    if not day then
        year, month, day, hour, min, sec = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d) (%d%d):(%d%d):(%d%d)$")
    end
    if not day then
        year, month, day, hour, min = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d) (%d%d):(%d%d)$")
        sec = "0"
    end
    if not day then
        return nil
    end
    local int = math.tointeger or function(n)
        return n
    end
    local t = {
        year = int(tonumber(year)), month = int(tonumber(month)), day = int(tonumber(day)),
        hour = int(tonumber(hour)), min = int(tonumber(min)), sec = int(tonumber(sec)),
    }
    return is_date(t) and t or nil
end

-- Seconds east of Greenwich.
local function offset_seconds(zone)
    if type(zone) == "number" then
        return zone
    end
    if zone == "Z" or zone == "z" then
        return 0
    end
    local sign, hours, minutes = tostring(zone):match("^([+-])(%d%d):?(%d%d)$")
    if not sign or tonumber(hours) > 14 or tonumber(minutes) > 59 then
        return nil
    end
    local seconds = tonumber(hours) * 3600 + tonumber(minutes) * 60
    return sign == "-" and -seconds or seconds
end

local function format_offset(seconds)
    if seconds == 0 then
        return "Z"
    end
    local minutes = math.floor(math.abs(seconds) / 60)
    return ("%s%02d:%02d"):format(seconds < 0 and "-" or "+", math.floor(minutes / 60), minutes % 60)
end

--- One of the service's dates, or nil if the text is none.
---@param text string
---@param zone kapture.zone|nil
---@return kapture.date|nil
function M.date(text, zone)
    local t = type(text) == "string" and parse_date(text) or nil
    if not t then
        return nil
    end
    local date = {
        text = text,
        iso = ("%04d-%02d-%02dT%02d:%02d:%02d"):format(t.year, t.month, t.day, t.hour, t.min, t.sec),
    }
    local given = zone
    if type(zone) == "function" then
        given = zone(t)
    end
    if given ~= nil then
        local offset = offset_seconds(given)
        if not offset then
            error("zone: 'Z', an offset such as '+05:30' or seconds expected, got " .. tostring(given), 0)
        end
        date.iso = date.iso .. format_offset(offset)
        date.epoch = days_from_civil(t.year, t.month, t.day) * 86400 + t.hour * 3600 + t.min * 60 + t.sec - offset
    end
    return date
end

--- Seconds of a turn-around time such as "0:1:29" (hours, minutes, seconds); nil
--- for anything else, words among it.
---@param text string
---@return integer|nil
function M.duration(text)
    local h, m, s = tostring(text):match("^(%d+):(%d+):(%d+)$")
    if not h then
        return nil
    end
    return tonumber(h) * 3600 + tonumber(m) * 60 + tonumber(s)
end

-- Which keys hold dates: the documented ones have little in common
-- (nextFollowUp, lastConvesationTime, taskEnddate, callBack, sentDate).
local date_keys = { nextfollowup = true, lastfollowup = true, callback = true }
local function holds_date(key)
    if type(key) ~= "string" then
        return false
    end
    local k = key:lower()
    return date_keys[k] or k:find("date", 1, true) ~= nil or k:find("time", 1, true) ~= nil
end

local copy

local function convert(key, value, zone)
    if value == null or value == vim_null or value == "" then
        return nil
    elseif type(value) == "table" then
        return copy(value, zone)
    elseif type(value) ~= "string" then
        return value
    elseif key == "tat" then
        return M.duration(value) or M.unescape(value)
    elseif holds_date(key) then
        return M.date(value, zone) or M.unescape(value)
    end
    return M.unescape(value)
end

-- In a list every element keeps its place, so blanks stay what they are.
function copy(from, zone)
    local to = setmetatable({}, getmetatable(from))
    local n = #from
    for key, value in pairs(from) do
        local list = type(key) == "number" and key >= 1 and key <= n
        local converted = convert(key, value, zone)
        if list and converted == nil then
            converted = value
        end
        to[key] = converted
    end
    return to
end

--- A copy of a ticket, fit to work with: HTML entities resolved, dates as
--- `{text=, iso=, epoch=}`, `tat` in seconds where it is a duration, "" and null
--- absent. `{}`, `[]` and 0 stay: only the caller knows whether a 0 is a value.
---@param ticket table as get_ticket returns it
---@param opts kapture.normalize_options|nil
---@return table
function M.normalize(ticket, opts)
    if type(ticket) ~= "table" then
        error(("bad argument #1 to 'normalize' (table expected, got %s)"):format(type(ticket)), 2)
    end
    if opts ~= nil and type(opts) ~= "table" then
        error(("bad argument #2 to 'normalize' (table expected, got %s)"):format(type(opts)), 2)
    end
    for key in pairs(opts or {}) do
        if key ~= "zone" then
            error(("bad argument #2 to 'normalize' (unknown option '%s')"):format(tostring(key)), 2)
        end
    end
    local zone = opts and opts.zone
    if zone ~= nil and type(zone) ~= "function" and (type(zone) ~= "string" or not offset_seconds(zone)) then
        local expected = "'Z', an offset such as '+05:30' or a function"
        error(
            ("bad argument #2 to 'normalize' (option 'zone': %s expected, got '%s')"):format(expected, tostring(zone)),
            2
        )
    end
    return copy(ticket, zone)
end

return M
