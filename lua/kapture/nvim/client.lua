--- The client of kapture.nvim: that of kapture.luv, with everything the caller
--- gave called on the main loop, and tickets as Neovim's own functions take them.

local adapter = require "kapture.adapter"
local slices = require "kapture.nvim.slices"

local M = {}

---@class kapture.nvim.Client: kapture.luv.Client
---@field private inner kapture.luv.Client
---@field private checker table a closed client: it takes arguments and does nothing
local Client = {}
Client.__index = Client

-- JSON null becomes vim.NIL, and an empty object vim.empty_dict(): of a plain
-- empty table Neovim can't know what it was, and takes it for an array.
local function adapt(value, null)
    for key, inner in next, value do
        if inner == null then
            value[key] = vim.NIL
        elseif type(inner) == "table" then
            if next(inner) ~= nil then
                adapt(inner, null)
            elseif getmetatable(inner) == nil then
                value[key] = vim.empty_dict()
            end
        end
        slices.tick(16)
    end
end

-- Events come from wherever a request ends, a `cancel` in a libuv callback, say.
local function on_main_loop(hook)
    return function(event)
        if not vim.in_fast_event() then return hook(event) end
        vim.schedule(function() pcall(hook, event) end)
    end
end

-- A copy of these options that can be called from where Neovim's API may not.
local function options_for(opts)
    if type(opts) ~= "table" then return opts end
    local copy = {}
    for key, value in pairs(opts) do copy[key] = value end
    if type(copy.hook) == "function" then copy.hook = on_main_loop(copy.hook) end
    return copy
end

local function start(self, level, ids, opts, arrived)
    local ok, handle = pcall(self.inner.get_ticket, self.inner, ids, opts, arrived)
    if not ok then adapter.raise(handle, "get_ticket", level + 1) end
    return handle
end

-- Where the API may not be called, nor may a token function be: the call starts
-- on the main loop. A mistake in its arguments is raised here all the same.
local function start_later(self, level, ids, opts, arrived)
    local ok, why = pcall(self.checker.submit, self.checker, ids, opts)
    if not ok then adapter.raise(why, "get_ticket", level + 1) end
    if type(ids) == "table" then ids = vim.list_extend({}, ids) end
    local handle, cancelled
    vim.schedule(function()
        handle = start(self, 1, ids, opts, arrived)
        if cancelled then handle.cancel() end
    end)
    return {
        cancel = function()
            cancelled = true
            if handle then handle.cancel() end
        end,
        done = function() return cancelled == true or (handle ~= nil and handle.done()) end,
    }
end

--- Starts a call, from wherever it is made. The callback comes once, on the main
--- loop, never from in here.
---@param ids kapture.Ids
---@param opts kapture.Options|nil
---@param callback kapture.luv.Callback
---@return kapture.luv.Handle
function Client:get_ticket(ids, opts, callback)
    if type(callback) ~= "function" then
        error(("bad argument #3 to 'get_ticket' (function expected, got %s)"):format(
            callback == nil and "no value" or type(callback)), 2)
    end
    local null = require("kapture").null
    local function arrived(tickets, message_or_info, err)
        slices.run(function()
            local list = tickets or (err and err.tickets)
            if list then adapt(list, null) end
        end, function() callback(tickets, message_or_info, err) end)
    end
    local way = vim.in_fast_event() and start_later or start
    local handle = way(self, 2, ids, options_for(opts), arrived)
    return handle
end

--- Ends everything with kind `closed`; the callbacks come soon.
function Client:close() self.inner:close() end

---@param opts kapture.Options
---@param level integer where a mistake in them was made, as for `error`
---@return kapture.nvim.Client
function M.new(opts, level)
    local ok, inner = pcall(require("kapture.luv").new_for, options_for(opts), vim.schedule)
    if not ok then adapter.raise(inner, "new", level + 1) end
    local checker = require("kapture").new()
    checker:close()
    return setmetatable({ inner = inner, checker = checker }, Client)
end

return M
