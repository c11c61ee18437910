-- Real servers in front of the sandbox: Apache httpd, Caddy, HAProxy. Each ends
-- TLS with the sandbox's throwaway certificate and passes requests on to its
-- plain listener; each becomes a listener of the sandbox as far as specs go:
--
--   local peer = peers.start("caddy")
--   ask("1", nil, "delay,ms=50", { on = "caddy" })      HTTP/2, by ALPN
--   ask("1", nil, { on = "caddy1" })                    HTTP/1.1 only
--   peer:requests(key, n)      what its access log has of a key, once that is n
--   peer:reload()              as an administrator does, with calls under way
--   peer:stop()
--
-- "caddytight" takes no body over 2000 bytes and gives the sandbox a second to
-- answer; behind "caddygone" nothing listens. Both with a 1 at the end as well.
-- Everything is in one temporary directory, and ends with stop() or with this
-- process.
local json = require "spec.support.json"
local sandbox = require "spec.support.sandbox"
local socket = require "socket"
local system = require "spec.support.system"

local output, write, free_port = system.output, system.write, system.free_port

local peers = { names = { "apache", "caddy", "haproxy" } }
local Peer = {}
Peer.__index = Peer

local function read(path)
    return system.read(path) or ""
end

local function program(name, ...)
    local path = output(("PATH=$PATH:/usr/sbin:/usr/local/sbin command -v %s"):format(name)):match "[^\n]+"
    return path or error(name .. " is not installed: tools/deps peers", 0)
end

local function port_of(url)
    return url:match ":(%d+)$"
end

local function fill(template, values)
    return (template:gsub("@(%w+)@", function(name) return tostring(values[name]) end))
end

-- One list of lines for each listener: of a template and what differs.
local function each(listeners, template, of)
    local list = {}
    for i, l in ipairs(listeners) do list[i] = fill(template, of(l)) end
    return table.concat(list)
end

local kinds = {}

-- A worker that could not reach its server is tried again at once (retry=0);
-- by default it answers with 503 for a minute. Over HTTP/2 Apache may log a
-- request only with what comes next on its connection, or when that ends: after
-- five seconds.
kinds.apache = {
    configure = function(self)
        local modules = {}
        for i, name in ipairs { "mpm_event", "alias", "authz_core", "filter", "deflate", "socache_shmcb", "ssl",
                                "http2", "proxy", "proxy_http" } do
            modules[i] = ("LoadModule %s_module %s/mod_%s.so\n"):format(name, "/usr/lib/apache2/modules", name)
        end
        local user = output "id -u":match "%d+" == "0" and "User #65534\nGroup #65534\n" or ""
        return "apache.conf", table.concat(modules) .. user .. fill([[
ServerRoot @dir@
ServerName localhost
DefaultRuntimeDir @dir@
PidFile @dir@/server.pid
Mutex fcntl:@dir@
ErrorLog @dir@/error.log
LogFormat "%H %>s %{remote}p [%{Content-Encoding}o] %U" peer
CustomLog @dir@/access.log peer
StartServers 1
ServerLimit 4
ThreadsPerChild 32
MaxRequestWorkers 128
MaxKeepAliveRequests 0
GracefulShutdownTimeout 3
SSLSessionCache shmcb:@dir@/sessions(512000)
SSLProtocol all -TLSv1.1
AddOutputFilterByType DEFLATE application/json
]], self) .. each(self.listeners, [[
Listen @host@:@port@
<VirtualHost @host@:@port@>
    Protocols @protocols@
    KeepAliveTimeout @idle@
    SSLEngine on
    SSLCertificateFile @cert@
    SSLCertificateKeyFile @key@
    @limits@
    ProxyPass / http://127.0.0.1:@to@/ retry=0@patience@
</VirtualHost>
]], function(l)
            return {
                host = self.host, port = l.port, cert = self.cert, key = self.key, to = l.to,
                protocols = l.h1 and "http/1.1" or "h2 http/1.1", idle = l.h1 and 60 or 5,
                limits = l.tight and '<If "%{HTTP:Content-Length} -gt 2000">\nRedirect 413 /\n</If>' or "",
                patience = l.tight and " timeout=1" or "",
            }
        end)
    end,
    command = function(self)
        return ("%s -d %s -f %s/apache.conf -DFOREGROUND"):format(program "apache2", self.dir, self.dir)
    end,
    reload = "kill -USR1 $(cat @dir@/server.pid)",
    access = function(self)
        local list = {}
        for line in read(self.dir .. "/access.log"):gmatch "[^\n]+" do
            local proto, status, port, encoding, path = line:match "^(%S+) (%d+) (%d+) %[(.-)%] (.*)$"
            if proto then
                list[#list + 1] = { proto = proto, status = tonumber(status), port = tonumber(port),
                                    encoding = encoding, path = path }
            end
        end
        return list
    end,
}

