--- What the adapters to event loops have in common, and the C module keeps for
--- them alone. No part of the interface: it may change at any time.

require "kapture"

---@class kapture.adapter from csrc/api/adapter.h
---@field take fun(request: table): any, any, any
---@field shut_request fun(request: table, why: string)
---@field shut_iterator fun(iterator: table, why: string)
---@field pending fun(iterator: table): boolean
---@field advance fun(iterator: table): boolean
---@field listen fun(client: table): string|nil, string|nil
---@field accept fun(client: table): boolean
---@field hang_up fun(client: table)
local M = {}
for name, f in pairs(debug.getregistry()["kapture.adapter"]) do M[name] = f end

--- Raises what a function of the C module has raised. An argument error becomes
--- one of `name`, the function that the user called; anything else, which is out
--- of memory, stays as it is.
---@param e any
---@param name string
---@param level integer whose mistake it was, as for `error` in the caller
---@param argument integer|nil its number in `name`, where that is another
function M.raise(e, name, level, argument)
    local number, words
    if type(e) == "string" then number, words = e:match "bad argument #(%d+) to '[^']*' (.*)$" end
    if not number then error(e, 0) end
    error(("bad argument #%s to '%s' %s"):format(argument or number, name, words), level + 1)
end

return M
