-- A bad line between two network namespaces of our own; outside of them nothing
-- changes, and they end with stop() or with this process.
--
--   local wan = require "spec.support.wan".start { delay = 40, jitter = 10, loss = 2, reorder = 5 }
--   wan:far(f, ...)        calls f at the far end: what it starts stays there
--   wan:near(f, ...)       calls f at the near end: clients that it makes stay there
--   wan.address            of the far end
--   wan:cut(), wan:mend()  nothing comes back from there; it does again
--   wan:move()             the near end gets another address, as when a laptop does
--   wan:resent()           packets that either TCP had to send again
--   wan.how                "netem" or "link"
--
-- The line is tc's netem where the kernel has that. Where it has not, it is
-- spec/peers/link.c, which does the same to the packets of two tun devices: TCP
-- and all above is the kernel's as before, only the queue is not.
local host = require "kapture_host"
local system = require "spec.support.system"

local Wan = { address = "10.77.0.2" }
Wan.__index = Wan

local function read(path)
    return system.read(path) or ""
end

local function output(command)
    return system.output("( " .. command .. " ) 2>&1")
end

local function within(pid, f, ...)
    local home = ("/proc/%s/ns/net"):format(output "echo $PPID":match "%d+")
    local function back(ok, ...)
        assert(host.netns(home))
        if not ok then error((...), 0) end
        return ...
    end
    assert(host.netns(("/proc/%s/ns/net"):format(pid)))
    return back(pcall(f, ...))
end

function Wan:near(f, ...) return within(self.pid.near, f, ...) end
function Wan:far(f, ...) return within(self.pid.far, f, ...) end

-- Runs a command of ip or tc there; false and what it said, where it fails.
function Wan:run(at, command)
    local text = output(("PATH=$PATH:/usr/sbin:/sbin nsenter --net=/proc/%s/ns/net %s && echo fine")
        :format(self.pid[at], command))
    return text:match "fine\n$" ~= nil, text
end

local function must(ok, why)
    if not ok then error(why, 0) end
end

-- Two devices, one in each, and packets of the size that the line sees.
local function netem(self, o)
    must(self:run("near", "ip link add wan0 type veth peer name wan0 netns " .. self.pid.far))
    local rule = ("tc qdisc add dev wan0 root netem delay %gms %gms loss %g%% reorder %g%%")
        :format(o.delay, o.jitter, o.loss, o.reorder)
    for _, at in ipairs { "near", "far" } do
        must(self:run(at, "ip link set wan0 gso_max_segs 1"))
        if not self:run(at, rule) then
            must(self:run("near", "ip link del wan0"))
            return false
        end
    end
    self.how = "netem"
    return true
end

local function link(self, o)
    local program = ("%s/%s/link"):format(os.getenv "BUILD" or "build", os.getenv "ABI")
    self.line = assert(io.popen(("%s /proc/%s/ns/net /proc/%s/ns/net %g %g %g %g >%s/link 2>&1"):format(
        program, self.pid.near, self.pid.far, o.delay, o.jitter, o.loss, o.reorder, self.dir), "w"))
    for _ = 1, 100 do
        if read(self.dir .. "/link") ~= "" then break end
        host.sleep(0.05)
    end
    if read(self.dir .. "/link") ~= "ready\n" then
        error("no netem in this kernel, and no link: " .. read(self.dir .. "/link"), 0)
    end
    self.how = "link"
end

function Wan.start(o)
    local self = setmetatable({ dir = output "mktemp -d":match "%S+", pid = {}, last = 1 }, Wan)
    -- Each namespace is there as long as a process in it is.
    self.child = assert(io.popen(([[
        trap : INT TERM HUP
        cd @dir@ || exit 1
        timeout 900 unshare --net sh -c 'echo $$ >near; exec sleep 900' 2>why & a=$!
        timeout 900 unshare --net sh -c 'echo $$ >far; exec sleep 900' 2>why & b=$!
        read -r x
        kill $a $b 2>/dev/null
        wait
        rm -rf @dir@]]):gsub("@dir@", self.dir), "w"))
    for _ = 1, 100 do
        self.pid.near, self.pid.far = read(self.dir .. "/near"):match "%d+", read(self.dir .. "/far"):match "%d+"
        if self.pid.near and self.pid.far or read(self.dir .. "/why") ~= "" then break end
        host.sleep(0.05)
    end
    local ok, why = pcall(function()
        must(self.pid.near and self.pid.far, "no network namespaces without root: " .. read(self.dir .. "/why"))
        if not netem(self, o) then link(self, o) end
        for at, address in pairs { near = "10.77.0.1", far = self.address } do
            must(self:run(at, "ip link set lo up"))
            must(self:run(at, "ip addr add " .. address .. "/24 dev wan0"))
            must(self:run(at, "ip link set wan0 up"))
        end
    end)
    if not ok then
        self:stop()
        error(why, 0)
    end
    return self
end

function Wan:cut() must(self:run("far", "ip route add blackhole 10.77.0.0/25")) end
function Wan:mend() must(self:run("far", "ip route del blackhole 10.77.0.0/25")) end

function Wan:move()
    local before = self.last
    self.last = before == 1 and 3 or before + 1
    must(self:run("near", ("ip addr del 10.77.0.%d/24 dev wan0"):format(before)))
    must(self:run("near", ("ip addr add 10.77.0.%d/24 dev wan0"):format(self.last)))
end

function Wan:resent()
    local n = 0
    for _, pid in pairs(self.pid) do
        local names, values = read(("/proc/%s/net/snmp"):format(pid)):match "Tcp: (%a[^\n]*)\nTcp: (%d[^\n]*)"
        local value = values:gmatch "%S+"
        for name in names:gmatch "%S+" do
            local v = tonumber((value()))
            if name == "RetransSegs" then n = n + v end
        end
    end
    return n
end

function Wan:stop()
    if self.line then self.line:close() end
    if self.child then self.child:close() end
    self.line, self.child = nil, nil
end

return Wan
