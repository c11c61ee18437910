-- Kapture tickets in OpenResty: the calls of the C module, which yield the
-- light thread instead of blocking the worker.
--
--   local kapture = require("resty.kapture").new { subdomain = "acme" }
--   local tickets, message, err = kapture:get_ticket(ngx.var.arg_id)
--
-- The C module's engine does DNS, TLS and HTTP on a thread of its own and tells
-- a unix socket when something has arrived. Here, one light thread a client
-- (the pump, in a timer) reads that socket through a cosocket, lets the module
-- decode, and posts the semaphores of those whose calls have ended.
--
-- Clients with the same options share one C client in each worker. It is made
-- at the first call, so nothing is started before nginx forks.
local core = require "kapture"
local semaphore = require "ngx.semaphore"

local get_phase, now, exiting = ngx.get_phase, ngx.now, ngx.worker.exiting
local type, pairs, ipairs, pcall, tostring, setmetatable = type, pairs, ipairs, pcall, tostring, setmetatable

---@class resty.kapture
local M = {
    _VERSION = core._VERSION,
    version = core.version,
    null = core.null,
    array_mt = core.array_mt,
    --- Seconds that calls of requests may still take once the worker has been
    --- told to exit. Calls of timers end at once.
    drain = 10,
    --- Seconds without a call after which the pump's timer ends; the next call
    --- starts another. Connections are kept.
    idle = 10,
}

-- How many option sets a worker keeps connections for when nobody holds a
-- client of theirs; as the C module does.
local KEPT = 8
-- How often the pump looks for callers that are gone, and for the end of the
-- worker, while somebody waits.
local TICK = 0.1
-- How long a caller waits before it sees for itself whether the pump is well.
local PATIENCE = 1
-- A read without an end: nginx would log one that times out.
local FOREVER = 2147483647

local CAN_WAIT = {
    rewrite = true, server_rewrite = true, access = true, content = true, timer = true,
    ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}

-- Options that come with each call instead of being part of the shared client:
-- whose they are, and what lives no longer than its caller.
local OF_CALLER = { token = true, cookie = true, headers = true, body = true, hook = true }

-- errors --------------------------------------------------------------------

-- Raises an argument error of the C module as that of the method the user
-- called, and at the user's line.
local function rethrow(message, name)
    if type(message) == "string" then
        message = message:gsub("^.-(bad argument #%d+ to )'[%w_]+'", "%1'" .. name .. "'", 1)
    end
    error(message, 3)
end

local function check_phase(name)
    local phase = get_phase()
    if not CAN_WAIT[phase] then
        error(("resty.kapture: %s waits for the service, which nginx allows in rewrite, access, content, "
            .. "ssl_certificate and timers, but not in %s_by_lua*: call it in one of those, from here with "
            .. "ngx.timer.at(0, ...)"):format(name, phase), 3)
    end
    return phase
end

local EXITING = "the nginx worker is exiting"
local closed_core = core.new()
closed_core:close()

-- shared clients ------------------------------------------------------------

-- entry: { core =, waiters = {[request or iterator] = waiter}, waiting = their
-- number, pump = "starting", "running" or nil, asked = when it was started,
-- beat = its last sign of life, used = when last something was waited for }
-- waiter: { sem =, background =, owner = the client }
local kept = {}                                 -- most recently used first
local known = setmetatable({}, { __mode = "v" }) -- by key, while anybody has it
local exit_seen

