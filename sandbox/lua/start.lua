-- What nginx's master does when it starts, before it forks.
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
    require("socket_ffi").blackhole(settings.blackhole)
end

return M
