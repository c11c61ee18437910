-- How light threads wait for what a C client does.
--
-- The C module's engine does DNS, TLS and HTTP on a thread of its own and tells
-- a unix socket when something has arrived. Here, one light thread a client
-- (the pump, in a timer) reads that socket through a cosocket, lets the module
-- decode, and posts the semaphores of those whose calls have ended.
local adapter = require "kapture.adapter"
local semaphore = require "ngx.semaphore"

local now, exiting = ngx.now, ngx.worker.exiting
local pairs, pcall = pairs, pcall

-- How often the pump looks for callers that are gone, and for the end of the
-- worker, while somebody waits.
local TICK = 0.1
-- How long a caller waits before it sees for itself whether the pump is well.
local PATIENCE = 1
-- A read without an end: nginx would log one that times out.
local FOREVER = 2147483647

local EXITING = "the nginx worker is exiting"

---@class resty.kapture.Waiter
---@field sem table|nil what its light thread waits for, once it does
---@field background boolean|nil it is a timer's
---@field iterator boolean|nil what it waits for is an iterator
---@field owner resty.kapture.Client

local M = {}

--- `drain` and `idle` are read from here whenever they are needed: this is the
--- table of resty.kapture, where users may set them at any time.
M.settings = nil

local exit_seen -- when this worker was first found exiting

local function wake(entry, what, waiter)
    entry.waiters[what] = nil
    entry.waiting = entry.waiting - 1
    waiter.sem:post(1)
end

local function wake_ended(entry, ended)
    for i = 1, #ended do
        local waiter = entry.waiters[ended[i]]
        if waiter then wake(entry, ended[i], waiter) end
    end
    if entry.iterators then
        local left
        for what, waiter in pairs(entry.waiters) do
            if waiter.iterator then
                if adapter.pending(what) then left = true else wake(entry, what, waiter) end
            end
        end
        entry.iterators = left
    end
end

--- Does what the C client has to do, and wakes whose calls have ended.
---@param entry resty.kapture.Entry
function M.step(entry)
    local ok, pending, ended = pcall(entry.core.step, entry.core)
    if ok then
        wake_ended(entry, ended)
    else -- out of memory: the client is consistent, and told to go on
        ngx.log(ngx.ERR, "resty.kapture: ", pending)
    end
end

local function end_call(what, waiter, why)
    if why then
        local shut = waiter.iterator and adapter.shut_iterator or adapter.shut_request
        shut(what, why)
    elseif waiter.iterator then
        what:close()
    else
        what:cancel()
    end
end

-- What nothing wakes anybody for: callers that are gone (the browser hung up,
-- the light thread was killed), and the worker's end.
local function look_around(entry)
    local time = now()
    local leaving = exiting()
    if leaving then exit_seen = exit_seen or time end
    local drained = leaving and time - exit_seen >= M.settings.drain
    for what, waiter in pairs(entry.waiters) do
        if waiter.sem:count() >= 0 then
            entry.waiters[what] = nil
            entry.waiting = entry.waiting - 1
            end_call(what, waiter)
        elseif drained or leaving and waiter.background then
            end_call(what, waiter, EXITING)
            wake(entry, what, waiter)
        end
    end
    entry.beat = time
    if entry.waiting > 0 then entry.used = time end
    return leaving
end

local function read_loop(entry, sock)
    while sock:receiveany(64) do M.step(entry) end
    entry.deaf = true
end

local function pump(_, entry)
    local client = entry.core
    local sock = ngx.socket.tcp()
    local path, why = adapter.listen(client)
    local ok
    if path then ok, why = sock:connect("unix:" .. path) end
    if not (adapter.accept(client) and ok) then
        entry.pump = nil
        ngx.log(ngx.ERR, "resty.kapture: no notification socket: ", why or "not connected")
        return
    end
    entry.pump, entry.deaf, entry.beat, entry.used = "running", false, now(), now()
    sock:settimeouts(PATIENCE * 1000, PATIENCE * 1000, FOREVER)
    local reader = ngx.thread.spawn(read_loop, entry, sock)
    M.step(entry)
    repeat
        ngx.sleep(entry.waiting > 0 and TICK or 5 * TICK)
        local leaving = look_around(entry)
    until entry.deaf or entry.waiting == 0 and (leaving or now() - entry.used > M.settings.idle)
    entry.pump = nil
    adapter.hang_up(client)
    ngx.thread.wait(reader)
    sock:close()
end

-- Starts the pump where there is none. nginx may drop a timer without a word
-- (lua_max_running_timers), so one that doesn't come is asked for again.
local function ensure_pump(entry)
    local time = now()
    if entry.pump == "running" and time - entry.beat < 10 * PATIENCE then return end
    if entry.pump == "starting" and time - entry.asked < PATIENCE then return end
    local ok, why = ngx.timer.at(0, pump, entry)
    if ok then
        entry.pump, entry.asked = "starting", time
    else
        ngx.log(ngx.ERR, "resty.kapture: no timer for the pump: ", why)
    end
end

--- Yields until the request has ended, or the iterator can go on.
---@param entry resty.kapture.Entry
---@param what table
---@param waiter resty.kapture.Waiter
function M.wait(entry, what, waiter)
    local sem = semaphore.new()
    waiter.sem = sem
    entry.waiters[what] = waiter
    entry.waiting = entry.waiting + 1
    if waiter.iterator then entry.iterators = true end
    ensure_pump(entry)
    while entry.waiters[what] == waiter do
        local ok, why = sem:wait(PATIENCE)
        if not ok and why ~= "timeout" then
            entry.waiters[what] = nil
            entry.waiting = entry.waiting - 1
            end_call(what, waiter)
            error("resty.kapture: " .. why, 0)
        end
        if not ok and entry.waiters[what] == waiter then
            ensure_pump(entry)
            if entry.pump ~= "running" then M.step(entry) end
        end
    end
end

--- Ends what this client's light threads wait for; those of others go on.
---@param entry resty.kapture.Entry
---@param owner resty.kapture.Client
---@param why string
function M.close(entry, owner, why)
    for what, waiter in pairs(entry.waiters) do
        if waiter.owner == owner then
            end_call(what, waiter, why)
            wake(entry, what, waiter)
        end
    end
end

--- Why nothing may be begun any more in this worker; nil: it may.
---@param phase string
---@return string|nil
function M.leaving(phase)
    if not exiting() then return nil end
    exit_seen = exit_seen or now()
    if phase == "timer" or now() - exit_seen >= M.settings.drain then return EXITING end
end

return M
