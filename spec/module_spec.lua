-- What `require "kapture"` gives, and that it leaves the rest of Lua alone.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local abi = os.getenv "ABI"

-- Where require finds it.
local file
for template in package.cpath:gmatch "[^;]+" do
    local name = template:gsub("?", "kapture")
    local f = not file and io.open(name)
    if f then
        f:close()
        file = name
    end
end

describe("the module", function()
    it("has the documented names and no others", function()
        local names = {}
        for name in pairs(kapture) do names[#names + 1] = name end
        table.sort(names)
        assert.are.equal("_VERSION array_mt get_ticket new null tickets version", table.concat(names, " "))
    end)

    it("gives its objects the documented methods, and keeps what its adapters need to itself", function()
        local client = kapture.new()
        local request, iterator = client:submit {}, client:tickets {}
        for object, names in pairs {
            [client] = "close dirty events fd get_ticket getfd pollfd step submit tickets timeout",
            [request] = "cancel done result wait",
            [iterator] = "close",
        } do
            local list = {}
            for name in pairs(debug.getmetatable(object).__index) do list[#list + 1] = name end
            table.sort(list)
            assert.are.equal(names, table.concat(list, " "))
        end
        -- these take nothing but what they are for
        local adapter = require "kapture.adapter"
        for name in pairs(debug.getregistry()["kapture.adapter"]) do
            assert.is_false((pcall(adapter[name], io.stdout)), name)
            assert.is_false((pcall(adapter[name])), name)
        end
        client:close()
    end)

    it("is the C module itself", function()
        local output = ask.child [[
            local path = assert(package.searchpath and package.searchpath("kapture", package.cpath) or "x.so")
            assert(path:find "%.so$")
            if package.searchpath then assert(not package.searchpath("kapture", package.path)) end
            package.path = ""
            print(type(require "kapture".get_ticket))
        ]]
        assert.are.equal("function\n", output)
    end)

    it("says so where it was built for another Lua, and brings nobody down", function()
        local function names(one) return one == "luajit" and "5.1" or one end
        for _, other in ipairs { "5.1", "5.3", "5.4", "5.5", "luajit" } do
            local dir = (os.getenv "BUILD" or "build") .. "/" .. other
            local built = names(other) ~= names(abi) and io.open(dir .. "/kapture.so")
            if built then
                built:close()
                local output, code = ask.child(([[
                    package.cpath = %q
                    local ok, why = pcall(require, "kapture")
                    print(ok, why)
                ]]):format(dir .. "/?.so"))
                assert.equal(0, code, other .. ": " .. output)
                -- the linker's words, or our own
                assert.truthy(output:find "^false.*undefined symbol: lua" or
                    output:find("is for Lua " .. other .. ", and was loaded by Lua " .. abi, 1, true), output)
            end
        end
    end)

    it("sets no global and prints nothing", function()
        local output, code = ask.child [[
            local before = {}
            for k in pairs(_G) do before[k] = true end
            require "kapture"
            for k in pairs(_G) do assert(before[k], k) end
            for k in pairs(package.loaded) do
                if k:find "kapture" then assert(k == "kapture", k) end
            end
        ]]
        assert.are.equal("", output)
        assert.are.equal(0, code)
    end)

    it("says its version", function()
        local v = kapture.version()
        assert.is_truthy(v.kapture:find "^%d+%.%d+%.%d+$")
        assert.are.equal("kapture " .. v.kapture, kapture._VERSION)
        assert.is_truthy(v.libcurl:find "^%d+%.%d+%.%d+")
        assert.are.equal("string", type(v.tls))
        assert.is_truthy(v.resolver == "threaded" or v.resolver == "c-ares" or v.resolver == "blocking")
        assert.are.equal("boolean", type(v.http2))
        assert.are.equal(abi, v.abi)
        local n = 0
        for _ in pairs(v) do n = n + 1 end
        assert.are.equal(6, n)
    end)

    it("gives a version table of one's own", function()
        kapture.version().kapture = "x"
        assert.are_not.equal("x", kapture.version().kapture)
    end)

    it("has a null that is cjson's", function()
        assert.are.equal("userdata", type(kapture.null))
        assert.is_true(kapture.null == require "cjson".null)
        local got = ask("1", nil, "field,name=nothing,value=null")
        assert.is_true(got.tickets[1].task_details.nothing == kapture.null)
    end)

    it("gives arrays array_mt and objects none", function()
        local got = ask("713516551148")
        local ticket = got.tickets[1]
        assert.are.equal(kapture.array_mt, getmetatable(got.tickets))
        assert.are.equal(kapture.array_mt, getmetatable(ticket.task_details.attachments))
        assert.is_nil(getmetatable(ticket))
        assert.is_nil(getmetatable(ticket.additional_info))
        assert.are.equal(kapture.array_mt, getmetatable(got.info.missing))
    end)

    for _, name in ipairs { "cjson", "cjson.safe" } do
        it("takes array_mt from " .. name .. " where it is loaded and has one", function()
            local output = ask.child(([[
                local mt = { __name = "theirs" }
                package.loaded[%q] = { array_mt = mt }
                print(require "kapture".array_mt == mt)
            ]]):format(name))
            assert.are.equal("true\n", output)
        end)
    end

    it("takes array_mt from cjson whichever of the two is required first", function()
        -- a stand-in for one that has it, as Debian's has not: made when it is loaded
        local cjson = [[
            package.loaded.cjson, package.loaded["cjson.safe"] = nil, nil
            local loaded = 0
            package.preload.cjson = function()
                loaded = loaded + 1
                return { array_mt = {}, encode = function() end, null = {} }
            end
        ]]
        for _, order in ipairs { "'kapture', 'cjson'", "'cjson', 'kapture'" } do
            local output = ask.child(cjson .. ([[
                for _, name in ipairs { %s } do require(name) end
                local kapture, mt = require "kapture", require "cjson".array_mt
                local opts = { base_url = %q, token = %q, ca_file = %q }
                local tickets, info = assert(kapture.get_ticket("713516551148", opts))
                print(kapture.array_mt == mt, getmetatable(tickets) == mt, getmetatable(info.missing) == mt,
                    getmetatable(tickets[1].task_details.attachments) == mt, loaded)
            ]]):format(order, sandbox.https, sandbox.token, sandbox.ca))
            assert.are.equal("true\ttrue\ttrue\ttrue\t1\n", output, order)
        end
    end)

    it("is none the worse for a cjson that is not there, or can't be loaded", function()
        for what, after in pairs {
            [("package.path, package.cpath = '', %q "):format(file)] = "false",
            ['package.preload.cjson = function() error "broken" end'] = "false",
            ["package.preload.cjson = function() error {} end"] = "false",
            ["package.preload.cjson = function() return false end"] = "true",
            ['local r = require function require(n) if n == "cjson" then error "no" end return r(n) end'] = "false",
            -- one that wants us itself
            ['package.preload.cjson = function() require "kapture" return { array_mt = {} } end'] = "true",
        } do
            local output, code = ask.child(what .. [[
                local kapture = require "kapture"
                print(type(kapture.array_mt), (pcall(require, "cjson")))
            ]])
            assert.are.equal("table\t" .. after .. "\n", output, what)
            assert.are.equal(0, code)
        end
        -- and the reason is the loader's own, however often it is asked
        local output = ask.child [[
            package.preload.cjson = function() error "broken" end
            require "kapture"
            print(select(2, pcall(require, "cjson")))
        ]]
        assert.is_truthy(output:find "broken", output)
        output = ask.child(([[
            local load = package.loadlib(%q, "luaopen_kapture")
            require = nil
            print(type(load().array_mt))
        ]]):format(file))
        assert.are.equal("table\n", output)
    end)

    it("has an array_mt of its own where cjson has none, or is none", function()
        for _, what in ipairs { "nil", "false", "1", "{}", "{ array_mt = 1 }" } do
            local output = ask.child(([[
                package.loaded.cjson = %s
                print(type(require "kapture".array_mt))
            ]]):format(what))
            assert.are.equal("table\n", output, what)
        end
    end)

    it("works when it is opened twice in one state", function()
        local output = ask.child(([[
            local one = require "kapture"
            package.loaded.kapture = nil
            local two = require "kapture"
            local opts = { base_url = %q, token = %q, ca_file = %q }
            print(one ~= two, #one.get_ticket("1", opts), #two.get_ticket("1", opts))
            local a, b = one.new(opts), two.new(opts)
            print(#a.get_ticket(b, "1"), #b.get_ticket(a, "1"))
        ]]):format(sandbox.https, sandbox.token, sandbox.ca))
        assert.are.equal("true\t1\t1\n1\t1\n", output)
    end)

    it("ends cleanly whatever is left open", function()
        local output, code = ask.child(([[
            local kapture = require "kapture"
            local opts = { base_url = %q .. "/fault/hang", token = %q, ca_file = %q }
            client = kapture.new(opts)
            request = client:submit "1"
            iterator = client:tickets "1,2"
            kapture.get_ticket("1", { base_url = %q, token = "x", ca_file = opts.ca_file })
            print "end"
        ]]):format(sandbox.https, sandbox.token, sandbox.ca, sandbox.https))
        assert.are.equal("end\n", output)
        assert.are.equal(0, code)
    end)
end)

describe("a client", function()
    it("raises argument errors only: what config lacks comes with the call", function()
        local client = kapture.new { base_url = "ftp://nowhere" }
        local tickets, message, err = client:get_ticket "1"
        assert.is_nil(tickets)
        assert.are.equal(message, err.message)
        assert.are.equal("config", err.kind)
    end)

    it("can be made without options, and with nil", function()
        assert.are.equal("config", select(3, kapture.new():get_ticket "1").kind)
        assert.are.equal("config", select(3, kapture.new(nil):get_ticket "1").kind)
    end)

    it("takes its options as defaults of every call", function()
        local client = kapture.new(ask.opts({ conversation_type = "chat", history_type = "all" }))
        local got = ask.on(function(ids, opts)
            return client:get_ticket(ids, { base_url = opts.base_url, history_type = "none" })
        end, "1")
        assert.are.equal("chat", got.log[1].fields.conversation_type)
        assert.are.equal("none", got.log[1].fields.history_type)
        assert.are.equal("right", got.log[1].auth)
        local again = ask.on(function(ids, opts)
            return client:get_ticket(ids, { base_url = opts.base_url })
        end, "1")
        assert.are.equal("all", again.log[1].fields.history_type)
    end)

    it("keeps the options it was made with", function()
        local opts = ask.opts({ headers = { ["X-Mine"] = "1" }, fields = { "task_details.ticketId" } })
        local client = kapture.new(opts)
        opts.base_url, opts.token = "https://localhost:1", "other"
        opts.headers["X-Mine"], opts.fields[1] = "2", "history"
        local tickets = client:get_ticket "7"
        assert.are.equal("7", tickets[1].task_details.ticketId)
    end)

    it("says what it is, without what it knows", function()
        local client = kapture.new { token = "dGhlIHNlY3JldA==" }
        assert.is_truthy(tostring(client):find "^kapture.client: ")
        assert.is_nil(tostring(client):find("dGhl", 1, true))
        client:close()
        assert.is_truthy(tostring(client):find "closed")
        assert.are.equal("string", type(getmetatable(client)))
    end)

    it("fails with closed once it is closed, as often as one likes", function()
        local client = kapture.new(ask.opts())
        assert.are.equal(1, #client:get_ticket "1")
        client:close()
        client:close()
        local tickets, message, err = client:get_ticket "1"
        assert.is_nil(tickets)
        assert.are.equal("closed", err.kind)
        assert.are.equal(message, err.message)
        assert.are.same({ "1" }, { err.ids[1] })
        -- a caller's mistake is one even then
        assert.has_error(function() client:get_ticket("1", { nonsense = 1 }) end)
        assert.has_error(function() client:get_ticket() end)
    end)

    if _VERSION >= "Lua 5.4" then
        it("is closed at the end of its block", function()
            local kept
            assert(load([[
                local new, keep = ...
                local client <close> = new()
                keep(client)
            ]]))(kapture.new, function(c) kept = c end)
            assert.are.equal("closed", select(3, kept:get_ticket "1").kind)
        end)

        it("is closed where its block is left by an error", function()
            local kept
            local ok, why = pcall(assert(load([[
                local new, keep = ...
                local client <close> = new()
                keep(client)
                error("left", 0)
            ]])), kapture.new, function(c) kept = c end)
            assert.are.same({ false, "left" }, { ok, why })
            assert.are.equal("closed", select(3, kept:get_ticket "1").kind)
        end)
    end
end)
