-- The sandbox from a test: where it listens, urls with faults, what it was
-- asked. Needs nothing but io and os.
--
--   local sandbox = require "spec.support.sandbox"
--   sandbox.https, sandbox.token, sandbox.ca ...     the ready file's values
--   sandbox.url("delay,ms=50", "shuffle")            a base_url with faults
--   sandbox.url("reset", { on = "https1" })          on another listener
--   local key = sandbox.key()                        for faults that count, and for the log
--   sandbox.requests(key)                            what arrived under that key
--   sandbox.stats(key)                               requests, inflight, most at once
--
-- With KAPTURE_SANDBOX_READY it uses the sandbox that wrote that file; without,
-- it starts one, which ends with this process.
local json = require "spec.support.json"

local sandbox = {}

-- Faults that only HTTP/1.1 can carry: url() picks that listener for them.
local needs_http1 = { garbage = true, http10 = true, early = true, lastone = true, stray = true }

local function lines_of(path, from)
    local file = io.open(path, "r")
    if not file then return nil end
    if from then file:seek("set", from) end
    local text = file:read "*a"
    file:close()
    return text
end

local function read_ready(path)
    local text = lines_of(path)
    if not text then return false end
    for key, value in text:gmatch "([%w_]+)=([^\n]*)" do sandbox[key] = value end
    return true
end

local function quoted(s)
    return "'" .. s:gsub("'", "'\\''") .. "'"
end

local function root()
    local here = debug.getinfo(1, "S").source:match "^@(.*)spec/support/sandbox%.lua$"
    return here == "" and "." or here or "."
end

local child

local function start()
    local ready = os.tmpname()
    os.remove(ready)
    -- Its standard input is our end of the pipe: however we end, so does it.
    local command = "exec %s --quiet --stdin --ready %s"
    child = assert(io.popen(command:format(quoted(root() .. "/sandbox/run"), quoted(ready)), "w"))
    for _ = 1, 200 do
        if read_ready(ready) then return end
        os.execute "sleep 0.05"
    end
    error "the sandbox did not start"
end

-- Ends a sandbox that this module started.
function sandbox.stop()
    if child then child:close() end
    child = nil
end

local unique
local issued = 0
local log_before = {}

-- A key nobody else uses: letters and digits.
function sandbox.key()
    issued = issued + 1
    local key = ("k%s%d"):format(unique, issued)
    -- The log grows to megabytes; what a key has in it comes after here.
    local log = io.open(sandbox.log, "r")
    if log then
        log_before[key] = log:seek "end"
        log:close()
    end
    return key
end

-- A base_url with these faults in front, in this order. The last argument may
-- be a table: on = the listener's name, http1 = true for HTTP/1.1 only, key =
-- a key for the log.
function sandbox.url(...)
    local specs, options = { ... }, {}
    if type(specs[#specs]) == "table" then options = table.remove(specs) end
    local on = options.on or options.http1 and "https1"
    local path = ""
    if options.key then table.insert(specs, 1, "tag,key=" .. options.key) end
    for _, spec in ipairs(specs) do
        local name = spec:match "^[^,]*"
        if needs_http1[name] and not spec:find("form=tls", 1, true) then on = on or "https1" end
        path = path .. "/fault/" .. spec
    end
    local base = sandbox[on or "https"] or error("no such listener: " .. tostring(on))
    return base .. path
end

local function matches(entry, filter)
    if filter == nil then return true end
    if type(filter) == "function" then return filter(entry) end
    if type(filter) == "string" then filter = { key = filter } end
    for name, wanted in pairs(filter) do
        if name == "key" then
            local found = false
            for _, key in ipairs(entry.keys) do found = found or key == wanted end
            if not found then return false end
        elseif entry[name] ~= wanted then
            return false
        end
    end
    return true
end

-- The log's entries, in the order in which they ended: all, those of a key,
-- those whose fields equal a table's, or those a function says yes to. Whoever
-- has a whole answer finds its request here.
function sandbox.requests(filter)
    local list = {}
    local plain = type(filter) == "string" and filter or type(filter) == "table" and filter.key or nil
    local text = lines_of(sandbox.log, plain and log_before[plain]) or ""
    for line in text:gmatch "([^\n]+)\n" do
        if not plain or line:find('"' .. plain .. '"', 1, true) then
            local entry = json.decode(line)
            if matches(entry, filter) then list[#list + 1] = entry end
        end
    end
    return list
end

local function ask(path)
    local pipe = assert(io.popen("curl -sS --max-time 5 " .. quoted(sandbox.http .. path), "r"))
    local text = pipe:read "*a"
    pipe:close()
    return text
end

-- Counted when requests arrive, so hung ones are in it: { requests =,
-- inflight =, most = (at once) }. Uses the curl command.
function sandbox.stats(key)
    return json.decode(ask("/sandbox/stats" .. (key and "?key=" .. key or "")))
end

-- An id for each number: twelve digits, all of which exist.
function sandbox.id(n)
    return ("713%09d"):format(n)
end

function sandbox.ids(count, from)
    local list = {}
    for i = 1, count do list[i] = sandbox.id((from or 0) + i) end
    return list
end

local given = os.getenv "KAPTURE_SANDBOX_READY"
if given and given ~= "" then
    if not read_ready(given) then error("KAPTURE_SANDBOX_READY: no such file: " .. given) end
else
    start()
end

-- Different processes must not meet in a key; an address and the time differ.
unique = (tostring {}):gsub("^table: *0?x?", ""):gsub("%W", "") .. ("%x"):format(os.time() % 0x1000000)

return sandbox
