-- The ways a request ends without an answer. None of these returns.
local socket = require "socket_ffi"
local trace = require "trace"

local M = {}
local CLOSE = 444

local function end_with(ctx, action, scope, what)
    ctx.acted = what
    trace.leave(ctx, ctx.status_sent or 0)
    if scope == "connection" or ngx.req.http_version() < 2 then
        local fd = action and socket.current()
        if fd then action(fd) end
    end
    return ngx.exit(CLOSE)
end

-- On HTTP/2, scope "stream" ends the stream alone (RST_STREAM).
function M.reset(ctx, scope)
    return end_with(ctx, socket.reset, scope, "reset")
end

function M.close(ctx, scope)
    return end_with(ctx, scope == "connection" and socket.finish or nil, scope, "close")
end

-- Bytes that TLS can't make sense of (and plain HTTP no more), then the end.
function M.noise(ctx)
    return end_with(ctx, socket.noise, "connection", "noise")
end

-- A pause that ends with the client. nginx's own check sees a plain connection
-- or an HTTP/2 stream end, but takes TLS's good-bye for more data.
function M.pause(ctx, seconds)
    if ngx.var.https ~= "on" or ngx.req.http_version() >= 2 or seconds < 0.06 then return ngx.sleep(seconds) end
    local fd = socket.current()
    repeat
        ngx.sleep(math.min(seconds, 0.03))
        seconds = seconds - 0.03
        if fd and socket.left(fd) then
            trace.leave(ctx, 499, true)
            return ngx.exit(499)
        end
    until seconds <= 0
end

-- Waits without an answer.
function M.hang(ctx, seconds)
    ctx.acted = "hang"
    M.pause(ctx, seconds)
    return M.close(ctx, "stream")
end

return M
