-- A server of a spec's own, for what nginx can't do: a process that hands each
-- connection, as it comes, to some Lua. What that Lua does is all there is.
--
--   local server = require "spec.support.server"
--   local s = server [[
--       c:tls()
--       for request in c:requests() do c:answer(request.ids) end
--   ]]
--   s.http, s.https      its base urls (it is the Lua that decides which is true)
--   s.log()              the lines that c:log has written
--   s.stop()
--
-- In that Lua, `c` is the connection, `n` its number from 1 on. Each connection
-- has a process of its own; it ends with the Lua, without TLS's good-bye.
--
--   c:tls { protocol = "tlsv1_3" }   the handshake; with the sandbox's certificate
--   c:request()                      the next one: { head =, body =, ids = }, or nil
--   c:requests()                     the same for a loop, each noted in the log
--   c:head(status, ...)              a response's head, with these lines
--   c:tickets(ids)                   a list of tickets in JSON
--   c:answer(ids)                    that as a response with its length
--   c:send(text), c:sleep(seconds), c:log(text)
--   c:goodbye()                      TLS's, and the end
--   c:reset()                        the end as TCP's reset
--   c:stay(seconds)                  until the client has left, at most so long
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"

local quoted = system.quoted
local servers = {}

local PROGRAM = [==[
local socket, ssl, unistd = require "socket", require "ssl", require "posix.unistd"
local wait = require "posix.sys.wait"
local key, certificate, log_path, behaviour = arg[1], arg[2], arg[3], arg[4]
local run = assert((loadstring or load)("local c, n = ... " .. behaviour, "=behaviour"))

local C = {}
C.__index = C

function C:tls(o)
    o = o or {}
    local context = { mode = "server", protocol = o.protocol or "any", key = key, certificate = certificate,
                      options = { "all", "no_sslv2", "no_sslv3" } }
    self.peer = assert(ssl.wrap(self.tcp, context))
    self.peer:settimeout(20)
    return assert(self.peer:dohandshake())
end

function C:request()
    local lines, length = {}, 0
    repeat
        local line = self.peer:receive "*l"
        if not line then return nil end
        lines[#lines + 1] = line
        length = tonumber(line:lower():match "^content%-length: *(%d+)" or length)
    until line == ""
    local body = length > 0 and self.peer:receive(length) or ""
    if not body then return nil end
    local ids = {}
    for id in (body:match '"ticket_ids":"([^"]*)"' or ""):gmatch "[^,]+" do ids[#ids + 1] = id end
    return { head = table.concat(lines, "\n"), body = body, ids = ids }
end

function C:requests()
    return function()
        local r = self:request()
        if r then self:log("%d %s", n, table.concat(r.ids, ",")) end
        return r
    end
end

function C:head(status, ...)
    return table.concat({ "HTTP/1.1 " .. status .. " Words", ... }, "\r\n") .. "\r\n\r\n"
end

function C:tickets(ids)
    local list = {}
    for i, id in ipairs(ids) do
        list[i] = ('{"task_details":{"ticketId":"%s","detail":"%s"}}'):format(id, ("x"):rep(40))
    end
    return "[" .. table.concat(list, ",") .. "]"
end

function C:response(ids)
    local body = self:tickets(ids)
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function C:answer(ids) return self:send(self:response(ids)) end
function C:send(text) return self.peer:send(text) end
function C:sleep(seconds) socket.sleep(seconds) end
function C:goodbye() self.peer:close() end

function C:reset()
    self.tcp:setoption("linger", { on = true, timeout = 0 })
    self.tcp:close()
end

function C:stay(seconds)
    self.peer:settimeout(seconds or 5)
    repeat until not self.peer:receive(1)
end

function C:log(text, ...)
    local f = assert(io.open(log_path, "a"))
    f:write(select("#", ...) > 0 and text:format(...) or text, "\n")
    f:close()
end

local listener = assert(socket.bind("127.0.0.1", 0, 128))
io.stdout:write((select(2, listener:getsockname())), "\n")
io.stdout:flush()
local number = 0
while true do
    local tcp = listener:accept()
    number = number + 1
    n = number
    if tcp and unistd.fork() == 0 then
        unistd.alarm(60) -- whatever happens: LuaSec may spin on a connection that has died
        listener:close()
        tcp:settimeout(20)
        tcp:setoption("tcp-nodelay", true)
        local c = setmetatable({ tcp = tcp, peer = tcp }, C)
        local ok, why = pcall(run, c, number)
        if not ok and not tostring(why):find "handshake" then c:log("error: " .. tostring(why)) end
        unistd._exit(0)
    end
    if tcp then tcp:close() end
    repeat until (wait.wait(-1, wait.WNOHANG) or 0) <= 0
end
]==]

return function(behaviour)
    local dir = system.output "mktemp -d":match "%S+"
    system.write(dir .. "/server.lua", PROGRAM)
    system.write(dir .. "/log", "")
    -- Its standard input is our end of the pipe: however we end, so does it.
    local child = assert(io.popen(([[
        unset LUA_PATH LUA_CPATH LUA_INIT
        luajit %s/server.lua %s %s %s/log %s >%s/port 2>%s/errors </dev/null &
        pid=$!
        read -r x
        kill $pid
        wait $pid 2>/dev/null
        rm -rf %s]]):format(dir, quoted(sandbox.dir .. "/ca/leaf.key"), quoted(sandbox.dir .. "/ca/leaf.pem"), dir,
        quoted(behaviour), dir, dir, dir), "w"))
    local self, port = {}, nil
    for _ = 1, 200 do
        port = tonumber((system.read(dir .. "/port") or ""):match "^(%d+)\n")
        if port then break end
        os.execute "sleep 0.02"
    end
    if not port then error("the server did not start: " .. (system.read(dir .. "/errors") or "")) end
    self.http, self.https = "http://localhost:" .. port, "https://localhost:" .. port
    function self.log()
        local list = {}
        for line in (system.read(dir .. "/log") or ""):gmatch "[^\n]+" do
            assert(not line:find "^error: ", line)
            list[#list + 1] = line
        end
        return list
    end
    function self.stop()
        if child then child:close() end
        child = nil
    end
    servers[#servers + 1] = self
    return self
end
