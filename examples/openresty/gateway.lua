-- The gateway's program: look into the cache, fetch the rest, answer.
local cjson = require "cjson" -- before kapture, so that both agree on arrays
local kapture = require "resty.kapture"

local FRESH, FRESH_MISSING = 60, 10 -- seconds that an answer may be old

local client = kapture.new {
    deadline = 20,
    concurrency = 32, -- requests in flight, for all visitors of a worker
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

-- Debian's lua-cjson writes an empty array as {} and no more than 14 digits;
-- OpenResty's does better.
local encode = cjson.encode
if cjson.array_mt then
    cjson.encode_number_precision(16)
else
    function encode(value)
        if type(value) == "number" and value % 1 == 0 and value >= -2 ^ 53 and value <= 2 ^ 53 then
            return ("%.0f"):format(value)
        elseif type(value) ~= "table" then
            return cjson.encode(value)
        end
        local parts = {}
        if getmetatable(value) == kapture.array_mt then
            for i, element in ipairs(value) do parts[i] = encode(element) end
            return "[" .. table.concat(parts, ",") .. "]"
        end
        for key, member in pairs(value) do parts[#parts + 1] = cjson.encode(key) .. ":" .. encode(member) end
        return "{" .. table.concat(parts, ",") .. "}"
    end
end

local function fail(message, err)
    ngx.status = STATUS[err.kind] or 502
    if err.retry_after then ngx.header["Retry-After"] = math.ceil(err.retry_after) end
    ngx.log(ngx.WARN, err.kind, ": ", message)
    ngx.say(encode { error = { kind = err.kind, message = message } })
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
    for _, ticket in ipairs(tickets) do
        local id = ticket.task_details and ticket.task_details.ticketId
        if type(id) == "number" then id = ("%.0f"):format(id) end
        if type(id) == "string" then
            found[id] = encode(ticket)
            cache:set(id, found[id], FRESH)
        end
    end
    for _, id in ipairs(info.missing) do
        found[id] = false
        cache:set(id, false, FRESH_MISSING)
    end
    return found
end

local gateway = {}

function gateway.one(id)
    local found, message, err = fetch { id }
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
