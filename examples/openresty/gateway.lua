-- The gateway's program: look into the cache, fetch the rest, answer.
local cjson = require "cjson"
local kapture = require "resty.kapture"

local FRESH, FRESH_MISSING = 60, 10 -- seconds that an answer may be old

local client = kapture.new {
    deadline = 20,
    concurrency = 32, -- requests in flight, for all visitors of a worker
    raw = true, -- tickets are passed on as the service wrote them
}
local cache = ngx.shared.tickets

-- What went wrong is the visitor's mistake, the service's, or ours: a token
-- that is refused, say, is no 401 of the visitor's.
local STATUS = {
    invalid_ids = 400,
    not_found = 404,
    rate_limited = 503,
    closed = 503, -- this worker is about to end
    timeout = 504,
    config = 500,
} -- and 502 for the rest

local function fail(message, err)
    ngx.status = STATUS[err.kind] or 502
    if err.retry_after then ngx.header["Retry-After"] = math.ceil(err.retry_after) end
    ngx.log(ngx.WARN, err.kind, ": ", message)
    ngx.say(cjson.encode { error = { kind = err.kind, message = message } })
end

local function split(ids)
    local list, seen = {}, {}
    for id in (ids or ""):gmatch "[^,%s]+" do
        if not seen[id] then list[#list + 1] = id end
        seen[id] = true
    end
    return list
end

-- JSON by id for those that there are; or nil, message, err.
local function fetch(ids)
    local found, wanted = {}, {}
    for _, id in ipairs(ids) do
        found[id] = cache:get(id)
        if found[id] == nil then wanted[#wanted + 1] = id end
    end
    if #wanted == 0 and #ids > 0 then return found end
    local tickets, info, err = client:get_ticket(wanted)
    if not tickets then return nil, info, err end
    for _, id in ipairs(info.missing) do
        found[id] = false
        cache:set(id, false, FRESH_MISSING)
    end
    local n = 0 -- tickets come in the order of the ids
    for _, id in ipairs(wanted) do
        if found[id] == nil then
            n = n + 1
            found[id] = tickets[n]
            cache:set(id, tickets[n], FRESH)
        end
    end
    return found
end

local gateway = {}

function gateway.one(id)
    local found, message, err = fetch(split(id))
    if not found then return fail(message, err) end
    if not found[id] then return fail("the service does not know ticket " .. id, { kind = "not_found" }) end
    ngx.say(found[id])
end

function gateway.many(ids)
    local list = split(ids and ngx.unescape_uri(ids))
    local found, message, err = fetch(list)
    if not found then return fail(message, err) end
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

return gateway
