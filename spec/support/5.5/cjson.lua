-- Found by Lua 5.5 only, where nobody packages lua-cjson for it yet (see
-- github.com/openresty/lua-cjson/pull/123; Debian's 2.1.0 is older): what the
-- specs take of it, from dkjson, which comes with busted. spec/run puts this
-- directory after all others.
local dkjson = require "dkjson"
local null = require("kapture").null

local function refuse(value, within)
    if type(value) == "number" and (value ~= value or math.abs(value) == math.huge) then
        error("Cannot serialise number: must not be NaN or Infinity", 0)
    elseif type(value) == "table" then
        if within[value] then error("Cannot serialise, excessive depth", 0) end
        within[value] = true
        for _, v in pairs(value) do refuse(v, within) end
        within[value] = nil
    end
end

return {
    stand_in = true, -- it knows no array_mt, and lets through some of what is no JSON
    null = null,
    decode = function(text)
        local value, _, why = dkjson.decode(text, 1, null, nil, nil)
        if why then error(why, 2) end
        return value
    end,
    encode = function(value)
        refuse(value, {})
        return dkjson.encode(value, { exception = function(_, v)
            return v == null and "null" or nil
        end })
    end,
}
