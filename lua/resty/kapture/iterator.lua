-- The iterator in OpenResty: that of the C module, whose rounds yield where they
-- would have to wait.
local adapter = require "kapture.adapter"
local begin = require "resty.kapture.begin"
local explain = require "resty.kapture.explain"
local pump = require "resty.kapture.pump"

local M = {}

---@class resty.kapture.Iterator
---@field private it table the C module's
---@field private entry resty.kapture.Entry
---@field private owner resty.kapture.Client
---@field private options table|nil whose token function the first round calls
local Iterator = {}
Iterator.__index = Iterator

function Iterator:__call()
    local phase = begin.phase("tickets", 2)
    local it, options = self.it, self.options
    if options then
        self.options = nil
        begin.resolve_token(options)
    end
    local why = begin.refusal(self.owner, phase)
    if why then adapter.shut_iterator(it, why) end
    while adapter.advance(it) do
        pump.wait(self.entry, it, { iterator = true, background = phase == "timer", owner = self.owner })
    end
    local id, ticket, err = it()
    return id, ticket, explain(err)
end

--- Cancels what is in flight. Leaving the loop does so too, but only when the
--- iterator is collected.
function Iterator:close()
    self.it:close()
end

---@param it table
---@param entry resty.kapture.Entry
---@param owner resty.kapture.Client
---@param options table|nil
---@return resty.kapture.Iterator
function M.new(it, entry, owner, options)
    return setmetatable({ it = it, entry = entry, owner = owner, options = options }, Iterator)
end

return M
