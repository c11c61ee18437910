-- What tests ask of the sandbox itself, under /sandbox/.
local trace = require "trace"

local M = {}
local counts = ngx.shared.counts

local pages = {}

function pages.health()
    return "text/plain", "ok\n"
end

-- Counters of a key (without one: of all requests).
function pages.stats(args)
    local s = trace.stats(args.key or "")
    local text = '{"requests":%d,"inflight":%d,"most":%d}\n'
    return "application/json", text:format(s.requests, s.inflight, s.most)
end

-- The log, or the lines of one key.
function pages.log(args)
    local lines = {}
    local wanted = args.key and '"' .. args.key .. '"'
    for line in io.lines(trace.path) do
        local keys = line:match '"keys":(%b[])' or ""
        if not wanted or keys:find(wanted, 1, true) then lines[#lines + 1] = line end
    end
    lines[#lines + 1] = ""
    return "application/x-ndjson", table.concat(lines, "\n")
end

-- Forgets counters, those of faults too: of one key, or all.
function pages.reset(args)
    local wanted = args.key and ":" .. args.key .. ":"
    for _, name in ipairs(counts:get_keys(0)) do
        local theirs = not wanted or (name .. ":"):find(wanted, 1, true)
        if theirs and not name:find "^inflight:" then counts:delete(name) end
    end
    return "text/plain", "ok\n"
end

function M.answer(path)
    local page = pages[path:match "^/sandbox/(%w+)$" or ""]
    if not page then return ngx.exit(404) end
    local kind, text = page(ngx.req.get_uri_args())
    ngx.header.content_type = kind
    ngx.header["Content-Length"] = #text
    return ngx.print(text)
end

return M
