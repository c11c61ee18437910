-- What goes on the wire, as the sandbox has logged it.
local ask = require "spec.support.ask"
local curl = require "spec.support.curl"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local NINE = { "conversation_type", "history_type", "assigned", "disposed", "response", "landing_queue", "create",
               "resolved", "include_emailbody" }

local function logged(opts, ...)
    local got = ask("1", opts, ...)
    assert.are.equal(1, #got.log)
    return got.log[1], got
end

describe("the request", function()
    it("is a POST of JSON to the documented path, once", function()
        local entry = logged()
        assert.are.equal("POST", entry.method)
        assert.is_truthy(entry.path:find "/search%-ticket%-by%-ticket%-id%.html/v%.2%.0$")
        assert.are.equal("application/json", entry.headers["content-type"])
        assert.are.equal("right", entry.auth)
        assert.are.equal("1", entry.ids)
        assert.is_nil(entry.headers.expect)
        assert.is_nil(entry.headers.cookie)
    end)

    it("is HTTP/2 over TLS where the server has it, else HTTP/1.1", function()
        assert.are.equal("HTTP/2.0", logged().proto)
        assert.are.equal("HTTP/1.1", logged(nil, { on = "https1" }).proto)
        assert.are.equal("HTTP/1.1", logged(nil, { on = "http" }).proto)
        assert.is_truthy(logged().tls:find "^TLSv1%.[23]$")
    end)

    it("has all nine fields, empty", function()
        local entry = logged()
        local n = 0
        for _, name in ipairs(NINE) do assert.are.equal("", entry.fields[name], name) end
        for _ in pairs(entry.fields) do n = n + 1 end
        assert.are.equal(9, n)
    end)

    for _, name in ipairs(NINE) do
        it("has " .. name .. " as a string", function()
            for _, pair in ipairs {
                { "all", "all" }, { true, "true" }, { false, "false" }, { 3, "3" }, { 3.0, "3" }, { -7, "-7" },
                { 1.5, "1.5" }, { 2 ^ 53, "9007199254740992" }, { "", "" },
            } do
                assert.are.equal(pair[2], logged({ [name] = pair[1] }).fields[name])
            end
        end)
    end

    it("has integers to their last digit", function()
        local most = math.maxinteger or 2 ^ 53
        local digits = math.maxinteger and "9223372036854775807" or "9007199254740992"
        assert.are.equal(digits, logged({ assigned = most }).fields.assigned)
    end)

    it("has any text as it is", function()
        local all = { "\"\\/\b\f\n\r\t\127", "हिन्दी 😀", "'; DROP", "a\\u0041", "</script>" }
        for c = 1, 31 do all[#all + 1] = string.char(c) end
        for _, text in ipairs(all) do assert.are.equal(text, logged({ create = text }).fields.create) end
        local long = ("x\"y"):rep(20000)
        assert.are.equal(long, logged({ create = long }).fields.create)
    end)

    it("refuses a NUL in a field", function()
        assert.has_error(function() kapture.get_ticket("1", { create = "a\0b" }) end)
    end)

    it("has what is in body beside them", function()
        local entry = logged {
            body = {
                read_ticket_history_details = "1", number = 5, flag = true, list = { 1, 2 },
                deep = { a = { b = "ü\"" } },
            },
            assigned = "x",
        }
        assert.are.equal("1", entry.fields.read_ticket_history_details)
        assert.are.equal(5, entry.fields.number)
        assert.is_true(entry.fields.flag)
        assert.are.same({ 1, 2 }, entry.fields.list)
        assert.are.equal("ü\"", entry.fields.deep.a.b)
        assert.are.equal("x", entry.fields.assigned)
        assert.are.equal("", entry.fields.create)
        assert.are.equal("1", entry.ids)
    end)

    it("has nothing more for an empty body", function()
        local n = 0
        for _ in pairs(logged({ body = {} }).fields) do n = n + 1 end
        assert.are.equal(9, n)
    end)

    it("has the cookie that was given", function()
        local cookie = "JSESSIONID=; _KAPTURECRM_SESSION="
        assert.are.equal(cookie, logged({ cookie = cookie }).headers.cookie)
        assert.is_nil(logged({ cookie = "" }).headers.cookie)
    end)

    it("keeps no cookie that the service set", function()
        local client = kapture.new(ask.opts())
        for _ = 1, 2 do
            local got = ask.on(function(ids, o) return client:get_ticket(ids, { base_url = o.base_url }) end, "1")
            assert.is_nil(got.log[1].headers.cookie)
        end
    end)

    it("has the headers that were given", function()
        local entry = logged { headers = {
            ["X-Digits"] = 123456789012345,
            ["x-api-key"] = "abc def", ["X-API-Type"] = "TICKET", ["X-Number"] = 7, ["X-Empty"] = "", ["X-Utf8"] = "é",
            ["Accept"] = "application/json", ["X-Colon"] = "a: b; c", ["X-Semi"] = ";", ["X-At"] = "@/etc/passwd",
        } }
        local h = entry.headers
        assert.are.equal("123456789012345", h["x-digits"])
        assert.are.equal("abc def", h["x-api-key"])
        assert.are.equal("TICKET", h["x-api-type"])
        assert.are.equal("7", h["x-number"])
        assert.are.equal("", h["x-empty"])
        assert.are.equal("é", h["x-utf8"])
        assert.are.equal("application/json", h.accept)
        assert.are.equal("a: b; c", h["x-colon"])
        assert.are.equal(";", h["x-semi"])
        assert.are.equal("@/etc/passwd", h["x-at"])
    end)

    it("has a user agent, this module's or one's own", function()
        assert.are.equal("kapture-lua/" .. kapture.version().kapture, logged().agent)
        local reference = assert(io.open "doc/reference.md")
        assert.is_truthy(reference:read "*a":find("| `kapture-lua/<version>` |", 1, true))
        reference:close()
        assert.are.equal("mine/1.0", logged({ user_agent = "mine/1.0" }).agent)
        assert.are.equal("", logged({ user_agent = "" }).agent)
    end)

    it("asks for compression unless told not to", function()
        local on, off = logged(), logged { compression = false }
        assert.is_truthy(on.headers["accept-encoding"]:find "gzip")
        assert.is_nil(off.headers["accept-encoding"])
    end)

    it("asks for all that libcurl can decode, and for it once", function()
        local key = sandbox.key()
        local url = sandbox.url { on = "https1", key = key }
        assert.are.equal(200, curl.post(url, "1", { more = "--compressed" }).status)
        local theirs = sandbox.requests(key)[1].headers["accept-encoding"]
        for _, on in ipairs { "https", "https1", "http" } do
            assert.are.equal(theirs, logged(nil, { on = on }).headers["accept-encoding"])
        end
        -- a handle that is used again, with and without
        local client = kapture.new(ask.opts(nil, { key = key }))
        for i = 1, 6 do
            assert(client:get_ticket("1", i % 3 == 0 and { compression = false } or nil))
            local log = sandbox.requests(key)
            assert.are.equal(i % 3 ~= 0 and theirs or nil, log[#log].headers["accept-encoding"])
        end
    end)

    it("brings the same tickets compressed or not", function()
        local list = sandbox.ids(20)
        local on = ask(list, nil)
        local off = ask(list, { compression = false })
        assert.are.same(on.tickets, off.tickets)
        assert.are.equal(on.info.bytes, off.info.bytes)
        assert.are.equal(off.info.bytes, off.log[1].sent)
    end)
end)

describe("the token", function()
    it("goes as it is, and a leading Basic is taken off", function()
        for _, form in ipairs { "%s", "Basic %s", "basic %s", "BASIC   %s", " Basic %s", "%s  " } do
            assert.are.equal("right", logged({ token = form:format(sandbox.token) }).auth, form)
        end
    end)

    it("may come from a function, once a call", function()
        local calls = 0
        local function token()
            calls = calls + 1
            return sandbox.token
        end
        assert.are.equal("right", logged({ token = token }).auth)
        assert.are.equal(1, calls)
        local client = kapture.new(ask.opts({ token = token, retries = 2, backoff = 0, batch_size = 1 },
            "status,code=503,times=1,key=" .. sandbox.key()))
        assert.are.equal(3, #client:get_ticket "1,2,3")
        assert.are.equal(2, calls)
        client:get_ticket "1"
        assert.are.equal(3, calls)
    end)

    it("from a function may change from call to call", function()
        local token = "wrong"
        local client = kapture.new(ask.opts { token = function() return token end })
        assert.are.equal("auth", select(3, client:get_ticket "1").kind)
        token = "Basic " .. sandbox.token
        assert.are.equal(1, #client:get_ticket "1")
    end)

    it("of a call comes before the client's, whichever is a function", function()
        local function wrong() return "wrong" end
        local function right() return sandbox.token end
        for _, pair in ipairs {
            { wrong, right }, { wrong, sandbox.token }, { "wrong", right }, { "wrong", sandbox.token },
        } do
            local client = kapture.new(ask.opts { token = pair[1] })
            assert.are.equal(1, #(client:get_ticket("1", { token = pair[2] }) or {}))
            assert.are.equal("auth", select(3, client:get_ticket "1").kind)
        end
    end)

    it("function may call the client, collect, and fetch", function()
        local client
        client = kapture.new(ask.opts { token = function()
            collectgarbage()
            local tickets = client:get_ticket("2", { token = sandbox.token })
            assert(#tickets == 1)
            return sandbox.token
        end })
        assert.are.equal(1, #client:get_ticket "1")
    end)

    it("function may close the client", function()
        local client
        client = kapture.new(ask.opts { token = function()
            client:close()
            return sandbox.token
        end })
        assert.are.equal("closed", select(3, client:get_ticket "1").kind)
    end)
end)
