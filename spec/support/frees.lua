-- frees(n, work): asserts that work() leaves garbage, n KiB at least, and that one
-- cycle of the collector frees it. What has a finalizer, and all that hangs on
-- it, takes another one.
local assert = require "luassert"

return function(n, work)
    collectgarbage()
    collectgarbage()
    collectgarbage "stop"
    local ok, e = pcall(work)
    if not ok then
        collectgarbage "restart"
        error(e, 0)
    end
    local sizes = { collectgarbage "count" }
    for _ = 1, 2 do
        collectgarbage()
        sizes[#sizes + 1] = collectgarbage "count"
    end
    collectgarbage "restart"
    local first, second = sizes[1] - sizes[2], sizes[2] - sizes[3]
    assert.is_true(first > n and second < first / 10, ("%.0f KiB at once, %.0f later"):format(first, second))
end
