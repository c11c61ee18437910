-- Failures: every kind, every field of the error, and the token in none of it.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local SAMPLE = "713516551148"

local function percent(text)
    return (text:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function answer(body, status)
    return ("body,code=%d,text=%s"):format(status or 200, percent(body))
end

-- On a client of its own each: one that is told to slow down makes later calls wait.
local function call(ids, opts) return kapture.new(opts):get_ticket(ids) end

local function fails(kind, status, opts, ...)
    local got = ask.on(call, SAMPLE, opts, ...)
    assert.are.equal(kind, got.err and got.err.kind or "none", got.message)
    assert.are.equal(status, got.err.status)
    assert.are.equal(got.message, got.err.message)
    return got
end

describe("the kind of a failure", function()
    it("by HTTP status", function()
        for status, kind in pairs {
            [400] = "bad_request", [401] = "auth", [403] = "forbidden", [404] = "not_found", [405] = "bad_request",
            [408] = "bad_request", [409] = "bad_request", [413] = "bad_request", [414] = "bad_request",
            [418] = "bad_request", [429] = "rate_limited", [500] = "server", [501] = "server", [502] = "server",
            [503] = "server", [504] = "server", [599] = "server", [425] = "bad_request", [520] = "server",
            [524] = "server", [525] = "server", [529] = "server", [530] = "server",
        } do
            local retryable = status == 408 or status == 425 or status == 429 or status == 500
                or status >= 502 and status <= 504 or status >= 520 and status <= 524
                or status == 529 or status == 530
            for _, body in ipairs { "json", "html", "text", "none" } do
                local got = fails(kind, status, nil, ("status,code=%d,body=%s"):format(status, body))
                assert.are.equal(retryable, got.err.retryable, status)
                assert.is_true(#got.message > 0)
                assert.is_nil(got.message:find "[%c<]")
            end
        end
    end)

    it("is auth by the service's words, whatever the status", function()
        for _, status in ipairs { 200, 400, 401, 403, 404, 500, 502 } do
            for _, words in ipairs { "Invalid Auth Key", "AuthKeyInvalid", "APIExpired" } do
                local got = fails("auth", status, nil, ("status,code=%d,message=%s"):format(status, percent(words)))
                assert.is_false(got.err.retryable)
                assert.is_truthy(got.message:find(words, 1, true), got.message)
            end
        end
    end)

    it("is auth for a wrong token, an empty one is config", function()
        assert.are.equal("Invalid Auth Key", fails("auth", 401, { token = "wrong" }).message)
        assert.are.equal("Invalid Auth Key", fails("auth", 200, { token = "wrong" }, "failed").message)
        fails("auth", 401, nil, "expired")
        for _, form in ipairs { "message", "Message", "array", "object" } do
            fails("auth", 200, { token = "wrong" }, "failed,form=" .. form)
        end
    end)

    it("is auth by these words in an object that holds no tickets, failed or not", function()
        for _, body in ipairs {
            '{"message":"Invalid Auth Key"}', '{"status":"success","message":"Invalid Auth Key"}',
            '{"status":"error","Message":"Invalid Auth Key"}', '{"status":false,"message":["Invalid Auth Key"]}',
        } do
            assert.are.equal("Invalid Auth Key", fails("auth", 200, nil, answer(body)).message)
        end
    end)

    it("is bad_request for a failed body under 200", function()
        assert.are.equal("Invalid Json.", fails("bad_request", 200, nil, answer
            '{ "message": "Invalid Json.", "status": "failed" }').message)
        assert.are.equal("no", fails("bad_request", 200, nil, answer '{"Message":"no","Status":"Failed"}').message)
        fails("bad_request", 200, nil, answer '{"status":"failed"}')
        fails("bad_request", 200, nil, answer '{"status":"failed","message":["a"]}')
        fails("bad_request", 200, nil, answer '{"status":"failed","message":{"a":"b"}}')
        fails("bad_request", 200, nil, answer '{"status":"failed","message":null}')
        fails("bad_request", 200, nil, "error,name=ReqFieldMissing")
    end)

    it("is another where its words say so", function()
        assert.is_true(fails("server", 200, nil, "error,name=ServerFailure").err.retryable)
        local got = fails("not_found", 200, nil, answer
            '{"Customer Details": "the customer does not exist here", "status": "failed"}')
        assert.are.equal("the customer does not exist here", got.message)
    end)

    it("is network", function()
        for _, fault in ipairs { "reset", "close", "truncate", "truncate,finish=reset", "truncate,framing=chunked",
                                 "reset,at=0.5" } do
            for _, on in ipairs { "https", "https1" } do
                local got = ask(SAMPLE, nil, fault, { on = on })
                assert.are.equal("network", got.err and got.err.kind or "none", fault .. " on " .. on)
                assert.is_true(got.err.retryable)
            end
        end
        for _, on in ipairs { "https1", "http" } do
            local got = ask(SAMPLE, nil, "garbage,form=cut", { on = on })
            assert.are.equal("network", got.err and got.err.kind or "none", got.message)
            assert.is_true(got.err.retryable)
            assert.are.equal(0, #got.err.tickets)
        end
        local _, _, refused = kapture.get_ticket("1", { base_url = sandbox.refused, token = "x", retries = 0 })
        assert.are.equal("network", refused.kind)
        assert.is_nil(refused.status)
        assert.are.equal(1, refused.attempts)
        local opts = { base_url = "https://nowhere.invalid", token = "x", retries = 0 }
        local _, _, nowhere = kapture.get_ticket("1", opts)
        assert.are.equal("network", nowhere.kind)
    end)

    it("is timeout", function()
        assert.is_truthy(fails("timeout", nil, { timeout = 0.2 }, "hang,s=5").message:find "%d")
        fails("timeout", 200, { timeout = 0.3 }, "stall,s=5")
        fails("timeout", nil, { deadline = 0.2 }, "hang,s=5")
        for _, where in ipairs { "stall", "blackhole" } do
            if sandbox[where] then
                local got = ask.on(kapture.get_ticket, "1", { base_url = sandbox[where], connect_timeout = 0.3 })
                assert.are.equal("timeout", got.err.kind, where)
                assert.is_true(got.err.retryable)
            end
        end
    end)

    it("is protocol for what is no JSON where a ticket should be, and names the byte", function()
        for body, byte in pairs { ["[NaN]"] = 2, ["[x"] = 2, ["[1,01]"] = 2, [ [==[["a	b"]]==] ] = 4, ["[nul]"] = 2 } do
            local got = fails("protocol", 200, nil, answer(body))
            if body ~= "[1,01]" then
                assert.is_truthy(got.message:find("at byte " .. byte, 1, true), body .. ": " .. got.message)
            end
        end
    end)

    it("is protocol", function()
        for _, fault in ipairs { "empty", "html,code=200", "notjson", "empty,code=204", "badgzip,form=noise",
                                 "badgzip,form=plain", "redirect", "encoding" } do
            assert.are.equal("protocol", (ask.kind("1", nil, fault)), fault)
        end
        for _, form in ipairs { "noise", "status", "version", "header", "nul", "chunk", "endless" } do
            assert.are.equal("protocol", (ask.kind("1", nil, "garbage,form=" .. form)), form)
        end
        for _, body in ipairs { "1", '"x"', "null", "true", "{}", '{"a":1}', "[1]", '["x"]', "[[]]", "[null]", "[{}",
                                '[{}]]', "[{},]", '{"status":"success"}', "nul", "{", "[", "\"", "", " " } do
            assert.are.equal("protocol", (ask.kind("1", nil, answer(body))), body)
        end
    end)

    it("is too_large", function()
        local got = fails("too_large", 200, { max_response_bytes = 1000 }, "oversized,bytes=1001")
        assert.is_false(got.err.retryable)
        assert.is_truthy(got.message:find "1000")
        for _, opts in ipairs { {}, { fields = { "task_details.ticketId" } } } do
            fails("too_large", 200, opts, "deep,depth=1001")
            assert.are.equal("none", (ask.kind(SAMPLE, opts, "deep,depth=1000")))
        end
    end)

    it("is invalid_ids, closed and config without anything sent", function()
        assert.are.equal("invalid_ids", (ask.kind("#")))
        assert.are.equal("config", (ask.kind("1", { token = false })))
    end)
end)

describe("an error", function()
    it("has the documented fields", function()
        local got = fails("server", 503, { retries = 1, backoff = 0 }, "retry-after,code=503,after=0")
        local err = got.err
        assert.is_true(err.retryable)
        assert.are.equal(2, err.attempts)
        assert.are.equal(0, err.retry_after)
        assert.are.equal(SAMPLE, err.ids[1])
        assert.are.equal(1, #err.ids)
        assert.are.equal(0, #err.tickets)
        assert.are.equal(0, #err.missing)
        assert.are.equal(1, #err.failed)
        local one = err.failed[1]
        assert.are.equal("server", one.kind)
        assert.are.equal(503, one.status)
        assert.are.equal(got.message, one.message)
        assert.are.equal(SAMPLE, one.ids[1])
        assert.are.equal("string", type(err.body))
    end)

    it("has retry_after in seconds", function()
        assert.are.equal(7, fails("rate_limited", 429, nil, "retry-after,after=7").err.retry_after)
        assert.is_nil(fails("rate_limited", 429, nil, "status,code=429").err.retry_after)
        assert.is_nil(fails("rate_limited", 429, nil, "retry-after,after=soon").err.retry_after)
        for _, form in ipairs { "date", "rfc850", "asctime" } do
            local after = fails("rate_limited", 429, nil, "retry-after,after=50,form=" .. form).err.retry_after
            assert.is_true(after > 40 and after <= 51, form)
        end
    end)

    it("has what other batches brought", function()
        local got = ask("1,2,4049999999,3", { batch_size = 1 }, "badid,id=2,status=403")
        assert.are.equal("forbidden", got.err.kind)
        assert.are.equal("1,3", ask.ids_of(got.err.tickets))
        assert.are.equal("4049999999", got.err.missing[1])
        assert.are.equal("2", table.concat(got.err.ids, ","))
        assert.are.equal(1, #got.err.failed)
    end)

    it("has at most the first 512 bytes of the body, as they came", function()
        local page = fails("server", 502, nil, "html").err.body
        assert.is_truthy(page:find "<")
        assert.is_true(#page <= 512)
        local long = ("0123456789"):rep(200)
        local got = fails("protocol", 200, nil, answer(long))
        assert.are.equal(long:sub(1, 512), got.err.body)
        local odd = "\1\255<\128>"
        assert.are.equal(odd, fails("protocol", 200, nil, answer(odd)).err.body)
        local escaped = [[{"status":"failed","message":"a\/b\u0041\n"}]]
        got = fails("bad_request", 200, nil, answer(escaped))
        assert.are.equal(escaped, got.err.body)
        assert.are.equal("a/bA", got.message)
        assert.is_nil(fails("server", 500, nil, "status,code=500,body=none").err.body)
    end)

    it("has a message of one line and of a bounded length", function()
        local words = ("multi\\nline\\u0000 \\u001b[31m "):rep(100)
        local got = fails("bad_request", 400, nil, answer('{"status":"failed","message":"' .. words .. '"}', 400))
        assert.is_nil(got.message:find "%c")
        assert.is_true(#got.message < 600 and #got.message > 100)
        got = fails("bad_request", 400, nil, answer('{"message":"  "}', 400))
        assert.are.equal("HTTP 400 Bad Request", got.message)
        got = fails("bad_request", 400, nil, answer('{"message":"' .. ("é"):rep(400) .. '"}', 400))
        assert.are.equal(0, #got.message % 2)
    end)

    it("has the service's words, also from a list or an object", function()
        for _, message in ipairs {
            '["no"]', '["no","x"]', '{"error":"no"}', '[{"n":1,"error":"no"}]', '{"message":"no"}',
        } do
            for _, status in ipairs { 200, 400 } do
                local body = ('{"status":"failed","message":%s}'):format(message)
                assert.are.equal("no", fails("bad_request", status, nil, answer(body, status)).message)
            end
        end
        for _, none in ipairs { "[]", "[1]", "{}", '[[["x"]]]', "null", '{"a":[]}' } do
            local body = ('{"status":"failed","message":%s}'):format(none)
            assert.are.equal("HTTP 200", fails("bad_request", 200, nil, answer(body)).message)
        end
        local got = fails("protocol", 200, nil, answer '{"status":"error","message":"broken"}')
        assert.is_truthy(got.message:find "broken")
    end)

    it("is its message to print, and to whoever raises it", function()
        local err = fails("bad_request", 200, nil, answer '{"status":"failed","message":"No such thing"}').err
        assert.are.equal("No such thing", tostring(err))
        assert.are.equal("No such thing", tostring(err.failed[1]))
        assert.is_truthy(ask.child([[
            local kapture = require "kapture"
            local _, message, err = kapture.get_ticket("a b", { token = "x", subdomain = "x" })
            print(err)
            print(tostring(err) == message, tostring(select(2, pcall(error, err))) == message)
        ]]):find "^'a b' is not an id[^\n]*\ntrue\ttrue\n$")
        for _, _, one in kapture.tickets("1", ask.opts(nil, answer '{"status":"failed","message":"No"}')) do
            assert.are.equal("No", tostring(one))
        end
        for _, _, one in kapture.tickets("4041111111,a b", ask.opts()) do
            assert.are.equal(one.message, tostring(one))
        end
        local got = ask("1,2", { partial = true, batch_size = 1 }, "badid,id=2")
        assert.are.equal(got.info.failed[1].message, tostring(got.info.failed[1]))
        -- what a caller does to it stays his
        err.message = nil
        assert.are.equal("kapture.error", tostring(err))
        err.message = {}
        assert.are.equal("kapture.error", tostring(err))
        local client = kapture.new(ask.opts())
        client:close()
        local _, message, closed = client:get_ticket "1"
        assert.are.equal(message, tostring(closed))
    end)

    it("is plain data that cjson can write", function()
        local got = fails("bad_request", 200, nil, answer '{"status":"failed"}')
        assert.is_truthy(require "cjson".encode(got.err):find '"kind":"bad_request"')
    end)
end)

-- Everything a user could print of a value, in one string.
local function everything(value, seen)
    seen = seen or {}
    if type(value) ~= "table" then return tostring(value) .. "\n" end
    if seen[value] then return "" end
    seen[value] = true
    local parts = {}
    for k, v in pairs(value) do parts[#parts + 1] = everything(k, seen) .. everything(v, seen) end
    return table.concat(parts)
end

local function forms_of(token)
    local function each(format)
        return (token:gsub("[^%w]", function(c) return (format:format(c:byte())) end))
    end
    return { token, (token:gsub("/", "\\/")), each "\\u%04x", each "\\u%04X", each "%%%02X", each "%%%02x",
             each "&#%d;", each "&#x%x;",
             (token:gsub("[+/=]", { ["+"] = "&plus;", ["/"] = "&sol;", ["="] = "&equals;" })) }
end

describe("the token", function()
    local token = "a+b/c=Zm9v/YmFy+YmF6=="

    local function events_of(opts)
        local seen = {}
        opts.hook = function(event) seen[#seen + 1] = everything(event) end
        return seen
    end

    local function absent(text, what)
        for _, form in ipairs(forms_of(token)) do assert.is_nil(text:find(form, 1, true), what or text) end
        assert.is_nil(text:find("Zm9v", 1, true), what or text)
    end

    it("is in no failure, however the service writes it back", function()
        for _, form in ipairs(forms_of(token)) do
            for _, status in ipairs { 200, 401, 502 } do
                for _, body in ipairs {
                    '{"status":"failed","message":"bad token ' .. form .. ' (Basic ' .. form .. ')"}',
                    '{"status":"failed","x":"' .. form .. '"}',
                    '{"status":"success","message":"' .. form .. '"}',
                    "<html>" .. form .. "</html>",
                    form,
                } do
                    local opts = { token = token }
                    local seen = events_of(opts)
                    local got = ask("1", opts, answer(body, status))
                    assert.is_truthy(got.err)
                    absent(everything(got.err), body)
                    absent(table.concat(seen), body)
                end
            end
        end
    end)

    it("is in no failure, whatever characters it is of", function()
        local names = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["'"] = "&apos;", ['"'] = "&quot;" }
        for _, odd in ipairs { "Zm9v\195\169+\255Zm9v", "Zm9v&<Zm9v>'\"", "Zm9v&amp;&#61;Zm9v", "Zm9v\\\\Zm9v%3D" } do
            local named = odd:gsub("[&<>'\"]", names)
            for _, form in ipairs { odd, percent(odd), named } do
                for _, body in ipairs { form, "<p>" .. form .. "</p>", form:rep(30) } do
                    local err = ask("1", { token = odd }, answer(body, 502)).err
                    assert.are.equal("server", err.kind)
                    assert.is_nil(everything(err):find("Zm9v", 1, true), err.body)
                end
            end
        end
    end)

    it("is in no failure, wherever the body is cut", function()
        for before = 480, 530 do
            absent(everything(ask("1", { token = token }, answer(("."):rep(before) .. token .. token, 500)).err))
        end
        for _, before in ipairs { 1000, 1005, 1010, 1015, 1020, 1023 } do
            local body = token:rep(20) .. ("."):rep(before - #token * 20) .. token .. "."
            absent(everything(ask("1", { token = token }, answer(body, 500)).err))
            local json = '{"message":"' .. ("."):rep(before - 520) .. token .. '"}'
            absent(everything(ask("1", { token = token }, answer(json, 500)).err))
        end
    end)

    it("is in no failure, however long it is", function()
        local long = ("Zm9v+YmFy/"):rep(300)
        for _, text in ipairs { long, "x" .. long, '{"message":"' .. long .. '"}',
                                '{"message":"' .. long:gsub("/", "\\/") .. '"}' } do
            local got = ask("1", { token = long, timeout = 5 }, answer(text, 500))
            assert.are.equal("server", got.err.kind)
            assert.is_nil(everything(got.err):find("Zm9v", 1, true))
        end
    end)

    it("is in no failure of the sandbox's echoing gateway", function()
        for _, where in ipairs { "json", "html", "header" } do
            local opts = {}
            local seen = events_of(opts)
            local got = ask("1", opts, "echo-token,where=" .. where)
            assert.are.equal("server", got.err.kind)
            assert.is_nil(everything(got.err):find(sandbox.token, 1, true))
            assert.is_nil(table.concat(seen):find(sandbox.token, 1, true))
        end
    end)

    it("leaves three stars where it stood", function()
        local got = ask("1", { token = token }, answer('{"message":"bad ' .. token .. '!"}', 500))
        assert.are.equal("bad ***!", got.message)
        assert.are.equal('{"message":"bad ***!"}', got.err.body)
    end)

    it("is in no argument error and in no config failure", function()
        for _, opts in ipairs {
            { token = token .. "\n" }, { token = token, base_url = "http://example.com" },
            { token = token, cookie = "\n" }, { token = function() return token .. "\r\nX: y" end },
        } do
            local _, message, err = kapture.get_ticket("1", opts)
            assert.are.equal("config", err.kind)
            absent(message .. everything(err))
        end
        for _, opts in ipairs { { token = token, timeout = "x" }, { token = token, nonsense = 1 } } do
            local _, why = pcall(kapture.get_ticket, "1", opts)
            absent(why)
        end
    end)
end)
