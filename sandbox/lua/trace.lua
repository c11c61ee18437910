-- The request log and the counters.
--
-- The line of a request is written, and its in-flight count given back, before
-- the last byte of its answer leaves: whoever has the answer finds the line.
local ffi = require "ffi"
local json = require "json"

ffi.cdef [[
int open(const char *path, int flags, int mode);
long write(int fd, const void *buf, size_t n);
]]

local M = {}
local C = ffi.C
local quote, concat = json.quote, table.concat
local counts = ngx.shared.counts
local log_fd
local O_WRONLY_CREAT_APPEND = jit.os == "OSX" and 0x209 or 0x441

function M.open(path)
    log_fd = C.open(path, O_WRONLY_CREAT_APPEND, ffi.new("int", 384))
    assert(log_fd >= 0, "can't open the request log")
    M.path = path
end

-- How many are in flight now.
local function count(key)
    local inflight = counts:incr("inflight:" .. key, 1, 0)
    counts:incr("requests:" .. key, 1, 0)
    local most = "most:" .. ngx.worker.id() .. ":" .. key
    if inflight > (counts:get(most) or 0) then counts:set(most, inflight) end
    return inflight
end

-- A request arrives: counted, over all and under its keys.
function M.arrive(ctx)
    ctx.start = ngx.now()
    ctx.inflight = count ""
    for _, key in ipairs(ctx.keys) do ctx.inflight_key = count(key) end
end

local function headers_text(ctx)
    local parts, n = {}, 0
    for name, value in pairs(ctx.headers) do
        if name ~= "authorization" then
            if type(value) == "table" then value = concat(value, ", ") end
            n = n + 1
            parts[n] = quote(name) .. ":" .. quote(tostring(value))
        end
    end
    table.sort(parts)
    return "{" .. concat(parts, ",") .. "}"
end

local function others(fields)
    local parts = {}
    for name, value in pairs(fields) do
        if name ~= "ticket_ids" then parts[#parts + 1] = quote(name) .. ":" .. json.encode(value) end
    end
    table.sort(parts)
    return "{" .. concat(parts, ",") .. "}"
end

local function write_line(ctx, status, aborted)
    local var = ngx.var
    local keys = {}
    for i, key in ipairs(ctx.keys) do keys[i] = quote(key) end
    local line = concat {
        '{"time":', string.format("%.3f", ctx.start),
        ',"listener":', quote(var.listener),
        ',"conn":', var.connection,
        ',"n":', var.connection_requests,
        ',"proto":', quote(var.server_protocol or ""),
        ',"tls":', quote(var.ssl_protocol or ""),
        ',"resumed":', var.ssl_session_reused == "r" and "true" or "false",
        ',"method":', quote(ngx.req.get_method()),
        ',"path":', quote(ctx.path),
        ',"fault":', quote(ctx.fault),
        ',"keys":[', concat(keys, ","),
        '],"status":', tostring(status),
        ',"acted":', quote(ctx.acted or ""),
        ',"aborted":', aborted and "true" or "false",
        ',"auth":', quote(ctx.auth or ""),
        ',"ids":', quote(ctx.ids_text or ""),
        ',"count":', tostring(ctx.ids and #ctx.ids or 0),
        ',"fields":', ctx.fields and others(ctx.fields) or "null",
        ',"body_bytes":', tostring(ctx.body and #ctx.body or 0),
        ',"sent":', tostring(ctx.sent or 0),
        ',"elapsed":', string.format("%.3f", ngx.now() - ctx.start),
        ',"inflight":', tostring(ctx.inflight),
        ',"inflight_key":', tostring(ctx.inflight_key or 0),
        ',"agent":', quote(var.http_user_agent or ""),
        ',"headers":', headers_text(ctx),
        "}\n",
    }
    local token = require("start").settings.token
    if line:find(token, 1, true) then
        -- Wherever a client put it, it is not written down.
        line = line:gsub(token:gsub("%p", "%%%0"), "***")
    end
    C.write(log_fd, line, #line)
end

-- The answer is about to end (or the connection to be broken).
function M.leave(ctx, status, aborted)
    if ctx.left then return end
    ctx.left = true
    ngx.update_time()
    write_line(ctx, status, aborted)
    counts:incr("inflight:", -1)
    for _, key in ipairs(ctx.keys) do counts:incr("inflight:" .. key, -1) end
    if ctx.at_once then counts:incr(ctx.at_once, -1) end
end

-- The log phase: whatever ended otherwise, a client that went away mostly.
function M.last()
    local ctx = ngx.ctx.request
    if ctx and not ctx.left then
        M.leave(ctx, tonumber(ngx.var.status) or 0, true)
    end
end

function M.stats(key)
    local most = 0
    for worker = 0, ngx.worker.count() - 1 do
        most = math.max(most, counts:get("most:" .. worker .. ":" .. key) or 0)
    end
    return {
        requests = counts:get("requests:" .. key) or 0,
        inflight = counts:get("inflight:" .. key) or 0,
        most = most,
    }
end

return M
