-- Faults that act before the service would have answered, or in its place.
local breaking = require "breaking"
local service = require "service"

local counts = ngx.shared.counts
local M = {}

local reasons = {
    [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
    [408] = "Request Time-out", [413] = "Request Entity Too Large", [414] = "Request-URI Too Large",
    [429] = "Too Many Requests", [500] = "Internal Server Error", [502] = "Bad Gateway",
    [503] = "Service Temporarily Unavailable", [504] = "Gateway Time-out",
}

local vendor_words = {
    [401] = "Invalid Auth Key", [400] = "Invalid parameters or missing data", [403] = "Insufficient permissions",
    [404] = "Resource or endpoint not found", [500] = "ServerFailure",
}

-- A failing answer with a body of the kind named: json, html, none or text.
local function failing(code, kind)
    local reason = reasons[code] or "Error"
    if kind == "html" then
        return service.html(code, code .. " " .. reason)
    elseif kind == "none" then
        return { status = code, type = service.JSON, body = "" }
    elseif kind == "text" then
        return { status = code, type = "text/plain", body = reason .. "\n" }
    end
    return { status = code, type = service.JSON, body = service.failed_body(vendor_words[code] or reason) }
end

local days = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local long_days = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }
local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

-- `after` as the header's value: seconds, or a date so many seconds from now
-- in one of the three forms that HTTP knows.
local function retry_after(after, form)
    local seconds = tonumber(after)
    if form == "seconds" or not seconds then return after end
    local t = os.date("!*t", math.ceil(ngx.now() + seconds))
    local time = string.format("%02d:%02d:%02d", t.hour, t.min, t.sec)
    if form == "rfc850" then
        return string.format("%s, %02d-%s-%02d %s GMT", long_days[t.wday], t.day, months[t.month], t.year % 100, time)
    elseif form == "asctime" then
        return string.format("%s %s %2d %s %d", days[t.wday], months[t.month], t.day, time, t.year)
    end
    return string.format("%s, %02d %s %d %s GMT", days[t.wday], t.day, months[t.month], t.year, time)
end

M.tag = {
    doc = "nothing: gives requests a key, to find them in the log",
}

M.status = {
    doc = "answers with this status; body is json, html, text or none",
    params = { code = 503, body = "json", message = "" },
    gate = function(_, p)
        local resp = failing(p.code, p.body)
        if p.message ~= "" then resp.body = service.failed_body(p.message) end
        return resp
    end,
}

M.outage = {
    doc = "every request fails with this status",
    params = { code = 500, body = "html" },
    gate = function(_, p) return failing(p.code, p.body) end,
}

M["retry-after"] = {
    doc = "a status with Retry-After: after seconds (or any text), form seconds, date, rfc850 or asctime",
    params = { code = 429, after = "1", form = "seconds", body = "json" },
    gate = function(_, p)
        local resp = failing(p.code, p.body)
        resp.headers = { { "Retry-After", retry_after(p.after, p.form) } }
        return resp
    end,
}

-- The answer of a service that wants to be asked less.
local function push_back(p)
    local resp = failing(p.code, p.body)
    if p.after ~= "" then resp.headers = { { "Retry-After", p.after } } end
    return resp
end

local function counter(ctx, p, kind)
    return kind .. ":" .. (p.key ~= "" and p.key or ctx.fault)
end

M.ratelimit = {
    doc = "more than n requests within per seconds, from the first of them or by the clock: " ..
        "429 or another code, with Retry-After if after is given",
    params = { n = 10, per = 1, from = "first", code = 429, after = "", body = "json" },
    gate = function(ctx, p)
        local name = counter(ctx, p, "rate")
        if p.from == "clock" then name = name .. ":" .. math.floor(ngx.now() / p.per) end
        if counts:incr(name, 1, 0, p.per) > p.n then return push_back(p) end
    end,
}

M.bucket = {
    doc = "a token bucket: n requests at once, and from then on rate a second; else 429 or another code",
    params = { n = 20, rate = 2, code = 429, after = "", body = "json" },
    gate = function(ctx, p)
        local name, now = counter(ctx, p, "bucket"), ngx.now()
        local tokens, at = counts:get(name), counts:get(name .. ":at")
        tokens = tokens and math.min(p.n, tokens + (now - at) * p.rate) or p.n
        counts:set(name .. ":at", now)
        counts:set(name, tokens >= 1 and tokens - 1 or tokens)
        if tokens < 1 then return push_back(p) end
    end,
}

M.atonce = {
    doc = "more than n requests at a time: 429 or another code; each takes ms",
    params = { n = 2, ms = 20, code = 429, after = "", body = "json" },
    gate = function(ctx, p)
        local name = counter(ctx, p, "atonce")
        if counts:incr(name, 1, 0) > p.n then
            counts:incr(name, -1)
            return push_back(p)
        end
        ctx.at_once = name -- until it has ended: see trace.leave
        breaking.pause(ctx, p.ms / 1000)
    end,
}

M.hang = {
    doc = "no answer for so many seconds, then the connection closes (a stream, on HTTP/2)",
    params = { s = 60 },
    gate = function(ctx, p) return breaking.hang(ctx, math.min(p.s, 600)) end,
}

M.close = {
    doc = "closes without an answer; scope connection or stream (HTTP/2). With ifconn=kept: a stale kept connection",
    params = { scope = "connection" },
    gate = function(ctx, p) return breaking.close(ctx, p.scope) end,
}

