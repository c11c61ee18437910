-- The gateway's program: look into the cache, fetch the rest, answer.
local cjson = require "cjson"
local flights = require "flights"
local kapture = require "resty.kapture"

local FRESH, FRESH_MISSING = 60, 10 -- seconds that an answer may be old

local client = kapture.new {
    deadline = 20,
    concurrency = 32, -- requests in flight, for all visitors of a worker
    raw = true, -- tickets are passed on as the service wrote them
}
local cache, counts = ngx.shared.tickets, ngx.shared.counts

local function count(name)
    counts:incr(name, 1, 0)
end

-- What went wrong is the visitor's mistake, the service's, or ours: a token
-- that is refused, say, is no 401 of the visitor's.
local STATUS = {
    invalid_ids = 400,
    not_found = 404,
    rate_limited = 503,
    closed = 503, -- this worker is about to end
    timeout = 504,
    config = 500,
    method = 405,
} -- and 502 for the rest

-- What no visitor and no minute will mend is for whoever runs this.
local LEVEL = { auth = ngx.ERR, config = ngx.ERR, tls = ngx.ERR }

-- err: { kind =, message =, retry_after = }
local function fail(err)
    ngx.status = STATUS[err.kind] or 502
    count('failures_total{kind="' .. err.kind .. '"}')
    if err.retry_after then ngx.header["Retry-After"] = math.ceil(err.retry_after) end
    ngx.log(LEVEL[err.kind] or ngx.WARN, err.kind, ": ", err.message)
    ngx.say(cjson.encode { error = { kind = err.kind, message = err.message } })
end

local function may_read()
    count "requests_total"
    local method = ngx.req.get_method()
    if method == "GET" or method == "HEAD" then return true end
    ngx.header.Allow = "GET, HEAD"
    fail { kind = "method", message = "there is nothing here but to read" }
end

local function split(ids)
    local list, seen = {}, {}
    for id in (ids or ""):gmatch "[^,%s]+" do
        if not seen[id] then list[#list + 1] = id end
        seen[id] = true
    end
    return list
end

-- Puts what the service says of these ids into `found` and into the cache: JSON, or
-- false where it knows none. Returns how that failed, or nil.
local function ask(ids, found)
    count "calls_total"
    local tickets, info, err = client:get_ticket(ids)
    if not tickets then return { kind = err.kind, message = info, retry_after = err.retry_after } end
    for _, id in ipairs(info.missing) do
        found[id] = false
        cache:set(id, false, FRESH_MISSING)
    end
    local n = 0 -- tickets come in the order of the ids
    for _, id in ipairs(ids) do
        if found[id] == nil then
            n = n + 1
            found[id] = tickets[n]
            cache:set(id, tickets[n], FRESH)
        end
    end
end

-- The same for those that nobody else is asking for.
local function fly(flight, found)
    local ids = {}
    for _, id in ipairs(flight) do -- a flight may have landed just before this one began
        found[id] = cache:get(id)
        if found[id] == nil then ids[#ids + 1] = id end
    end
    if #ids == 0 then return flights.finish(flight) end
    -- the visitor may go away, and this light thread with it
    ngx.ctx.flight = flight
    ngx.on_abort(function()
        flights.finish(ngx.ctx.flight,
            cjson.encode { kind = "cancelled", message = "the visitor who asked first went away" })
        ngx.exit(499)
    end)
    local ok, failure = pcall(ask, ids, found)
    if not ok then failure = { kind = "server", message = tostring(failure) } end
    flights.finish(flight, failure and cjson.encode(failure))
    return failure
end

-- JSON by id for those that there are; or nil and how that failed.
local function fetch(ids)
    local found, wanted = {}, {}
    for _, id in ipairs(ids) do
        found[id] = cache:get(id)
        count(found[id] == nil and "cache_misses_total" or "cache_hits_total")
        if found[id] == nil then wanted[#wanted + 1] = id end
    end
    if #ids == 0 then return nil, ask(ids, found) end -- which says what is wrong with that
    for _ = 1, 3 do -- a flight that was cancelled, or what it brought is gone already
        local flight, others = flights.begin(wanted)
        local failure = fly(flight, found)
        if failure then return nil, failure end
        for id, number in pairs(others) do
            failure = flights.wait(id, number)
            failure = failure and cjson.decode(failure)
            if failure and failure.kind ~= "cancelled" then return nil, failure end
            found[id] = cache:get(id)
        end
        local left = {}
        for _, id in ipairs(wanted) do
            if found[id] == nil then left[#left + 1] = id end
        end
        wanted = left
        if #wanted == 0 then return found end
    end
    local failure = ask(wanted, found)
    if failure then return nil, failure end
    return found
end

local gateway = {}

function gateway.one(id)
    if not may_read() then return end
    local found, failure = fetch { id }
    if not found then return fail(failure) end
    if not found[id] then
        return fail { kind = "not_found", message = "the service does not know ticket " .. id }
    end
    ngx.say(found[id])
end

function gateway.many(ids)
    if not may_read() then return end
    local list = split(ids and ngx.unescape_uri(ids))
    local found, failure = fetch(list)
    if not found then return fail(failure) end
    local tickets, missing = {}, {}
    for _, id in ipairs(list) do
        if found[id] then
            tickets[#tickets + 1] = found[id]
        else
            missing[#missing + 1] = cjson.encode(id)
        end
    end
    ngx.say('{"tickets":[', table.concat(tickets, ","), '],"missing":[', table.concat(missing, ","), "]}")
end

-- What Prometheus reads.
function gateway.metrics()
    local names = counts:get_keys(0)
    table.sort(names)
    for _, name in ipairs(names) do ngx.say("kapture_gateway_", name, " ", counts:get(name)) end
end

return gateway
