-- A long day in one process: 100,000 calls in every way there is, then a million
-- ids through an iterator, while the service resets, refuses, delays and cuts
-- off. Every call ends once and as it should; resident memory, descriptors and
-- threads are printed on the way, and have to stay where they were.
--
--   lua5.4 spec/soak/soak.lua [CALLS [IDS]]       (`make soak` sets the paths)
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"
local host = require "kapture_host"

local CALLS, IDS = tonumber(arg[1]) or 100000, tonumber(arg[2]) or 1000000
-- What malloc and the collector keep for themselves from one look to the next.
local SLACK_KIB, SLACK_DESCRIPTORS = 2048, 8

local began = host.now()
local complaints = 0

local function complain(...)
    complaints = complaints + 1
    print(("  WRONG: " .. (...)):format(select(2, ...)))
    if complaints > 20 then os.exit(1) end
end

-- Resident memory in KiB, open descriptors, threads.
local function look()
    collectgarbage()
    collectgarbage()
    local memory, threads
    for line in io.lines "/proc/self/status" do
        memory = memory or tonumber(line:match "^VmRSS:%s*(%d+)")
        threads = threads or tonumber(line:match "^Threads:%s*(%d+)")
    end
    local pipe = assert(io.popen("ls /proc/" .. host.pid() .. "/fd | wc -l"))
    local descriptors = tonumber(pipe:read "*l") - 1 -- the pipe itself
    pipe:close()
    return { memory = memory, descriptors = descriptors, threads = threads }
end

local function show(what, n, got)
    print(("%7.1f s %9d %-6s %8d KiB %4d descriptors %3d threads"):format(
        host.now() - began, n, what, got.memory, got.descriptors, got.threads))
    io.stdout:flush()
end

-- Compares the end with how it was when everything had been there once.
local function flat(what, settled, last)
    if last.memory > settled.memory + SLACK_KIB then
        complain("%s: memory grew from %d to %d KiB", what, settled.memory, last.memory)
    end
    if last.descriptors > settled.descriptors + SLACK_DESCRIPTORS then
        complain("%s: descriptors grew from %d to %d", what, settled.descriptors, last.descriptors)
    end
    print(("%s: %+d KiB, %+d descriptors"):format(what,
        last.memory - settled.memory, last.descriptors - settled.descriptors))
end

-- The calls ------------------------------------------------------------------------

local faulty = "random,seed=7,rate=0.2,kinds=reset+503+slow+truncate,ms=20"
-- A base_url, and the kinds of failure that it explains.
local places = {
    { sandbox.https, {} },
    { sandbox.https1, {} },
    { sandbox.url(faulty), { network = true, server = true } },
    { sandbox.url(faulty, { on = "https1" }), { network = true, server = true } },
    { sandbox.url "status,code=404", { not_found = true } },
    { sandbox.url "echo-token", { server = true } },
    { sandbox.url "html", { server = true } },
    { sandbox.url "notjson", { protocol = true } },
    { sandbox.url("close,ifconn=kept", { on = "https1" }), {} },
    { sandbox.url("truncate", { on = "https1" }), { network = true } },
    { sandbox.url "retry-after,after=0", { rate_limited = true } },
    { sandbox.refused, { network = true } },
    { sandbox.unknownca, { tls = true } },
}
local ordinary = { isolate = false, retries = 1, backoff = 0, timeout = 20 }

local counts = { tickets = 0, missing = 0 }

local function judge(ids, explained, tickets, message, err)
    if not tickets then
        counts[err.kind] = (counts[err.kind] or 0) + 1
        if not explained[err.kind] then complain("%s: %s", err.kind, message) end
        if message:find(sandbox.token, 1, true) then complain "the token is in a message" end
        return
    end
    for i, id in ipairs(ids) do
        if not tickets[i] or tickets[i].task_details.ticketId ~= id then
            complain("%s is not at its place", id)
        end
    end
    counts.tickets = counts.tickets + #tickets
end

local serial = 0
local function some_ids()
    local ids = {}
    for i = 1, 1 + serial % 3 do
        ids[i] = sandbox.id((serial * 7 + i) % 3000)
    end
    serial = serial + 1
    return ids