M.html = {
    doc = "an HTML page as gateways send them",
    params = { code = 502 },
    gate = function(_, p) return service.html(p.code, p.code .. " " .. (reasons[p.code] or "OK")) end,
}

M.empty = {
    doc = "an empty body",
    params = { code = 200 },
    gate = function(_, p) return { status = p.code, type = service.JSON, body = "" } end,
}

M.body = {
    doc = "exactly this body: text (percent-encoded) or b64 (base64, also the url form)",
    params = { code = 200, text = "", b64 = "", type = service.JSON },
    gate = function(_, p)
        local text = p.text
        if p.b64 ~= "" then
            text = p.b64:gsub("-", "+"):gsub("_", "/")
            text = ngx.decode_base64(text .. ("="):rep(-#text % 4)) or "sandbox: b64 is not base64"
        end
        return { status = p.code, type = p.type, body = text }
    end,
}

M.failed = {
    doc = "the service's own failures under this status (0: as they are), " ..
        "in form message, Message, customer, array, object or none",
    params = { status = 200, form = "message" },
    gate = function(ctx, p)
        ctx.failed = { status = p.status > 0 and p.status or nil, form = p.form }
    end,
}

M.error = {
    doc = "a failed body with one of the error names seen",
    params = { name = "ServerFailure", status = 200, form = "message" },
    gate = function(_, p)
        return { status = p.status, type = service.JSON, body = service.failed_body(p.name, p.form) }
    end,
}

M.expired = {
    doc = "the token has expired: APIExpired",
    params = { status = 401 },
    gate = function(_, p)
        return { status = p.status, type = service.JSON, body = service.failed_body "APIExpired" }
    end,
}

M.badid = {
    doc = "a request that holds one of these ids (joined by +) fails; status 200 is a failed body",
    params = { id = "", status = 500, body = "json" },
    gate = function(ctx, p)
        for id in p.id:gmatch "[^+]+" do
            if ctx.wanted[id] then
                if p.status == 200 then
                    return { status = 200, type = service.JSON, body = service.failed_body("Invalid ticket id " .. id) }
                end
                return failing(p.status, p.body)
            end
        end
    end,
}

M.maxids = {
    doc = "a request of more than n ids fails with this status",
    params = { n = 10, status = 413, body = "html" },
    gate = function(ctx, p)
        if #ctx.ids > p.n then return failing(p.status, p.body) end
    end,
}

M.redirect = {
    doc = "a redirect: to=self (the same without faults), loop (to itself), other (another host) or any url; " ..
        "whoever follows it to self or other is logged under its key with \"to\" behind",
    params = { code = 302, to = "self" },
    gate = function(ctx, p)
        local scheme, host = ngx.var.scheme, ngx.var.http_host or "localhost"
        local to, mark = p.to, p.key ~= "" and "/fault/tag,key=" .. p.key .. "to" or ""
        if to == "self" then
            to = scheme .. "://" .. host .. mark .. ctx.path
        elseif to == "loop" then
            to = scheme .. "://" .. host .. ctx.fault .. ctx.path
        elseif to == "other" then
            to = scheme .. "://127.0.0.1:" .. ngx.var.server_port .. mark .. ctx.path
        end
        local resp = service.html(p.code, p.code .. " Moved")
        resp.headers = { { "Location", to } }
        return resp
    end,
}

M["echo-token"] = {
    doc = "a gateway that repeats the Authorization header: in its body (json, html) or its headers (header)",
    params = { code = 502, where = "json" },
    gate = function(ctx, p)
        local value = ctx.headers.authorization or "(none)"
        if p.where == "html" then return service.html(p.code, "Rejected header Authorization: " .. value) end
        local resp = failing(p.code, "json")
        if p.where == "header" then
            resp.headers = { { "X-Debug-Authorization", value } }
        else
            resp.body = service.failed_body("upstream rejected Authorization: " .. value)
        end
        return resp
    end,
}

-- Of MD5: a hash for tables barely changes with the last character.
local function fraction(text)
    return tonumber(ngx.md5(text):sub(1, 8), 16) / 0x100000000
end

M.random = {
    doc = "fails at random at this rate, decided by seed, ids and attempt; " ..
        "kinds: reset, close, slow (by ms), truncate or a status, joined by +",
    params = { seed = "1", rate = 0.1, kinds = "reset+503+slow+truncate", ms = 50 },
    gate = function(ctx, p)
        local text = p.seed .. ":" .. ngx.md5(ctx.ids_text or "")
        local attempt = counts:incr("random:" .. p.key .. ":" .. text, 1, 0, 3600)
        text = text .. ":" .. attempt
        if fraction(text) >= p.rate then return nil end
        local kinds = {}
        for kind in p.kinds:gmatch "[^+]+" do kinds[#kinds + 1] = kind end
        local kind = kinds[math.floor(fraction(text .. "k") * #kinds) + 1]
        ctx.acted = kind
        if kind == "reset" then return breaking.reset(ctx, "stream") end
        if kind == "close" then return breaking.close(ctx, "stream") end
        if kind == "slow" then
            breaking.pause(ctx, p.ms / 1000)
        elseif kind == "truncate" then
            ctx.plan.cut, ctx.plan.identity = { at = 0.5, how = "abrupt" }, true
        else
            return failing(tonumber(kind) or 500, "html")
        end
    end,
}

return M
