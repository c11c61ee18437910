--- Tickets in cqueues: the same call, which lets the other coroutines run.
---
---     local cqueues = require "cqueues"
---     local client = require("kapture.cqueues").new { subdomain = "acme" }
---     local loop = cqueues.new()
---     for _, id in ipairs(ids) do
---         loop:wrap(function()
---             local tickets, message, err = client:get_ticket(id)
---         end)
---     end
---     assert(loop:loop())
---
--- The client is pollable by cqueues' own convention (`pollfd`, `events`,
--- `timeout`), as the plain client of `require "kapture"` is.

local adapter = require "kapture.adapter"
local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local kapture = require "kapture"

local M = {}

---@class kapture.cqueues.Pump one controller's coroutine that steps for all who wait in it
---@field waiting integer how many do
---@field idle table the condition that ends it when nobody does

---@class kapture.cqueues.Client
---@field private inner table the module's client
---@field private waiting table<table, table> by request
---@field private pumps table<table, kapture.cqueues.Pump> by controller
local Client = {}
Client.__index = Client

function Client:wake(request, failure)
    local waiter = self.waiting[request]
    if not waiter then return end
    self.waiting[request] = nil
    waiter.failure = failure
    local pump = waiter.pump
    pump.waiting = pump.waiting - 1
    if pump.waiting == 0 then pump.idle:signal() end
    waiter.cond:signal()
end

-- Out of memory, which is all that step raises: they are told who wait for it.
function Client:fail(pump, e)
    local requests = {}
    for request, waiter in pairs(self.waiting) do
        if waiter.pump == pump then requests[#requests + 1] = request end
    end
    for _, request in ipairs(requests) do
        request:cancel()
        self:wake(request, e)
    end
end

function Client:run(pump)
    while pump.waiting > 0 do
        cqueues.poll(self.inner, pump.idle)
        local ok, e, ended = pcall(self.inner.step, self.inner)
        if ok then
            for _, request in ipairs(ended) do self:wake(request) end
        else
            self:fail(pump, e)
        end
        -- a response in several slices: the others have their turn between two
        if self.inner:timeout() then cqueues.sleep(0) end
    end
end

function Client:pump(controller)
    local pump = self.pumps[controller]
    if not pump then
        pump = { waiting = 0, idle = condition.new() }
        self.pumps[controller] = pump
        controller:wrap(function()
            self:run(pump)
            self.pumps[controller] = nil
        end)
    end
    pump.waiting = pump.waiting + 1
    return pump
end

--- As `kapture.get_ticket`; yields to cqueues until it is done. Outside of a
--- controller it blocks.
---@param ids kapture.Ids
---@param opts kapture.Options|nil
---@return kapture.Ticket[]|nil tickets
---@return kapture.Info|string info_or_message
---@return kapture.Error|nil err
function Client:get_ticket(ids, opts)
    local ok, request = pcall(self.inner.submit, self.inner, ids, opts)
    if not ok then adapter.raise(request, "get_ticket", 2) end
    local controller = cqueues.running()
    if not controller then
        request:wait()
    elseif not request:done() then
        local waiter = { cond = condition.new(), pump = self:pump(controller) }
        self.waiting[request] = waiter
        while self.waiting[request] == waiter do waiter.cond:wait() end
        if waiter.failure then error(waiter.failure, 0) end
    end
    request:wait(0) -- which keeps step from reporting it
    return adapter.take(request)
end

--- Ends everything with kind `closed`; whoever waits goes on at once.
function Client:close()
    local fd = self.inner:fd()
    if fd then cqueues.cancel(fd) end -- before the number means another file
    self.inner:close()
    for request in pairs(self.waiting) do self:wake(request) end
end

function Client:pollfd() return self.inner:pollfd() end
function Client:events() return self.inner:events() end
function Client:timeout() return self.inner:timeout() end

--- A client for cqueues.
---@param opts kapture.Options|nil as for `kapture.new`: defaults for every call
---@return kapture.cqueues.Client
function M.new(opts)
    local ok, inner = pcall(kapture.new, opts)
    if not ok then adapter.raise(inner, "new", 2) end
    return setmetatable({
        inner = inner,
        waiting = {},
        pumps = setmetatable({}, { __mode = "k" }),
    }, Client)
end

return M
