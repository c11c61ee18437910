-- No manual has this: HTTP/1.1 by hand on LuaSec's socket, kept. It knows
-- Content-Length, and fails on whatever else a server may do.
local cjson = require "cjson"
local socket = require "socket"
local ssl = require "ssl"

return function(given)
    local connection
    local function connect()
        connection = assert(socket.tcp())
        assert(connection:connect(given.host, given.port))
        connection:setoption("tcp-nodelay", true)
        connection = assert(ssl.wrap(connection, {
            mode = "client", protocol = "any", options = { "all", "no_sslv2", "no_sslv3", "no_tlsv1" },
            verify = "peer", cafile = given.ca,
        }))
        connection:sni(given.host)
        assert(connection:dohandshake())
    end
    return function(body)
        if not connection then connect() end
        assert(connection:send(("POST %s HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Basic %s\r\n"
            .. "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"):format(
            given.path, given.host, given.port, given.token, #body, body)))
        local status = assert(connection:receive "*l")
        assert(status:find "^HTTP/1.1 200", status)
        local length
        repeat
            local line = assert(connection:receive "*l")
            length = tonumber(line:lower():match "^content%-length:%s*(%d+)") or length
        until line == ""
        return cjson.decode((assert(connection:receive(length))))
    end
end