local function serialize(value, out)
    local t = type(value)
    if t == "table" then
        local names = {}
        for name in pairs(value) do names[#names + 1] = name end
        table.sort(names, function(a, b)
            if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
            return tostring(a) < tostring(b)
        end)
        out[#out + 1] = "{"
        for _, name in ipairs(names) do
            serialize(name, out)
            serialize(value[name], out)
        end
        out[#out + 1] = "}"
    elseif t == "number" then
        out[#out + 1] = ("%.17g;"):format(value)
    elseif t == "string" then
        out[#out + 1] = #value .. ":" .. value
    else
        out[#out + 1] = tostring(value) .. ";"
    end
end

local function entry_for(key, options)
    local entry = known[key]
    if not entry then
        entry = { core = core.new(options), waiters = {}, waiting = 0, used = now() }
        known[key] = entry
    end
    for i = 1, #kept do
        if kept[i] == entry then
            table.remove(kept, i)
            break
        end
    end
    table.insert(kept, 1, entry)
    kept[KEPT + 1] = nil
    return entry
end

-- waiting -------------------------------------------------------------------

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
                if what:_pending() then left = true else wake(entry, what, waiter) end
            end
        end
        entry.iterators = left
    end
end

local function step(entry)
    local ok, pending, ended = pcall(entry.core.step, entry.core)
    if ok then
        wake_ended(entry, ended)
    else -- out of memory: the client is consistent, and told to go on
        ngx.log(ngx.ERR, "resty.kapture: ", pending)
    end
end

local function end_call(what, waiter, why)
    if why then
        what:_shut(why)
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
    local drained = leaving and time - exit_seen >= M.drain
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
    while sock:receiveany(64) do step(entry) end
    entry.deaf = true
end

local function pump(_, entry)
    local client = entry.core
    local sock = ngx.socket.tcp()
    local path, why = client:_listen()
    local ok
    if path then ok, why = sock:connect("unix:" .. path) end
    if not (client:_accept() and ok) then
        entry.pump = nil
        ngx.log(ngx.ERR, "resty.kapture: no notification socket: ", why or "not connected")
        return
    end
    entry.pump, entry.deaf, entry.beat, entry.used = "running", false, now(), now()
    sock:settimeouts(PATIENCE * 1000, PATIENCE * 1000, FOREVER)
    local reader = ngx.thread.spawn(read_loop, entry, sock)
    step(entry)
    repeat
        ngx.sleep(entry.waiting > 0 and TICK or 5 * TICK)
        local leaving = look_around(entry)
    until entry.deaf or entry.waiting == 0 and (leaving or now() - entry.used > M.idle)
    entry.pump = nil
    client:_hang_up()
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

-- Yields until the request has ended, or the iterator can go on.
local function wait(entry, what, waiter)
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
            if entry.pump ~= "running" then step(entry) end
        end
    end
end

-- clients -------------------------------------------------------------------

---@class resty.kapture.Client
local Client = {}
Client.__index = Client
Client.__name = "resty.kapture.client"

-- The options of one call. Where the token is a function, in a table of our own.
local function call_options(self, opts)
    local own = self.own
    if opts == nil then opts, own = own, nil end
    if type(opts) ~= "table" or not own and type(opts.token) ~= "function" then return opts end
    local merged = {}
    for name, value in pairs(own or opts) do merged[name] = value end
    for name, value in pairs(opts) do merged[name] = value end
    return merged
end

-- Calls the token function, which here may yield, and leaves in its place one
-- that does what it did, for the C module to judge.
local function resolve_token(options)
    local ok, token = pcall(options.token)
    options.token = function()
        if not ok then error(token, 0) end
        return token
    end
end

local function has_token_function(options)
    return type(options) == "table" and type(options.token) == "function"
end

local function shared(self)
    local entry = self.entry
    if not entry then
        entry = entry_for(self.key, self.options)
        self.entry = entry
    end
    return entry
end

-- Why nothing may be begun any more; nil: it may.
local function over(self, phase)
    if self.closed then return "the client is closed" end
    if not exiting() then return nil end
    exit_seen = exit_seen or now()
    if phase == "timer" or now() - exit_seen >= M.drain then return EXITING end
end

local HIDDEN = " (in nginx, name it with the 'env' directive)"

-- What an environment variable is asked for, nginx hides unless told otherwise.
local function explain(err)
    if type(err) ~= "table" or err.kind ~= "config" then return err end
    local function told(failure)
        if failure.message:find("environment variable", 1, true) then
            failure.message = failure.message .. HIDDEN
        end
    end
    told(err)
    for _, failure in ipairs(err.failed) do
        if failure ~= err then told(failure) end
    end
    return err
end

local function take(request)
    local tickets, message, err = request:_take()
    if not tickets and explain(err) then message = err.message end
    return tickets, message, err
end

local function refuse(why, request)
    local tickets, message, err = request:result()
    if err.kind == "closed" then err.message, message = why, why end
    return tickets, message, err
end

--- Fetches tickets as `kapture.get_ticket` does, yielding until they are there.
---@param ids kapture.Ids
---@param opts? kapture.Options
---@return kapture.Ticket[]? tickets
---@return kapture.Info|string info_or_message
---@return kapture.Error? err
function Client:get_ticket(ids, opts)
    local phase = check_phase "get_ticket"
    local options = call_options(self, opts)
    if has_token_function(options) then resolve_token(options) end
    local why = over(self, phase)
    local entry = shared(self)
    local client = why and closed_core or entry.core
    local ok, request = pcall(client.submit, client, ids, options)
    if not ok then rethrow(request, "get_ticket") end
    if why then
        client:step() -- which lets go of what has ended
        return refuse(why, request)
    end
    if not request:done() then
        wait(entry, request, { background = phase == "timer", owner = self })
    elseif not entry.pump then -- likewise: nobody else does
        step(entry)
    end
    return take(request)
end

---@class resty.kapture.Iterator
local Iterator = {}
Iterator.__index = Iterator

function Iterator:__call()
    local phase = check_phase "tickets"
    local it, options = self.it, self.options
    if options then
        self.options = nil
        resolve_token(options)
    end
    local why = over(self.owner, phase)
    if why then it:_shut(why) end
    while it:_advance() do
        wait(self.entry, it, { iterator = true, background = phase == "timer", owner = self.owner })
    end
    local id, ticket, err = it()
    return id, ticket, explain(err)
end

--- Cancels what is in flight. Leaving the loop does so too, but only when the
--- iterator is collected.
function Iterator:close()
    self.it:close()
end

--- Iterates over any number of ids as `kapture.tickets` does, yielding in each
--- round that has to wait. A source function must not yield.
---@param ids string|integer|(string|integer)[]|fun(): (string|integer)?
---@param opts? kapture.Options
---@return fun(): string?, kapture.Ticket?, kapture.Error?
function Client:tickets(ids, opts)
    check_phase "tickets"
    local options = call_options(self, opts)
    local entry = shared(self)
    local given, later = options, nil
    if has_token_function(options) then
        later = options
        given = {}
        for name, value in pairs(options) do given[name] = value end
        given.token = function() return later.token() end
    end
    local ok, it = pcall(entry.core.tickets, entry.core, ids, given)
    if not ok then rethrow(it, "tickets") end
    return setmetatable({ it = it, entry = entry, owner = self, options = later }, Iterator)
end

--- Ends this client's calls with kind `closed`, and all that come. Others with
--- the same options go on.
function Client:close()
    self.closed = true
    local entry = self.entry
    if not entry then return end
    for what, waiter in pairs(entry.waiters) do
        if waiter.owner == self then
            end_call(what, waiter, "the client was closed")
            wake(entry, what, waiter)
        end
    end
end

function Client:__tostring()
    return "resty.kapture.client" .. (self.closed and " (closed)" or "")
end

--- A client with these as its defaults. Cheap: to be made once in a module, or
--- in each request, or in init_by_lua*.
---@param opts? kapture.Options
---@return resty.kapture.Client
function M.new(opts)
    local ok, why = pcall(core.new, opts)
    if not ok then rethrow(why, "new") end
    local options, own = {}, nil
    for name, value in pairs(opts or options) do
        if OF_CALLER[name] then
            own = own or {}
            own[name] = value
        else
            options[name] = value
        end
    end
    local key = {}
    serialize(options, key)
    return setmetatable({ key = table.concat(key), options = options, own = own }, Client)
end

local default = M.new()

-- The client for a call of the module's own, and the options that are left:
-- limits say which client it is.
local function client_for(opts, name)
    if type(opts) ~= "table" or opts.concurrency == nil and opts.rate == nil then return default, opts end
    local limits = { concurrency = opts.concurrency, rate = opts.rate }
    local ok, why = pcall(core.new, limits)
    if not ok then rethrow((why:gsub("argument #1", "argument #2", 1)), name) end
    local rest = {}
    for option, value in pairs(opts) do
        if limits[option] == nil then rest[option] = value end
    end
    return M.new(limits), rest
end

--- `get_ticket` of a client without options of its own but the limits given.
---@param ids kapture.Ids
---@param opts? kapture.Options
---@return kapture.Ticket[]? tickets
---@return kapture.Info|string info_or_message
---@return kapture.Error? err
function M.get_ticket(ids, opts)
    local client, rest = client_for(opts, "get_ticket")
    return client:get_ticket(ids, rest)
end

--- `tickets` of a client without options of its own but the limits given.
---@param ids string|integer|(string|integer)[]|fun(): (string|integer)?
---@param opts? kapture.Options
---@return fun(): string?, kapture.Ticket?, kapture.Error?
function M.tickets(ids, opts)
    local client, rest = client_for(opts, "tickets")
    return client:tickets(ids, rest)
end

return M
