-- nginx with the module, for a test: one worker unless told otherwise, heard on
-- a unix socket in a directory of its own, ended by stop() or with this process.
--
--   local server = nginx.start {
--       http = "init_by_lua_block { ... }",     -- into http { }
--       server = "location / { ... }",          -- into server { }
--       main = "env KAPTURE_TOKEN;",            -- at the top
--       env = { KAPTURE_TOKEN = "..." },        -- of the master
--   }
--   server:get("/path")            body, status (a number; 0: no answer)
--   server:curl("-d x", "/path")   the same, with further words for curl
--   server:signal "HUP"            to the master
--   server:workers()               process ids
--   server:log()                   what nginx logged so far
local system = require "spec.support.system"

local output, quoted = system.output, system.quoted
local nginx = {}
nginx.__index = nginx

local TEMPLATE = [[
@MODULES@
@USER@
daemon off;
worker_processes @WORKERS@;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log notice;
env TMPDIR;
env LLVM_PROFILE_FILE;
@MAIN@
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path @DIR@/tmp/body;
    proxy_temp_path       @DIR@/tmp/proxy;
    fastcgi_temp_path     @DIR@/tmp/fastcgi;
    uwsgi_temp_path       @DIR@/tmp/uwsgi;
    scgi_temp_path        @DIR@/tmp/scgi;
    lua_package_path  "@ROOT@/lua/?.lua;@ROOT@/?.lua;;";
    lua_package_cpath "@ROOT@/@BUILD@/?.so;;";
    @HTTP@
    server {
        listen unix:@DIR@/http.sock backlog=1024;
        location = /ping { return 200 pong; }
        @SERVER@
    }
}
]]

local function read(path)
    return system.read(path) or ""
end

local program, modules, user

local function find()
    program = os.getenv "NGINX"
    if not program or program == "" then
        program = output "command -v nginx || command -v openresty || ls /usr/sbin/nginx":match "%S+"
    end
    local build = output(program .. " -V 2>&1")
    modules = ""
    if not build:find("ngx_lua-0", 1, true) and not build:find("openresty", 1, true) then
        local path = build:match "%-%-modules%-path=(%S+)"
        modules = ("load_module %s/ndk_http_module.so; load_module %s/ngx_http_lua_module.so;"):format(path, path)
    end
    -- The workers read the checkout, wherever it is.
    user = output "id -u":match "%d+" == "0" and "user root;" or ""
end

function nginx.start(o)
    if not program then find() end
    local self = setmetatable({ dir = output "mktemp -d":match "%S+" }, nginx)
    local values = {
        MODULES = modules, USER = user, DIR = self.dir, ROOT = output "pwd":match "[^\n]+",
        WORKERS = o.workers or 1, MAIN = o.main or "", HTTP = o.http or "", SERVER = o.server or "",
        BUILD = (os.getenv "BUILD" or "build") .. "/luajit",
    }
    -- a second time: what is filled in may have such words as well
    local text = TEMPLATE:gsub("@(%u+)@", values):gsub("@(%u+)@", values)
    local file = assert(io.open(self.dir .. "/nginx.conf", "w"))
    file:write(text)
    file:close()
    local env = { "TMPDIR=" .. quoted(self.dir .. "/run") }
    for name, value in pairs(o.env or {}) do env[#env + 1] = name .. "=" .. quoted(value) end
    -- Ends when its standard input does: with stop(), or with this process.
    local script = ([[
        cd @DIR@ && mkdir tmp run || exit 1
        unset LUA_PATH LUA_CPATH LUA_INIT NGINX
        env @ENV@ @WRAP@ @NGINX@ -p @DIR@ -c @DIR@/nginx.conf -e @DIR@/error.log >output 2>&1 </dev/null &
        echo $! >pid
        cat >/dev/null
        kill -TERM $! 2>/dev/null
        wait $!
        echo $? >status
    ]]):gsub("@(%u+)@", {
        DIR = quoted(self.dir), ENV = table.concat(env, " "), NGINX = quoted(program), WRAP = o.wrap or "",
    })
    self.child = assert(io.popen("sh -c " .. quoted(script), "w"))
    for _ = 1, 200 do
        if self:get "/ping" == "pong" then return self end
        if read(self.dir .. "/output"):find("[emerg]", 1, true) then break end
        os.execute "sleep 0.05"
    end
    local why = read(self.dir .. "/output") .. self:log()
    self:stop()
    error("nginx did not start:\n" .. why)
end

function nginx:curl(words, ...)
    local command = "curl -s --max-time 20 -w '\\n%{http_code}' --unix-socket " .. self.dir .. "/http.sock " .. words
    for _, path in ipairs { ... } do command = command .. " " .. quoted("http://localhost" .. path) end
    local body, status = output(command):match "^(.*)\n(%d+)$"
    return body, tonumber(status)
end

function nginx:get(path)
    return self:curl("", path)
end

-- Starts a request and does not wait: the file that has its body and status in
-- the end. finished() reads it.
function nginx:start_get(path, words)
    self.started = (self.started or 0) + 1
    local name = self.dir .. "/answer" .. self.started
    local command = "curl -s --max-time 20 -w '\\n%%{http_code}' --unix-socket %s/http.sock %s %s"
        .. " >%s.new && mv %s.new %s &"
    os.execute(command:format(self.dir, words or "", quoted("http://localhost" .. path), name, name, name))
    return name
end

function nginx.finished(name, seconds)
    local text = ""
    nginx.eventually(function()
        text = read(name)
        return text ~= ""
    end, seconds)
    local body, status = text:match "^(.*)\n(%d+)$"
    return body, tonumber(status)
end

-- Whether it becomes true within so many seconds (10).
function nginx.eventually(condition, seconds)
    for _ = 1, (seconds or 10) * 20 do
        if condition() then return true end
        os.execute "sleep 0.05"
    end
    return condition()
end

function nginx:pid()
    return read(self.dir .. "/pid"):match "%d+"
end

function nginx:signal(name)
    os.execute("kill -" .. name .. " " .. self:pid())
end

function nginx:workers()
    local list = {}
    for pid in output("ps -o pid= --ppid " .. self:pid()):gmatch "%d+" do list[#list + 1] = pid end
    return list
end

function nginx.alive(pid)
    return output("ps -o pid= -p " .. pid):find "%d" ~= nil
end

-- Whether one of a process's threads computes, or would if there were a processor
-- for it. nil: it has ended.
function nginx.computes(pid)
    local busy
    for state in output("cat /proc/" .. pid .. "/task/*/stat 2>/dev/null"):gmatch "%) (%a) " do
        if state ~= "Z" and state ~= "X" then busy = busy or state == "R" or state == "D" end
    end
    return busy
end

function nginx:log()
    return read(self.dir .. "/error.log")
end

-- What the module left in its temporary directory.
function nginx:leftovers()
    return output("ls -A " .. self.dir .. "/run")
end

-- Ends it; returns the exit status.
function nginx:stop()
    if not self.child then return nil end
    self.child:close()
    self.child = nil
    local status = tonumber(read(self.dir .. "/status"):match "%d+")
    os.execute("rm -rf " .. self.dir)
    return status
end

return nginx
