-- Failures that are over a second later, told from those that are not: what breaks
-- off, in the TLS handshake or in a body; what a status says though the body can't
-- be read; how long a server asks to be left alone.
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"
local server = require "spec.support.server"
local sleep = require("kapture_host").sleep

local function options(s, scheme, extra)
    local o = { base_url = s[scheme], token = "s3cret", ca_file = sandbox.ca, retries = 0, backoff = 0 }
    for name, value in pairs(extra or {}) do o[name] = value end
    return o
end

-- A call on a client of its own: its error, or its tickets and info.
local function ask(s, scheme, extra, ids)
    local client = kapture.new(options(s, scheme, extra))
    local tickets, info, err = client:get_ticket(ids or "1")
    client:close()
    return err, tickets, info
end

local ANSWER = "for r in c:requests() do c:answer(r.ids) end"
local ways = {
    blocking = function(client, ids) return client:get_ticket(ids) end,
    submitted = function(client, ids) return client:submit(ids):wait(20) end,
    iterated = function(client, ids)
        local list = {}
        for _, ticket, err in client:tickets(ids) do
            if not ticket then return nil, err.message, err end
            list[#list + 1] = ticket
        end
        return list
    end,
}

-- What happens on the first connection; the next ones are well. All ways, one id
-- and fifty, bring every ticket.
local function passes(scheme, first)
    for name, way in pairs(ways) do
        for _, count in ipairs { 1, 50 } do
            local s = server(("if n == 1 then %s return end %s %s"):format(first, scheme == "https" and "c:tls()" or "",
                ANSWER))
            local client = kapture.new(options(s, scheme, { retries = 1, batch_size = 10 }))
            local tickets, message = way(client, sandbox.ids(count))
            assert(tickets, name .. ": " .. tostring(message))
            assert.equal(count, #tickets)
            client:close()
            s.stop()
        end
    end
end

describe("a TLS handshake", function()
    local HELLO = "c.tcp:settimeout(0.1) c.tcp:receive(5000) "
    local broken = {
        ["closed before a byte"] = "",
        ["reset before a byte"] = "c:reset()",
        ["closed after the client's hello"] = HELLO,
        ["reset after the client's hello"] = HELLO .. "c:reset()",
        ["closed in the server's hello"] = HELLO .. [[c.tcp:send "\22\3\3\0\100\2\0\0\96\3\3abcd"]],
        ["reset in the server's hello"] = HELLO ..
            [[c.tcp:send "\22\3\3\0\100\2\0\0\96\3\3abcd" c:sleep(0.05) c:reset()]],
        ["closed right behind it, TLS 1.2"] = "c:tls { protocol = 'tlsv1_2' }",
        ["closed right behind it, TLS 1.3"] = "c:tls { protocol = 'tlsv1_3' }",
        ["reset right behind it, TLS 1.3"] = "c:tls { protocol = 'tlsv1_3' } c:reset()",
    }
    for what, act in pairs(broken) do
        it(what .. " is a network failure", function()
            local s = server(act)
            local err = ask(s, "https", { retries = 2 })
            assert.equal("network", err.kind, err.message)
            assert.is_true(err.retryable)
            assert.equal(3, err.attempts)
            s.stop()
        end)
    end

    it("that breaks off once is tried again", function() passes("https", HELLO .. "c:reset()") end)

    local refused = {
        ["handshake_failure"] = 40, ["protocol_version"] = 70, ["internal_error"] = 80, ["unrecognized_name"] = 112,
    }
    for alert, code in pairs(refused) do
        it("refused with the alert " .. alert .. " is a tls failure", function()
            local s = server(HELLO .. ([[c.tcp:send "\21\3\3\0\2\2\%d"]]):format(code))
            local err = ask(s, "https", { retries = 2 })
            assert.equal("tls", err.kind, err.message)
            assert.is_false(err.retryable)
            assert.equal(1, err.attempts)
            s.stop()
        end)
    end

    it("with what speaks no TLS is a tls failure", function()
        local s = server(HELLO .. [[c.tcp:send "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"]])
        assert.equal("tls", ask(s, "https").kind)
        s.stop()
    end)
end)

describe("the status decides", function()
    local unreadable = {
        ["of a wrong Content-Encoding"] = [['Content-Encoding: gzip', 'Content-Length: 6') .. '{"mess')]],
        ["of an unknown one"] = [['Content-Encoding: x-none', 'Content-Length: 6') .. '{"mess')]],
        ["cut off"] = [['Content-Length: 60') .. '{"mess')]],
        ["cut off without a byte"] = [['Content-Length: 60'))]],
        ["cut off in a chunk"] = [['Transfer-Encoding: chunked') .. '30\r\n{"mess')]],
        ["cut off, no length"] = [['X-A: b') .. '{"mess')]],
        ["too large"] = [['Content-Length: 5000') .. ('x'):rep(5000))]],
    }
    local kinds = {
        [401] = "auth", [403] = "forbidden", [404] = "not_found", [429] = "rate_limited", [503] = "server",
    }
    for _, transport in ipairs { "http", "https" } do
        for what, rest in pairs(unreadable) do
            it("where the body can't be read: " .. what .. ", " .. transport, function()
                for status, kind in pairs(kinds) do
                    local s = server(("%s for _ in c:requests() do c:send(c:head(%d, %s break end")
                        :format(transport == "https" and "c:tls()" or "", status, rest))
                    local err = ask(s, transport, { retries = 1, max_response_bytes = 1000, isolate = false })
                    assert.equal(kind, err.kind, err.message)
                    assert.equal(status, err.status)
                    local again = status == 429 or status == 503
                    assert.equal(again, err.retryable)
                    assert.equal(again and 2 or 1, err.attempts)
                    s.stop()
                end
            end)
        end
    end

    it("over HTTP/2 as well", function()
        for _, fault in ipairs { "badgzip", "encoding", "truncate" } do
            for status, kind in pairs(kinds) do
                local client = kapture.new { token = sandbox.token, ca_file = sandbox.ca, retries = 0 }
                local _, _, err = client:get_ticket("1", {
                    base_url = sandbox.url("status,code=" .. status, fault),
                })
                assert.equal(kind, err.kind, fault .. ": " .. tostring(err.message))
                client:close()
            end
        end
    end)

    it("so that a refused token is sent once", function()
        local s = server [[for _ in c:requests() do c:send(c:head(401, 'Content-Encoding: gzip', 'Content-Length: 6')
            .. '{"mess') return end]]
        local err = ask(s, "http", { retries = 5, batch_size = 1, concurrency = 1 }, sandbox.ids(30))
        assert.equal("auth", err.kind)
        assert.equal(1, #s.log())
        s.stop()
    end)

    it("and no part of a token that the body broke off in is shown", function()
        local s = server [[for _ in c:requests() do c:send(c:head(502, 'Content-Length: 99') .. 'you sent s3cr') end]]
        local err = ask(s, "http", { timeout = 0.5 })
        assert.equal("server", err.kind)
        assert.is_nil(err.body:find("s3c", 1, true))
        s.stop()
    end)
end)

