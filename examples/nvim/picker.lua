-- Neovim: a command that fetches tickets and lets you pick one, with whatever
-- your vim.ui.select looks like. In your init.lua: require "picker"
local normalize = require("kapture.ticket").normalize

vim.api.nvim_create_user_command("Tickets", function(command)
    local client = require("kapture.nvim").new()
    client:get_ticket(command.fargs, { partial = true }, function(tickets, message_or_info, err)
        client:close()
        if not tickets then
            return vim.notify(err.kind .. ": " .. message_or_info, vim.log.levels.ERROR)
        end
        vim.ui.select(tickets, {
            prompt = "Tickets",
            format_item = function(ticket)
                local t = normalize(ticket).task_details
                return ("%s  %-10s %s"):format(t.ticketId, t.status or "", t.title or "")
            end,
        }, function(ticket)
            if ticket then
                vim.cmd("Kapture " .. ticket.task_details.ticketId)
            end
        end)
    end)
end, { nargs = "+" })
