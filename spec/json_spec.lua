-- What becomes of the JSON that arrives: integers, text, arrays; with `fields`,
-- what is skipped. The decoder's own table of documents: decode specs.
local ask = require "spec.support.ask"
local sandbox = require "spec.support.sandbox"

describe("fields", function()
    it("skips containers of both kinds that follow each other", function()
        local list = sandbox.ids(120)
        local got = ask(list, { fields = { "task_details.ticketId" }, history_type = "all", conversation_type = "all" })
        assert.is_nil(got.message)
        assert.are.equal(table.concat(list, ","), ask.ids_of(got.tickets))
        for _, ticket in ipairs(got.tickets) do
            assert.are.equal("task_details", next(ticket))
            assert.is_nil(next(ticket, "task_details"))
            assert.are.equal("ticketId", next(ticket.task_details))
        end
    end)
end)

local function percent(text)
    return (text:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- The value of field x in a ticket that the service sends so.
local function value(json)
    local body = ('[{"task_details":{"ticketId":"1"},"x":%s}]'):format(json)
    local got = ask("1", nil, "body,text=" .. percent(body))
    assert.is_nil(got.message)
    return got.tickets[1].x
end

local integers = math.type ~= nil

describe("integers", function()
    it("are exact", function()
        assert.are.equal("9007199254740991", ("%.0f"):format(value "9007199254740991"))
        assert.are.equal("530348198", tostring(value "530348198"))
        if integers then
            for _, digits in ipairs { "9007199254740993", "9223372036854775807", "-9223372036854775808", "0", "-1" } do
                local v = value(digits)
                assert.are.equal("integer", math.type(v))
                assert.are.equal(digits, tostring(v))
            end
        else
            assert.are.equal(2 ^ 53, value "9007199254740992")
            assert.are.equal("9007199254740993", value "9007199254740993")
            assert.are.equal("-9007199254740993", value "-9007199254740993")
            assert.are.equal("9223372036854775807", value "9223372036854775807")
        end
    end)

    it("over 64 bits are strings of their digits", function()
        for _, digits in ipairs {
            "9223372036854775808", "-9223372036854775809", "18446744073709551615", "123456789012345678901234567890",
        } do
            assert.are.equal(digits, value(digits))
        end
    end)

    it("that are none stay floats", function()
        assert.are.equal(1.5, value "1.5")
        assert.are.equal(100, value "1e2")
        if integers then
            assert.are.equal("float", math.type(value "1.0"))
            assert.are.equal("1.0", tostring(value "1.0"))
            assert.are.equal("float", math.type(value "1e2"))
        end
    end)
end)

describe("text", function()
    it("is passed on byte for byte", function()
        assert.are.equal("हिन्दी 😀 \255\254\128", value '"हिन्दी 😀 \255\254\128"')
        assert.are.equal("a\0b", value '"a\\u0000b"')
        assert.are.equal("\"\\/\b\f\n\r\t", value '"\\"\\\\\\/\\b\\f\\n\\r\\t"')
        assert.are.equal("😀é", value '"\\ud83d\\ude00\\u00e9"')
    end)

    it("has U+FFFD for a lone surrogate", function()
        assert.are.equal("\239\191\189", value '"\\ud83d"')
        assert.are.equal("\239\191\189x", value '"\\ude00x"')
        assert.are.equal("\239\191\189\239\191\189", value '"\\ud83d\\ud83d"')
    end)
end)

describe("containers", function()
    it("stay distinct", function()
        local kapture = require "kapture"
        assert.are.equal(kapture.array_mt, getmetatable(value "[]"))
        assert.is_nil(getmetatable(value "{}"))
        assert.are.equal(kapture.array_mt, getmetatable(value "[[]]"[1]))
    end)

    it("have the last of duplicate keys", function()
        assert.are.equal(2, value '{"a":1,"a":2}'.a)
        local got = ask("1,2", nil, "body,text=" .. percent
            '[{"task_details":{"ticketId":"9"},"task_details":{"ticketId":"1","ticketId":"2"}}]')
        assert.are.equal("2", ask.ids_of(got.tickets))
        assert.are.equal("1", got.info.missing[1])
    end)

    it("hold null where it stands", function()
        local kapture = require "kapture"
        local list = value "[1,null,3]"
        assert.are.equal(3, #list)
        assert.is_true(list[2] == kapture.null)
    end)

    if not require("cjson").stand_in then
    it("go through cjson and back, empty ones too where it has array_mt", function()
        local output = ask.child(([[
            -- a lua-cjson with array_mt, as far as that matters: the real one, which
            -- is told about empty arrays by their metatable
            local cjson = require "cjson"
            local encode = cjson.encode
            cjson.array_mt = cjson.array_mt or {}
            local kapture = require "kapture"
            assert(kapture.array_mt == cjson.array_mt)
            local tickets = assert(kapture.get_ticket("713516551148", { base_url = %q, token = %q, ca_file = %q }))
            assert(getmetatable(tickets[1].task_details.attachments) == cjson.array_mt)
            local again = cjson.decode(encode(tickets))
            print(again[1].task_details.title)
        ]]):format(sandbox.https, sandbox.token, sandbox.ca))
        assert.are.equal("TEST 1\n", output)
    end)
    end
end)
