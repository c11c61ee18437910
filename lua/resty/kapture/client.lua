-- A client in OpenResty: the calls of the C module's, which yield the light
-- thread instead of blocking the worker.
local adapter = require "kapture.adapter"
local begin = require "resty.kapture.begin"
local core = require "kapture"
local explain = require "resty.kapture.explain"
local iterator = require "resty.kapture.iterator"
local pump = require "resty.kapture.pump"
local shared = require "resty.kapture.shared"

local type, pairs, pcall, setmetatable = type, pairs, pcall, setmetatable

-- Options that come with each call instead of being part of the shared client:
-- whose they are, and what lives no longer than its caller.
local OF_CALLER = { token = true, cookie = true, headers = true, body = true, hook = true }

local closed_core = core.new()
closed_core:close()

local M = {}

---@class resty.kapture.Client
---@field private key string
---@field private options table those of the C client
---@field private own table|nil those that come with each call
---@field private entry resty.kapture.Entry|nil
---@field private closed boolean|nil
local Client = {}
Client.__index = Client
Client.__name = "resty.kapture.client"

-- The options of one call. Where the token is a function, in a table of our own.
local function call_options(self, opts)
    local own = self.own
    if opts == nil then opts, own = own, nil end
    if type(opts) ~= "table" or not own and type(opts.token) ~= "function" then return opts end
    local merged = {}
    for name, value in pairs(own or opts) do merged[name] = value end
    for name, value in pairs(opts) do merged[name] = value end
    return merged
end

local function has_token_function(options)
    return type(options) == "table" and type(options.token) == "function"
end

local function entry_of(self)
    local entry = self.entry
    if not entry then
        entry = shared.entry(self.key, self.options)
        self.entry = entry
    end
    return entry
end

local function refuse(why, request)
    local tickets, message, err = request:result()
    if err.kind == "closed" then err.message, message = why, why end
    return tickets, message, err
end

--- Fetches tickets as `kapture.get_ticket` does, yielding until they are there.
---@param ids kapture.Ids
---@param opts? kapture.Options
---@return kapture.Ticket[]? tickets
---@return kapture.Info|string info_or_message
---@return kapture.Error? err
function Client:get_ticket(ids, opts)
    local phase = begin.phase("get_ticket", 2)
    local options = call_options(self, opts)
    if has_token_function(options) then begin.resolve_token(options) end
    local why = begin.refusal(self, phase)
    local entry = entry_of(self)
    local client = why and closed_core or entry.core
    local ok, request = pcall(client.submit, client, ids, options)
    if not ok then adapter.raise(request, "get_ticket", 2) end
    if why then
        client:step() -- which lets go of what has ended
        return refuse(why, request)
    end
    if not request:done() then
        pump.wait(entry, request, { background = phase == "timer", owner = self })
    elseif not entry.pump then -- likewise: nobody else does
        pump.step(entry)
    end
    local tickets, message, err = adapter.take(request)
    if not tickets and explain(err) then message = err.message end
    return tickets, message, err
end

--- Iterates over any number of ids as `kapture.tickets` does, yielding in each
--- round that has to wait. A source function must not yield.
---@param ids string|integer|(string|integer)[]|fun(): (string|integer)?
---@param opts? kapture.Options
---@return fun(): string?, kapture.Ticket?, kapture.Error?
function Client:tickets(ids, opts)
    begin.phase("tickets", 2)
    local options = call_options(self, opts)
    local entry = entry_of(self)
    local given, later = options, nil
    if has_token_function(options) then
        later = options
        given = {}
        for name, value in pairs(options) do given[name] = value end
        given.token = function() return later.token() end
    end
    local ok, it = pcall(entry.core.tickets, entry.core, ids, given)
    if not ok then adapter.raise(it, "tickets", 2) end
    return iterator.new(it, entry, self, later)
end

--- Ends this client's calls with kind `closed`, and all that come. Others with
--- the same options go on.
function Client:close()
    self.closed = true
    local entry = self.entry
    if entry then pump.close(entry, self, "the client was closed") end
end

function Client:__tostring()
    return "resty.kapture.client" .. (self.closed and " (closed)" or "")
end

--- A client with these as its defaults. Cheap: to be made once in a module, or
--- in each request, or in init_by_lua*.
---@param opts? kapture.Options
---@return resty.kapture.Client
function M.new(opts)
    local ok, why = pcall(core.new, opts)
    if not ok then adapter.raise(why, "new", 2) end
    local options, own = {}, nil
    for name, value in pairs(opts or options) do
        if OF_CALLER[name] then
            own = own or {}
            own[name] = value
        else
            options[name] = value
        end
    end
    return setmetatable({ key = shared.key(options), options = options, own = own }, Client)
end

return M