describe("a body of which only the connection's end tells the length", function()
    local ends = {
        ["plain"] = { "http", "", "" },
        ["TLS 1.2 without a good-bye"] = { "https", "c:tls { protocol = 'tlsv1_2' }", "" },
        ["TLS 1.3 without a good-bye"] = { "https", "c:tls { protocol = 'tlsv1_3' }", "" },
        ["TLS with one"] = { "https", "c:tls()", "c:goodbye()" },
    }
    for what, e in pairs(ends) do
        it("and that ends early is a network failure: " .. what, function()
            for _, cut in ipairs { 1, 2, 10, 60 } do
                local s = server(("%s local r = c:request() c:send(c:head(200) .. c:tickets(r.ids):sub(1, -1 - %d)) %s")
                    :format(e[2], cut, e[3]))
                local err = ask(s, e[1])
                assert.equal("network", err.kind, err.message)
                assert.is_true(err.retryable)
                s.stop()
            end
        end)

        it("is fetched again: " .. what, function()
            passes(e[1], ("%s local r = c:request() c:send(c:head(200) .. c:tickets(r.ids):sub(1, -20)) %s")
                :format(e[2], e[3]))
        end)
    end

    it("may break off anywhere", function()
        local json = [=[[{"task_details":{"ticketId":"1","a":-1.5e+7,"b":true,"c":null,"d":"\u00e9\\"},]=]
            .. [=["history":[{}]}]]=]
        local s = server(([==[
            local r = c:request()
            c:send(c:head(200) .. ([=[%s]=]):sub(1, n))]==]):format(json))
        local client = kapture.new(options(s, "http"))
        for at = 1, #json - 1 do
            local _, message, err = client:get_ticket "1"
            assert.equal("network", err.kind, at .. " " .. json:sub(1, at) .. ": " .. tostring(message))
        end
        assert.equal(1, #assert(client:get_ticket "1"))
        client:close()
        s.stop()
    end)

    it("and that is no JSON is a protocol failure, tried once", function()
        for _, body in ipairs { "[{]", "{]", "hello", '[{"a":tru,' } do
            local s = server(([==[for _ in c:requests() do c:send(c:head(200) .. [=[%s]=]) return end]==]):format(body))
            local err = ask(s, "http", { retries = 2 })
            assert.equal("protocol", err.kind, body)
            assert.is_false(err.retryable, body)
            assert.equal(1, #s.log())
            s.stop()
        end
    end)
end)

describe("what is no answer of the service", function()
    for what, response in pairs {
        ["an empty body"] = "c:head(200, 'Content-Length: 0')",
        ["an HTML page"] = "c:head(200, 'Content-Length: 15', 'Content-Type: text/html') .. '<html>no</html>'",
        ["JSON that breaks off"] = [[c:head(200, 'Content-Length: 9') .. '[{"task_d']],
    } do
        it("is tried again: " .. what, function()
            passes("http", ("c:request() c:send(%s)"):format(response))
            local s = server(("for _ in c:requests() do c:send(%s) end"):format(response))
            local err = ask(s, "http", { retries = 2 })
            assert.equal("protocol", err.kind)
            assert.is_true(err.retryable)
            assert.equal(3, err.attempts)
            s.stop()
        end)
    end

    it("is not, where it says that the token is refused", function()
        local s = server [[for _ in c:requests() do
            c:send(c:head(200, 'Content-Length: 29') .. '<html>Invalid Auth Key</html>') end]]
        local err = ask(s, "http", { retries = 2 })
        assert.equal("auth", err.kind)
        assert.is_false(err.retryable)
        assert.equal(1, #s.log())
        s.stop()
    end)
end)

describe("a gzip body", function()
    local deflated = [[
        local function gz(text)
            local p = io.popen("printf '%%s' '" .. text .. "' | gzip -nc")
            local all = p:read "*a"
            p:close()
            return all
        end
        local r = c:request()
        local body = c:tickets(r.ids)
        local half = math.floor(#body / 2)
        local sent = %s
        c:send(c:head(200, "Content-Encoding: gzip", "Content-Length: " .. #sent) .. sent)]]
    for what, sent in pairs {
        ["of several members"] = "gz(body:sub(1, half)) .. gz(body:sub(half + 1))",
        ["with bytes behind it"] = "gz(body) .. 'trailing bytes'",
    } do
        it(what .. " is a protocol failure that says what to do", function()
            local s = server(deflated:format(sent))
            local err = ask(s, "http", { retries = 2 })
            assert.equal("protocol", err.kind, err.message)
            assert.equal(1, err.attempts)
            assert.is_false(err.retryable)
            assert.is_truthy(err.message:find("gzip", 1, true), err.message)
            assert.is_truthy(err.message:find("compression = false", 1, true), err.message)
            s.stop()
        end)
    end

    it("of one is read", function()
        local s = server(deflated:format "gz(body)")
        assert.is_nil((ask(s, "http")))
        s.stop()
    end)
end)

describe("Retry-After", function()
    local DATE = "Date: Sat, 28 Nov 2026 00:00:00 GMT"
    local function waits(...)
        local lines = {}
        for i, line in ipairs { ... } do lines[i] = ("%q"):format(line) end
        local s = server(("c:request() c:send(c:head(429, 'Content-Length: 0', %s))"):format(table.concat(lines, ", ")))
        local err = ask(s, "http", { deadline = 0.4 })
        s.stop()
        return err.retry_after, err
    end

    it("is rounded up, and of several the longest", function()
        for value, seconds in pairs {
            ["1.5"] = 2, ["2.0"] = 2, ["0.001"] = 1, ["1, 1"] = 1, ["3,7"] = 7, ["9, 4"] = 9, ["5, soon"] = 5,
            ["Sat, 28 Nov 2026 00:01:00 GMT, 7"] = 60, ["7, Sat, 28 Nov 2026 00:00:03 GMT"] = 7,
            ["Sat Nov 28 00:00:30 2026, 2"] = 30, ["Saturday, 28-Nov-26 00:00:20 GMT"] = 20,
        } do
            assert.equal(seconds, (waits(DATE, "Retry-After: " .. value)), value)
        end
        assert.equal(8, (waits("Retry-After: 8", "Retry-After: 2")))
        assert.equal(8, (waits("Retry-After: 2", "Retry-After: 8")))
        assert.equal(40, (waits(DATE, "Retry-After: 2", "Retry-After: Sat, 28 Nov 2026 00:00:40 GMT")))
    end)

    it("as a date is reckoned by the answer's own clock", function()
        for _, year in ipairs { 1999, 2026, 2037 } do
            assert.equal(5, (waits(("Retry-After: Mon, 02 Feb %d 10:00:05 GMT"):format(year),
                ("Date: Mon, 02 Feb %d 10:00:00 GMT"):format(year))))
        end
        assert.equal(0, (waits(DATE, "Retry-After: Fri, 27 Nov 2026 00:00:00 GMT")))
        -- and by ours where it has none
        local ahead = os.date("!Retry-After: %a, %d %b %Y %H:%M:%S GMT", os.time() + 100)
        local seconds = waits(ahead)
        assert.is_true(seconds > 50 and seconds <= 100, tostring(seconds))
    end)

    it("that can't be read means nothing", function()
        for _, value in ipairs { "soon", "-5", "1e3", "1.2.3", "1s", ".", "," } do
            assert.is_nil((waits(DATE, "Retry-After: " .. value)), value)
        end
    end)

    it("makes any failure but auth one that passes", function()
        for status, kind in pairs {
            [400] = "bad_request", [403] = "forbidden", [404] = "not_found", [501] = "server", [302] = "protocol",
            [401] = "auth",
        } do
            local s = server(([[for _ in c:requests() do
                c:send(c:head(%d, "Content-Length: 0", "Retry-After: 0")) end]]):format(status))
            local err = ask(s, "http", { retries = 2 })
            assert.equal(kind, err.kind)
            assert.equal(kind ~= "auth", err.retryable)
            assert.equal(kind ~= "auth" and 3 or 1, err.attempts)
            s.stop()
        end
    end)
end)

describe("a status", function()
    it("that passes is tried again", function()
        for _, status in ipairs { 408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530 } do
            for _, on in ipairs { "https", "http" } do
                local key = sandbox.key()
                local client = kapture.new { token = sandbox.token, ca_file = sandbox.ca, backoff = 0, retries = 1,
                    base_url = sandbox.url("status,code=" .. status .. ",times=1", { on = on, key = key }) }
                local tickets, info = client:get_ticket "1"
                assert.equal(1, tickets and #tickets, status .. ": " .. tostring(info))
                assert.equal(1, info.retries)
                client:close()
            end
        end
    end)

    it("of a proxy to CONNECT is tried again as well", function()
        for _, status in ipairs { 403, 404, 408, 429, 500, 502, 503, 504, 522 } do
            local s = server(([[for _ in c:requests() do c:send(c:head(%d, "Content-Length: 0")) return end]])
                :format(status))
            local err = ask({ https = sandbox.https }, "https", { proxy = s.http, retries = 2 })
            local again = status >= 500 or status == 408 or status == 429
            assert.equal("network", err.kind)
            assert.is_truthy(err.message:find(tostring(status), 1, true))
            assert.equal(again, err.retryable)
            assert.equal(again and 3 or 1, err.attempts)
            assert.equal(again and 3 or 1, #s.log())
            s.stop()
        end
    end)
end)

describe("the sandbox's own", function()
    local function call(where, extra)
        local o = { token = sandbox.token, ca_file = sandbox.ca, retries = 2, backoff = 0, base_url = where }
        for name, value in pairs(extra or {}) do o[name] = value end
        local client = kapture.new(o)
        local list = {}
        for i = 1, 3 do list[i] = { client:get_ticket(sandbox.id(i)) } end
        client:close()
        return list
    end

    it("broken handshakes are network failures", function()
        for _, listener in ipairs { "tlsreset", "tlsclose" } do
            local err = call(sandbox[listener])[1][3]
            assert.equal("network", err.kind, err.message)
            assert.equal(3, err.attempts)
        end
    end)

    it("body that ends early with its connection is one, too", function()
        local key = sandbox.key()
        local err = call(sandbox.url("http10,at=0.5", { key = key }))[1][3]
        assert.equal("network", err.kind, err.message)
        assert.equal(3, err.attempts)
        assert.is_nil(call(sandbox.url("http10,at=0.5,times=1", { key = sandbox.key() }))[1][3])
    end)

    it("gzip of several streams is a protocol failure", function()
        for _, form in ipairs { "members", "trailing" } do
            local err = call(sandbox.url("badgzip,form=" .. form))[1][3]
            assert.equal("protocol", err.kind, err.message)
            assert.equal(1, err.attempts)
            assert.is_truthy(err.message:find("compression = false", 1, true))
        end
    end)

    it("stray bytes are nobody's answer", function()
        for _, on in ipairs { "http", "https1" } do
            for _, form in ipairs { "408", "line", "response" } do
                -- before the next request goes out, and behind it
                for _, event in ipairs { "response", "request" } do
                    local o = {
                        hook = function(e)
                            if e.event == event then sleep(0.06) end
                        end,
                    }
                    for i, got in ipairs(call(sandbox.url("stray,ms=5,form=" .. form, { on = on }), o)) do
                        assert.equal(sandbox.id(i), got[1] and got[1][1].task_details.ticketId,
                            form .. ": " .. tostring(got[2]))
                        assert.equal(0, got[2].retries)
                    end
                end
            end
        end
    end)
end)
