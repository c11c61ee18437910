-- A request's way: faults in its path, the service's answer, the faults'
-- changes to it, and how it is sent.
local admin = require "admin"
local faults = require "faults"
local send = require "send"
local service = require "service"
local trace = require "trace"

local M = {}

local function refuse(ctx, message)
    ctx.acted, ctx.plan = "refused", {}
    return send(ctx, { status = 400, type = "text/plain", body = "sandbox: " .. message .. "\n" })
end

local function apply(active, moment, ctx, resp)
    for _, fault in ipairs(active) do
        local act = fault.def[moment]
        if act then act(ctx, fault.p, resp) end
    end
end

local function any(active, moment)
    for _, fault in ipairs(active) do
        if fault.def[moment] then return true end
    end
    return false
end

function M.run()
    -- A client that takes us for its proxy sends the whole url.
    local path = ngx.var.request_uri:gsub("^%a+://[^/?]*", ""):match "^[^?]*"
    if path:find("/sandbox/", 1, true) == 1 then return admin.answer(path) end

    local ctx = { plan = {}, headers = ngx.req.get_headers(0), keys = {} }
    local ok, message = faults.split(ctx, path)
    trace.arrive(ctx)
    ngx.ctx.request = ctx
    service.read(ctx)
    if not ok then return refuse(ctx, message) end

    local active = faults.active(ctx)
    local resp
    for _, fault in ipairs(active) do
        if fault.def.h1 and ngx.req.http_version() >= 2 then
            return refuse(ctx, fault.name .. " needs HTTP/1.1: use the https1 or http address")
        end
        local gate = fault.def.gate
        resp = gate and gate(ctx, fault.p)
        if resp then break end
    end
    resp = resp or service.answer(ctx, any(active, "list"))
    if resp.tickets then
        apply(active, "list", ctx, resp)
        resp.body = resp.wrap(resp.tickets)
    end
    if resp.body then apply(active, "body", ctx, resp) end
    apply(active, "wire", ctx, ctx.plan)
    if ctx.plan.raw and ngx.req.http_version() >= 2 then
        return refuse(ctx, "this fault needs HTTP/1.1: use the https1 or http address")
    end
    return send(ctx, resp)
end

return M
