-- Many calls at a time in luv's loop, and a timer that goes on meanwhile:
-- lua5.4 examples/luv.lua ID ...
local uv = require "luv"
local client = require("kapture.luv").new()

local timer, ticks, left = uv.new_timer(), 0, #arg
timer:start(0, 10, function() ticks = ticks + 1 end)
for _, id in ipairs(arg) do
    client:get_ticket(id, nil, function(tickets, message_or_info, err)
        if not tickets then
            print(id, err.kind, message_or_info)
        elseif not tickets[1] then
            print(id, "no such ticket")
        else
            print(id, tickets[1].task_details.status)
        end
        left = left - 1
        if left == 0 then
            timer:close()
            client:close()
        end
    end)
end
uv.run()
io.stderr:write("the timer went on ", ticks, " times meanwhile\n")
