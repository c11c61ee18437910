-- The decoder: what it builds, what it refuses, and that no text harms it.
local probe = require "kapture_decode"
local cjson = require "cjson"
local documents = require "spec.support.documents"
local generator = require("spec.support.random").generator
local is_json = require "spec.support.strict_json"
local read = require("spec.support.system").read

local decode, null, array_mt = probe.decode, probe.null, probe.array_mt
local has_integers = math.type ~= nil

local sample = read "spec/support/sample.json"

-- Where two values differ, nil if nowhere. `theirs` may be lua-cjson's, which
-- knows no integers, and no arrays from objects.
local function difference(ours, theirs, path)
    path = path or "$"
    if type(ours) == "table" and type(theirs) == "table" then
        for k, v in pairs(ours) do
            local where = difference(v, theirs[k], path .. "." .. tostring(k))
            if where then return where end
        end
        for k in pairs(theirs) do
            if ours[k] == nil then return path .. "." .. tostring(k) .. " is missing" end
        end
        local mt = getmetatable(ours)
        if mt ~= nil and mt ~= array_mt then return path .. " has a strange metatable" end
        if #theirs > 0 and mt ~= array_mt then return path .. " is an array without metatable" end
        if mt == array_mt and #ours ~= #theirs then return path .. " has another length" end
        return nil
    end
    if type(ours) == "number" and type(theirs) == "number" then
        -- In doubles: an integer of 64 bits has digits that a double has not.
        if ours + 0.0 == theirs + 0.0 then return nil end
    elseif type(ours) == "string" and type(theirs) == "number" and not has_integers then
        if ours:find "^%-?%d+$" and math.abs(theirs) >= 2 ^ 53 and tonumber(ours) == theirs then return nil end
    elseif ours == theirs then
        return nil
    end
    return ("%s: %s and %s"):format(path, tostring(ours), tostring(theirs))
end

-- The text about a failure's byte.
local function near(text, message)
    local at = tonumber((message or ""):match "byte (%d+)") or 1
    return (text:sub(math.max(at - 80, 1), at + 80):gsub("[%c]", "."))
end

local function refuses(text, message, kind)
    local value, err, what = decode(text)
    assert.is_nil(value, text:sub(1, 60))
    assert.is_string(err)
    assert.is_truthy(err:find(" at byte %d+$"), err)
    if message then assert.are.equal(message, err) end
    assert.are.equal(kind or "syntax", what)
end

-- Of the random documents: all take minutes in an emulator.
local share = tonumber(os.getenv "KAPTURE_DECODE_SHARE") or 1

