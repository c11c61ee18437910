--- Long work on the main loop, a few milliseconds at a time: between two slices
--- Neovim takes keys, redraws, and serves its other timers.

local M = {}

local uv = vim.uv or vim.loop

-- A few milliseconds more may come on top: a step of the garbage collector, a
-- redraw. Together they stay below what one notices.
local SLICE = 3e6 -- nanoseconds
-- Kilobytes. Work on large tickets leaves many strings behind. LuaJIT files all
-- that it has in one table, collected or not, and that grows in one go, which
-- takes 20 ms where it is for the 131,072nd. By its own pace a collection would
-- begin when the heap has doubled: this is on top of it, after each slice.
local COLLECTED = 64
-- Units of work between two looks at the clock, which cost more than a unit.
local LOOK = 2048

local running -- the coroutine whose slice this is
local ends_at, units = 0, 0

---@class kapture.nvim.Job
---@field cancel fun() no slice comes any more, nor is `done` called

--- Called by the work again and again: it goes on in the next slice where this
--- one is used up. Outside of `run` it does nothing.
---@param weight integer|nil how much was done since, 32 where it is about a line
function M.tick(weight)
    units = units + (weight or 32)
    if units < LOOK then return end
    units = 0
    if running and running == coroutine.running() and uv.hrtime() > ends_at then coroutine.yield() end
end

--- Runs `work` in slices, the first one within this call, and then calls `done`
--- with true, or with false and what `work` has raised.
---@param work fun()
---@param done fun(ok: boolean, why: string|nil)
---@return kapture.nvim.Job|nil nil where all was done within this call
function M.run(work, done)
    local thread = coroutine.create(work)
    local timer, cancelled
    local function stop()
        if timer and not timer:is_closing() then timer:close() end
        timer = nil
    end
    local slice
    -- A timer, not vim.schedule: what schedules itself anew keeps the event queue
    -- from ever being empty, and keys wait for that.
    local function later()
        if not timer or timer:is_closing() then timer = uv.new_timer() end
        timer:start(1, 0, vim.schedule_wrap(slice))
    end
    slice = function()
        if cancelled then return end
        local outer, outer_ends_at = running, ends_at
        running, ends_at, units = thread, uv.hrtime() + SLICE, 0
        local ok, why = coroutine.resume(thread)
        running, ends_at = outer, outer_ends_at
        if cancelled then return end
        if ok and coroutine.status(thread) ~= "dead" then
            collectgarbage("step", COLLECTED)
            return later()
        end
        stop()
        done(ok, not ok and debug.traceback(thread, tostring(why)) or nil)
    end
    slice()
    if not timer then return nil end
    return {
        cancel = function()
            cancelled = true
            stop()
        end,
    }
end

return M