end

local function options_for(place)
    local options = { base_url = place[1] }
    if serial % 5 == 0 then options.fields = { "task_details.ticketId", "history" } end
    if serial % 7 == 0 then options.hook = function() end end
    return options
end

local function new_client()
    local options = { token = sandbox.token, ca_file = sandbox.ca, concurrency = 8 }
    for name, value in pairs(ordinary) do options[name] = value end
    return kapture.new(options)
end

-- So many blocking calls on a client without a thread.
local function blocking(n)
    local client = new_client()
    for _ = 1, n do
        local place, ids = places[1 + serial % #places], some_ids()
        judge(ids, place[2], client:get_ticket(ids, options_for(place)))
    end
    if n % 2 == 0 then client:close() end -- the others are left to the collector
end

-- So many that do not block, a few cancelled and a few dropped.
local function submitted(n)
    local client, going = new_client(), {}
    local stopped = { cancelled = true }
    for i = 1, n do
        local place, ids = places[1 + serial % #places], some_ids()
        local request = client:submit(ids, options_for(place))
        if i % 11 == 0 then
            request:cancel()
            judge(ids, setmetatable(stopped, { __index = place[2] }), request:result())
        elseif i % 13 ~= 0 then
            going[request] = { ids, place[2] }
        end
    end
    repeat
        local left, ended = client:step(1)
        for _, request in ipairs(ended) do
            local entry = going[request]
            going[request] = nil
            if entry then judge(entry[1], entry[2], request:result()) end
        end
    until left == 0
    if next(going) then complain "a call that never ended" end
    if n % 2 == 0 then client:close() end
end

local function calls()
    local settled, last
    local done, step = 0, math.max(CALLS // 10, 1)
    while done < CALLS do
        local target = math.min(done + step, CALLS)
        while done < target do
            local n = math.min(100 + done % 3, target - done)
            if done % 200 < 100 then blocking(n) else submitted(n) end
            done = done + n
        end
        last = look()
        settled = settled or done >= CALLS / 5 and last
        show("calls", done, last)
    end
    flat("calls", settled, last)
    local kinds = {}
    for kind, n in pairs(counts) do kinds[#kinds + 1] = kind .. " " .. n end
    table.sort(kinds)
    print("  " .. table.concat(kinds, ", "))
end

-- The iterator -----------------------------------------------------------------------

local function iterator()
    local taken, given, missing, failed = 0, 0, 0, 0
    local settled, last
    local function id_of(n)
        return n % 997 == 0 and ("404%09d"):format(n % 5000) or sandbox.id(n % 20000)
    end
    local function source()
        if taken == IDS then return nil end
        taken = taken + 1
        return id_of(taken)
    end
    local options = {
        base_url = sandbox.url "random,seed=9,rate=0.05,kinds=reset+503+slow+truncate,ms=20",
        token = sandbox.token, ca_file = sandbox.ca, backoff = 0.01, retries = 4,
    }
    for id, ticket, err in kapture.tickets(source, options) do
        given = given + 1
        if id ~= id_of(given) then complain("%s comes at the place of %s", id, id_of(given)) end
        if ticket then
            if ticket.task_details.ticketId ~= id then complain("%s has another's ticket", id) end
        elseif err.kind == "missing" then
            missing = missing + 1
            if given % 997 ~= 0 then complain("%s is missing", id) end
        else
            failed = failed + 1
            if err.kind ~= "network" and err.kind ~= "server" then complain("%s: %s", id, err.message) end
        end
        if given % math.max(IDS // 10, 1) == 0 or given == math.min(50000, IDS) then
            last = look()
            settled = settled or last
            show("ids", given, last)
        end
    end
    if given ~= IDS then complain("%d of %d ids came out", given, IDS) end
    if missing ~= IDS // 997 then complain("%d missing, not %d", missing, IDS // 997) end
    if failed > IDS / 100 then complain("%d failed", failed) end
    flat("iterator", settled, last)
    print(("  %d missing, %d failed"):format(missing, failed))
end

calls()
iterator()
sandbox.stop()
if complaints > 0 then os.exit(1) end
print "fine"
