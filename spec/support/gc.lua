-- The collector at its most aggressive, for specs that are to find what is held
-- by luck alone:
--
--   generational   5.4's generational mode, a major collection every time
--   step           no pause between cycles, and whole cycles at a step: from
--                  within C as well
--   hook=N         a full collection every N instructions of Lua
local pace = require "spec.support.pace"

local function set(how)
    if how == nil or how == "" then return end
    local n = tonumber(how:match "^hook=(%d+)$")
    if how == "generational" then
        assert(_VERSION >= "Lua 5.4", "generational is 5.4's and later ones'")
        collectgarbage("generational", 1, 1)
    elseif how == "step" then
        pace(0, 1000)
    elseif n then
        -- Compiled code calls no hooks, and outside LuaJIT a coroutine has a
        -- hook of its own.
        if jit then jit.off() end
        local function collect() collectgarbage() end
        local create = coroutine.create
        local function created(f)
            local co = create(f)
            debug.sethook(co, collect, "", n)
            return co
        end
        debug.sethook(collect, "", n)
        if not jit then
            -- luacheck: push ignore 122
            coroutine.create = created
            coroutine.wrap = function(f)
                local co = created(f)
                local function results(ok, ...)
                    if not ok then error((...), 0) end
                    return ...
                end
                return function(...) return results(coroutine.resume(co, ...)) end
            end
            -- luacheck: pop
        end
    else
        error("KAPTURE_GC: generational, step or hook=N, not " .. how)
    end
end

return set
