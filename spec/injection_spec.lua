-- Nothing that a caller passes can add a header, end the body early, or make
-- this module read a file that no option names.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local breaks = {
    "\r\nX-Injected: 1", "\nX-Injected: 1", "\r", "\n", "\0", "a\0b", "\t", "\27", "\127", "\r\n\r\nGET / HTTP/1.1",
}

-- The call with this option set: how it ended, and whether anything of it, or
-- any header that was not asked for, arrived.
local function with(option, value)
    local got = ask("1", { [option] = value })
    for _, entry in ipairs(got.log) do
        for name, text in pairs(entry.headers) do
            assert.is_nil(name:lower():find("injected", 1, true), option)
            assert.is_nil(tostring(text):find("from a file", 1, true), option)
        end
    end
    return got
end

describe("a line break or a control character", function()
    for _, option in ipairs { "token", "cookie", "user_agent", "proxy", "ca_file", "ca_path", "cert", "key", "base_url",
                              "subdomain" } do
        it("in " .. option .. " is a config failure, and sends nothing", function()
            for _, bad in ipairs(breaks) do
                for _, value in ipairs { "a" .. bad, "a" .. bad .. "b", bad .. "b" } do
                    local opts = { [option] = value }
                    if option == "subdomain" then opts.base_url = false end
                    local got = ask("1", opts)
                    assert.are.equal("config", got.err and got.err.kind, ("%s %q"):format(option, value))
                    assert.are.equal(0, #got.log)
                    -- in what the log shows, too
                    assert.is_nil(got.message:find "%c")
                end
            end
        end)
    end

    it("in a token function's token is one, too", function()
        for _, bad in ipairs(breaks) do
            local got = with("token", function() return "a" .. bad .. "b" end)
            assert.are.equal("config", got.err and got.err.kind)
            assert.are.equal(0, #got.log)
        end
    end)

    it("in headers is one, and in their names", function()
        for _, bad in ipairs(breaks) do
            for _, headers in ipairs { { ["X-A"] = "a" .. bad .. "b" }, { ["X-A" .. bad] = "b" } } do
                local ok, got = pcall(with, "headers", headers)
                if ok then
                    assert.are.equal("config", got.err and got.err.kind, ("%q"):format(bad))
                    assert.are.equal(0, #got.log)
                else
                    assert.is_truthy(tostring(got):find "bad argument", got)
                end
            end
        end
    end)

    it("in an id is no id", function()
        for _, bad in ipairs(breaks) do
            local got = ask({ "1" .. bad .. "2" }, {})
            assert.are.equal("invalid_ids", got.err and got.err.kind, ("%q"):format(bad))
            assert.are.equal(0, #got.log)
        end
    end)
end)

describe("a field of the body", function()
    local names = { "conversation_type", "history_type", "assigned", "disposed", "response", "landing_queue", "create",
                    "resolved", "include_emailbody" }
    local values = {
        '","ticket_ids":"2', '"}', "\\", '\\"', "\r\n", "\n", "\1\31\127", "</script>", "\195\164", "{}", "",
    }

    it("arrives as it is, and as one", function()
        for _, name in ipairs(names) do
            for _, value in ipairs(values) do
                local got = ask("1", { [name] = value })
                assert.are.equal(1, #got.log)
                assert.are.equal("1", got.log[1].ids)
                assert.are.equal(value, got.log[1].fields[name])
                local n = 0
                for _ in pairs(got.log[1].fields) do n = n + 1 end
                assert.are.equal(#names, n)
            end
        end
    end)

    it("of the body option, too", function()
        for _, value in ipairs(values) do
            local got = ask("1", { body = { extra = value, [value .. "x"] = "y" } })
            assert.are.equal(1, #got.log, value)
            assert.are.equal("1", got.log[1].ids)
            assert.are.equal(value, got.log[1].fields.extra)
            assert.are.equal("y", got.log[1].fields[value .. "x"])
        end
    end)
end)

describe("a file", function()
    it("is read for no option that is no path", function()
        local path = os.tmpname()
        local file = assert(io.open(path, "w"))
        file:write "X-Injected: from a file\n"
        file:close()
        -- what curl's own command line would read
        for _, value in ipairs { "@" .. path, "<" .. path, "file://" .. path } do
            for _, option in ipairs { "cookie", "user_agent", "conversation_type" } do
                local got = with(option, value)
                assert.is_nil(got.message, option)
                if option == "conversation_type" then
                    assert.are.equal(value, got.log[1].fields[option])
                end
            end
            assert.are.equal("auth", with("token", value).err.kind)
            assert.is_nil(with("headers", { ["X-A"] = value }).message)
            assert.are.equal("config", with("base_url", value).err.kind)
            assert.are.equal("config", ask("1", { base_url = false, subdomain = value }).err.kind)
        end
        os.remove(path)
    end)

    it("of the user is not read: neither .netrc nor .curlrc", function()
        local home = os.tmpname()
        os.remove(home)
        os.execute(("mkdir %s && echo 'machine localhost login a password b' >%s/.netrc && "
            .. "echo 'header = \"X-Injected: 1\"' >%s/.curlrc && chmod 600 %s/.netrc"):format(home, home, home, home))
        local key = sandbox.key()
        local output = ask.child(([[
            local kapture = require "kapture"
            print(#kapture.get_ticket("1", { base_url = %q, token = %q, ca_file = %q }))]]):format(
            sandbox.url { key = key }, sandbox.token, sandbox.ca), { HOME = home, CURL_HOME = home })
        os.execute("rm -rf " .. home)
        assert.are.equal("1\n", output)
        local seen = sandbox.requests(key)[1]
        assert.are.equal("right", seen.auth)
        for name in pairs(seen.headers) do assert.is_nil(name:lower():find("injected", 1, true)) end
    end)

    it("is no address to fetch from", function()
        for _, url in ipairs { "file:///etc/passwd", "ftp://localhost/", "gopher://localhost/", "dict://localhost/",
                               "scp://localhost/", "http+unix://x/", "HTTPS:localhost", "javascript:1" } do
            local got = ask("1", { base_url = url })
            assert.are.equal("config", got.err and got.err.kind, url)
        end
        assert.are.equal("protocol", ask("1", {}, "redirect,to=file:%2F%2F%2Fetc%2Fpasswd").err.kind)
        assert.is_truthy(kapture.version().libcurl)
    end)
end)

describe("bytes beyond ASCII", function()
    it("arrive in headers and fields as they are", function()
        for _, text in ipairs { "\195\164\226\130\172", "\255\254", "\128" } do
            local got = with("cookie", "a=" .. text)
            assert.is_nil(got.message)
            assert.are.equal(1, #got.log)
            got = ask({ text })
            assert.are.equal("invalid_ids", got.err.kind)
        end
    end)
end)
