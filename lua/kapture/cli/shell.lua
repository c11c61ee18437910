--- What the command asks of a shell.

local M = {}

--- One word for a shell.
---@param text string
---@return string
function M.quoted(text)
    return "'" .. text:gsub("'", [['\'']]) .. "'"
end

--- Runs it; the exit status, nil where a signal ended it.
---@param command string
---@return integer|nil
function M.status(command)
    local ok, how, code = os.execute(command)
    if type(ok) == "number" then -- 5.1: the status of wait(2); LuaJIT may, too
        return ok % 256 == 0 and math.floor(ok / 256) or nil
    elseif ok then
        return 0
    end
    return how == "exit" and code or nil
end

return M
