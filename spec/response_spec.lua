-- Bad answers: no crash, no hang, a failure of the right kind; and odd answers
-- that are good ones.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local function percent(text)
    return (text:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function good(...)
    local got = ask("713516551148", nil, ...)
    assert.is_nil(got.message)
    assert.are.equal("713516551148", ask.ids_of(got.tickets))
    assert.are.equal("TEST 1", got.tickets[1].task_details.title)
    return got
end

describe("an odd answer is a good one:", function()
    for _, fault in ipairs {
        "bytes1", "drip,bytes=200,ms=1", "chunked", "identity",
        "bom", "leading,text=%20%0A%09%0D", "trailing,text=%20%0A",
        "delay,ms=20,after=headers", "type,type=text%2Fhtml", "type,type=text%2Fplain",
        "headers,n=50,bytes=200", "http10",
        "lastone", "early,n=3", "early,code=102",
    } do
        it(fault, function() good(fault) end)
    end

    it("one byte at a time, on every protocol", function()
        for _, on in ipairs { "https", "https1", "http" } do good("bytes1", { on = on }) end
    end)

    it("of 8 MB", function()
        local got = ask("1", nil, "oversized,bytes=8388608")
        assert.are.equal(1, #got.tickets)
        assert.are.equal(8388608, got.info.bytes)
    end)

    it("of max_response_bytes and no more, however it comes", function()
        for _, length in ipairs { "yes", "no", "gzip" } do
            local opts = { max_response_bytes = 5000 }
            assert.is_nil(ask("1", opts, "oversized,bytes=5000,length=" .. length).message)
            local kind, got = ask.kind("1", opts, "oversized,bytes=5001,length=" .. length)
            assert.are.equal("too_large", kind)
            assert.are.equal(200, got.err.status)
        end
        assert.are.equal("too_large", (ask.kind("1", { max_response_bytes = 1 })))
    end)
end)

describe("a bad answer:", function()
    it("a gzip bomb ends at the limit", function()
        local before = collectgarbage "count"
        local kind = ask.kind("1", { max_response_bytes = 2 ^ 20 }, "gzipbomb,bytes=104857600")
        assert.are.equal("too_large", kind)
        assert.is_true(collectgarbage "count" - before < 10000)
    end)

    it("deep nesting ends at the limit", function()
        for _, depth in ipairs { 1001, 1002, 5000, 100000 } do
            for _, opts in ipairs { {}, { fields = { "task_details" } } } do
                assert.are.equal("too_large", (ask.kind("1", opts, "deep,depth=" .. depth)), depth)
            end
        end
        for _, open in ipairs { "[", '{"a":' } do
            local kind = ask.kind("1", nil, "body,text=" .. percent(open:rep(1001)))
            assert.are.equal("too_large", kind)
        end
    end)

    it("trailing garbage is named by its byte", function()
        for _, text in ipairs { "x", "[]", ",", "]", "}", "/*x*/" } do
            local kind, got = ask.kind("1", nil, "trailing,text=" .. percent(text))
            assert.are.equal("protocol", kind, text)
            assert.is_truthy(got.message:find "byte %d+", got.message)
        end
    end)

    it("that is no JSON at all is named by its byte as well", function()
        for text, byte in pairs { ["not json"] = 1, nullx = 5, ["Service is down"] = 1, ["1."] = 3, ["\\"] = 1 } do
            local kind, got = ask.kind("1", nil, "body,text=" .. percent(text))
            assert.are.equal("protocol", kind, text)
            assert.are.equal("byte " .. byte, got.message:match "byte %d+", text .. ": " .. got.message)
        end
    end)

    it("is quoted, also where it was broken off", function()
        local got = ask("1", { max_response_bytes = 99999 }, "oversized,bytes=100000,length=no")
        assert.are.equal("too_large", got.err.kind)
        assert.are.equal(512, #got.err.body)
        got = ask("1", { timeout = 0.3 }, "stall")
        assert.are.equal("timeout", got.err.kind)
        assert.is_truthy(got.err.body:find "^%[")
    end)

    it("cut off anywhere is a failure", function()
        local body = '[{"task_details":{"ticketId":"1","n":1.5,"u":"\\u00e9","b":true},"a":[1,null]}]'
        for i = 0, #body - 1 do
            local kind = ask.kind("1", nil, "body,text=" .. percent(body:sub(1, i)))
            assert.are.equal("protocol", kind, i)
        end
        assert.are.equal("none", (ask.kind("1", nil, "body,text=" .. percent(body))))
    end)

    it("truncated by the transport is a network failure, wherever", function()
        for _, at in ipairs { 0, 1, 500, 0.5, 0.99 } do
            for _, framing in ipairs { "length", "chunked" } do
                for _, on in ipairs { "https", "https1" } do
                    local fault = ("truncate,at=%s,framing=%s"):format(at, framing)
                    assert.are.equal("network", (ask.kind("713516551148", nil, fault, "identity", { on = on })), fault)
                end
            end
        end
    end)

    it("JSON's own mistakes are named by their byte", function()
        for body, at in pairs {
            ["[{\"a\":01}]"] = true, ["[{\"a\":+1}]"] = true, ["[{\"a\":.5}]"] = true, ["[{\"a\":1.}]"] = true,
            ["[{\"a\":NaN}]"] = true, ["[{\"a\":Infinity}]"] = true, ["[{\"a\":-}]"] = true, ["[{\"a\":1e}]"] = true,
            ["[{\"a\":\"\1\"}]"] = true, ["[{\"a\":\"\n\"}]"] = true, ["[{\"a\":\"\\x\"}]"] = true,
            ["[{\"a\":\"\\u12\"}]"] = true, ["[{\"a\":tru}]"] = true, ["[{\"a\":'x'}]"] = true, ["[{a:1}]"] = true,
            ["[{\"a\" 1}]"] = true, ["[{\"a\":1,}]"] = true, ["[{\"a\":[1,]}]"] = true, ["[{\"a\":1 /* x */}]"] = true,
            ["[{\"a\":1} {\"a\":2}]"] = true, ["[,]"] = true, ["[{]}"] = true,
        } do
            local kind, got = ask.kind("1", nil, "body,text=" .. percent(body))
            assert.are.equal("protocol", kind, body)
            assert.is_truthy(at and got.message:find "byte %d+", body .. ": " .. got.message)
        end
    end)

    it("is never the next call's problem", function()
        local client = kapture.new(ask.opts())
        for _, fault in ipairs { "notjson", "badgzip", "badgzip,form=cut", "truncate", "deep",
                                 "oversized,bytes=70000000",
                                 "garbage,form=endless", "garbage,form=tls", "html", "stall,s=3", "reset,at=0.5" } do
            assert.is_nil((client:get_ticket("1", { base_url = sandbox.url(fault), timeout = 0.5 })))
            assert.are.equal(1, #assert(client:get_ticket "1"), fault)
        end
    end)

    it("of endless headers ends", function()
        assert.are.equal("protocol", (ask.kind("1", nil, "headers,n=2000,bytes=1000", { http1 = true })))
    end)

    it("of an endless body ends", function()
        assert.are.equal("too_large", (ask.kind("1", { max_response_bytes = 100000 }, "oversized,length=no")))
    end)
end)