describe("numbers", function()
    -- text, and what it is on 5.3 and later, and elsewhere
    local integers = {
        { "0", 0 }, { "1", 1 }, { "-1", -1 }, { "9", 9 }, { "10", 10 }, { "12345678", 12345678 },
        { "123456789", 123456789 }, { "530348198", 530348198 },
        { "2147483647", 2147483647 }, { "2147483648", 2147483648 }, { "-2147483649", -2147483649 },
        { "999999999999999", 999999999999999 }, { "1000000000000000", 1000000000000000 },
        { "9007199254740991", 9007199254740991 }, { "9007199254740992", 9007199254740992 },
        { "-9007199254740992", -9007199254740992 },
    }
    local beyond_double = {
        "9007199254740993", "-9007199254740993", "99999999999999999", "123456789012345678",
        "999999999999999999", "1000000000000000000", "9223372036854775807", "-9223372036854775808",
    }
    local beyond_integer = {
        "9223372036854775808", "-9223372036854775809", "9999999999999999999", "10000000000000000000",
        "18446744073709551615", "18446744073709551616", "99999999999999999999", "-100000000000000000000",
        "123456789012345678901234567890", ("9"):rep(300),
    }

    -- At the end of the text, and far from it: there are two ways to read one.
    local function each_way(text, check)
        check((decode(text)))
        check(decode("[" .. text .. "]")[1])
        check(decode("[" .. text .. "," .. (" "):rep(200) .. "0]")[1])
        check(decode('[{"a":0},{"a":1},{"a":' .. text .. "}" .. (" "):rep(300) .. "]")[3].a)
    end

    it("are exact integers up to 2^53 everywhere", function()
        for _, case in ipairs(integers) do
            each_way(case[1], function(value)
                assert.are.equal(case[2], value)
                assert.are.equal(case[1], ("%d"):format(value))
                if has_integers then assert.are.equal("integer", math.type(value)) end
            end)
        end
    end)

    it("keep every digit of 64 bits", function()
        for _, text in ipairs(beyond_double) do
            each_way(text, function(value)
                assert.are.equal(text, has_integers and ("%d"):format(value) or value)
                assert.are.equal(has_integers and "number" or "string", type(value))
            end)
        end
    end)

    it("are digits beyond 64 bits", function()
        for _, text in ipairs(beyond_integer) do
            each_way(text, function(value) assert.are.equal(text, value) end)
        end
    end)

    it("are floats with a point or an exponent", function()
        for _, text in ipairs {
            "1.0", "-1.0", "0.0", "1e3", "1E3", "1e+3", "1e-3", "12345678.5", "123456789e0", "0e0", "0E-9",
            "0.1", "123.456e7", "9007199254740993.0", "18446744073709551616.0", "1e22", "1e23",
        } do
            each_way(text, function(value)
                assert.are.equal(tonumber(text) + 0.0, value)
                if has_integers then assert.are.equal("float", math.type(value)) end
            end)
        end
    end)

    it("keep the sign of zero where it is a float", function()
        each_way("-0.0", function(value) assert.are.equal(-math.huge, 1 / value) end)
        each_way("-0e5", function(value) assert.are.equal(-math.huge, 1 / value) end)
        each_way("-0", function(value)
            assert.are.equal(0, value)
            if has_integers then
                assert.are.equal("integer", math.type(value))
            else
                assert.are.equal(-math.huge, 1 / value)
            end
        end)
    end)

    it("reach from the smallest double to infinity", function()
        for text, value in pairs {
            ["4.9e-324"] = 4.9406564584124654e-324, ["2.4703282292062328e-324"] = 4.9406564584124654e-324,
            ["2.4703282292062327e-324"] = 0, ["2.2250738585072011e-308"] = 2.2250738585072011e-308,
            ["2.2250738585072014e-308"] = 2.2250738585072014e-308,
            ["1.7976931348623157e308"] = 1.7976931348623157e308,
            ["1.7976931348623158e308"] = 1.7976931348623157e308,
            ["1.7976931348623159e308"] = math.huge, ["1e309"] = math.huge, ["-1e400"] = -math.huge,
            ["1e999999999999999999999"] = math.huge, ["1e-999999999999999999999"] = 0,
            ["0e999999999999999999999"] = 0,
            ["0." .. ("0"):rep(5000) .. "1e5001"] = 1, ["1" .. ("0"):rep(5000) .. "e-5000"] = 1,
            ["1" .. ("0"):rep(400) .. ".0"] = math.huge,
        } do
            assert.are.equal(value, (decode(text)))
        end
    end)

    it("are rounded to the nearest double, a tie to the even one", function()
        -- 1 + 2^-53 lies in the middle: 1.00000000000000011102230246251565404...
        local tie = "1.00000000000000011102230246251565404236316680908203125"
        assert.are.equal(1, (decode(tie)))
        assert.are.equal(1 + 2 ^ -52, (decode(tie .. "1")))
        assert.are.equal(1, (decode(tie .. ("0"):rep(2000))))
        assert.are.equal(1 + 2 ^ -52, (decode(tie .. ("0"):rep(2000) .. "1")))
        assert.are.equal(1, (decode((tie:gsub("5$", "4")) .. ("9"):rep(2000))))
        -- 2^53 + 1, and as far above it as digits go
        assert.are.equal(2 ^ 53, (decode "9007199254740993.0"))
        assert.are.equal(2 ^ 53 + 2, (decode("9007199254740993." .. ("0"):rep(1000) .. "1")))
        assert.are.equal(2 ^ 53 + 4, (decode "9007199254740995.0"))
    end)

    it("agree with Lua's own for random doubles", function()
        local random = generator(20240419)
        local function digits(n)
            local out = {}
            for i = 1, n do
                out[i] = random(10) - 1
            end
            return (table.concat(out):gsub("^0+(.)", "%1"))
        end
        local list = {}
        for _ = 1, 20000 do
            local kind = random(4)
            if kind == 1 then
                list[#list + 1] = ("%.17g"):format(random(1000000000) / random(1000000000) * 10 ^ (random(600) - 300))
            elseif kind == 2 then
                list[#list + 1] = ("%s.%s"):format(digits(random(20)), digits(random(20)))
            elseif kind == 3 then
                list[#list + 1] = ("%s.%se%d"):format(digits(random(3)), digits(random(25)), random(640) - 330)
            else
                list[#list + 1] = ("%se%d"):format(digits(random(19)), random(46) - 23)
            end
        end
        for i, text in ipairs(list) do
            if not text:find "[.e]" then list[i] = text .. ".0" end
        end
        local values = assert(decode("[" .. table.concat(list, ",") .. "]"))
        for i, text in ipairs(list) do
            if values[i] ~= tonumber(text) then
                assert.are.equal(("%s -> %.17g"):format(text, tonumber(text)), ("%s -> %.17g"):format(text, values[i]))
            end
        end
    end)

    it("are refused in every other form", function()
        local bad = {
            "-", "+1", "01", "-01", "00", "00.5", "1.", "-1.", ".5", "-.5", "1.e5", "1e", "1E", "1e+", "1e-", "1.5e",
            "1e5.5", "0x10", "0x", "1_000", "1,000", "١", "--1", "-+1", "1-", "1+1", "NaN", "nan", "-NaN", "Infinity",
            "-Infinity", "inf", "-inf", "1f", "1.0f", "1 2", "- 1", "1e 5", "1 .5",
        }
        for _, text in ipairs(bad) do
            refuses(text)
            refuses("[" .. text .. "]")
            refuses("[" .. text .. (" "):rep(200) .. "]")
            refuses('[{"a":0},{"a":1},{"a":' .. text .. "}" .. (" "):rep(300) .. "]")
        end
    end)

    it("are refused at the byte that is wrong", function()
        refuses("-", "unexpected end at byte 2")
        refuses("[-]", "invalid number at byte 3")
        refuses("[01]", "invalid number at byte 3")
        refuses("[1.]", "invalid number at byte 4")
        refuses("[1e+]", "invalid number at byte 5")
        refuses("[.5]", "expected a value at byte 2")
        refuses("[1x]", "expected ',' or ']' at byte 3")
        refuses("1 2", "unexpected text after the value at byte 3")
    end)

    it("do not depend on the locale", function()
        local dir = os.tmpname()
        os.remove(dir)
        local abi = assert(os.getenv "ABI")
        -- A locale of nothing but a decimal comma: made faster than de_DE.
        local pipe = assert(io.popen(([[
            mkdir %s && cd %s && printf '%%s\n' LC_NUMERIC 'decimal_point ","' \
                'thousands_sep "."' 'grouping 3;3' 'END LC_NUMERIC' >source &&
            localedef -c -i source -f ANSI_X3.4-1968 ./comma >/dev/null 2>&1
            cd "$OLDPWD" && LOCPATH=%s %s -e '
                assert(os.setlocale("comma", "numeric"), "no such locale")
                assert(jit or ("%%.1f"):format(0.5) == "0,5", "no decimal comma")
                local list = require "kapture_decode".decode "[0.5,1234567890.0123456789012345678901,1e-320]"
                assert(list[1] == 1 / 2)
                assert(list[2] > 1234567890 + 1 / 128 and list[2] < 1234567890 + 1 / 64)
                assert(list[3] > 0)
                print "fine"' 2>&1
            rm -r %s]]):format(dir, dir, dir, abi:find "^%d" and "lua" .. abi or abi, dir)))
        local out = pipe:read "*a"
        pipe:close()
        assert.are.equal("fine\n", out)
    end)
end)

describe("text", function()
    local function each_way(inside, check)
        check((decode('"' .. inside .. '"')))
        check(decode('["' .. inside .. '"]')[1])
        check(decode('["' .. inside .. '",' .. (" "):rep(200) .. "0]")[1])
        -- as a name, too: in an object alone, and as the third of its kind
        check((next((decode('{"' .. inside .. '":1}')))))
        local list = decode('[{"' .. inside .. '":1},{"' .. inside .. '":1},{"' .. inside .. '":1}' ..
            (" "):rep(200) .. "]")
        check((next(list[3])))
    end

    it("has escapes", function()
        for inside, value in pairs {
            ['\\"'] = '"', ["\\\\"] = "\\", ["\\/"] = "/", ["\\b"] = "\b", ["\\f"] = "\f", ["\\n"] = "\n",
            ["\\r"] = "\r", ["\\t"] = "\t", ["\\u0041"] = "A", ["\\u007f"] = "\127", ["\\u0080"] = "\194\128",
            ["\\u00e9"] = "é", ["\\u07ff"] = "\223\191", ["\\u0800"] = "\224\160\128", ["\\u20AC"] = "€",
            ["\\u20ac"] = "€", ["\\uffff"] = "\239\191\191", ["\\uD83D\\uDE00"] = "😀", ["\\ud83d\\ude00"] = "😀",
            ["\\uD800\\uDC00"] = "\240\144\128\128", ["\\uDBFF\\uDFFF"] = "\244\143\191\191",
            ["a\\nb"] = "a\nb", ['say \\"hi\\"'] = 'say "hi"', ["\\\\n"] = "\\n", ["\\\\\\\\"] = "\\\\",
        } do
            each_way(inside, function(text) assert.are.equal(value, text) end)
        end
    end)

    it("keeps NUL", function()
        each_way("a\\u0000b", function(text) assert.are.equal("a\0b", text) end)
        each_way("\\u0000", function(text) assert.are.equal("\0", text) end)
    end)

    it("has U+FFFD for half a surrogate pair", function()
        local bad = "\239\191\189"
        for inside, value in pairs {
            ["\\ud83d"] = bad, ["\\ude00"] = bad, ["\\ud83dx"] = bad .. "x", ["\\ud83d\\n"] = bad .. "\n",
            ["\\ud83d\\u0041"] = bad .. "A", ["\\ud83d\\ud83d\\ude00"] = bad .. "😀", ["\\ude00\\ud83d"] = bad .. bad,
            ["\\ud83d\\ud83d"] = bad .. bad, ["\\udfff\\udc00"] = bad .. bad, ["\\ud83d\\u00e9"] = bad .. "é",
        } do
            each_way(inside, function(text) assert.are.equal(value, text) end)
        end
    end)

    it("is passed on byte for byte, be it UTF-8 or not", function()
        for _, inside in ipairs {
            "\127", "\128", "\192\128", "\237\160\128", "\244\144\128\128", "\255\254", "\195", "नमस्ते 😀",
            "{\"" and "{}[],:", "&apos;", "//", "/* */",
        } do
            each_way(inside, function(text) assert.are.equal(inside, text) end)
        end
        local all = {}
        for b = 0x20, 0xff do
            if b ~= 0x22 and b ~= 0x5c then all[#all + 1] = string.char(b) end
        end
        all = table.concat(all)
        each_way(all, function(text) assert.are.equal(all, text) end)
    end)

    it("is found to end at any distance, with an escape at any", function()
        for length = 0, 130 do
            local plain = ("x"):rep(length)
            assert.are.equal(plain, (decode('"' .. plain .. '"')))
            assert.are.equal(plain, decode('["' .. plain .. '",0' .. (" "):rep(200) .. "]")[1])
            for at = 0, length do
                local a, b = plain:sub(1, at), plain:sub(at + 1)
                assert.are.equal(a .. "\n" .. b, (decode('"' .. a .. "\\n" .. b .. '"')))
            end
        end
    end)

    it("is unescaped at any density", function()
        for gap = 0, 40 do
            for count = 1, 60, 7 do
                for escape, char in pairs {
                    ["\\n"] = "\n", ["\\u00e9"] = "é", ["\\ud83d\\ude00"] = "😀", ['\\"'] = '"',
                } do
                    local run = ("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"):sub(1, gap)
                    local value = decode('["' .. (run .. escape):rep(count) .. run .. '", "after"]')
                    assert.are.equal((run .. char):rep(count) .. run, value[1])
                    assert.are.equal("after", value[2])
                end
            end
        end
    end)

    it("has no control characters and no other escapes", function()
        for b = 0, 0x1f do
            refuses('["' .. string.char(b) .. '"]', "control character in a string at byte 3")
            refuses('["0123456789abcdef' .. string.char(b) .. '"]', "control character in a string at byte 19")
            refuses('["\\n0123456789abcdef' .. string.char(b) .. '"]', "control character in a string at byte 21")
        end
        for b = 0, 255 do
            if not ('"\\/bfnrtu'):find(string.char(b), 1, true) then
                refuses('["\\' .. string.char(b) .. '"]', "invalid escape at byte 3")
                refuses('["' .. ("\\n"):rep(30) .. "\\" .. string.char(b) .. '"]', "invalid escape at byte 63")
            end
        end
        for _, inside in ipairs {
            "\\u", "\\u1", "\\u12", "\\u123", "\\u123g", "\\u-123", "\\u 123", "\\U0041", "\\ud83d\\u",
            "\\ud83d\\u12",
        } do
            refuses('["' .. inside .. '"]')
            refuses('["' .. inside .. '                    "]')
        end
    end)

    it("must end", function()
        refuses('"', "unexpected end at byte 2")
        refuses('"abc', "unexpected end at byte 5")
        refuses('"abc\\', "invalid escape at byte 5")
        refuses('"abc\\"', "unexpected end at byte 7")
        refuses('"abc\\u00e', "invalid escape at byte 5")
    end)
end)

describe("values", function()
    it("are null, true and false", function()
        assert.are.equal(null, (decode "null"))
        assert.are.equal(cjson.null, null)
        assert.are.equal(true, (decode "true"))
        assert.are.equal(false, (decode "false"))
        for _, text in ipairs {
            "nul", "nulls", "Null", "NULL", "tru", "True", "truefalse", "fals", "falsee", "nil", "undefined",
        } do
            refuses(text)
            refuses("[" .. text .. "]")
            refuses("[" .. text .. (" "):rep(100) .. "]")
        end
    end)

    it("are told apart when empty", function()
        assert.are.equal(array_mt, getmetatable((decode "[]")))
        assert.is_nil(getmetatable((decode "{}")))
        local value = decode ' { "a" : [ ] , "o" : { } , "l" : [ [ ] , { } ] } '
        assert.are.equal(array_mt, getmetatable(value.a))
        assert.is_nil(getmetatable(value.o))
        assert.are.equal(array_mt, getmetatable(value.l))
        assert.are.equal(array_mt, getmetatable(value.l[1]))
        assert.is_nil(getmetatable(value.l[2]))
    end)

    it("are the last of a name", function()
        assert.are.same({ a = 2 }, (decode '{"a":1,"a":2}'))
        assert.are.same({ a = 3, b = 1 }, (decode '{"a":1,"b":1,"a":{"x":1},"a":3}'))
        local text = '[{"a":1,"a":2},{"a":1,"a":2},{"a":1,"a":2},{"a":1,"a":"x"},{"a":0}' .. (" "):rep(200) .. "]"
        local list = decode(text)
        assert.are.same({ { a = 2 }, { a = 2 }, { a = 2 }, { a = "x" }, { a = 0 } }, list)
    end)

    it("may have blanks around, and those four only", function()
        assert.are.same({ a = { 1, 2 } }, decode ' \t\r\n{ \n"a"\t:\r[ 1 \n,\t2 ] } \r\n')
        for _, blank in ipairs { "\f", "\v", "\0", "\194\160", "\239\187\191", "\226\128\168" } do
            refuses(blank .. "1")
            refuses("1" .. blank)
            refuses("[" .. blank .. "1]")
            refuses("[1" .. blank .. "]")
            refuses('{"a"' .. blank .. ":1}")
        end
    end)

    it("are refused where the grammar is", function()
        for text, message in pairs {
            [""] = "unexpected end at byte 1", [" "] = "unexpected end at byte 2",
            ["["] = "unexpected end at byte 2", ["{"] = "unexpected end at byte 2",
            ["[1"] = "unexpected end at byte 3", ["[1,"] = "unexpected end at byte 4",
            ["]"] = "expected a value at byte 1", ["}"] = "expected a value at byte 1",
            [","] = "expected a value at byte 1", [":"] = "expected a value at byte 1",
            ["[,]"] = "expected a value at byte 2", ["[1,]"] = "expected a value at byte 4",
            ["[1,,2]"] = "expected a value at byte 4", ["[1 2]"] = "expected ',' or ']' at byte 4",
            ["[1}"] = "expected ',' or ']' at byte 3", ["[1:2]"] = "expected ',' or ']' at byte 3",
            ["{,}"] = "expected a member name at byte 2", ['{"a":1,}'] = "expected a member name at byte 8",
            ['{"a"}'] = "expected ':' at byte 5", ['{"a":}'] = "expected a value at byte 6",
            ['{"a" 1}'] = "expected ':' at byte 6", ["{a:1}"] = "expected a member name at byte 2",
            ["{1:1}"] = "expected a member name at byte 2", ['{"a":1]'] = "expected ',' or '}' at byte 7",
            ['{"a":1 "b":2}'] = "expected ',' or '}' at byte 8", ["'a'"] = "expected a value at byte 1",
            ["{}{}"] = "unexpected text after the value at byte 3",
            ["[] x"] = "unexpected text after the value at byte 4",
            ["{} // x"] = "unexpected text after the value at byte 4", ["/**/1"] = "expected a value at byte 1",
            ["[1/**/]"] = "expected ',' or ']' at byte 3", ["{}\0"] = "unexpected text after the value at byte 3",
            ["<html>"] = "expected a value at byte 1",
        } do
            refuses(text, message)
        end
    end)

    it("need their commas, also where a bracket stands before the same name elsewhere", function()
        local text = '[{"b":1,"c":2},{"b":1,"c":2},{"x":1{"b":1,"c":2}]' .. (" "):rep(300)
        refuses(text, "expected ',' or '}' at byte 36")
        refuses(('[{"h":%s}]'):format(text), "expected ',' or '}' at byte 42")
    end)

    it("may be nested 1000 deep", function()
        for _, pair in ipairs { { "[", "]" }, { '{"a":', "}" }, { '[{"a":', "}]" } } do
            local per = #pair[2]
            local n = 1000 / per
            local text = pair[1]:rep(n) .. "1" .. pair[2]:rep(n)
            local value, depth = assert(decode(text)), 0
            while type(value) == "table" do
                value, depth = value[1] or value.a, depth + 1
            end
            assert.are.equal(1000, depth)
            -- The 1001st opening bracket is where it says so.
            local deeper, at = "[" .. text .. "]", 0
            for _ = 1, 1001 do
                at = deeper:find("[%[{]", at + 1)
            end
            refuses(deeper, ("nested too deeply at byte %d"):format(at), "depth")
            assert.is_true(probe.skip(text))
            assert.are.equal("depth", (select(3, probe.skip("[" .. text .. "]"))))
        end
        refuses(("["):rep(1001), "nested too deeply at byte 1001", "depth")
        refuses(("["):rep(200000), nil, "depth")
        refuses(('{"a":'):rep(200000), nil, "depth")
        refuses(('[{"":'):rep(200000), nil, "depth")
    end)
end)

describe("compared with lua-cjson", function()
    -- Where it differs on purpose, tested above: integers are integers, and
    -- beyond 2^53 keep their digits; [] is not {}; half a surrogate pair is no
    -- failure; NaN, Infinity, 0x10, 01 and control characters are; so is what
    -- follows a NUL.
    it("builds the same from random documents", function()
        for seed = 1, 2000 * share do
            local text = documents.value(seed, seed % 5 + 1)
            local ours, message = decode(text)
            if message then error(("seed %d: %s: %s"):format(seed, message, near(text, message))) end
            local where = difference(ours, cjson.decode("[" .. text .. "]")[1])
            if where then error(("seed %d: %s"):format(seed, where)) end
        end
    end)

    it("builds the same from lists of records", function()
        for seed = 1, 200 * share do
            local text = documents.records(seed, seed % 20 + 1)
            local theirs = cjson.decode(text)
            local where = difference(assert(decode(text)), theirs)
            if where then error(("seed %d: %s"):format(seed, where)) end
            local _, ids = probe.tickets(text)
            for _, slice in ipairs { 1, 2, 7, seed % 10 == 0 and 0 or 3 } do
                local list, same, asides = probe.tickets(text, nil, slice)
                where = difference(setmetatable(assert(list), array_mt), theirs)
                if where then error(("seed %d in slices of %d: %s"):format(seed, slice, where)) end
                assert.are.same(ids, same)
                assert.is_true(slice == 0 or asides == 0)
            end
        end
    end)

    it("builds the same when put aside at every turn, fields and ids as well", function()
        local asides = 0
        local list = { "a", "status.id", "date.a.b", "task_details" }
        for seed = 1, 600 * share do
            local text = "[" .. documents.value(seed, seed % 5 + 1) .. "]"
            for _, fields in ipairs { false, list } do
                local whole, ids = probe.tickets(text, fields or nil)
                local slices, same, n = probe.tickets(text, fields or nil, 0)
                local where = difference(slices[1], whole[1])
                if where then error(("seed %d: %s"):format(seed, where)) end
                assert.are.same(ids, same)
                asides = asides + n
            end
        end
        assert.is_true(asides > 5000 * share, asides)
        for depth = 990, 1001 do
            local text = ("["):rep(depth) .. "1,2" .. ("]"):rep(depth)
            local whole, why = probe.tickets(text)
            local slices, why2 = probe.tickets(text, nil, 0)
            assert.are.equal(depth <= 1000, whole ~= nil)
            assert.are.equal(whole == nil, slices == nil)
            if not whole then assert.are.equal(why, why2) end
        end
    end)

    -- whoever else reads it has to be as strict
    if not cjson.stand_in then it("accepts what is JSON of damaged documents, and nothing else", function()
        local accepted, refused = 0, 0
        for seed = 1, 3000 * share do
            local whole = seed % 4 > 0 and documents.value(seed % 500, 3) or documents.records(seed % 500, 3)
            local text = documents.damage(seed, whole)
            local ours, message, kind = decode(text)
            local ok = kind == nil
            if ok ~= is_json(text) then
                error(("seed %d: %s: %s"):format(seed, message or "accepted what is no JSON", near(text, message)))
            end
            local fine, theirs = pcall(cjson.decode, "[" .. text .. "]")
            if ok and fine then
                local where = difference(ours, theirs[1])
                if where then error(("seed %d: %s"):format(seed, where)) end
                accepted = accepted + 1
            elseif ok then
                assert.is_truthy(text:find "\\u[dD][89a-fA-F]", text)
            else
                assert.is_truthy(message:find " at byte %d+$", message)
                refused = refused + 1
            end
        end
        assert.is_true(accepted > 300 * share and refused > 300 * share)
    end) end

    it("skips what it decodes", function()
        for seed = 1, 2000 * share do
            local text = documents.value(seed)
            local ok, message = probe.skip(text)
            if not ok then error(("seed %d: %s: %s"):format(seed, message, near(text, message))) end
            assert.is_true(probe.skip('["' .. text:gsub('[\\"]', "\\%0") .. '",1]'))
        end
    end)
end)

describe("large documents", function()
    it("may have more names than are remembered", function()
        local out, n = {}, 5000
        for i = 1, n do
            out[i] = ('"key%d":{"n":%d,"name%d":"v%d","list":[%d]}'):format(i, i, i % 400, i % 100, i)
        end
        local value = assert(decode("{" .. table.concat(out, ",") .. "}"))
        for i = 1, n do
            local v = value["key" .. i]
            assert.is_true(v.n == i and v["name" .. i % 400] == "v" .. i % 100 and v.list[1] == i)
        end
    end)

    it("may have sizes that are no guide to the next", function()
        local out, sizes = {}, { 0, 1, 1000, 0, 3, 70, 2, 0, 200, 1 }
        for i, size in ipairs(sizes) do
            local list, members = {}, {}
            for j = 1, size do
                list[j] = tostring(j)
                members[j] = ('"m%d":%d'):format(j, j)
            end
            out[i] = ('{"list":[%s],"map":{%s}}'):format(table.concat(list, ","), table.concat(members, ","))
        end
        local text = "[" .. table.concat(out, ",") .. "]"
        assert.is_nil(difference(assert(decode(text)), cjson.decode(text)))
    end)

    it("take no memory beyond the result", function()
        local out = {}
        for i = 1, 2000 do
            out[i] = ('{"id":"%d","status":"Pending","n":%d,"list":[%d,2,3],"o":{"a":1,"b":"%d"}}'):format(i, i, i, i)
        end
        local text = "[" .. table.concat(out, ",") .. "]"
        decode(text)
        collectgarbage()
        collectgarbage()
        collectgarbage "stop"
        local before = collectgarbage "count"
        local value = assert(decode(text))
        local peak = collectgarbage "count" - before
        collectgarbage "restart"
        collectgarbage()
        collectgarbage()
        local kept = collectgarbage "count" - before
        assert.are.equal(2000, #value)
        -- The probe's copy of the text, the Lua stack, Lua's table of strings.
        local other = #text / 1024 + 100
        assert.is_true(peak - kept < other, ("%.0f KiB at most, %.0f KiB kept"):format(peak, kept))
    end)
end)

describe("what was learned from texts before", function()
    local function members(n, name, value)
        local out = {}
        for i = 1, n do out[i] = ('"%s%d":%s'):format(name, i, value) end
        return "{" .. table.concat(out, ",") .. "}"
    end
    local blanks = (" "):rep(200) -- guesses are made this far from the end
    local texts = {
        sample, "[]" .. blanks,
        "[" .. sample:match "^%s*%[(.*)%]%s*$" .. "," .. members(3, "a", "[1,2]") .. "]" .. blanks,
        "[" .. members(60, "name", '"v"') .. "]" .. blanks, "[" .. members(400, "other", "{}") .. "]" .. blanks,
        "[" .. members(200, ("long"):rep(20), "null") .. "]" .. blanks,
        '[{"a":{"b":[]},"c":1}]' .. blanks, '[{"a":[{"b":1}],"c":{"a":{"b":2}}}]' .. blanks,
        '[{"c":1,"a":"text"}]' .. blanks, '[{"a" : {"b":[]},"\\u0063":1}]' .. blanks,
    }
    local broken = { '[{"a":{"b":[}]' .. blanks, '[{"c":1,"a":tru}]' .. blanks, "[" .. members(70, "name", '"v"') }
    local fields = { { "a.b" }, { "c", "name7" }, { "task_details.ticketId" } }

    -- As one table, whose arrays are arrays.
    local function one(text, paths)
        local list, ids = probe.tickets(text, paths)
        return list and { list = setmetatable(list, array_mt), ids = setmetatable(ids, array_mt) }
    end

    it("changes nothing in what is read", function()
        local compiled, fresh = {}, {}
        for i, paths in ipairs(fields) do compiled[i] = probe.fields(paths) end
        for i, text in ipairs(texts) do
            fresh[i] = {}
            for k = 0, #compiled do
                probe.forget()
                fresh[i][k] = assert(one(text, compiled[k]))
            end
        end
        probe.forget()
        local seed = 1
        for round = 1, 1500 do
            seed = seed * 16807 % 2147483647
            local i, k = seed % #texts + 1, math.floor(seed / 64) % 9
            if k == 8 then assert.is_nil(one(broken[round % #broken + 1])) end
            local paths = compiled[k] -- mostly none
            local got = assert(one(texts[i], paths))
            assert.is_nil(difference(got, fresh[i][paths and k or 0]), ("round %d: text %d"):format(round, i))
        end
    end)
end)

describe("the vendor's sample", function()
    it("is what its page shows", function()
        local list = assert(decode(sample))
        assert.are.equal(1, #list)
        local details = list[1].task_details
        assert.are.equal("713516551148", details.ticketId)
        assert.are.equal("530348198", ("%d"):format(details.taskId))
        if has_integers then assert.are.equal("integer", math.type(details.taskId)) end
        assert.are.equal("Kapture Dev API&apos;s", details.creatorName)
        assert.are.equal(array_mt, getmetatable(details.attachments))
        assert.is_nil(getmetatable(list[1].history))
        assert.is_nil(difference(list, cjson.decode(sample)))
        local n = 0
        for _ in pairs(details) do
            n = n + 1
        end
        assert.are.equal(46, n)
    end)

    it("is refused when cut off at any byte", function()
        local text = sample:gsub("%s+$", "")
        local fields = { "task_details.ticketId", "history" }
        for n = 0, #text - 1 do
            local part = text:sub(1, n)
            local value, message, kind = decode(part)
            assert.is_nil(value)
            assert.are.equal("syntax", kind)
            local at = tonumber(message:match " at byte (%d+)$")
            assert.is_true(at <= n + 1, message)
            assert.is_nil((probe.decode(part, fields)))
            assert.is_nil((probe.decode(part, { "nothing" })))
            assert.is_nil((probe.tickets(part)))
            assert.is_nil((probe.tickets(part, fields, 1)))
            if n % 29 == 0 then
                assert.are.same({ probe.tickets(part) }, { probe.tickets(part, nil, 0) })
            end
            assert.is_nil((probe.skip(part)))
        end
    end)

    it("is read alike at any byte's distance from the end", function()
        local list = cjson.decode(sample)
        for n = 0, 200 do
            assert.is_nil(difference(assert(decode(sample .. (" "):rep(n))), list))
        end
    end)
end)

describe("a member's name", function()
    it("is unescaped, and refused with its byte", function()
        assert.same({ ["a\0\n"] = 1 }, (probe.decode '{"a\\u0000\\n":1}'))
        local wrong = { ["{"] = 2, ['{"a'] = 4, ['{"a"'] = 5, ['{"a",'] = 5, ["{a:1}"] = 2, ['{"\\x":1}'] = 3 }
        for text, byte in pairs(wrong) do
            local none, message = probe.decode(text)
            assert.is_nil(none)
            assert.is_truthy(message:find(" at byte " .. byte .. "$"), text .. ": " .. message)
        end
    end)
end)

describe("memory that runs out", function()
    local text = '[{"id":"1","s":"a\\nb","list":[1,2,{"x":"y\\tz"}],"n":1.5},{"id":"2","s":"plain","list":[],"n":2},' ..
        '{"id":"3","s":"' .. ("long \\u00e9 "):rep(20) .. '","list":[' .. ("0,"):rep(100) .. '0],"n":null}]'

    it("at any allocation is an error that leaves nothing behind", function()
        local failures = 0
        for _, aside in ipairs { false, true } do
            for n = 0, 5000 do
                local result, left = probe.starve(text, n, aside)
                assert.are.equal(0, left)
                if result == "ok" then break end
                assert.are.equal("memory", result)
                failures = failures + 1
            end
        end
        assert.is_true(failures > 20)
    end)
end)
