-- Random JSON for the decoder's specs: the same documents for a seed under
-- every Lua.
local generator = require("spec.support.random").generator

local documents = {}

local names = {
    "a", "id", "date", "status", "ticketId", "task_details", "creatorName", "sla status",
    "lastConvesationTime", "a.b", "", "x\\\\y", "\\u0041", "नाम", "0123456789abcdef", "0123456789abcdefg",
    ("long"):rep(20), ("longer"):rep(30),
}

local letters = {
    "a", "b", " ", "z", ".", "/", "{", "}", "[", "]", ",", ":", "é", "€", "😀", "\127", "शि",
    "\\n", "\\r", "\\t", "\\b", "\\f", '\\"', "\\\\", "\\/", "\\u0041", "\\u00e9", "\\u20AC", "\\ud83d\\ude00",
}

local function text(random)
    local kind = random(10)
    local out, n = {}, random(12) - 1
    if kind == 1 then n = random(300) end
    -- Mostly plain, as texts are; some with an escape at every turn.
    local choice = kind == 2 and #letters or random(3) == 1 and 22 or 4
    for i = 1, n do
        out[i] = letters[random(choice)]
    end
    return '"' .. table.concat(out) .. '"'
end

local numbers = {
    "0", "-0", "1", "-1", "7", "10", "99999999", "100000000", "123456789", "530348198", "2147483648",
    "999999999999999", "1000000000000000", "9007199254740992", "-9007199254740992",
    "0.5", "-0.25", "1.0", "1e3", "1E+3", "25e-2", "3.141592653589793", "1e22", "1e23", "2.5e-300", "0.0", "-0.0e5",
}

local blanks = { "", "", "", "", " ", "\n", "\r\n", "\t", "  \n    " }

local function blank(random)
    return random(3) == 1 and blanks[random(#blanks)] or ""
end

local value

-- An object of a shape: always mostly the same names in the same order, as
-- records are, with now and then one more, one less, or two changed about.
local function object(random, depth, shape)
    local list = {}
    for _, name in ipairs(shape) do
        if random(12) > 1 then list[#list + 1] = name end
        if random(15) == 1 then list[#list + 1] = names[random(#names)] end
    end
    if #list > 1 and random(6) == 1 then
        local i, j = random(#list), random(#list)
        list[i], list[j] = list[j], list[i]
    end
    local out = {}
    for i, name in ipairs(list) do
        out[i] = ('%s"%s"%s:%s%s%s'):format(blank(random), name, blank(random), blank(random),
            value(random, depth - 1), blank(random))
    end
    return "{" .. table.concat(out, ",") .. (#list == 0 and blank(random) or "") .. "}"
end

local function shape_of(random)
    local shape = {}
    for i = 1, random(9) - 1 do
        shape[i] = names[random(#names)]
    end
    return shape
end

local function array(random, depth)
    local out, n = {}, random(6) - 1
    if random(10) == 1 then n = random(70) end
    local records = random(2) == 1 and shape_of(random)
    for i = 1, n do
        out[i] = blank(random) ..
            (records and depth > 0 and object(random, depth - 1, records) or value(random, depth - 1)) ..
            blank(random)
    end
    return "[" .. table.concat(out, ",") .. (n == 0 and blank(random) or "") .. "]"
end

function value(random, depth)
    local kind = random(depth > 0 and 12 or 8)
    if kind <= 3 then return text(random) end
    if kind <= 5 then
        if random(2) == 1 then return numbers[random(#numbers)] end
        return ("%d"):format(random(1000000000) - 500000000)
    end
    if kind == 6 then return "null" end
    if kind == 7 then return random(2) == 1 and "true" or "false" end
    if kind == 8 then return '""' end
    if kind <= 10 then return array(random, depth) end
    return object(random, depth, shape_of(random))
end

-- Any value.
function documents.value(seed, depth)
    local random = generator(seed * 7919 + 13)
    return blank(random) .. value(random, depth or 5) .. blank(random)
end

-- An array of records of one shape: what guesses are made for.
function documents.records(seed, n)
    local random = generator(seed * 104729 + 7)
    local shape = shape_of(random)
    shape[#shape + 1] = "task_details"
    local out = {}
    for i = 1, n do
        out[i] = object(random, 3, shape)
    end
    return "[" .. table.concat(out, "," .. blank(random)) .. "]"
end

-- The text with something changed: a byte replaced, left out, doubled, or the
-- rest cut off.
function documents.damage(seed, text_)
    local random = generator(seed * 15485863 + 3)
    local at = random(#text_)
    local kind = random(5)
    if kind == 1 then return text_:sub(1, at - 1) end
    if kind == 2 then return text_:sub(1, at - 1) .. text_:sub(at + 1) end
    if kind == 3 then return text_:sub(1, at) .. text_:sub(at) end
    local bytes = '{}[]",:\\0123456789.-+eEntfu \n\1\0/'
    local b = random(#bytes)
    return text_:sub(1, at - 1) .. bytes:sub(b, b) .. text_:sub(at + (kind == 4 and 1 or 0))
end

return documents