-- Without buffer_requests Caddy (2.6.2) closes its connection to the sandbox, now
-- and then over HTTP/1.1, in the middle of an answer: "use of closed network
-- connection", and the answer is cut.
kinds.caddy = {
    configure = function(self)
        return "Caddyfile", fill([[
{
    admin unix/@dir@/admin
    auto_https off
    grace_period 3s
    default_sni localhost
    log {
        output file @dir@/error.log
    }
]], self) .. each(self.listeners, [[
    servers @host@:@port@ {
        protocols @protocols@
    }
]], function(l)
            return { host = self.host, port = l.port, protocols = l.h1 and "h1" or "h1 h2" }
        end) .. "}\n" .. each(self.listeners, [[
https://:@port@ {
    bind @host@
    tls @cert@ @key@
    log {
        output file @dir@/access.log
        format json
    }
    encode gzip
    @limits@
    reverse_proxy 127.0.0.1:@to@ {
        buffer_requests
        @patience@
    }
}
]], function(l)
            return {
                dir = self.dir, host = self.host, port = l.port, cert = self.cert, key = self.key, to = l.to,
                limits = l.tight and "request_body {\n        max_size 2000\n    }" or "",
                patience = l.tight and [[transport http {
            response_header_timeout 1s
        }]] or "",
            }
        end)
    end,
    command = function(self)
        return ("env HOME=%s XDG_CONFIG_HOME=%s XDG_DATA_HOME=%s %s run --config %s/Caddyfile --adapter caddyfile")
            :format(self.dir, self.dir, self.dir, program "caddy", self.dir)
    end,
    reload = "HOME=@dir@ caddy reload --force --address unix/@dir@/admin --config @dir@/Caddyfile --adapter caddyfile",
    access = function(self)
        local list = {}
        for line in read(self.dir .. "/access.log"):gmatch "([^\n]+)\n" do
            local entry = json.decode(line)
            if entry.request then
                list[#list + 1] = {
                    proto = entry.request.proto, status = entry.status, port = tonumber(entry.request.remote_port),
                    encoding = (entry.resp_headers["Content-Encoding"] or { "-" })[1], path = entry.request.uri,
                }
            end
        end
        return list
    end,
}

kinds.haproxy = {
    configure = function(self)
        write(self.dir .. "/both.pem", read(self.cert) .. read(self.key))
        return "haproxy.cfg", [=[
global
    log stdout format raw local0 info
    maxconn 500
    nbthread 2
    hard-stop-after 3s
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    log global
    timeout client 60s
    timeout connect 5s
    option abortonclose
    retries 0
    compression algo gzip
    compression type application/json
]=] .. each(self.listeners, [=[
frontend f@port@
    bind @host@:@port@ ssl crt @dir@/both.pem alpn @alpn@
    log-format "access %HV %ST %cp %[res.comp] [%[var(txn.enc)]] %HU"
    http-response set-var(txn.enc) res.hdr(content-encoding)
    @limits@
    default_backend b@port@
backend b@port@
    timeout server @patience@
    server sandbox 127.0.0.1:@to@
]=], function(l)
            return {
                dir = self.dir, host = self.host, port = l.port, to = l.to,
                alpn = l.h1 and "http/1.1" or "h2,http/1.1",
                limits = l.tight and "http-request deny deny_status 413 if { req.body_size gt 2000 }" or "",
                patience = l.tight and "1s" or "60s",
            }
        end)
    end,
    command = function(self)
        return ("%s -W -db -f %s/haproxy.cfg"):format(program "haproxy", self.dir)
    end,
    reload = "kill -USR2 $(cat @dir@/main.pid)",
    access = function(self)
        local list = {}
        for line in read(self.dir .. "/out"):gmatch "access ([^\n]+)\n" do
            local proto, status, port, own, encoding, path =
                line:match "^(%S+) (%-?%d+) (%d+) (%S+) %[(.-)%] (.*)$"
            list[#list + 1] = { proto = proto, status = tonumber(status), port = tonumber(port),
                                encoding = own == "1" and "gzip" or encoding, path = path }
        end
        return list
    end,
}

