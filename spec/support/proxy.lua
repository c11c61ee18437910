-- A real HTTP proxy (tinyproxy) on a free loopback port, for one spec.
--
--   local proxy = require "spec.support.proxy" { auth = "name password" }
--   proxy.address        127.0.0.1:PORT
--   proxy.log()          what it has logged so far
--   proxy.stop()
local socket = require "socket"
local system = require "spec.support.system"

local function read(path)
    return system.read(path) or ""
end

local function answers(port)
    local peer = socket.connect("127.0.0.1", port)
    if peer then peer:close() end
    return peer ~= nil
end

return function(options)
    local pipe = assert(io.popen "mktemp -d")
    local dir = pipe:read "*l"
    pipe:close()
    local port = system.free_port()
    local file = assert(io.open(dir .. "/conf", "w"))
    file:write(("Port %d\nListen 127.0.0.1\nTimeout 60\nLogFile \"%s/log\"\nLogLevel Info\n"):format(port, dir))
    if options.auth then file:write("BasicAuth ", options.auth, "\n") end
    if options.only_port then file:write("ConnectPort ", options.only_port, "\n") end
    file:close()
    -- Its standard input is our end of the pipe: however we end, so does it.
    local child = assert(io.popen(([[
        PATH=$PATH:/usr/sbin
        tinyproxy -d -c %s/conf >%s/out 2>&1 &
        pid=$!
        read -r x
        kill $pid
        wait $pid 2>/dev/null
        rm -rf %s]]):format(dir, dir, dir), "w"))
    for i = 1, 100 do
        if answers(port) then break end
        if i == 100 then error("tinyproxy did not start: " .. read(dir .. "/out")) end
        socket.sleep(0.05)
    end
    return {
        address = "127.0.0.1:" .. port,
        log = function() return read(dir .. "/log") end,
        stop = function() child:close() end,
    }
end
