-- What get_ticket returns when it went well: order, missing, unasked, twice.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

describe("tickets", function()
    it("are as the service sent them", function()
        local got = ask("713516551148")
        local ticket = got.tickets[1]
        assert.are.equal(1, #got.tickets)
        local task = ticket.task_details
        assert.are.equal(530348198, task.taskId)
        assert.are.equal("530348198", tostring(task.taskId))
        assert.are.equal("Kapture Dev API&apos;s", task.creatorName)
        assert.are.equal("", task.tat)
        assert.are.equal(0, task.folderId)
        assert.are.equal("713516551148", task.ticketId)
        assert.is_nil(next(task.attachments))
        assert.is_nil(next(ticket.additional_info))
        local n = 0
        for _ in pairs(task) do n = n + 1 end
        assert.are.equal(46, n)
    end)

    it("keep fields that nobody knows", function()
        local got = ask("1", nil, "field,name=sla%20status,value=%7B%22a%22%3A%5B1%2Cnull%5D%7D")
        local extra = got.tickets[1].task_details["sla status"]
        assert.are.equal(1, extra.a[1])
        assert.is_true(extra.a[2] == kapture.null)
    end)

    it("are in the order of asking, whatever the order of the answer", function()
        local list = sandbox.ids(30)
        for i = 1, 30, 2 do list[i], list[31 - i] = list[31 - i], list[i] end
        for _ = 1, 3 do
            assert.are.equal(table.concat(list, ","), ask.ids_of(ask(list, nil, "shuffle").tickets))
        end
    end)

    it("are in the order of the first mention where an id comes twice", function()
        local got = ask("3,1,3,2,1")
        assert.are.equal("3,1,2", ask.ids_of(got.tickets))
        assert.are.equal(0, #got.info.missing)
    end)

    it("are found by a ticketId that is a number", function()
        local got = ask("713000000002,713000000001", nil, "numeric", "shuffle")
        assert.are.equal("713000000002,713000000001", ask.ids_of(got.tickets))
        assert.are.equal("number", type(got.tickets[1].task_details.ticketId))
        assert.are.equal(0, #got.info.missing)
    end)

    it("that nobody asked for come last", function()
        local got = ask("5,4", nil, "unasked,id=799999999991", "shuffle")
        assert.are.equal("5,4,799999999991", ask.ids_of(got.tickets))
        assert.are.equal(0, #got.info.missing)
    end)

    it("without a ticketId come last, too, and their id is missing", function()
        local got = ask("5", nil, "noid")
        assert.are.equal(1, #got.tickets)
        assert.is_nil(got.tickets[1].task_details.ticketId)
        assert.are.equal("5", got.info.missing[1])
    end)

    it("that come twice are kept once, the last", function()
        local got = ask("1,2,3", nil, "duplicates,n=3")
        assert.are.equal("1,2,3", ask.ids_of(got.tickets))
        for _, ticket in ipairs(got.tickets) do assert.are.equal("second", ticket.task_details.title) end
    end)

    it("that come twice and unasked are kept once", function()
        local body = [=[[{"task_details":{"ticketId":"9","title":"one"}},{"task_details":{"ticketId":"1"}},]=]
            .. [=[{"task_details":{"ticketId":"9","title":"two"}}]]=]
        local text = body:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end)
        local got = ask("1", nil, "body,text=" .. text)
        assert.are.equal("1,9", ask.ids_of(got.tickets))
        assert.are.equal("two", got.tickets[2].task_details.title)
    end)

    it("that a second batch brings again are kept once", function()
        local got = ask("1,2,3,799999999991", { batch_size = 1, concurrency = 1 }, "unasked,id=799999999991")
        assert.are.equal("1,2,3,799999999991", ask.ids_of(got.tickets))
        assert.are.equal(0, #got.info.missing)
    end)

    it("that do not exist are in info.missing, in order", function()
        local got = ask("4049999993,1,4049999991,2,unknown-id,4049999991")
        assert.are.equal("1,2", ask.ids_of(got.tickets))
        assert.are.equal("4049999993,4049999991,unknown-id", table.concat(got.info.missing, ","))
    end)

    it("may be none: that is no failure", function()
        local got = ask("4049999993")
        assert.is_nil(got.message)
        assert.are.equal(0, #got.tickets)
        assert.are.equal(kapture.array_mt, getmetatable(got.tickets))
        assert.are.equal("4049999993", got.info.missing[1])
    end)

    it("with a status of their own are no envelope", function()
        for _, status in ipairs { "success", "failed" } do
            local text = ('{"task_details":{"ticketId":"1"},"status":"%s"}'):format(status)
                :gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end)
            assert.are.equal("1", ask.ids_of(ask("1", nil, "body,text=" .. text).tickets))
            assert.are.equal("1", ask.ids_of(ask("1", nil, "body,text=%5B" .. text .. "%5D").tickets))
        end
    end)

    it("are plain tables that cjson can write", function()
        local cjson = require "cjson"
        local got = ask(sandbox.ids(5), { history_type = "all", conversation_type = "all" })
        local text = cjson.encode(got.tickets)
        local again = cjson.decode(text)
        assert.are.equal(5, #again)
        assert.are.equal(got.tickets[3].task_details.title, again[3].task_details.title)
    end)
end)

describe("success in another form", function()
    for _, form in ipairs { "success", "message-array", "Message", "array" } do
        it("is understood: " .. form, function()
            local got = ask("2,1", nil, "envelope,form=" .. form, "shuffle")
            assert.is_nil(got.message)
            assert.are.equal("2,1", ask.ids_of(got.tickets))
        end)
    end

    for _, form in ipairs { "message-object", "inline" } do
        it("is understood for one ticket: " .. form, function()
            local got = ask("7", nil, "envelope,form=" .. form)
            assert.is_nil(got.message)
            assert.are.equal("7", ask.ids_of(got.tickets))
        end)
    end

    for _, form in ipairs { "message-string", "message-json" } do
        it("is a protocol failure where no ticket can be seen in it: " .. form, function()
            assert.are.equal("protocol", (ask.kind("7", nil, "envelope,form=" .. form)))
        end)
    end

    it("is a failure where it says so: customer", function()
        local kind, got = ask.kind("7", nil, "envelope,form=customer")
        assert.is_truthy(kind == "not_found" or kind == "bad_request", kind)
        assert.is_truthy(got.message:find "does not exist")
    end)
end)

describe("info", function()
    it("counts what was done", function()
        local got = ask(sandbox.ids(7), { batch_size = 3 })
        assert.are.equal(3, got.info.requests)
        assert.are.equal(3, #got.log)
        assert.are.equal(0, got.info.retries)
        assert.are.equal(0, #got.info.missing)
        local sent = 0
        for _, entry in ipairs(got.log) do sent = sent + entry.sent end
        assert.are.equal(sent, got.info.bytes)
        assert.is_true(got.info.elapsed > 0 and got.info.elapsed < 20)
        assert.is_nil(got.info.failed)
    end)

    it("has failed where partial is asked for", function()
        local got = ask("1", { partial = true })
        assert.are.equal(0, #got.info.failed)
    end)

    it("counts in integers where Lua has some", function()
        if not math.type then return end
        local info = ask("1").info
        assert.are.equal("integer", math.type(info.requests))
        assert.are.equal("integer", math.type(info.retries))
        assert.are.equal("integer", math.type(info.bytes))
    end)

    it("measures the time", function()
        assert.is_true(ask("1", nil, "delay,ms=200").info.elapsed >= 0.19)
    end)
end)

describe("fields", function()
    it("leaves out the rest", function()
        local got = ask("2,1", { fields = { "task_details.ticketId", "task_details.attachments", "additional_info" } })
        for _, ticket in ipairs(got.tickets) do
            assert.is_nil(ticket.history)
            assert.is_nil(ticket.task_details.title)
            assert.are.equal("table", type(ticket.task_details.attachments))
            assert.are.equal("table", type(ticket.additional_info))
        end
        assert.are.equal("2,1", ask.ids_of(got.tickets))
    end)

    it("keeps the order without building the id", function()
        local list = sandbox.ids(20)
        local all = ask(list)
        local got = ask(list, { fields = { "task_details.title" } }, "shuffle")
        for i, ticket in ipairs(all.tickets) do
            assert.are.equal(ticket.task_details.title, got.tickets[i].task_details.title)
            assert.is_nil(got.tickets[i].task_details.ticketId)
        end
        assert.are.equal(0, #got.info.missing)
    end)

    it("goes through arrays, in each element", function()
        local body = [=[[{"task_details":{"ticketId":"1"},"c":{"chat":]=]
            .. [=[[{"by":"a","text":"x"},{"by":"b"},{"text":"y"}]}}]]=]
        local text = body:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end)
        local chat = ask("1", { fields = { "c.chat.by" } }, "body,text=" .. text).tickets[1].c.chat
        assert.are.equal("a", chat[1].by)
        assert.are.equal("b", chat[2].by)
        assert.is_nil(chat[1].text)
        assert.are.equal(3, #chat)
        assert.is_nil(next(chat[3]))
    end)

    it("may name what is not there", function()
        local got = ask("1", { fields = { "no.such.thing" } })
        assert.are.equal(1, #got.tickets)
        assert.is_nil(next(got.tickets[1]))
    end)
end)

-- Blocking calls of a client are lent the same userdata, one after the other.
describe("a call", function()
    local function plain(...)
        local copy = {}
        for i = 1, 3 do
            local value = select(i, ...)
            if type(value) == "table" then
                local members = {}
                for name, member in pairs(value) do members[name] = member end
                members.elapsed = nil
                value = members
            end
            copy[i] = value == nil and "nil" or value
        end
        return copy
    end

    local calls = {
        function(client) return client:get_ticket "1,2" end,
        function(client) return client:get_ticket("2,404000000001,1", { cookie = "a=1" }) end,
        function(client) return client:get_ticket "no id" end,
        function(client) return client:get_ticket "" end,
        function(client) return client:get_ticket("1", { token = "wrong" }) end,
        function(client) return client:get_ticket("3", { base_url = sandbox.url "unasked" }) end,
        function(client) return client:get_ticket("3,1", { base_url = sandbox.url "badid,id=3", batch_size = 1 }) end,
        function(client)
            return client:get_ticket("3,1", { base_url = sandbox.url "badid,id=3", batch_size = 1, partial = true })
        end,
        function(client) return client:get_ticket("1", { token = function() return sandbox.token end }) end,
        function(client) return client:get_ticket("1", { raw = true, hook = function() end }) end,
    }

    it("has nothing of those before it on the same client", function()
        local expected, got = {}, {}
        for i, call in ipairs(calls) do
            local client = kapture.new(ask.opts())
            expected[i] = plain(call(client))
            client:close()
        end
        local client = kapture.new(ask.opts())
        for round = 0, 2 do
            for i = 1, #calls do
                local n = (i * (2 * round + 1)) % #calls + 1
                local result = plain(calls[n](client))
                assert.are.same(expected[n], result)
                got[#got + 1] = { n, result }
            end
        end
        client:close()
        -- and what they returned is their own
        for _, one in ipairs(got) do assert.are.same(expected[one[1]], one[2]) end
    end)

    it("that raises leaves nothing to the next", function()
        local client = kapture.new(ask.opts())
        for _ = 1, 3 do
            assert(client:get_ticket "1,2")
            assert.has_error(function() client:get_ticket(true, { token = function() return "wrong" end }) end)
            assert.has_error(function() client:get_ticket("1", { timout = 1 }) end)
            assert.are.equal("2,1", ask.ids_of(client:get_ticket "2,1"))
        end
    end)

    it("keeps neither its functions nor its tickets alive", function()
        local client = kapture.new(ask.opts())
        local alive = setmetatable({}, { __mode = "v" })
        local function one(fail)
            local secret = {}
            local function hook() return secret end
            local function token() return fail and secret or sandbox.token end
            local tickets, _, err = client:get_ticket("1", { hook = hook, token = token })
            assert.are.equal(not fail, tickets ~= nil)
            alive[#alive + 1] = secret
            alive[#alive + 1] = tickets or err
        end
        one(false)
        one(true)
        for _ = 1, 3 do collectgarbage() end
        assert.is_nil(next(alive))
        assert(client:get_ticket "1")
    end)

    it("within a call is another one", function()
        local client, depth, inner = nil, 0, {}
        client = kapture.new(ask.opts { hook = function(event)
            if event.event ~= "request" or depth > 2 then return end
            depth = depth + 1
            local tickets = client:get_ticket(("%d"):format(10 * depth + #event.ids))
            inner[#inner + 1] = ask.ids_of(tickets)
            depth = depth - 1
        end, token = function() return sandbox.token end })
        for _ = 1, 2 do
            inner = {}
            assert.are.equal("1,2", ask.ids_of(client:get_ticket "1,2"))
            assert.are.equal("31,21,12", table.concat(inner, ","))
        end
    end)
end)
