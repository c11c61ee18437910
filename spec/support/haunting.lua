-- For finalizer_spec: a call against the sandbox, haunted at each point of the
-- way. Arguments: what the call is, what the finalizer does.
local haunted = require "spec.support.haunted"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local names = {}
for i = 1, 4 do names[i] = ("71300000000%d"):format(i) end

local many = {} -- two good ones, in a request of their own after the first halving
for i = 1, 34 do many[i] = ("7130000001%02d"):format(i) end

local current -- a request whose result a finalizer may ask for

local function client_of(fault, more)
    local options = {
        base_url = sandbox.http .. fault, token = sandbox.token, retries = 0, backoff = 0, batch_size = 2,
        hook = function() end,
    }
    for k, v in pairs(more or {}) do options[k] = v end
    return kapture.new(options)
end

-- What get_ticket would return, by an iterator.
local function loop(c, ids, options)
    local out = {}
    local next_one = c:tickets(ids, options)
    for _ = 1, 100 do
        local id, ticket, err = next_one()
        if id == nil then break end
        if ticket then out[#out + 1] = ticket end
        if err and err.kind ~= "server" then return nil, err.message, err end
    end
    return out
end

local works = {
    ["get_ticket"] = { "", function(c) return c:get_ticket(names) end },
    ["get_ticket with options"] = { "", function(c) return c:get_ticket(names, { fields = { "task_details" } }) end },
    ["get_ticket with a bad id"] = { "/fault/badid,id=713000000002", function(c) return c:get_ticket(names) end },
    ["tickets with many bad ids"] = { "/fault/badid,id=" .. table.concat(many, "+", 3), function(c)
        return loop(c, many, { batch_size = 4 })
    end, { concurrency = 2 }, tickets = 2 },
    ["get_ticket with retries"] = {
        "/fault/status,code=503,times=1,key=", function(c) return c:get_ticket(names, { retries = 1 }) end },
    ["get_ticket with a wrong token"] = { "", function(c) return c:get_ticket(names) end, { token = "wrong" } },
    ["submit, wait"] = { "", function(c) return c:submit(names):wait() end },
    ["submit, step"] = { "/fault/badid,id=713000000002", function(c)
        local request = c:submit(names)
        for _ = 1, 1000 do
            c:step(0.1)
            if request:done() then return request:result() end
        end
    end },
    ["submit, result"] = { "/fault/unasked", function(c)
        current = c:submit(names)
        while not current:done() do c:step(0.1) end
        return current:result()
    end, tickets = 5 },
    ["tickets"] = { "/fault/badid,id=713000000002", function(c)
        return loop(c, names)
    end, { concurrency = 2 } },
    -- the ticket of what has failed, maybe while its failure is told
    ["tickets that come after all"] = {
        "/fault/delay,ms=30,ifid=713000000002+713000000009/fault/unasked,id=713000000001,ifid=713000000002"
            .. "/fault/badid,id=713000000001",
        function(c) return loop(c, names, { batch_size = 1 }) end, { concurrency = 2 }, tickets = false },
    ["nothing to send"] = { "", function(c)
        c:get_ticket "#"
        c:get_ticket("#", { retries = 1, headers = { ["X-A"] = "b" } })
        c:submit("#", { user_agent = "u" })
        c:submit "#"
        c:step()
        c:tickets { "#" } ()
        c:tickets({ "#" }, { cookie = "a=b" }) ()
        return {}
    end },
}

local actions = {
    close = function(c) c:close() end,
    step = function(c) c:step() end,
    fetch = function(c) c:get_ticket "713000000009" end,
    submit = function(c) c:submit "713000000009" end,
    iterate = function(c)
        local id, ticket, err = c:tickets { "713000000009" } ()
        assert(id and (ticket or err), "an id was lost")
    end,
    result = function() if current then current:result() end end,
    cancel = function(_, others) for i = 1, #others do others[i]:cancel() end end,
}

return function(name, action, stride)
    local fault, work, more = (table.unpack or unpack)(works[name]) -- luacheck: compat
    local n = 0
    return haunted(function(come)
        n = n + 1
        current = nil
        -- faults that count begin anew
        local client = client_of(fault:match "key=$" and fault .. sandbox.key() or fault, more)
        local others = { client:submit "713000000008" }
        if action ~= "cancel" then others[1]:wait() end
        come(function() actions[action](client, others) end)
        local tickets, message, err = work(client)
        if tickets == nil and err.kind ~= "server" and err.kind ~= "auth" and action ~= "close" then
            error(("point %d: %s"):format(n, message))
        end
        if tickets == nil and err.kind == "server" and not fault:find "badid" then error(message) end
        local expected = works[name].tickets
        if expected == nil then expected = fault:find "badid" and 3 end
        if expected and action ~= "close" then
            local got = tickets or err.tickets
            assert(#got == expected, ("point %d: %d tickets"):format(n, #got))
            assert(tickets or #err.failed == 1 and #err.ids == 1, "it failed twice")
        end
        client:close()
    end, stride)
end
