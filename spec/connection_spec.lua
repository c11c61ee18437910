-- Connections: kept across calls, shared by what may share them, no others;
-- redirects are never followed.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

-- The connections that these calls used, as a set of serial numbers.
local function used(...)
    local seen, n = {}, 0
    for _, got in ipairs { ... } do
        assert.is_nil(got.message)
        for _, entry in ipairs(got.log) do
            if not seen[entry.conn] then n = n + 1 end
            seen[entry.conn] = true
        end
    end
    return n, seen
end

describe("a connection", function()
    for _, on in ipairs { "https", "https1", "http" } do
        it("is used again by the next call: " .. on, function()
            ask("1", nil, { on = on })
            local one, two, three = ask("1", nil, { on = on }), ask("2", nil, { on = on }), ask("3", nil, { on = on })
            assert.are.equal(1, (used(one, two, three)))
            assert.are.equal(one.log[1].n + 1, two.log[1].n)
        end)
    end

    it("is used again by a client's next call", function()
        local client = kapture.new(ask.opts())
        local function call(ids, opts) return client:get_ticket(ids, { base_url = opts.base_url }) end
        assert.are.equal(1, (used(ask.on(call, "1"), ask.on(call, "2"), ask.on(call, "3,4"))))
    end)

    it("is used again whatever other options, tokens and answers there are", function()
        local first = ask("1")
        local _, conns = used(first)
        ask("1", { token = "wrong" })
        ask("1", nil, "status,code=500")
        ask("1", nil, "html")
        ask("#")
        local second = ask("1", { timeout = 7, fields = { "history" }, batch_size = 3, headers = { ["X-A"] = "b" },
                                  compression = false, conversation_type = "all", hook = function() end })
        assert.is_true(conns[second.log[1].conn])
    end)

    it("is not shared by clients, nor over verify, authorities or proxies", function()
        local _, conns = used(ask("1"))
        local client = kapture.new(ask.opts())
        local function call(ids, opts) return client:get_ticket(ids, { base_url = opts.base_url }) end
        local others = {
            ask.on(call, "1"), ask("1", { verify = false }), ask("1", { ca_path = "/etc/ssl/certs" }),
        }
        for _, got in ipairs(others) do
            assert.is_nil(got.message)
            assert.is_nil(conns[got.log[1].conn])
        end
    end)

    it("lasts for the eight targets used last", function()
        local listeners = { "https", "https1", "http" }
        local function call(n, on)
            return ask("1", { proxy = "", ca_path = n > 0 and "/nonexistent" .. n or nil }, { on = on })
        end
        -- nine different ones: the first is gone, the others are not
        local all = {}
        for i = 0, 8 do all[i] = call(i, listeners[i % 3 + 1]) end
        for i = 8, 1, -1 do
            assert.are.equal(1, (used(all[i], call(i, listeners[i % 3 + 1]))), i)
        end
        local first = call(0, "https")
        assert.are.equal(2, (used(all[0], first)))
        -- of the others it pushed out the one unused for longest: the eighth
        assert.are.equal(1, (used(all[1], call(1, listeners[2]))))
        assert.are.equal(2, (used(all[8], call(8, listeners[3]))))
    end)

    it("that was closed while it was idle costs no attempt", function()
        local client = kapture.new(ask.opts())
        local key = sandbox.key()
        local base_url = sandbox.url("idleclose,ms=30", { key = key, http1 = true })
        local function call(ids) return client:get_ticket(ids, { base_url = base_url }) end
        for _ = 1, 3 do
            local tickets, info = call("1")
            assert.are.equal(1, tickets and #tickets, info)
            assert.are.equal(0, info.retries)
            local t = os.clock()
            while os.clock() - t < 0.06 do end
        end
        -- closed in answer to the very request
        for _, on in ipairs { "http", "https1" } do
            local base = sandbox.url("close,ifconn=kept,times=1,key=" .. sandbox.key(), { on = on })
            client:get_ticket("1", { base_url = sandbox.url { on = on } })
            local tickets, info = client:get_ticket("1", { base_url = base })
            assert.are.equal(1, tickets and #tickets, info)
            assert.are.equal(0, info.retries)
        end
    end)

    it("that the server ends is made anew", function()
        for _ = 1, 8 do
            local got = ask("1", nil, { on = "few" })
            assert.is_nil(got.message)
            assert.are.equal(0, got.info.retries)
        end
        for _ = 1, 3 do assert.is_nil(ask("1", nil, "lastone").message) end
        for _ = 1, 3 do assert.is_nil(ask("1", nil, "http10").message) end
    end)

    it("survives a failed call", function()
        local client = kapture.new(ask.opts())
        for _, fault in ipairs { "reset", "close", "truncate", "garbage", "stall,s=5", "empty" } do
            client:get_ticket("1", { base_url = sandbox.url(fault), timeout = 0.3 })
            assert.are.equal(1, #client:get_ticket("1"))
        end
    end)
end)

describe("a redirect", function()
    for _, code in ipairs { 301, 302, 303, 307, 308 } do
        it("is not followed: " .. code, function()
            for _, to in ipairs { "self", "other", "loop" } do
                local got = ask("1", { retries = 2, backoff = 0 }, ("redirect,code=%d,to=%s"):format(code, to))
                assert.are.equal("protocol", got.err.kind)
                assert.are.equal(code, got.err.status)
                assert.is_false(got.err.retryable)
                assert.are.equal(1, got.err.attempts)
                assert.are.equal(1, #got.log)
                assert.are.equal(0, #sandbox.requests(got.key .. "to"))
            end
        end)
    end
end)

-- What HTTP/2 has swallowed is fetched on a connection of its own, and libcurl
-- once thought that the others could share it.
describe("requests beside one that is fetched over HTTP/1.1", function()
    it("stay on their own connections, with their own answers", function()
        local calls = require "spec.support.calls"
        for round = 1, 5 do
            local ids = sandbox.ids(600, round * 1000)
            local options, key = calls.options({ "close,scope=stream,times=200", "delay,ms=5,jitter=30" },
                { concurrency = 64, retries = 0, partial = true, batch_size = 1 })
            local client = kapture.new(options)
            local tickets, info = assert(client:get_ticket(ids))
            client:close()
            for id, as in pairs(calls.account(ids, tickets, info.missing, info.failed)) do
                assert.is_true(as ~= "missing", id)
            end
            local plain = 0
            for _, request in ipairs(sandbox.requests(key)) do
                if request.proto == "HTTP/1.1" then plain = plain + 1 end
            end
            assert.is_true(plain <= 200, plain)
        end
    end)
end)
