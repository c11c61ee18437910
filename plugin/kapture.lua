-- The command of kapture.nvim. Nothing else is loaded until it is used.
if vim.g.loaded_kapture or vim.fn.has "nvim-0.7" == 0 then return end
vim.g.loaded_kapture = 1

vim.api.nvim_create_user_command("Kapture", function(a) require("kapture.nvim").command(a) end, {
    nargs = "*",
    range = true,
    bang = true,
    desc = "Show tickets from Kapture CRM",
    complete = function(lead, line) return require("kapture.nvim").complete(lead, line) end,
})

vim.keymap.set("n", "<Plug>(kapture-open)", "<Cmd>Kapture open<CR>", { desc = "Show the ticket under the cursor" })
vim.keymap.set("x", "<Plug>(kapture-open)", ":Kapture open<CR>", { silent = true, desc = "Show the tickets selected" })

local group = vim.api.nvim_create_augroup("kapture", { clear = true })

-- :edit kapture://713516551148, and :edit in such a buffer.
vim.api.nvim_create_autocmd("BufReadCmd", {
    group = group,
    pattern = "kapture://*",
    desc = "Fetch a ticket from Kapture CRM",
    callback = function(a) require("kapture.nvim.view").read(a.buf) end,
})

-- A session keeps the names of such buffers, not that there is something to read.
vim.api.nvim_create_autocmd("SessionLoadPost", {
    group = group,
    desc = "Fetch the tickets of a session from Kapture CRM",
    callback = function()
        for _, buf in ipairs(vim.api.nvim_list_bufs()) do
            if vim.api.nvim_buf_is_loaded(buf) and vim.startswith(vim.api.nvim_buf_get_name(buf), "kapture://") then
                require("kapture.nvim.view").adopt(buf)
            end
        end
    end,
})
