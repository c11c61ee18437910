--- Tickets in luv's event loop, and in whatever is built on it.
---
---     local client = require("kapture.luv").new { subdomain = "acme" }
---     client:get_ticket("713516551148", nil, function(tickets, message_or_info, err)
---         if not tickets then return print(err.kind, message_or_info) end
---         print(tickets[1].task_details.title)
---     end)
---     uv.run()
---
--- Everything happens on the loop's own thread; network, TLS and names are the
--- engine's business, and a large response is decoded a few milliseconds at a
--- time. The loop is kept alive while calls are pending, and only then.

local adapter = require "kapture.adapter"
local kapture = require "kapture"

local M = {}

---@alias kapture.luv.Callback
---| fun(tickets: kapture.Ticket[]|nil, message_or_info: string|kapture.Info, err: kapture.Error|nil)

---@class kapture.luv.Handle
---@field cancel fun() ends the call, with kind `cancelled`, if it is still going on; its callback comes soon after
---@field done fun(): boolean whether it has ended

---@class kapture.luv.Client
---@field private inner table the module's client
---@field private uv table
---@field private defer fun(f: fun()) has the loop call f, soon, and not from here
---@field private elsewhere boolean a watcher's callback is no place to work in: defer does that, too
---@field private poll table|nil the watcher, while anything is pending
---@field private callbacks table<table, kapture.luv.Callback> by request
---@field private pending integer
---@field private closed boolean
local Client = {}
Client.__index = Client

--- Calls f from the loop's next round. An error in it is the loop's to handle.
local function defer_with_timer(uv)
    return function(f)
        local timer = uv.new_timer()
        timer:start(0, 0, function()
            timer:close()
            f()
        end)
    end
end

local function traced(e)
    if type(e) ~= "string" then return e end
    return debug.traceback(e, 2)
end

--- Hands a result over. What a callback raises is raised again from a round of
--- its own: the loop's error handling sees it, and the other callbacks come.
function Client:deliver(callback, request)
    local ok, e = xpcall(function() callback(adapter.take(request)) end, traced)
    if not ok then
        self.defer(function() error(e, 0) end)
    end
end

function Client:stop_watching()
    local poll = self.poll
    self.poll = nil
    if poll and not poll:is_closing() then
        poll:stop()
        poll:close()
    end
end

function Client:take(request)
    local callback = self.callbacks[request]
    if callback then
        self.callbacks[request] = nil
        self.pending = self.pending - 1
    end
    return callback
end

function Client:deliver_soon(request)
    self.defer(function()
        local callback = self:take(request)
        if callback then self:deliver(callback, request) end
    end)
end

function Client:turn()
    local _, ended = self.inner:step()
    local callbacks = {}
    for i, request in ipairs(ended) do callbacks[i] = self:take(request) end
    if self.pending == 0 then self:stop_watching() end
    for i, request in ipairs(ended) do
        if callbacks[i] then self:deliver(callbacks[i], request) end
    end
end

function Client:on_readable()
    if not self.elsewhere then return self:turn() end
    local poll = self.poll
    poll:stop() -- the descriptor stays readable until there was a turn
    self.defer(function()
        if self.poll ~= poll then return end
        local ok, e = pcall(self.turn, self)
        if self.poll == poll and self:watch() then self:start_watching() end
        if not ok then error(e, 0) end
    end)
end

function Client:start_watching()
    return self.poll:start("r", function() self:on_readable() end) == 0
end

--- The watcher exists while calls are pending: an idle client costs the loop
--- nothing, and can be collected. One that somebody else has closed, with
--- `uv.walk` say, is replaced: libuv aborts a process that starts it again.
--- False: there is none to be had.
function Client:watch()
    if self.poll and not self.poll:is_closing() then return true end
    local fd = self.inner:fd()
    self.poll = fd and self.uv.new_poll(fd) or nil
    if not self.poll then return false end
    local watched = self:start_watching()
    if not watched then self:stop_watching() end
    return watched
end

--- Starts a call. The callback comes once, from the loop, never from in here;
--- it is given what `kapture.get_ticket` would have returned.
---@param ids kapture.Ids
---@param opts kapture.Options|nil
---@param callback kapture.luv.Callback
---@return kapture.luv.Handle
function Client:get_ticket(ids, opts, callback)
    if type(callback) ~= "function" then
        error(("bad argument #3 to 'get_ticket' (function expected, got %s)"):format(
            callback == nil and "no value" or type(callback)), 2)
    end
    local ok, request = pcall(self.inner.submit, self.inner, ids, opts)
    if not ok then adapter.raise(request, "get_ticket", 2) end
    self.callbacks[request] = callback
    self.pending = self.pending + 1
    if not self:watch() then
        request:cancel() -- unless it has ended already, as with a closed client
        self:deliver_soon(request)
    end
    return {
        cancel = function() request:cancel() end,
        done = function() return request:done() end,
    }
end

--- Ends everything with kind `closed`; the callbacks of what was pending come
--- from the loop, soon.
function Client:close()
    if self.closed then return end
    self.closed = true
    self:stop_watching()
    self.inner:close()
    for request in pairs(self.callbacks) do self:deliver_soon(request) end
end

--- A client for a host that has its own way to call functions later, or nil
--- for the loop's.
---@param opts kapture.Options|nil
---@param defer nil|fun(f: fun()) where given, all work is done in what it calls
---@return kapture.luv.Client
function M.new_for(opts, defer)
    local vim = rawget(_G, "vim")
    local uv = vim and (vim.uv or vim.loop) or require "luv"
    local ok, inner = pcall(kapture.new, opts)
    if not ok then adapter.raise(inner, "new", 3) end
    return setmetatable({
        inner = inner,
        uv = uv,
        defer = defer or defer_with_timer(uv),
        elsewhere = defer ~= nil,
        callbacks = {},
        pending = 0,
        closed = false,
    }, Client)
end

--- A client on the default loop.
---@param opts kapture.Options|nil as for `kapture.new`: defaults for every call
---@return kapture.luv.Client
function M.new(opts)
    local client = M.new_for(opts)
    return client
end

return M
