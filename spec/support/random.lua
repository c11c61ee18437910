-- Numbers at random, the same ones from a seed on every Lua.
local M = {}

-- A function of n that gives 1 to n. Park and Miller's: its products are exact in a
-- double.
function M.generator(seed)
    local state = seed % 2147483647
    if state == 0 then state = 1 end
    return function(n)
        state = state * 16807 % 2147483647
        return state % n + 1
    end
end

return M
