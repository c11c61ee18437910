-- Calls of the module against the sandbox, as specs want them: the right token
-- and authority, no retries, and what came back in one table.
--
--   local ask = require "spec.support.ask"
--   local got = ask("1,2", { timeout = 1 }, "delay,ms=50", "shuffle")
--   got.tickets, got.info                 where it went well
--   got.message, got.err                  where it did not
--   got.log                               the sandbox's entries for this call
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"
local quoted = require("spec.support.system").quoted

local ask = {}

-- Options for a base_url with these faults; the last argument may be a table as
-- for sandbox.url. Whatever `opts` says wins; false there takes a default away.
function ask.opts(opts, ...)
    local all = {
        base_url = sandbox.url(...),
        token = sandbox.token,
        ca_file = sandbox.ca,
        retries = 0,
    }
    for name, value in pairs(opts or {}) do all[name] = value end
    for _, name in ipairs { "base_url", "token", "ca_file", "retries" } do
        if all[name] == false then all[name] = nil end
    end
    return all
end

local function pack(tickets, second, err)
    if tickets then return { tickets = tickets, info = second } end
    return { message = second, err = err }
end

-- One call with these options and faults; `got.key` finds it in the log.
function ask.on(call, ids, opts, ...)
    local faults, where = { ... }, {}
    if type(faults[#faults]) == "table" then where = table.remove(faults) end
    local key = where.key or sandbox.key()
    faults[#faults + 1] = { on = where.on, http1 = where.http1, key = key }
    local got = pack(call(ids, ask.opts(opts, (table.unpack or unpack)(faults))))
    got.key = key
    return setmetatable(got, { __index = function(self, name)
        if name ~= "log" then return nil end
        self.log = sandbox.requests(key)
        return self.log
    end })
end

-- The kind of a failure, or "none": for comparing.
function ask.kind(...)
    local got = ask(...)
    return got.err and got.err.kind or "none", got
end

-- The ids of a list of tickets, in one string.
function ask.ids_of(tickets)
    local ids = {}
    for i, ticket in ipairs(tickets) do ids[i] = tostring(ticket.task_details.ticketId) end
    return table.concat(ids, ",")
end

local abi = os.getenv "ABI" or "5.4"

-- What a program in a process of its own prints, given these environment
-- variables; both streams, and its exit status in front of the last newline.
function ask.child(program, env)
    local file = os.tmpname()
    local f = assert(io.open(file, "w"))
    f:write(program)
    f:close()
    local words = { "env" }
    for name, value in pairs(env or {}) do words[#words + 1] = quoted(name .. "=" .. value) end
    words[#words + 1] = abi == "luajit" and "luajit" or "lua" .. abi
    local pipe = assert(io.popen(table.concat(words, " ") .. " " .. file .. " 2>&1; echo $?", "r"))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(file)
    local output, code = text:match "^(.*)%f[%d](%d+)\n$"
    return output, tonumber(code)
end

return setmetatable(ask, { __call = function(_, ids, opts, ...)
    return ask.on(kapture.get_ticket, ids, opts, ...)
end })
