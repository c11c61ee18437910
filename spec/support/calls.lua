-- What the specs about whole calls share: options for the sandbox, what came
-- back by id, hooks that note down, and the sandbox's own view of it all.
local host = require "kapture_host"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local calls = { now = host.now, sleep = host.sleep }

-- Options for a call to the sandbox: these faults in front, under a key of
-- their own (the second result). `extra` goes on top; its `on` is a listener.
function calls.options(faults, extra)
    local key, on = sandbox.key(), nil
    local o = { token = sandbox.token, ca_file = sandbox.ca, backoff = 0 }
    for k, v in pairs(extra or {}) do
        if k == "on" then on = v else o[k] = v end
    end
    if type(faults) == "string" then faults = { faults } end
    local specs = {}
    for i, fault in ipairs(faults or {}) do specs[i] = fault end
    specs[#specs + 1] = { key = key, on = on }
    o.base_url = o.base_url or sandbox.url((table.unpack or unpack)(specs)) -- luacheck: compat
    return o, key
end

-- A client with the limits among these options, which are then without them.
function calls.client(o)
    local own = { concurrency = o.concurrency, rate = o.rate }
    o.concurrency, o.rate = nil, nil
    return kapture.new(own)
end

function calls.id_of(ticket)
    return tostring(ticket.task_details.ticketId)
end

function calls.ids_of(tickets)
    local list = {}
    for i, t in ipairs(tickets) do list[i] = calls.id_of(t) end
    return list
end

-- An id with its end put in place: the n-th of those that do not exist.
function calls.unknown(n)
    return ("404%09d"):format(n)
end

-- All ids of a list of failures, sorted.
function calls.failed_ids(failed)
    local list = {}
    for _, f in ipairs(failed) do
        for _, id in ipairs(f.ids) do list[#list + 1] = id end
    end
    table.sort(list)
    return list
end

-- A hook that keeps every event in `list`, and how many of each name.
function calls.recorder()
    local r = { list = {}, count = { request = 0, response = 0, retry = 0, pause = 0, split = 0, failure = 0 } }
    function r.hook(e)
        r.list[#r.list + 1] = e
        r.count[e.event] = r.count[e.event] + 1
        e.seen = host.now()
    end
    function r.of(name)
        local list = {}
        for _, e in ipairs(r.list) do
            if e.event == name then list[#list + 1] = e end
        end
        return list
    end
    return r
end

-- Every id of `asked` exactly once: as ticket, missing or failed.
function calls.account(asked, tickets, missing, failed)
    local seen = {}
    local function note(id, as)
        if seen[id] then error(("id %s is %s and %s"):format(id, seen[id], as)) end
        seen[id] = as
    end
    for _, t in ipairs(tickets) do note(calls.id_of(t), "ticket") end
    for _, id in ipairs(missing) do note(id, "missing") end
    for _, f in ipairs(failed or {}) do
        for _, id in ipairs(f.ids) do note(id, "failed") end
    end
    local n = 0
    for _, id in ipairs(asked) do
        if not seen[id] then error("id " .. id .. " is lost") end
        n = n + 1
    end
    for id in pairs(seen) do
        n = n - 1
        assert(id)
    end
    if n ~= 0 then error "more ids than were asked for" end
    return seen
end

-- Waits until `check` gives something, and returns it.
function calls.eventually(check, seconds)
    local limit = host.now() + (seconds or 10)
    repeat
        local got = check()
        if got then return got end
        host.sleep(0.02)
    until host.now() > limit
    error("it did not happen", 2)
end

return calls
