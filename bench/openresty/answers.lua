-- Writes small.json (the vendor's sample) and large.json (a hundred tickets)
-- into a directory: answers that are ready before the bench begins.
local ticket = require "ticket"

local function write(name, count)
    local list = {}
    for i = 1, count do list[i] = ticket.get(("%012d"):format(713516551147 + i), ticket.wants {}).text end
    local file = assert(io.open(arg[1] .. "/" .. name, "w"))
    file:write("[", table.concat(list, ","), "]")
    file:close()
end

write("small.json", 1)
write("large.json", 100)
