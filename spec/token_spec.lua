-- The token function: called once a call, and free to call the module itself.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

-- A client whose token function does `inside(client, depth)` first, and how
-- often it was called. What `inside` asks for goes with a token of its own or
-- calls the function again, one level deeper.
local function client_with(inside)
    local client, count, depth = nil, 0, 0
    client = kapture.new(ask.opts { token = function()
        count = count + 1
        depth = depth + 1
        local ok, why = pcall(inside, client, depth)
        depth = depth - 1
        if not ok then error(why, 0) end
        return sandbox.token
    end })
    return client, function() return count end
end

local own = { token = sandbox.token }

describe("a token function", function()
    it("is called once a call, an iterator being one", function()
        local client, count = client_with(function() end)
        assert.equal(60, #client:get_ticket(sandbox.ids(60)))
        assert.equal(1, count())
        local n = 0
        for _ in client:tickets(sandbox.ids(60), { batch_size = 7 }) do n = n + 1 end
        assert.equal(60, n)
        assert.equal(2, count())
        assert(client:submit("1"):wait())
        assert.equal(3, count())
        client:close()
    end)

    it("may fetch with its own client", function()
        local inner
        local client, count = client_with(function(client)
            inner = client:get_ticket("2", own)
            for id, ticket in client:tickets({ 3, 4 }, own) do assert(ticket, id) end
            assert(client:submit("5", own):wait())
            assert(client:step())
            assert(client:fd())
        end)
        assert.equal("1", ask.ids_of((client:get_ticket "1")))
        assert.equal("2", ask.ids_of(inner))
        local got = {}
        for id, ticket in client:tickets("6,7", { batch_size = 1 }) do got[#got + 1] = ticket and id end
        assert.same({ "6", "7" }, got)
        assert.equal("8", ask.ids_of((client:submit("8"):wait())))
        assert.equal(3, count())
        client:close()
    end)

    it("may call what calls it again, to any depth", function()
        local client, count = client_with(function(client, depth)
            if depth < 5 then assert.equal(tostring(depth), ask.ids_of((client:get_ticket(depth)))) end
        end)
        assert.equal("9", ask.ids_of((client:get_ticket "9")))
        assert.equal(5, count())
        for _, ticket in client:tickets "9" do assert(ticket) end
        assert.equal(10, count())
        client:close()
    end)

    it("that never comes to an end is a failure", function()
        local client = client_with(function(client) assert(client:get_ticket "1") end)
        local tickets, message, err = client:get_ticket "1"
        assert.is_nil(tickets)
        assert.equal("config", err.kind, message)
        assert.equal(1, #client:get_ticket("1", own))
        client:close()
    end)

    it("may use the iterator that asks for it neither to fetch nor to hang", function()
        local it, why
        local client = client_with(function() why = select(2, pcall(it)) end)
        it = client:tickets "1,2"
        assert.equal("1", (it()))
        assert.equal("2", (it()))
        assert.is_nil((it()))
        assert.is_truthy(tostring(why):find("at work", 1, true), why)
        client:close()
    end)

    it("may close that iterator", function()
        local it
        local client = client_with(function() it:close() end)
        it = client:tickets "1,2"
        assert.is_nil((it()))
        assert.is_nil((it()))
        assert.equal(1, #client:get_ticket("1", own))
        client:close()
    end)

    it("may close the client", function()
        for _, call in ipairs {
            function(client) return client:get_ticket "1,2" end,
            function(client) return client:submit("1,2"):wait() end,
            function(client) return client:submit("1,2"):result() end,
            function(client)
                local _, ticket, err = client:tickets "1,2" ()
                return ticket, err and err.message, err
            end,
        } do
            local client = client_with(function(client)
                client:close()
                collectgarbage()
            end)
            local going = client:submit("3", { token = sandbox.token, base_url = sandbox.url "hang,s=5" })
            local tickets, message, err = call(client)
            assert.is_nil(tickets)
            assert.equal("closed", err.kind, message)
            assert.equal("closed", select(3, going:result()).kind)
            assert.is_nil(client:fd())
        end
    end)

    it("may close it at any round of two iterators", function()
        local first
        local client = client_with(function(client)
            if first then client:close() else first = true end
        end)
        local a, b = client:tickets(sandbox.ids(9), { batch_size = 1 }), client:tickets(sandbox.ids(9))
        assert(select(2, a()))
        local id, ticket, err = b()
        assert.equal(sandbox.id(1), id)
        assert.is_nil(ticket)
        assert.equal("closed", err.kind)
        local n, last = 1, nil
        for _, got, why in a do n, last = n + 1, got and "ticket" or why.kind end
        assert.is_true(n >= 2 and n <= 9, n)
        assert.is_true(last == "closed" or n == 4, last) -- 4 were asked for before
    end)

    it("may fetch by the module's own functions, elsewhere too", function()
        local function token()
            for n = 1, 10 do -- more than the clients that are kept
                local o = ask.opts { verify = false, proxy = "", ca_path = "/nowhere/" .. n }
                assert.equal("2", ask.ids_of((assert(kapture.get_ticket("2", o)))))
            end
            return sandbox.token
        end
        assert.equal("1", ask.ids_of((assert(kapture.get_ticket("1", ask.opts { token = token })))))
        for _, ticket, err in kapture.tickets("1", ask.opts { token = token }) do
            assert(ticket, err and err.message)
        end
    end)

    it("may raise after any of that", function()
        local client = client_with(function(client)
            assert(client:get_ticket("2", own))
            client:submit("3", own)
            error { "no string" }
        end)
        assert.equal("config", select(3, client:get_ticket "1").kind)
        assert.equal("config", select(3, client:submit("1"):result()).kind)
        for _, _, err in client:tickets "1" do assert.equal("config", err.kind) end
        assert.equal(1, #client:get_ticket("1", own))
        client:close()
    end)

    it("may not yield", function()
        local client = client_with(coroutine.yield)
        coroutine.wrap(function()
            assert.equal("config", select(3, client:get_ticket "1").kind)
        end)()
        client:close()
    end)
end)
