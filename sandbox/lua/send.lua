-- Sends a response as its plan says. A plan may have
--   head_delay          seconds between headers and body
--   piece, pause        the size of pieces, and seconds after each
--   length              false: no Content-Length
--   identity            no gzip
--   cut                 { at =, how =, scope =, seconds = }: the end that comes early
--   idleclose           seconds after which the idle connection is closed
--   raw                 bytes past nginx: HTTP/1.1 only
local breaking = require "breaking"
local cache = require "cache"
local deflate = require "deflate"
local raw = require "raw"
local socket = require "socket_ffi"
local trace = require "trace"

local function pieces(text, size, write)
    for from = 1, #text, size do write(text:sub(from, from + size - 1)) end
end

local function close_later(seconds)
    local remote, here = tonumber(ngx.var.remote_port), tonumber(ngx.var.server_port)
    ngx.timer.at(seconds, function()
        local fd = socket.find(remote, here)
        if fd then socket.finish(fd) end
    end)
end

local function cut_short(ctx, cut)
    if cut.how == "reset" then
        return breaking.reset(ctx, cut.scope or "stream")
    elseif cut.how == "stall" then
        return breaking.hang(ctx, cut.seconds)
    elseif cut.how == "notify" then
        ctx.acted = "truncate"
        return trace.leave(ctx, ctx.status_sent)
    end
    return breaking.close(ctx, "stream")
end

local function header(name, value)
    local old = ngx.header[name]
    if old == nil then
        ngx.header[name] = value
    elseif type(old) == "table" then
        old[#old + 1] = value
        ngx.header[name] = old
    else
        ngx.header[name] = { old, value }
    end
end

-- Compressing an answer costs more than all the rest of it, so that a measured
-- client would mostly wait: what was compressed once is kept.
local packed = cache.new(64 * 1024 * 1024)
local SMALLEST, LARGEST = 256, 1024 * 1024

local function pack(ctx, resp)
    local accepts = ctx.headers["accept-encoding"]
    local body = resp.body
    if resp.status ~= 200 or type(accepts) ~= "string" or not accepts:find "gzip" or accepts:find ";" or
        resp.headers or #body < SMALLEST or #body > LARGEST then
        return body
    end
    local entry = resp.kept and resp.kept.body == body and resp.kept
    local text = entry and entry.packed or not entry and packed:get(body)
    if not text then
        text = deflate.gzip(body)
        if entry then
            entry.packed = text
        else
            packed:set(body, text, #body + #text)
        end
    end
    ngx.header["Content-Encoding"] = "gzip"
    ngx.header["Content-Length"] = #text
    return text
end

return function(ctx, resp)
    local plan = ctx.plan
    if plan.raw then return raw(ctx, resp, plan.raw) end

    ngx.status = resp.status
    ngx.header.content_type = resp.type
    for _, pair in ipairs(resp.headers or {}) do header(pair[1], pair[2]) end
    if plan.identity then ngx.req.clear_header "Accept-Encoding" end
    local size = resp.size or resp.body and #resp.body
    if plan.length ~= false and size then ngx.header["Content-Length"] = size end
    if plan.idleclose then close_later(plan.idleclose) end
    ctx.status_sent = resp.status
    ctx.sent = size or 0

    if not (plan.head_delay or plan.piece or plan.cut or resp.produce) then
        local text = resp.body
        if plan.length ~= false and not plan.identity then text = pack(ctx, resp) end
        trace.leave(ctx, resp.status)
        return ngx.print(text)
    end

    ngx.send_headers()
    if plan.head_delay then
        ngx.flush(true)
        breaking.pause(ctx, plan.head_delay)
    end

    local limit = math.huge
    if plan.cut then
        local at = plan.cut.at
        limit = at < 1 and math.floor((size or 0) * at) or at
    end
    local sent, dead = 0, false
    local function write(text)
        if dead then return end
        if sent + #text > limit then text = text:sub(1, limit - sent) end
        sent = sent + #text
        if #text == 0 then return end
        -- What has been passed on is out of our hands: the last piece is
        -- preceded by the log line.
        if size and sent >= size then trace.leave(ctx, resp.status) end
        local ok = ngx.print(text) and ngx.flush(true)
        if not ok then dead = true end
        if plan.pause and not dead then ngx.sleep(plan.pause) end
    end
    if resp.produce then
        resp.produce(write)
    else
        pieces(resp.body, plan.piece or math.max(#resp.body, 1), write)
    end
    ctx.sent = sent
    if dead then return end
    if plan.cut then return cut_short(ctx, plan.cut) end
    trace.leave(ctx, resp.status)
end
