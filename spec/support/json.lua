-- A small JSON reader for test support: no dependency, so that the sandbox's
-- log can be read wherever the specs run. null becomes nil.
local json = {}

local named = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function utf8_char(c)
    local char, floor = string.char, math.floor
    if c < 0x80 then return char(c) end
    if c < 0x800 then return char(0xC0 + floor(c / 64), 0x80 + c % 64) end
    if c < 0x10000 then
        return char(0xE0 + floor(c / 4096), 0x80 + floor(c / 64) % 64, 0x80 + c % 64)
    end
    return char(0xF0 + floor(c / 262144), 0x80 + floor(c / 4096) % 64, 0x80 + floor(c / 64) % 64, 0x80 + c % 64)
end

local value

local function fail(text, at, what)
    error(("JSON: %s at byte %d: %s"):format(what, at, text:sub(at, at + 20)), 0)
end

local function read_string(text, at)
    local parts, from = {}, at + 1
    while true do
        local stop = text:find('["\\]', from)
        if not stop then fail(text, at, "string without end") end
        parts[#parts + 1] = text:sub(from, stop - 1)
        if text:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
        local c = text:sub(stop + 1, stop + 1)
        from = stop + 2
        if c == "u" then
            local code = tonumber(text:sub(from, from + 3), 16)
            from = from + 4
            if code >= 0xD800 and code < 0xDC00 and text:sub(from, from + 1) == "\\u" then
                local low = tonumber(text:sub(from + 2, from + 5), 16)
                code = 0x10000 + (code - 0xD800) * 1024 + (low - 0xDC00)
                from = from + 6
            end
            c = utf8_char(code)
        end
        parts[#parts + 1] = named[c] or c
    end
end

local function read_items(text, at, close, each)
    at = text:match("^%s*()", at + 1)
    if text:sub(at, at) == close then return at + 1 end
    while true do
        at = text:match("^%s*()", each(at))
        local c = text:sub(at, at)
        if c == close then return at + 1 end
        if c ~= "," then fail(text, at, "neither comma nor end") end
        at = text:match("^%s*()", at + 1)
    end
end

function value(text, at)
    local c = text:sub(at, at)
    if c == '"' then return read_string(text, at) end
    if c == "{" then
        local object = {}
        at = read_items(text, at, "}", function(from)
            local key, member
            key, from = read_string(text, from)
            member, from = value(text, text:match("^%s*:%s*()", from) or fail(text, from, "no colon"))
            object[key] = member
            return from
        end)
        return object, at
    elseif c == "[" then
        local array = {}
        at = read_items(text, at, "]", function(from)
            local element
            element, from = value(text, from)
            array[#array + 1] = element
            return from
        end)
        return array, at
    end
    for word, meaning in pairs { ["true"] = true, ["false"] = false } do
        if text:sub(at, at + #word - 1) == word then return meaning, at + #word end
    end
    if text:sub(at, at + 3) == "null" then return nil, at + 4 end
    local number = text:match("^-?%d[%d%.eE+-]*", at)
    if not number then fail(text, at, "no value") end
    return tonumber(number), at + #number
end

function json.decode(text)
    local result, at = value(text, text:match "^%s*()")
    if text:find("%S", at) then fail(text, at, "more after the value") end
    return result
end

return json
