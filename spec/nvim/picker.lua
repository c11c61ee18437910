-- examples/nvim/picker.lua: as an init.lua would load it.
return function(T)
    T.test("the picker of the examples shows the ticket that is picked", function()
        dofile(T.root .. "/examples/nvim/picker.lua")
        local select, items = vim.ui.select, nil
        vim.ui.select = function(list, opts, on_choice)
            items = vim.tbl_map(opts.format_item, list)
            on_choice(list[2])
        end
        vim.cmd "Tickets 5 713516551148"
        T.wait(function() return T.text():find("TEST 1", 1, true) end, "the ticket's buffer")
        vim.ui.select = select
        T.eq(2, #items)
        T.eq("713516551148  Pending    TEST 1", items[2])
        T.eq("kapture://713516551148", vim.api.nvim_buf_get_name(0))
    end)

    T.test("and says what went wrong", function()
        T.setup { token = "wrong" }
        vim.cmd "Tickets 5"
        T.wait(function() return #T.notified > 0 end, "the message")
        T.has(T.notified[1].message, "auth: Invalid Auth Key")
    end)
end
