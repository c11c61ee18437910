-- What nginx's processes do when they start: the master before it forks, each
-- worker after, and the privileged agent that ends all when nobody is left.
local ffi = require "ffi"

ffi.cdef [[
int getppid(void);
int kill(int pid, int sig);
]]

local M = { settings = {} }
local SIGTERM, ESRCH = 15, 3

function M.master(settings)
    M.settings = settings
    require("ngx.process").enable_privileged_agent(64)
    require("trace").open(settings.dir .. "/requests.log")
    local faults = require "faults"
    local list = assert(io.open(settings.dir .. "/faults.txt", "w"))
    list:write(faults.describe())
    list:close()
    require "handler"
    math.randomseed(os.time())
end

local function alive(pid)
    return ffi.C.kill(pid, 0) == 0 or ffi.errno() ~= ESRCH
end

-- The agent has the master's user, so it may signal it; a worker may not.
local function watch(premature)
    if premature then return end
    local s = M.settings
    if not alive(s.run) then
        os.execute("rm -rf '" .. s.dir .. "'")
        ffi.C.kill(ffi.C.getppid(), SIGTERM)
    elseif s.parent > 0 and not alive(s.parent) then
        ffi.C.kill(s.run, SIGTERM)
    end
end

function M.worker()
    if require("ngx.process").type() == "privileged agent" then
        assert(ngx.timer.every(0.25, watch))
    elseif ngx.worker.id() == 0 then
        require("socket_ffi").blackhole(M.settings.blackhole)
    end
end

return M
