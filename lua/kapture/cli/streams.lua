--- Standard input, output and error, before anything else is opened: where one of
--- them is closed, the next file or socket would get its number, and with it what
--- is written there. Nothing may be loaded before this that keeps a file open.

local M = {}

local EBADF = 9

local function is_closed(stream)
    return select(3, stream:seek "cur") == EBADF
end

-- It keeps number 0 taken. Reading what is open for writing only fails, as it
-- should: there is nothing to read.
local placeholder

--- What is closed and can't do without; nil where all is well.
---@return string|nil
function M.closed()
    if is_closed(io.stdin) then
        placeholder = placeholder or io.open("/dev/null", "a")
    end
    if is_closed(io.stdout) then
        return "standard output"
    elseif is_closed(io.stderr) then
        return "standard error"
    end
end

return M
