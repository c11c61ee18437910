-- Runs a piece of work over and over, and lets a finalizer come at each point
-- where Lua's collector can come at all, one after the other. For a process of
-- its own, with little garbage in it: every allocation is a whole collection.
--
--   haunted(function(come) ... end, stride)
--
-- The function gets the work ready, gives come() what is to happen, and does
-- the work. Every point is tried, or one in `stride`; the result is how many
-- there are, about.
local pace = require "spec.support.pace"

local function litter(finalizer)
    if newproxy then
        getmetatable(newproxy(true)).__gc = finalizer
    else
        setmetatable({}, { __gc = finalizer })
    end
end

-- Whole collections, one at each allocation.
local function hurry()
    if _VERSION == "Lua 5.1" then
        pace(0, 0)
    elseif _VERSION == "Lua 5.4" then
        pace(0, 1000)
        collectgarbage("incremental", 0, 1000, 24)
    elseif _VERSION == "Lua 5.5" then
        collectgarbage "incremental"
        pace(0, 0) -- no limit to what a step does
        collectgarbage("param", "stepsize", 1) -- luacheck: ignore 143
    else
        pace(0, 1000000)
    end
    collectgarbage "restart"
end

if jit then jit.off() end

return function(work, stride)
    for n = math.random(stride or 1), 100000, stride or 1 do
        local left, came, inside = n, false, false
        collectgarbage "stop"
        work(function(what)
            local function arm()
                litter(function()
                    if inside or came or left < 0 then return end
                    left = left - 1
                    if left > 0 then return arm() end
                    inside, came = true, true
                    what()
                    inside = false
                end)
            end
            arm()
            hurry()
        end)
        collectgarbage "stop"
        left = -1
        collectgarbage()
        if not came then return n - 1 end
    end
    error "there is no end to it"
end
