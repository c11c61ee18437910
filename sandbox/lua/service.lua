-- The service as its own page and known callers describe it. A response here
-- is { status =, type =, body = } or, for a success that a fault is to change,
-- { tickets =, wrap = }: JSON texts and the function that makes a body of them.
local cache = require "cache"
local json = require "json"
local start = require "start"
local ticket = require "ticket"

local M = { path = "/search-ticket-by-ticket-id.html/v.2.0" }
local JSON = "application/json;charset=UTF-8"
M.JSON = JSON

-- The request's body, as far as it can be understood.
function M.read(ctx)
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if not body then
        local name = ngx.req.get_body_file()
        local file = name and io.open(name, "rb")
        body = file and file:read "*a" or ""
        if file then file:close() end
    end
    ctx.body = body
    ctx.fields = json.object(body)
    ctx.ids, ctx.wanted = {}, {}
    local text = ctx.fields and ctx.fields.ticket_ids
    if type(text) == "string" then
        ctx.ids_text = text
        for word in text:gmatch "[^,]+" do
            local id = word:match "^%s*(.-)%s*$"
            if id ~= "" and not ctx.wanted[id] then
                ctx.wanted[id] = true
                ctx.ids[#ctx.ids + 1] = id
            end
        end
    end
    local authorization = ctx.headers.authorization
    if authorization == nil then
        ctx.auth = "missing"
    else
        ctx.auth = authorization == "Basic " .. start.settings.token and "right" or "wrong"
    end
end

-- Bodies of failures; `form` as the fault `failed` has it.
function M.failed_body(message, form)
    local q = json.quote
    if form == "Message" then
        return '{"Message": ' .. q(message) .. ',"Status": "failed"}'
    elseif form == "customer" then
        return '{"Customer Details": "Customer details does not exist for this request","status": "failed"}'
    elseif form == "array" then
        return '{"message": [' .. q(message) .. '],"status": "failed"}'
    elseif form == "object" then
        return '{"message": {"error": ' .. q(message) .. '},"status": "failed"}'
    elseif form == "none" then
        return '{"status": "failed"}'
    end
    return '{"message": ' .. q(message) .. ',"status": "failed"}'
end

local function failed(ctx, status, message)
    local as = ctx.failed or {}
    return { status = as.status or status, type = JSON, body = M.failed_body(message, as.form) }
end

function M.html(status, title)
    title = title or tostring(status)
    return {
        status = status, type = "text/html",
        body = "<html>\r\n<head><title>" .. title .. "</title></head>\r\n<body>\r\n<center><h1>" .. title ..
            "</h1></center>\r\n<hr><center>gateway</center>\r\n</body>\r\n</html>\r\n",
    }
end

local function as_array(texts)
    return "[" .. table.concat(texts, ",") .. "]"
end
M.as_array = as_array

-- To make an answer costs more than to receive it, so that a measured client
-- would mostly wait: what was answered once is kept, under the request's body.
local kept = cache.new(64 * 1024 * 1024)

local function in_service_order(a, b)
    if a.order ~= b.order then return a.order < b.order end
    return a.text < b.text
end

function M.answer(ctx, changed)
    if ctx.path ~= M.path then
        return M.html(404, "404 Not Found")
    elseif ngx.req.get_method() ~= "POST" then
        local resp = M.html(405, "405 Not Allowed")
        resp.headers = { { "Allow", "POST" } }
        return resp
    elseif ctx.auth ~= "right" then
        return failed(ctx, 401, "Invalid Auth Key")
    end
    local content_type = ctx.headers["content-type"]
    if type(content_type) ~= "string" or not content_type:lower():find "^%s*application/json%s*$"
        and not content_type:lower():find "^%s*application/json%s*;" or not ctx.fields then
        return failed(ctx, 400, "Invalid Json.")
    elseif #ctx.ids == 0 then
        return failed(ctx, 400, "ticket_ids are missing.")
    end
    local entry = not changed and kept:get(ctx.body)
    if entry then return { status = 200, type = JSON, body = entry.body, kept = entry } end
    local want = ticket.wants(ctx.fields)
    local found, n = {}, 0
    for _, id in ipairs(ctx.ids) do
        local t = ticket.get(id, want)
        if t then
            n = n + 1
            found[n] = t
        end
    end
    -- Nothing promises the order of asking, so it is not given.
    if n > 1 then table.sort(found, in_service_order) end
    local texts = {}
    for i = 1, n do texts[i] = found[i].text end
    if changed then return { status = 200, type = JSON, tickets = texts, wrap = as_array } end
    entry = { body = as_array(texts) }
    kept:set(ctx.body, entry, #ctx.body + 2 * #entry.body)
    return { status = 200, type = JSON, body = entry.body, kept = entry }
end

return M
