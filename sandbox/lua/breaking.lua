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

-- Waits without an answer; a client that goes away ends it before.
function M.hang(ctx, seconds)
    ctx.acted = "hang"
    ngx.sleep(seconds)
    return M.close(ctx, "stream")
end

return M
