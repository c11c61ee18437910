-- Whether a text is JSON by RFC 8259, and nothing else: the grammar written
-- down a second time, to be compared with.
local value

local function skip(text, at)
    return text:match("^[ \t\r\n]*()", at)
end

local function literal(word)
    return function(text, at)
        return text:sub(at, at + #word - 1) == word and at + #word
    end
end

local function number(text, at)
    at = text:match("^%-?()", at)
    local whole = text:match("^0()", at) or text:match("^[1-9]%d*()", at)
    if not whole then return nil end
    local fraction = text:match("^%.%d+()", whole) or whole
    return text:match("^[eE][+-]?%d+()", fraction) or fraction
end

local function string(text, at)
    at = at + 1
    while true do
        local b = text:byte(at)
        if not b or b < 0x20 then return nil end
        if b == 0x22 then return at + 1 end
        if b == 0x5c then
            at = text:match('^["\\/bfnrt]()', at + 1) or text:match("^u%x%x%x%x()", at + 1)
            if not at then return nil end
        else
            at = at + 1
        end
    end
end

-- open, then items with commas between, then close
local function list(item, close)
    return function(text, at)
        at = skip(text, at + 1)
        if text:sub(at, at) == close then return at + 1 end
        while true do
            at = item(text, skip(text, at))
            if not at then return nil end
            at = skip(text, at)
            local c = text:sub(at, at)
            if c == close then return at + 1 end
            if c ~= "," then return nil end
            at = at + 1
        end
    end
end

local function member(text, at)
    if text:sub(at, at) ~= '"' then return nil end
    at = string(text, at)
    if not at then return nil end
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then return nil end
    return value(text, skip(text, at + 1))
end

local by_first = {
    ["{"] = list(member, "}"),
    ["["] = list(function(text, at) return value(text, at) end, "]"),
    ['"'] = string, t = literal "true", f = literal "false", n = literal "null",
}

function value(text, at)
    return (by_first[text:sub(at, at)] or number)(text, at)
end

return function(text)
    local after = value(text, skip(text, 1))
    return after ~= nil and after ~= false and skip(text, after) == #text + 1
end
