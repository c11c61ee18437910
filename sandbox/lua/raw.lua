-- Answers written past nginx, on the connection itself (through its TLS).
-- HTTP/1.1 only; the connection ends with them, sooner or later.
local trace = require "trace"

local function head(resp, version, extra)
    local lines = { version .. " " .. resp.status .. " Sandbox", "Content-Type: " .. resp.type }
    for _, pair in ipairs(resp.headers or {}) do lines[#lines + 1] = pair[1] .. ": " .. pair[2] end
    for _, line in ipairs(extra) do lines[#lines + 1] = line end
    return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local styles = {}

function styles.noise()
    local bytes = {}
    for i = 1, 300 do bytes[i] = string.char(math.random(0, 255)) end
    return "\0\1" .. table.concat(bytes)
end

function styles.status(resp)
    return "HTTP/1.1 two hundred\r\nContent-Length: 2\r\n\r\n" .. resp.body
end

function styles.version(resp)
    return head(resp, "HTTP/4.2", { "Content-Length: " .. #resp.body }) .. resp.body
end

function styles.header(resp)
    return head(resp, "HTTP/1.1", { "this is no header", "Content-Length: " .. #resp.body }) .. resp.body
end

function styles.nul(resp)
    return head(resp, "HTTP/1.1", { "X-Nul: a\0b", "Content-Length: " .. #resp.body }) .. resp.body
end

function styles.chunk(resp)
    return head(resp, "HTTP/1.1", { "Transfer-Encoding: chunked" }) .. "zz\r\n" .. resp.body .. "\r\n0\r\n\r\n"
end

function styles.lengths(resp)
    local n = #resp.body
    return head(resp, "HTTP/1.1", { "Content-Length: " .. n, "Content-Length: " .. n + 7 }) .. resp.body
end

function styles.endless()
    return "HTTP/1.1 200 OK\r\nX-Endless: " .. ("e"):rep(1048576)
end

function styles.cut(resp)
    return (head(resp, "HTTP/1.1", { "X-Cut: he" }):gsub("\r\n\r\n$", ""))
end

function styles.http10(resp, plan)
    local n = plan.at > 0 and plan.at < 1 and math.floor(#resp.body * plan.at) or plan.at
    return head(resp, "HTTP/1.0", {}) .. (n > 0 and resp.body:sub(1, n) or resp.body)
end

function styles.kept(resp)
    return head(resp, "HTTP/1.1", { "Content-Length: " .. #resp.body }) .. resp.body
end

local strays = {
    ["408"] = "HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    line = "\r\n",
}

-- What comes unasked; then the connection is open until the client leaves, or
-- says something, which goes unanswered.
local function say_more(sock, text, plan)
    ngx.sleep(plan.after)
    sock:send(strays[plan.stray] or text)
    if plan.stray == "408" then return end
    sock:settimeout(5000)
    sock:receive(1)
end

function styles.plain(resp, plan)
    local interim = ""
    for _ = 1, plan.n do
        interim = interim .. "HTTP/1.1 " .. plan.early .. " Interim\r\n" ..
            (plan.early == 103 and "Link: </style.css>; rel=preload\r\n" or "") .. "\r\n"
    end
    return interim .. head(resp, "HTTP/1.1", { "Content-Length: " .. #resp.body, "Connection: close" }) .. resp.body
end

return function(ctx, resp, plan)
    local style = styles[plan.style] or styles.noise
    resp.body = resp.body or ""
    local text = style(resp, plan)
    ctx.status_sent, ctx.sent, ctx.acted = resp.status, #resp.body, plan.style
    trace.leave(ctx, resp.status)
    local sock, why = ngx.req.socket(true)
    if not sock then
        ngx.log(ngx.ERR, "no raw socket: ", why)
        return ngx.exit(444)
    end
    sock:send(text)
    if plan.stray then say_more(sock, text, plan) end
end
