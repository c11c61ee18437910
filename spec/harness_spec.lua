-- The specs' own support, under each Lua.
local json = require "spec.support.json"
local sandbox = require "spec.support.sandbox"

describe("spec.support.json", function()
    it("reads what the log may hold", function()
        local text = [[{"a":[1,-2.5,1e3,[],{}],"b":"x\n\u00e9\ud83d\ude00\"\/","c":true,"d":false,"e":null,"f": " "}]]
        local expected = { a = { 1, -2.5, 1000, {}, {} }, c = true, d = false, f = " " }
        expected.b = 'x\n\195\169\240\159\152\128"/'
        assert.same(expected, json.decode(text))
    end)

    it("refuses what is not JSON", function()
        for _, text in ipairs { "", "{", "[1,]", '{"a" 1}', '"x', "[1] 2", "nope", "[1 2]" } do
            assert.is_false((pcall(json.decode, text)), text)
        end
    end)
end)

describe("what make notes of headers", function()
    it("holds for a BUILD in another form, too #once", function()
        local build = (os.getenv "BUILD" or "build") .. "/" .. (os.getenv "ABI" or "5.4")
        local pipe = assert(io.popen("head -qn 1 " .. build .. "/obj/*/*.d"))
        local n = 0
        for line in pipe:lines() do
            n = n + 1
            assert.truthy(line:find("$(OUT)/obj/", 1, true) == 1, line)
        end
        pipe:close()
        assert.is_true(n > 50, n)
    end)
end)

describe("spec.support.sandbox", function()
    it("has the ready file's values, and urls", function()
        for _, name in ipairs { "https", "https1", "http", "few", "expired", "clientcert", "blackhole", "refused" } do
            assert.truthy(sandbox[name]:find "^https?://[%w.]+:%d+$", name)
        end
        assert.equal(sandbox.https, sandbox.url())
        assert.equal(sandbox.https .. "/fault/delay,ms=1/fault/shuffle", sandbox.url("delay,ms=1", "shuffle"))
        assert.equal(sandbox.https1 .. "/fault/tag,key=k/fault/empty",
            sandbox.url("empty", { http1 = true, key = "k" }))
        assert.equal(sandbox.https1 .. "/fault/early", sandbox.url "early")
        assert.equal(sandbox.https .. "/fault/garbage,form=tls", sandbox.url "garbage,form=tls")
        assert.equal(sandbox.http .. "/fault/early", sandbox.url("early", { on = "http" }))
        assert.is_false((pcall(sandbox.url, { on = "nowhere" })))
        assert.not_equal(sandbox.key(), sandbox.key())
        assert.truthy(sandbox.key():find "^%w+$")
        assert.same({ "713000000001", "713000000002" }, sandbox.ids(2))
        assert.same({ "713000000011" }, sandbox.ids(1, 10))
    end)

    it("finds requests by key, fields and function", function()
        local key = sandbox.key()
        for _, spec in ipairs { "tag", "empty" } do
            os.execute(("curl -s -o /dev/null -d '{\"ticket_ids\":\"5\"}' '%s/x'"):format(
                sandbox.url(spec, { on = "http", key = key })))
        end
        assert.equal(2, #sandbox.requests(key))
        assert.equal(0, #sandbox.requests(key .. "x"))
        assert.equal(1, #sandbox.requests { key = key, status = 404 })
        assert.equal(2, #sandbox.requests { key = key, ids = "5", listener = "http" })
        assert.equal(1, #sandbox.requests(function(e)
            return e.status == 200 and e.keys[1] == key
        end))
        assert.truthy(#sandbox.requests() >= 2)
        assert.same({ requests = 2, inflight = 0, most = 1 }, sandbox.stats(key))
    end)

    it("starts a sandbox of its own, which ends with the process", function()
        local abi = os.getenv "ABI" or "5.4"
        local lua = abi:find "^5" and "lua" .. abi or abi
        local pipe = io.popen(("env -u KAPTURE_SANDBOX_READY %s -e '%s'"):format(lua, [[
            local s = require "spec.support.sandbox"
            print(s.pid, s.dir, s.stats().requests)]]))
        local pid, dir, n = pipe:read("*a"):match "^(%d+)%s+(%S+)%s+(%d+)"
        pipe:close()
        assert.equal("0", n)
        local gone
        for _ = 1, 100 do
            gone = io.open(dir .. "/nginx.conf") == nil and io.open("/proc/" .. pid .. "/stat") == nil
            if gone then break end
            os.execute "sleep 0.05"
        end
        assert.is_true(gone)
    end)
end)
