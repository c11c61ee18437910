-- What nginx's processes do when they start: the master before it forks, each
-- worker after.
local M = { settings = {} }

function M.master(settings)
    M.settings = settings
    require("trace").open(settings.dir .. "/requests.log")
    local faults = require "faults"
    local list = assert(io.open(settings.dir .. "/faults.txt", "w"))
    list:write(faults.describe())
    list:close()
    require "handler"
    math.randomseed(os.time())
end

function M.worker()
    if ngx.worker.id() == 0 then
        require("socket_ffi").blackhole(M.settings.blackhole)
    end
end

return M
