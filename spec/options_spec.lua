-- The option table: every option's type, range and default; how mistakes read.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local function complaint(opts, call)
    local ok, why = pcall(call or kapture.get_ticket, call and opts or "1", not call and opts or nil)
    assert.is_false(ok, "no error was raised")
    return why
end

local function complains(opts, text)
    local why = complaint(opts)
    local at = "bad argument #2 to 'get_ticket' ("
    assert.is_truthy(why:find(at, 1, true), why)
    assert.is_truthy(why:find(text, 1, true), why)
    assert.are.equal(")", why:sub(-1))
end

-- Whether a value passes; what else is wrong with it would come with a call.
local function passes(name, value)
    local ok, why = pcall(kapture.new, { [name] = value })
    assert.is_true(ok, why)
end

local kinds_of_value = {
    string = "x", number = 1, boolean = true, table = {}, ["function"] = function() end,
    thread = coroutine.create(function() end), userdata = io.stdout,
}

describe("an option's type", function()
    local accepted = {
        subdomain = "string", base_url = "string", token = "string function", cookie = "string", headers = "table",
        conversation_type = "string boolean number", history_type = "string boolean number",
        assigned = "string boolean number", disposed = "string boolean number", response = "string boolean number",
        landing_queue = "string boolean number", create = "string boolean number",
        resolved = "string boolean number", include_emailbody = "string boolean number",
        body = "table", fields = "", timeout = "number", connect_timeout = "number", deadline = "number",
        retries = "number", backoff = "number", max_backoff = "number", batch_size = "number",
        concurrency = "number", rate = "number", partial = "boolean", isolate = "boolean", raw = "boolean",
        max_response_bytes = "number", compression = "boolean", verify = "boolean", ca_file = "string",
        ca_path = "string", cert = "string", key = "string", proxy = "string", user_agent = "string",
        hook = "function",
    }
    for name, types in pairs(accepted) do
        it(("is checked: %s is %s"):format(name, types), function()
            for kind, value in pairs(kinds_of_value) do
                if (" " .. types .. " "):find(" " .. kind .. " ", 1, true) then
                    passes(name, value)
                else
                    complains({ [name] = value }, "option '" .. name .. "'")
                end
            end
        end)
    end

    it("is not decided by what a string looks like", function()
        complains({ timeout = "5" }, "a number of seconds > 0 expected, got the string '5'")
        complains({ partial = "true" }, "a boolean expected")
        complains({ retries = "2" }, "integer")
    end)
end)

describe("an option's range", function()
    local nan = 0 / 0
    for name, range in pairs {
        timeout = { good = { 0.001, 1e9, math.huge, 1e-300, 2 ^ -1074 }, bad = { 0, -1, nan, -math.huge } },
        connect_timeout = { good = { 0.001, 1e300, math.huge }, bad = { 0, -1, nan } },
        deadline = { good = { 0.5, math.huge, 1e300 }, bad = { 0, -0.1, nan } },
        retries = { good = { 0, 20, 3.0 }, bad = { -1, 21, 1.5, nan, math.huge } },
        backoff = { good = { 0, 0.1, math.huge }, bad = { -0.1, nan } },
        max_backoff = { good = { 0, 0.1, math.huge }, bad = { -0.1, nan } },
        batch_size = { good = { 1, 1000 }, bad = { 0, 1001, 2.5, nan, math.huge } },
        concurrency = { good = { 1, 256 }, bad = { 0, 257, 2.5, nan } },
        rate = { good = { 0.1, 1000, math.huge, 1e-310 }, bad = { 0, -1, nan, -math.huge, -1e-310 } },
        max_response_bytes = { good = { 1, 2 ^ 40, math.huge, 1e300 }, bad = { 0, -1, 1.5, nan } },
    } do
        it("is checked: " .. name, function()
            for _, good in ipairs(range.good) do passes(name, good) end
            for _, bad in ipairs(range.bad) do complains({ [name] = bad }, "option '" .. name .. "'") end
        end)
    end
end)

