-- Where a call goes and who it is: base_url, subdomain, token, the environment,
-- proxies; what is refused before anything is sent.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local function config(opts)
    local tickets, message, err = kapture.get_ticket("1", opts)
    assert.is_nil(tickets)
    assert.are.equal("config", err.kind, message)
    assert.are.equal(message, err.message)
    assert.are.equal(0, err.attempts)
    assert.is_false(err.retryable)
    assert.are.equal("1", err.ids[1])
    return message
end

-- What a url is judged to be: "config", or else how far it got.
local function judge(base_url)
    local opts = { base_url = base_url, token = "x", retries = 0, connect_timeout = 0.05, proxy = "" }
    return select(3, kapture.get_ticket("1", opts)).kind
end

describe("base_url", function()
    it("is https to anywhere", function()
        for _, url in ipairs {
            "https://localhost:1", "https://127.0.0.1:1", "https://[::1]:1", "HTTPS://LOCALHOST:1/",
            "https://localhost:1/prefix", "https://localhost:1/a/b/", "https://localhost:1/a%20b;c=1,d",
            "https://127.0.0.1:65535",
        } do
            assert.are_not.equal("config", judge(url), url)
        end
    end)

    it("is plain http to loopback only", function()
        for _, url in ipairs {
            "http://localhost:1", "http://LocalHost:1", "http://127.0.0.1:1", "http://127.255.255.254:1",
            "http://[::1]:1", "HTTP://localhost:1/x",
        } do
            assert.are_not.equal("config", judge(url), url)
        end
        for _, url in ipairs {
            "http://example.com", "http://10.0.0.1", "http://128.0.0.1", "http://127.1", "http://127.0.1", "http://127",
            "http://2130706433", "http://0x7f000001", "http://0x7f.0.0.1", "http://0177.0.0.1", "http://127.0.0.01",
            "http://127.0.0.256", "http://127.0.0.1.", "http://127.0.0.1.example.com", "http://127.0.0.1.1",
            "http://localhost.", "http://localhost.example.com", "http://notlocalhost", "http://[::2]",
            "http://[::ffff:127.0.0.1]", "http://[0:0:0:0:0:0:0:1]", "http://[::1].example.com", "http://0.0.0.0",
            "http://[::1%lo]", "http://localhost\\@example.com", "http://1270.0.1", "http://127..0.1",
        } do
            assert.are.equal("config", judge(url), url)
        end
    end)

    it("is of no other form", function()
        for _, url in ipairs {
            "", "localhost", "//localhost", "https:", "https:/", "https://", "https:///x",
            "https://:443", "ftp://localhost",
            "file:///etc/passwd", "httpss://localhost", "https//localhost", " https://localhost", "https://localhost ",
            "https://user@localhost", "https://user:pass@localhost", "https://localhost/@x", "https://@localhost",
            "https://localhost?x=1", "https://localhost/?", "https://localhost#x", "https://localhost/a#",
            "https://localhost:", "https://localhost:0", "https://localhost:65536", "https://localhost:99999999999",
            "https://localhost:x", "https://localhost:1x", "https://localhost:-1", "https://loc alhost",
            "https://a/b c",
            "https://[::1", "https://[]", "https://[::1]x", "https://[zz]", "https://.x", "https://-x",
            "https://ex*mple",
            "https://localhost/\"", "https://localhost/<", "https://localhost/é", "https://münchen.example",
            "https://localhost/\n", "https://localhost\r\nX: y", "https://localhost/\0x", "https://a\127",
            "https://localhost\\x", "https://localhost/{}", "https://localhost/|",
        } do
            assert.are.equal("config", judge(url), url)
        end
        for _, n in ipairs { 65536, 100000, 4 * 2 ^ 20 } do
            assert.are.equal("config", judge("https://" .. ("a"):rep(n)), n)
            assert.are.equal("config", judge("https://localhost:1/" .. ("a"):rep(n)), n)
        end
    end)

    it("never shows a password", function()
        local message = config { base_url = "https://me:hunter2@localhost", token = "x" }
        assert.is_nil(message:find("hunter2", 1, true))
    end)

    it("may have a path prefix, with or without a slash behind", function()
        for _, tail in ipairs { "", "/", "//" } do
            local key = sandbox.key()
            local base = sandbox.url("tag,key=" .. key) .. tail
            assert.are.equal(1, #kapture.get_ticket("1", ask.opts { base_url = base }))
            local path = sandbox.requests(key)[1].path
            assert.is_nil(path:find("//", 1, true), path)
        end
    end)
end)

describe("subdomain", function()
    it("is one DNS label", function()
        for _, bad in ipairs {
            "", "a.b", "-a", "a-", "a_b", "a b", "é", "a/b", "a\nb", ("a"):rep(64), "a@b", "x:1", "a\0b",
        } do
            config { subdomain = bad, token = "x" }
        end
        for _, good in ipairs { "nonexistent-label-for-tests", "A", "0", ("a"):rep(63) } do
            local opts = { subdomain = good, token = "x", deadline = 0.001, proxy = "http://127.0.0.1:1" }
            assert.are_not.equal("config", select(3, kapture.get_ticket("1", opts)).kind, good)
        end
    end)

    it("says what to give where an address was given", function()
        for bad, words in pairs {
            ["https://acme.kapturecrm.com"] = "give only 'acme'",
            ["acme.kapturecrm.com/"] = "give only 'acme'",
            ["http://Acme.KaptureCRM.com:443/x?y"] = "give only 'Acme'",
            ["https://crm.example.com"] = "give it as 'base_url'",
            ["acme.kapturecrm.com.example"] = "one DNS label expected",
            [".kapturecrm.com"] = "one DNS label expected",
        } do
            local _, message, err = kapture.get_ticket("1", { subdomain = bad, token = "x" })
            assert.equal("config", err.kind)
            assert.is_truthy(message:find(words, 1, true), message)
        end
    end)

    it("speaks of no nginx where there is none", function()
        local env = "env -u KAPTURE_TOKEN KAPTURE_BASE_URL=https://127.0.0.1:9 "
        local system = require "spec.support.system"
        local said = system.output(env .. "bin/kapture get 5 2>&1")
        assert.is_truthy(said:find("KAPTURE_TOKEN", 1, true), said)
        assert.is_nil(said:find("nginx", 1, true), said)
    end)

    it("names a host of kapturecrm.com over https", function()
        -- A proxy on this machine is asked for the tunnel: nothing leaves it.
        local socket = require "socket"
        local proxy = assert(socket.bind("127.0.0.1", 0))
        local _, port = proxy:getsockname()
        local client = kapture.new {
            subdomain = "acme", token = "x", retries = 0, timeout = 5, proxy = "http://127.0.0.1:" .. port,
        }
        local request = client:submit "1"
        proxy:settimeout(5)
        local peer = assert(proxy:accept())
        peer:settimeout(5)
        assert.are.equal("CONNECT acme.kapturecrm.com:443 HTTP/1.1", peer:receive "*l")
        for line in function() return peer:receive "*l" end do
            if line == "" then break end
            assert.is_nil(line:lower():find "^authorization", line)
        end
        peer:close()
        proxy:close()
        assert.are.equal("network", select(3, request:wait()).kind)
    end)
end)

describe("what is missing", function()
    it("is named", function()
        assert.is_truthy(config { token = "x" }:find "subdomain")
        assert.is_truthy(config { base_url = sandbox.https }:find "token")
        assert.is_truthy(config { base_url = sandbox.https, token = "" }:find "token")
        config { base_url = sandbox.https, token = "  " }
        config { base_url = sandbox.https, token = "Basic " }
        config { base_url = sandbox.https, token = "Basic" .. " " .. " " }
    end)

    it("may be a control character's fault", function()
        for _, c in ipairs { "\n", "\r\n", "\0", "\1", "\127", "\t" } do
            config { base_url = sandbox.https, token = "abc" .. c }
            config { base_url = sandbox.https, token = "a" .. c .. "X-Header: y" }
            config { base_url = sandbox.https, token = function() return "abc" .. c end }
            config { base_url = sandbox.https, token = "x", cookie = "a" .. c .. "b" }
            local words = config { base_url = sandbox.https, token = "x", headers = { ["X-A"] = "a" .. c .. "b" } }
            assert.are.equal("headers: 'X-A' holds a control character", words)
            words = config { base_url = sandbox.https, token = "x", headers = { ["X" .. c .. "A"] = "a" } }
            assert.are.equal("headers: a name holds a control character", words)
            config { base_url = sandbox.https, token = "x", user_agent = "a" .. c .. "b" }
        end
    end)

    it("of a client is mended by a call", function()
        local client = kapture.new(ask.opts { cookie = "a\nb", token = "a\nb", headers = { ["X-A"] = "\n" } })
        assert.are.equal("config", select(3, client:get_ticket "1").kind)
        assert.are.equal("config", select(3, client:get_ticket("1", { cookie = "a" })).kind)
        assert.are.equal("config", select(3, client:get_ticket("1", { cookie = "a", headers = {} })).kind)
        assert.are.equal(1, #client:get_ticket("1", { cookie = "a", headers = {}, token = sandbox.token }))
    end)

    it("is the token function's to answer for", function()
        local function with(token) return config { base_url = sandbox.https, token = token } end
        assert.is_truthy(with(function() error("no keyring", 0) end):find "no keyring")
        with(function() error {} end)
        with(function() error() end)
        with(function() end)
        with(function() return nil, "why" end)
        with(function() return 5 end)
        with(function() return {} end)
        with(function() return "" end)
        with(coroutine.yield)
        with(function() coroutine.yield() end)
        coroutine.wrap(function() with(coroutine.yield) end)()
    end)
end)

describe("the environment", function()
    local function child(env, opts)
        local program = ([[
            local tickets, message, err = require "kapture".get_ticket("1", { ca_file = %q, retries = 0, %s })
            print(tickets and #tickets or err.kind .. ": " .. message)
        ]]):format(sandbox.ca, opts or "")
        return (ask.child(program, env):gsub("\n$", ""))
    end
    local right = { KAPTURE_BASE_URL = sandbox.https, KAPTURE_TOKEN = sandbox.token }

    it("is used where nothing is given", function()
        assert.are.equal("1", child(right))
        assert.is_truthy(child { KAPTURE_TOKEN = "x" }:find "^config: no subdomain")
        assert.is_truthy(child { KAPTURE_BASE_URL = sandbox.https }:find "^config: no token")
        assert.is_truthy(child { KAPTURE_SUBDOMAIN = "a.b", KAPTURE_TOKEN = "x" }:find "^config: subdomain 'a.b'")
    end)

    it("counts as unset where it is empty", function()
        local env = { KAPTURE_BASE_URL = "", KAPTURE_SUBDOMAIN = "a_b", KAPTURE_TOKEN = "x" }
        assert.is_truthy(child(env):find "^config: subdomain 'a_b'")
        local unset = { KAPTURE_BASE_URL = "", KAPTURE_SUBDOMAIN = "", KAPTURE_TOKEN = "x" }
        assert.is_truthy(child(unset):find "no subdomain")
        assert.is_truthy(child { KAPTURE_BASE_URL = sandbox.https, KAPTURE_TOKEN = "" }:find "no token")
    end)

    it("comes last, and base_url before subdomain", function()
        assert.are.equal("1", child({ KAPTURE_BASE_URL = sandbox.https, KAPTURE_SUBDOMAIN = "a_b",
                                      KAPTURE_TOKEN = sandbox.token }))
        assert.is_truthy(child(right, "subdomain = 'a_b'"):find "subdomain 'a_b'")
        assert.is_truthy(child(right, "token = 'wrong'"):find "^auth")
        assert.is_truthy(child(right, "base_url = 'x'"):find "^config: base_url 'x'")
        assert.are.equal("1", child({ KAPTURE_BASE_URL = "x", KAPTURE_TOKEN = "x" },
            ("base_url = %q, token = %q, subdomain = 'a_b'"):format(sandbox.https, sandbox.token)))
    end)

    it("is read at each call", function()
        local output = ask.child(([[
            local setenv = require("kapture_host").set
            local kapture = require "kapture"
            local client = kapture.new { ca_file = %q, retries = 0 }
            local function try()
                for _, call in ipairs { kapture.get_ticket, function(...) return client:get_ticket(...) end } do
                    local tickets, _, err = call("1", call == kapture.get_ticket and { ca_file = %q,
                        retries = 0 } or nil)
                    io.write(tickets and "ok" or err.kind, " ")
                end
            end
            try()
            setenv("KAPTURE_BASE_URL", %q)
            try()
            setenv("KAPTURE_TOKEN", "wrong")
            try()
            setenv("KAPTURE_TOKEN", %q)
            try()
            try()
            setenv("KAPTURE_BASE_URL", "ftp://x")
            try()
        ]]):format(sandbox.ca, sandbox.ca, sandbox.https, sandbox.token))
        assert.are.equal("config config config config auth auth ok ok ok ok config config ", output)
    end)

    it("is read at each call, though the options are those of the last", function()
        local output = ask.child(([[
            local setenv = require("kapture_host").set
            local kapture = require "kapture"
            local client = kapture.new()
            local opts = { ca_file = %q, retries = 0 }
            local function try()
                for _, call in ipairs { kapture.get_ticket, function(...) return client:get_ticket(...) end } do
                    local last
                    for n = 1, 3 do
                        local tickets, _, err = call("1", opts)
                        local said = tickets and "ok" or err.kind
                        assert(n == 1 or said == last, "it was not the same each time")
                        last = said
                    end
                    io.write(last, " ")
                end
            end
            setenv("KAPTURE_BASE_URL", %q)
            setenv("KAPTURE_TOKEN", %q)
            try()
            setenv("KAPTURE_TOKEN", "wrong")
            try()
            setenv("KAPTURE_TOKEN", %q)
            try()
            setenv("KAPTURE_BASE_URL", "")
            setenv("KAPTURE_SUBDOMAIN", "a_b")
            try()
            setenv("KAPTURE_BASE_URL", %q)
            try()
            setenv("KAPTURE_CA_FILE", "/nowhere")
            try()
            opts.ca_file = nil
            try()
            setenv("KAPTURE_CA_FILE", %q)
            try()
        ]]):format(sandbox.ca, sandbox.https, sandbox.token, sandbox.token, sandbox.https, sandbox.ca))
        assert.are.equal("ok ok auth auth ok ok config config ok ok ok ok tls tls ok ok ", output)
    end)

    it("names the CA file, unless an option does", function()
        local program = [[
            local host = require "kapture_host"
            local kapture = require "kapture"
            local opts = { base_url = %q, token = %q, retries = 0 }
            local client = kapture.new(opts)
            local function try(more)
                local own = { base_url = opts.base_url, token = opts.token, retries = 0, ca_file = more }
                local over = more and { ca_file = more }
                for _, call in ipairs { function() return kapture.get_ticket("1", own) end,
                                        function() return client:get_ticket("1", over) end,
                                        function() return client:submit("1", over):wait(20) end } do
                    local tickets, _, err = call()
                    io.write(tickets and "ok" or err.kind, " ")
                end
            end
            local right, other, none = %q, "/etc/hostname", "/nonexistent/ca.pem"
            try()
            host.set("KAPTURE_CA_FILE", right)
            try() try()
            try(none)
            host.set("KAPTURE_CA_FILE", none)
            try()
            try(right)
            host.set("KAPTURE_CA_FILE", right)
            try()
            host.set("KAPTURE_CA_FILE", "")
            try()
            host.set("KAPTURE_CA_FILE", "a\nb")
            try()
            host.unset("KAPTURE_CA_FILE")
            try()
            try(right)
        ]]
        local output = ask.child(program:format(sandbox.https, sandbox.token, sandbox.ca))
        local function thrice(word) return (word .. " "):rep(3) end
        assert.are.equal(thrice "tls" .. thrice "ok" .. thrice "ok" .. thrice "tls" .. thrice "tls" .. thrice "ok" ..
            thrice "ok" .. thrice "tls" .. thrice "config" .. thrice "tls" .. thrice "ok", output)
    end)

    it("is refused with a control character as options are", function()
        assert.is_truthy(child { KAPTURE_BASE_URL = sandbox.https, KAPTURE_TOKEN = "a\nb" }:find "^config: token")
        assert.is_truthy(child { KAPTURE_BASE_URL = "https://x\ny", KAPTURE_TOKEN = "a" }:find "^config: base_url")
    end)
end)

describe("precedence", function()
    it("is the call's options, then the client's", function()
        local client = kapture.new(ask.opts { subdomain = "a_b" })
        assert.are.equal(1, #client:get_ticket "1")
        local function kind(opts) return (select(3, client:get_ticket("1", opts)) or {}).kind or "none" end
        assert.are.equal("config", kind { subdomain = "a_b" })
        assert.are.equal("none", kind { subdomain = "a_b", base_url = sandbox.https })
        assert.are.equal("config", kind { base_url = "x" })
        assert.are.equal("none", kind { include_emailbody = "1" })
        assert.are.equal("none", kind { conversation_type = "1", fields = { "a" }, hook = print and function() end })
        local other = kapture.new { subdomain = "a_b", token = sandbox.token, ca_file = sandbox.ca }
        assert.are.equal("config", select(3, other:get_ticket("1", { include_emailbody = "1" })).kind)
        assert.are.equal(1, #other:get_ticket("1", { base_url = sandbox.https }))
    end)
end)

describe("a proxy", function()
    it("of the environment is not used for plain http", function()
        local output = ask.child(([[
            local tickets, message = require "kapture".get_ticket("1", { base_url = %q, token = %q, retries = 0 })
            print(tickets and #tickets or message)
        ]]):format(sandbox.http, sandbox.token), {
            http_proxy = "http://127.0.0.1:1", HTTP_PROXY = "http://127.0.0.1:1", ALL_PROXY = "http://127.0.0.1:1",
            all_proxy = "socks5://127.0.0.1:1",
        })
        assert.are.equal("1\n", output)
    end)

    it("of the environment is used for https, unless no_proxy or proxy = '' say no", function()
        local program = ([[
            local tickets, _, err = require "kapture".get_ticket("1",
                { base_url = %q, token = %q, ca_file = %q, retries = 0, proxy = PROXY })
            print(tickets and #tickets or err.kind)
        ]]):format(sandbox.https, sandbox.token, sandbox.ca)
        local env = { https_proxy = "http://127.0.0.1:1" }
        assert.are.equal("network\n", (ask.child(program, env)))
        assert.are.equal("1\n", (ask.child("PROXY = ''\n" .. program, env)))
        env.no_proxy = "localhost"
        assert.are.equal("1\n", (ask.child(program, env)))
    end)

    it("is never sent a plain http request's token, but on loopback", function()
        for _, proxy in ipairs {
            "http://example.com:3128", "example.com:3128", "socks5://10.0.0.1", "http://example.com/@127.0.0.1",
            "http://example.com?@127.0.0.1", "http://example.com#@127.0.0.1", "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com", "http://[::1]@example.com", "localhost@example.com:1",
        } do
            assert.is_truthy(config { base_url = sandbox.http, token = "x", proxy = proxy }:find "proxy", proxy)
        end
        local got = ask("1", { proxy = "http://127.0.0.1:1" }, { on = "http" })
        assert.are.equal("network", got.err.kind)
    end)

    it("that is refused is a network failure", function()
        assert.are.equal("network", ask("1", { proxy = "http://127.0.0.1:1" }).err.kind)
        assert.are.equal("network", ask("1", { proxy = "socks5h://127.0.0.1:1" }).err.kind)
    end)
end)

describe("body without lua-cjson", function()
    it("is a config failure", function()
        local output = ask.child(([[
            package.loaded.cjson = nil
            package.preload.cjson = function() error "module 'cjson' not found" end
            local _, message, err = require "kapture".get_ticket("1", { base_url = %q, token = "x", body = { a = 1 } })
            print(err.kind, message)
        ]]):format(sandbox.https))
        assert.is_truthy(output:find "^config\tbody: .*cjson", output)
    end)
end)
