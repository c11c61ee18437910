--- JSON as it was received: `[]` and `{}` apart, null, integers and text exact.
--- lua-cjson as Debian has it writes `{}` for both and fourteen digits of a
--- number; this is only the few lines that a decoded ticket needs.

local kapture = require "kapture"

local M = {}

local escapes = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
    ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape(c)
    return escapes[c] or ("\\u%04x"):format(c:byte())
end

local function quote(s)
    return '"' .. s:gsub('[%c"\\\127]', escape) .. '"'
end

-- Only Lua 5.3 and later tell an integer from a float.
local math_type = rawget(math, "type")

local function number(n)
    if math_type and math_type(n) == "integer" then
        return ("%d"):format(n)
    elseif n ~= n or n == math.huge or n == -math.huge then
        return "null"
    elseif not math_type and n == math.floor(n) and math.abs(n) <= 2 ^ 53 then
        return ("%.0f"):format(n)
    end
    for digits = 15, 17 do
        local s = ("%." .. digits .. "g"):format(n):gsub(",", ".")
        if tonumber(s) == n then
            return s:find("[%.eEn]") and s or s .. ".0"
        end
    end
end

local encode

-- Keys in a stable order: the one of their names.
local function object(t, out, indent)
    local keys = {}
    for key in pairs(t) do
        keys[#keys + 1] = tostring(key)
    end
    if #keys == 0 then
        out[#out + 1] = "{}"
        return
    end
    table.sort(keys)
    local inner = indent and indent .. "  "
    for i, key in ipairs(keys) do
        out[#out + 1] = i == 1 and "{" or ","
        out[#out + 1] = inner and "\n" .. inner or ""
        out[#out + 1] = quote(key) .. (indent and ": " or ":")
        encode(t[key], out, inner)
    end
    out[#out + 1] = (indent and "\n" .. indent or "") .. "}"
end

local function array(t, out, indent)
    local inner = indent and indent .. "  "
    if #t == 0 then
        out[#out + 1] = "[]"
        return
    end
    for i = 1, #t do
        out[#out + 1] = i == 1 and "[" or ","
        out[#out + 1] = inner and "\n" .. inner or ""
        encode(t[i], out, inner)
    end
    out[#out + 1] = (indent and "\n" .. indent or "") .. "]"
end

function encode(value, out, indent)
    local kind = type(value)
    if kind == "table" then
        local list = getmetatable(value) == kapture.array_mt
        return (list and array or object)(value, out, indent)
    elseif kind == "string" then
        out[#out + 1] = quote(value)
    elseif kind == "number" then
        out[#out + 1] = number(value)
    elseif value == nil or value == kapture.null then
        out[#out + 1] = "null"
    else
        out[#out + 1] = tostring(value)
    end
end

--- A decoded value as JSON text.
---@param value any
---@param indent boolean|nil over several lines, two blanks a level
---@return string
function M.encode(value, indent)
    local out = {}
    encode(value, out, indent and "" or nil)
    return table.concat(out)
end

return M