describe("a mistake in the options", function()
    it("is answered with the name that was meant", function()
        complains({ timout = 5 }, "unknown option 'timout', did you mean 'timeout'?")
        complains({ base_ulr = "x" }, "did you mean 'base_url'?")
        complains({ Token = "x" }, "did you mean 'token'?")
        complains({ conect_timeout = 1 }, "did you mean 'connect_timeout'?")
        complains({ include_email_body = 1 }, "did you mean 'include_emailbody'?")
    end)

    it("is answered without a guess where nothing is near", function()
        local why = complaint { xyzzyplugh = 1 }
        assert.is_truthy(why:find("(unknown option 'xyzzyplugh')", 1, true), why)
        assert.is_true(#complaint { [("x"):rep(10000)] = 1 } < 300)
        complaint { [""] = 1 }
        complaint { ["\0"] = 1 }
        complaint { ["timeout\0x"] = 1 }
        complaint { ["timeout\0"] = 1 }
    end)

    it("is answered where a key is no string", function()
        complains({ "x" }, "option names are strings, got a number")
        complains({ [true] = 1 }, "option names are strings, got a boolean")
    end)

    it("names the function and the argument", function()
        assert.is_truthy(complaint({ nonsense = 1 }, kapture.new):find("bad argument #1 to 'new'", 1, true))
        local why = complaint("x", kapture.new)
        assert.is_truthy(why:find("bad argument #1 to 'new' (table expected, got string)", 1, true), why)
        local client = kapture.new()
        local ok
        ok, why = pcall(client.get_ticket, client, "1", { nonsense = 1 })
        assert.is_false(ok)
        assert.is_truthy(why:find("bad argument #2 to 'get_ticket'", 1, true), why)
        ok, why = pcall(kapture.get_ticket, "1", 5)
        assert.is_false(ok)
        assert.is_truthy(why:find("bad argument #2 to 'get_ticket' (table expected, got number)", 1, true), why)
    end)

    it("is told with the place of the call, as Lua does", function()
        local ok, why = pcall(function() kapture.get_ticket("1", { nonsense = 1 }) end)
        assert.is_false(ok)
        assert.is_truthy(why:find "options_spec.lua:%d+: bad argument", why)
    end)

    it("leaves the module and the client as they were", function()
        local client = kapture.new(ask.opts())
        for _ = 1, 50 do
            pcall(client.get_ticket, client, "1", { headers = { a = "b" }, cookie = "x", fields = { "a", "" } })
            pcall(kapture.new, { token = "x", nonsense = 1 })
        end
        assert.are.equal(1, #client:get_ticket "1")
    end)

    it("never repeats what may be a secret", function()
        for _, opts in ipairs {
            { token = 918273645 }, { cookie = 918273645 }, { headers = "918273645" }, { body = "918273645" },
            { headers = { Authorization = "918273645" } }, { headers = { ["x y"] = "918273645" } },
            { headers = { x = { 918273645 } } }, { proxy = 918273645 }, { key = 918273645 },
        } do
            assert.is_nil(complaint(opts):find("918273645", 1, true))
        end
    end)
end)

describe("headers", function()
    it("may not name what this module sets, in whatever letters", function()
        for _, name in ipairs { "Authorization", "Content-Type", "Content-Length", "Host", "Cookie",
                                "Transfer-Encoding", "Expect", "User-Agent", "Accept-Encoding" } do
            for _, form in ipairs { name, name:lower(), name:upper() } do
                complains({ headers = { [form] = "x" } }, "'" .. name .. "' is set by kapture itself")
            end
        end
    end)

    it("have names and values that are some", function()
        complains({ headers = { "x: y" } }, "got a number key")
        for _, name in ipairs { "", "a b", "a:", "a:b", "é", "a(b" } do
            complains({ headers = { [name] = "x" } }, "is no header name")
        end
        for _, value in ipairs { true, {}, print } do
            complains({ headers = { ["X-A"] = value } }, "a string expected for 'X-A'")
        end
    end)
end)

describe("fields", function()
    it("is a list of paths, and not an empty one", function()
        complains({ fields = {} }, "option 'fields': the list is empty")
        complains({ fields = { x = "a" } }, "option 'fields': the list is empty")
        complains({ fields = { "a", 5 } }, "a string expected at [2], got number")
        for _, path in ipairs { "", ".", "a.", ".a", "a..b" } do
            complains({ fields = { path } }, "an empty name in the path")
        end
    end)
end)

describe("body", function()
    it("names neither ticket_ids nor one of the nine", function()
        complains({ body = { ticket_ids = "1" } }, "'ticket_ids' is the call's first argument")
        for _, name in ipairs { "conversation_type", "history_type", "assigned", "disposed", "response",
                                "landing_queue", "create", "resolved", "include_emailbody" } do
            complains({ body = { [name] = "1" } }, "'" .. name .. "' is an option of its own")
        end
    end)

    it("is one that JSON can say", function()
        complains({ body = { "x" } }, "got a number key")
        complains({ body = { x = print } }, "option 'body'")
        complains({ body = { x = 0 / 0 } }, "option 'body'")
        local endless = {}
        endless.x = endless
        complains({ body = endless }, "option 'body'")
    end)
end)

describe("opts", function()
    it("is taken raw: no metamethod is called", function()
        local function never() error "called" end
        local mt = { __index = never, __pairs = never, __len = never, __metatable = false }
        local got = ask("1", {
            headers = setmetatable({ ["X-A"] = "1" }, mt),
            fields = setmetatable({ "task_details" }, mt),
        })
        assert.is_nil(got.message)
        local opts = setmetatable(ask.opts(), mt)
        assert.are.equal(1, #kapture.get_ticket("1", opts))
    end)

    it("may be changed by a token function", function()
        local opts = ask.opts()
        opts.token = function()
            for name in pairs(opts) do opts[name] = nil end
            opts.nonsense = {}
            collectgarbage()
            return sandbox.token
        end
        assert.are.equal(1, #kapture.get_ticket("1", opts))
    end)

    it("stays as it was", function()
        local opts = ask.opts { headers = { ["X-Number"] = 5 }, assigned = 3, timeout = 5 }
        local before = {}
        for name, value in pairs(opts) do before[name] = value end
        assert.are.equal(1, #kapture.get_ticket("1", opts))
        assert.are.same(before, opts)
        assert.are.equal("number", type(opts.headers["X-Number"]))
        assert.are.equal("number", type(opts.assigned))
    end)

    -- A call by the module, or by a client; gives what it has sent.
    local function sender(where, key)
        local client = where == "a client" and kapture.new()
        return function(opts)
            local got, why
            if client then got, why = client:get_ticket("1", opts) else got, why = kapture.get_ticket("1", opts) end
            assert(got, why)
            local log = sandbox.requests(key)
            return log[#log]
        end
    end

    -- A client remembers what the last options meant.
    for _, where in ipairs { "the module", "a client" } do
        it("is read again whenever it has changed: " .. where, function()
            local key = sandbox.key()
            local opts = ask.opts({ cookie = "a=1", assigned = "x" }, { key = key })
            local sent = sender(where, key)
            local function sent_thrice()
                local entry
                for _ = 1, 3 do entry = sent(opts) end
                return entry
            end
            assert.are.equal("a=1", sent_thrice().headers.cookie)
            opts.cookie = "a=2"
            assert.are.equal("a=2", sent_thrice().headers.cookie)
            opts.cookie = nil
            assert.is_nil(sent_thrice().headers.cookie)
            opts.headers = { ["X-A"] = "1" }
            assert.are.equal("1", sent_thrice().headers["x-a"])
            opts.headers["X-A"] = "2"
            assert.are.equal("2", sent_thrice().headers["x-a"])
            opts.headers = nil
            opts.landing_queue, opts.assigned = opts.assigned, nil
            local fields = sent_thrice().fields
            assert.are.same({ "", "x" }, { fields.assigned, fields.landing_queue })
            opts.assigned = true
            assert.are.equal("true", sent_thrice().fields.assigned)
            opts.assigned = 2 ^ 60
            local float = sent_thrice().fields.assigned
            if math.tointeger then
                opts.assigned = math.tointeger(2 ^ 60)
                assert.are.equal("1152921504606846976", sent_thrice().fields.assigned)
                opts.assigned = 2 ^ 60
                assert.are.equal(float, sent_thrice().fields.assigned)
            end
            opts.timout = 1
            assert.is_truthy(complaint(opts, sent):find "timeout")
        end)

        -- In a process of its own, with little garbage: the collector comes at
        -- each allocation in turn.
        it("is what was read, if a finalizer changes it meanwhile: " .. where, function()
            local output, code = ask.child(([[
                local haunted = require "spec.support.haunted"
                local kapture = require "kapture"
                local sandbox = require "spec.support.sandbox"
                local key, came = sandbox.key(), 0
                local points = haunted(function(come)
                    local client = %q == "a client" and kapture.new()
                    local opts = { base_url = sandbox.url { on = "http", key = key }, token = sandbox.token,
                                   cookie = "a=before" }
                    local function call()
                        local got, why
                        if client then got, why = client:get_ticket("1", opts)
                        else got, why = kapture.get_ticket("1", opts) end
                        assert(got, why)
                    end
                    call()
                    call()
                    opts.cookie = "a=meanwhile"
                    call()
                    come(function()
                        came = came + 1
                        opts.cookie, opts.assigned, opts.create = "a=after", "more", "more"
                    end)
                    call()
                    collectgarbage "stop"
                    call()
                    local log = sandbox.requests(key)
                    local sent, fields = log[#log].headers.cookie, log[#log].fields
                    assert(sent == opts.cookie, ("point %%d: %%s was sent for %%s"):format(came, sent, opts.cookie))
                    assert(fields.assigned == (opts.assigned or "") and fields.create == (opts.create or ""))
                end)
                print(came > 0 and points > 10)
            ]]):format(where), { KAPTURE_SANDBOX_READY = os.getenv "KAPTURE_SANDBOX_READY" })
            assert.are.equal("true\n", output)
            assert.are.equal(0, code)
        end)

        it("says the same with another metatable, or the same members as numbers: " .. where, function()
            local key = sandbox.key()
            local sent = sender(where, key)
            local opts = ask.opts({ assigned = "1" }, { key = key })
            local function never() error "called" end
            local mt = { __index = never, __newindex = never, __pairs = never, __len = never, __eq = never,
                         __metatable = false }
            local other = setmetatable(ask.opts({ assigned = 1 }, { key = key }), mt)
            for _ = 1, 3 do assert.are.equal("1", sent(opts).fields.assigned) end
            for _ = 1, 3 do assert.are.equal("1", sent(other).fields.assigned) end
            rawset(other, "assigned", 1.5)
            assert.are.equal("1.5", sent(other).fields.assigned)
            rawset(other, "assigned", "1.50")
            assert.are.equal("1.50", sent(other).fields.assigned)
            rawset(other, "assigned", nil)
            assert.are.equal("", sent(other).fields.assigned)
            -- what a metatable has is no option
            local hidden = setmetatable(ask.opts(nil, { key = key }), { __index = { assigned = "no", cookie = "no" } })
            for _ = 1, 3 do
                local entry = sent(hidden)
                assert.are.same({ "" }, { entry.fields.assigned, entry.headers.cookie })
            end
        end)

        it("is not confused with others that take turns with it: " .. where, function()
            local key = sandbox.key()
            local client = where == "a client" and kapture.new()
            local all = {}
            for i = 1, 3 do all[i] = ask.opts({ cookie = "a=" .. i }, { key = key }) end
            all[4] = ask.opts(nil, { key = key })
            for i = 1, 24 do
                local n = (i * i) % 4 + 1
                local got, why
                if client then got, why = client:get_ticket("1", all[n])
                else got, why = kapture.get_ticket("1", all[n]) end
                assert(got, why)
                local log = sandbox.requests(key)
                assert.are.equal(n < 4 and "a=" .. n or nil, log[#log].headers.cookie)
            end
        end)

        it("has its tables read anew, and is refused each time: " .. where, function()
            local client = where == "a client" and kapture.new()
            local call = client and function(opts) return client:get_ticket("1", opts) end
                or function(opts) return kapture.get_ticket("1", opts) end
            local opts = ask.opts { fields = { "task_details.ticketId" } }
            for _ = 1, 3 do assert.is_nil(call(opts)[1].additional_info) end
            opts.fields[1], opts.fields[2] = "task_details", "additional_info"
            for _ = 1, 3 do assert.are.equal("table", type(call(opts)[1].additional_info)) end
            opts.fields = nil
            for _ = 1, 3 do assert.are.equal("table", type(call(opts)[1].additional_info)) end
            for _ = 1, 3 do
                opts.hook = false
                assert.is_truthy(complaint(opts, call):find "option 'hook'")
                opts.hook = nil
                assert(call(opts))
                opts[1] = "x"
                assert.is_truthy(complaint(opts, call):find "option names are strings")
                opts[1] = nil
                assert.is_truthy(complaint("x", call):find "table expected")
            end
        end)
    end

    it("without members is as none", function()
        local key = sandbox.key()
        local client = kapture.new(ask.opts({ cookie = "a=1" }, { key = key }))
        for i = 1, 8 do
            assert(client:get_ticket("1", ({ {}, nil, { cookie = "a=2" } })[i % 4 + 1]))
            local log = sandbox.requests(key)
            assert.are.equal(i % 4 == 2 and "a=2" or "a=1", log[#log].headers.cookie)
        end
    end)

    it("comes on top of the client's functions, each time", function()
        local events, tokens = 0, 0
        local client = kapture.new(ask.opts {
            hook = function() events = events + 1 end,
            token = function()
                tokens = tokens + 1
                return sandbox.token
            end,
        })
        for n = 1, 4 do
            assert(client:get_ticket("1", { cookie = "a=1" }))
            assert.are.same({ 2 * n, n }, { events, tokens })
        end
        for n = 1, 4 do
            assert(client:get_ticket("1", { cookie = "a=1", token = sandbox.token }))
            assert.are.same({ 8 + 2 * n, 4 }, { events, tokens })
        end
        local own = 0
        assert(client:get_ticket("1", { cookie = "a=1", hook = function() own = own + 1 end }))
        assert.are.same({ 16, 2 }, { events, own })
        for n = 1, 2 do
            assert(client:get_ticket("1", { cookie = "a=1" }))
            assert.are.same({ 16 + 2 * n, 2 }, { events, own })
        end
    end)

    it("is forgotten by a client that is closed", function()
        local client = kapture.new()
        local opts = ask.opts()
        for _ = 1, 3 do assert(client:get_ticket("1", opts)) end
        client:close()
        for _ = 1, 3 do
            local _, _, err = client:get_ticket("1", opts)
            assert.are.equal("closed", err.kind)
        end
        opts.timout = 1
        assert.is_truthy(complaint(nil, function() client:get_ticket("1", opts) end):find "timeout")
    end)
end)
