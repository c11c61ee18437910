-- JSON text out, and the strict reading of a request's body.
local cjson = require("cjson").new()
cjson.decode_invalid_numbers(false)
cjson.decode_max_depth(100)

local M = { null = cjson.null }

local named = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
    ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}
local function escape(c)
    return named[c] or string.format("\\u%04x", c:byte())
end

-- A string as JSON; what is not ASCII stays as it is.
function M.quote(s)
    if s:find '[%c"\\]' then s = s:gsub('[%c"\\]', escape) end
    return '"' .. s .. '"'
end

-- The table of a JSON object, or nil for everything else.
function M.object(text)
    if not text:find "^%s*{" then return nil end
    local ok, value = pcall(cjson.decode, text)
    return ok and value or nil
end

-- Any value from M.object back as text, for the log.
function M.encode(value)
    local ok, text = pcall(cjson.encode, value)
    return ok and text or "null"
end

return M
