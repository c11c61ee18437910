-- Kapture tickets in OpenResty: the calls of the C module, which yield the
-- light thread instead of blocking the worker.
--
--   local kapture = require("resty.kapture").new { subdomain = "acme" }
--   local tickets, message, err = kapture:get_ticket(ngx.var.arg_id)
--
-- Beside this file, in kapture/: client.lua and iterator.lua have the calls,
-- begin.lua what comes before one, pump.lua how they wait, and shared.lua the C
-- clients that those with the same options share.
local adapter = require "kapture.adapter"
local client = require "resty.kapture.client"
local core = require "kapture"
local pump = require "resty.kapture.pump"

---@class resty.kapture
local M = {
    _VERSION = core._VERSION,
    version = core.version,
    null = core.null,
    array_mt = core.array_mt,
    new = client.new,
    --- Seconds that calls of requests may still take once the worker has been
    --- told to exit. Calls of timers end at once.
    drain = 10,
    --- Seconds without a call after which the pump's timer ends; the next call
    --- starts another. Connections are kept.
    idle = 10,
}
pump.settings = M

local default = M.new()

-- The client for a call of the module's own, and the options that are left:
-- limits say which client it is.
local function client_for(opts, name)
    if type(opts) ~= "table" or opts.concurrency == nil and opts.rate == nil then return default, opts end
    local limits = { concurrency = opts.concurrency, rate = opts.rate }
    local ok, why = pcall(core.new, limits)
    if not ok then adapter.raise(why, name, 3, 2) end
    local rest = {}
    for option, value in pairs(opts) do
        if limits[option] == nil then rest[option] = value end
    end
    return M.new(limits), rest
end

--- `get_ticket` of a client without options of its own but the limits given.
---@param ids kapture.Ids
---@param opts? kapture.Options
---@return kapture.Ticket[]? tickets
---@return kapture.Info|string info_or_message
---@return kapture.Error? err
function M.get_ticket(ids, opts)
    local c, rest = client_for(opts, "get_ticket")
    return c:get_ticket(ids, rest)
end

--- `tickets` of a client without options of its own but the limits given.
---@param ids string|integer|(string|integer)[]|fun(): (string|integer)?
---@param opts? kapture.Options
---@return fun(): string?, kapture.Ticket?, kapture.Error?
function M.tickets(ids, opts)
    local c, rest = client_for(opts, "tickets")
    return c:tickets(ids, rest)
end

return M