local variants = {
    { "" }, { "1", h1 = true },
    { "tight", tight = true }, { "tight1", tight = true, h1 = true },
    { "gone", gone = true }, { "gone1", gone = true, h1 = true },
}

local function answers(host, port)
    local peer = socket.connect(host, port)
    if peer then peer:close() end
    return peer ~= nil
end

local function launch(self)
    self.dir = output "mktemp -d":match "%S+"
    os.execute("chmod 755 " .. self.dir)
    self.listeners = {}
    for i, v in ipairs(variants) do
        self.listeners[i] = {
            name = self.name .. v[1], h1 = v.h1, tight = v.tight, port = free_port(self.host),
            to = port_of(v.gone and sandbox.refused or sandbox.http),
        }
    end
    local file, text = self.kind.configure(self)
    write(self.dir .. "/" .. file, text)
    -- Its standard input is our end of the pipe: however we end, so does it.
    -- timeout sees to it that it also ends where it would rather not.
    self.child = assert(io.popen(fill([[
        trap : INT TERM HUP
        exec 2>/dev/null
        timeout -k 1 900 sh -c 'echo $$ >@dir@/main.pid; exec @command@' >@dir@/out 2>&1 </dev/null &
        read -r x
        kill $!
        wait $!
        rm -rf @dir@]], { dir = self.dir, command = self.kind.command(self) }), "w"))
    for _ = 1, 200 do
        local all = true
        for _, l in ipairs(self.listeners) do all = all and answers(self.host, l.port) end
        if all then return true end
        socket.sleep(0.05)
        local pid = read(self.dir .. "/main.pid"):match "%d+"
        if pid and read("/proc/" .. pid .. "/stat") == "" then break end
    end
    local why = read(self.dir .. "/out") .. read(self.dir .. "/error.log")
    self:stop()
    return false, why
end

-- `at`, where given: the address, with certificate and key that are for it.
function peers.start(name, at)
    at = at or { host = "127.0.0.1", cert = sandbox.dir .. "/ca/leaf.pem", key = sandbox.dir .. "/ca/leaf.key" }
    local self = setmetatable({
        name = name, kind = kinds[name], host = at.host, cert = at.cert, key = at.key,
    }, Peer)
    local started, why
    for _ = 1, 3 do -- another process may take a port between our look and its bind
        started, why = launch(self)
        if started then break end
    end
    if not started then error(name .. " did not start:\n" .. why) end
    local as = at.host == "127.0.0.1" and "localhost" or at.host
    for _, l in ipairs(self.listeners) do sandbox[l.name] = ("https://%s:%d"):format(as, l.port) end
    return self
end

-- They log a request when it is over for them, which may be after the client
-- has its answer.
function Peer:requests(key, n)
    local list
    for _ = 1, 200 do
        list = {}
        for _, entry in ipairs(self.kind.access(self)) do
            if entry.path:find("key=" .. key .. "/", 1, true) then list[#list + 1] = entry end
        end
        if #list >= (n or 1) then break end
        socket.sleep(0.05)
    end
    return list
end

function Peer:reload()
    os.execute(fill(self.kind.reload, self) .. " >/dev/null 2>&1")
end

function Peer:stop()
    if not self.child then return end
    self.child:close()
    self.child = nil
end

return peers
