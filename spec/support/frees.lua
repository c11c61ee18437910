-- How much of what work leaves behind one cycle of the collector frees, and how
-- much only another one: what has a finalizer, and all that hangs on it.
local M = {}

--- KiB freed by the first cycle after work(), and by the second.
function M.measure(work)
    collectgarbage()
    collectgarbage()
    collectgarbage "stop"
    local ok, e = pcall(work)
    local sizes = { collectgarbage "count" }
    for _ = 1, 2 do
        collectgarbage()
        sizes[#sizes + 1] = collectgarbage "count"
    end
    collectgarbage "restart"
    if not ok then error(e, 0) end
    return sizes[1] - sizes[2], sizes[2] - sizes[3]
end

--- Asserts that the first freed n KiB at least, and all but a tenth of it.
function M.at_once(n, first, second)
    local assert = require "luassert" -- not where nginx measures
    assert.is_true(first > n and second < first / 10, ("%.0f KiB at once, %.0f later"):format(first, second))
end

return M
