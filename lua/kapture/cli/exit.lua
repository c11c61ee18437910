--- What the command's exit codes mean: gh's.

local M = { OK = 0, FAILED = 1, MISUSED = 2, AUTH = 4 }

--- The code of a failed call.
---@param err kapture.Error
---@return integer
function M.of(err)
    if err.kind == "auth" or err.kind == "config" and err.message:find("token", 1, true) then
        return M.AUTH
    end
    return M.FAILED
end

return M
