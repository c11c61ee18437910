-- HTTPS through a real HTTP proxy: CONNECT, its authentication, no_proxy; and
-- its name and password nowhere but in what is sent to it.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local new_proxy = require "spec.support.proxy"
local sandbox = require "spec.support.sandbox"

-- Every string in a value, metatables left aside, in one.
local function all_text(value, seen)
    seen = seen or {}
    if type(value) ~= "table" then return tostring(value) end
    if seen[value] then return "" end
    seen[value] = true
    local list = {}
    for k, v in pairs(value) do list[#list + 1] = all_text(k, seen) .. "=" .. all_text(v, seen) end
    return table.concat(list, "\n")
end

describe("a proxy", function()
    local proxy
    setup(function() proxy = new_proxy {} end)
    teardown(function() proxy.stop() end)

    it("carries https in a tunnel", function()
        for _, form in ipairs { "http://%s", "%s" } do
            local got = ask("1", { proxy = form:format(proxy.address) })
            assert.is_nil(got.message)
            assert.are.equal(1, #got.tickets)
            assert.are.equal("right", got.log[1].auth)
            assert.are.equal("https", got.log[1].listener)
        end
        assert.is_truthy(proxy.log():find("CONNECT localhost:" .. sandbox.https:match "%d+$", 1, true))
        assert.is_nil(proxy.log():find(sandbox.token, 1, true))
    end)

    it("hears who asks, once, and of a tunnel nothing else", function()
        local listener = assert(require "socket".bind("127.0.0.1", 0))
        listener:settimeout(10)
        local _, port = listener:getsockname()
        for _, on in ipairs { "https", "http" } do
            for _, agent in ipairs { "mine/2.0", false, "" } do
                local client = kapture.new(ask.opts({
                    proxy = ("http://127.0.0.1:%d"):format(port), user_agent = agent or nil,
                }, { on = on }))
                local request = client:submit "1"
                local peer = assert(listener:accept())
                peer:settimeout(10)
                local first, names, agents = peer:receive "*l", {}, {}
                for line in function() return peer:receive "*l" end do
                    local name, value = line:match "^([^:]+): ?(.*)$"
                    if not name then break end
                    names[name:lower()] = true
                    if name:lower() == "user-agent" then agents[#agents + 1] = value end
                end
                peer:close()
                client:close()
                assert.are.equal("closed", select(3, request:wait()).kind)
                assert.are.equal(on == "https" and "CONNECT" or "POST", first:match "^%S+")
                assert.are.same({ agent or "kapture-lua/" .. kapture.version().kapture }, agents)
                for _, name in ipairs { "authorization", "content-type", "accept-encoding" } do
                    assert.are.equal(on == "http" or nil, names[name])
                end
                assert.is_nil(names.expect)
            end
        end
        listener:close()
    end)

    it("keeps its tunnel for the next call", function()
        local client, conn = kapture.new(), {}
        for i = 1, 2 do
            local got = ask.on(function(...) return client:get_ticket(...) end, "1", {
                proxy = "http://" .. proxy.address,
            })
            conn[i] = got.log[1].conn
        end
        assert.are.equal(conn[1], conn[2])
    end)

    it("leaves the certificate to be checked", function()
        for _, defect in ipairs { "expired", "wronghost", "unknownca" } do
            assert.are.equal("tls", ask("1", { proxy = "http://" .. proxy.address }, { on = defect }).err.kind)
        end
    end)

    it("of the environment is asked, unless no_proxy has the host", function()
        local function child(no_proxy)
            return ask.child(([[
                local kapture = require "kapture"
                local tickets, message = kapture.get_ticket("1",
                    { base_url = %q, token = %q, ca_file = %q, retries = 0 })
                print(tickets and #tickets or message)]]):format(sandbox.https, sandbox.token, sandbox.ca),
                { https_proxy = "http://" .. proxy.address, no_proxy = no_proxy })
        end
        local function tunnels() return select(2, proxy.log():gsub("CONNECT", "")) end
        local before = tunnels()
        assert.are.equal("1\n", (child "localhost,example.org"))
        assert.are.equal("1\n", (child "*"))
        assert.are.equal(before, tunnels())
        assert.are.equal("1\n", (child "example.org"))
        assert.is_true(tunnels() > before)
    end)
end)

describe("a proxy that wants a password", function()
    local proxy
    setup(function() proxy = new_proxy { auth = "carol s3cretword" } end)
    teardown(function() proxy.stop() end)

    it("gets the one in its address", function()
        local got = ask("1", { proxy = "http://carol:s3cretword@" .. proxy.address })
        assert.is_nil(got.message)
        assert.are.equal(1, #got.tickets)
    end)

    it("refuses without: it is not tried again, and the message says so", function()
        for _, who in ipairs { "", "carol:wr0ngword@" } do
            local got = ask("1", { proxy = "http://" .. who .. proxy.address, retries = 3, backoff = 5 })
            assert.are.equal("network", got.err and got.err.kind, got.message)
            assert.is_truthy(got.message:find "40[17].*password", got.message)
            assert.is_truthy(got.message:find("proxy", 1, true), got.message)
            assert.is_false(got.err.retryable)
            assert.are.equal(1, got.err.attempts)
            assert.are.equal(0, #got.log)
        end
    end)
end)

describe("a proxy that refuses the port", function()
    local proxy
    setup(function() proxy = new_proxy { only_port = 1 } end)
    teardown(function() proxy.stop() end)

    it("is a failure with its status in the message", function()
        local got = ask("1", { proxy = "http://" .. proxy.address, retries = 3, backoff = 5 })
        assert.are.equal("network", got.err and got.err.kind, got.message)
        assert.is_truthy(got.message:find("403", 1, true), got.message)
        assert.are.equal(1, got.err.attempts)
    end)
end)

describe("a proxy's name and password", function()
    local proxy
    setup(function() proxy = new_proxy { auth = "carol anotherword" } end)
    teardown(function() proxy.stop() end)

    it("are in no message, no error, no event, whatever is wrong", function()
        for _, address in ipairs {
            proxy.address, "127.0.0.1:1", "127.0.0.1:99999", "ho st:1", "[::1:1", "no.such.invalid:1", "%zz:1",
        } do
            for _, scheme in ipairs { "http://", "https://", "socks5://", "gopher://", "" } do
                local events = {}
                local got = ask("1", {
                    proxy = scheme .. "carol:s3cretword@" .. address, retries = 1, backoff = 0, timeout = 0.5,
                    hook = function(event) events[#events + 1] = event end,
                })
                assert.is_truthy(got.err)
                local text = all_text { got.message, got.err, events }
                assert.is_nil(text:find("s3cretword", 1, true), text)
                assert.is_nil(text:find("carol", 1, true), text)
            end
        end
    end)

    it("that no proxy can have are a config failure at once", function()
        for _, proxy_url in ipairs { "gopher://carol:s3cretword@127.0.0.1:1", "http://carol:s3cretword@127.0.0.1:99999",
                                     "http://carol:s3cretword" } do
            local got = ask("1", { proxy = proxy_url, retries = 3, backoff = 5 })
            assert.are.equal("config", got.err and got.err.kind, got.message)
            assert.are.equal(1, got.err.attempts)
            assert.is_nil(all_text(got.err):find("s3cret", 1, true))
        end
    end)
end)
