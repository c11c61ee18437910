-- Tickets beside what else is on a screen: floats, pinned windows, sessions, the
-- command-line window, other modes, a user's own settings.
return function(T)
    local test, eq, has, wait, sandbox = T.test, T.eq, T.has, T.wait, T.sandbox
    local cmd, api = vim.cmd, vim.api
    local SAMPLE = "713516551148"

    local function press(keys)
        api.nvim_feedkeys(api.nvim_replace_termcodes(keys, true, false, true), "xm", false)
    end

    local function shown(what, buf)
        wait(function() return T.text(buf):find(what, 1, true) ~= nil end, what)
    end

    local function float()
        return api.nvim_open_win(api.nvim_create_buf(false, true), false, {
            relative = "editor", row = 1, col = 1, width = 10, height = 2, style = "minimal",
        })
    end

    local function on_the_screen()
        return #vim.tbl_filter(function(win)
            return vim.startswith(api.nvim_buf_get_name(api.nvim_win_get_buf(win)), "kapture://")
        end, api.nvim_list_wins())
    end

    test("q closes with a float open: in a split, alone, in a tab of its own", function()
        for _, way in ipairs { "Kapture ", "Kapture! ", "tab Kapture ", "only | Kapture! " } do
            cmd(way .. SAMPLE)
            shown "TEST 1"
            local win = float()
            press "q"
            eq({ way, 0 }, { way, on_the_screen() })
            if api.nvim_win_is_valid(win) then api.nvim_win_close(win, true) end
        end
        eq({}, T.notified)
    end)

    test("q closes a ticket that is in a float", function()
        cmd("Kapture! " .. SAMPLE)
        shown "TEST 1"
        local win = float()
        api.nvim_win_set_buf(win, api.nvim_get_current_buf())
        api.nvim_set_current_win(win)
        press "q"
        eq(false, api.nvim_win_is_valid(win))
        eq(1, on_the_screen())
    end)

    test("q goes back to where one was, and twice in a row", function()
        for _ = 1, 2 do
            cmd("split | Kapture " .. SAMPLE)
            shown "TEST 1"
            local windows = #api.nvim_list_wins()
            press "q"
            eq(windows - 1, #api.nvim_list_wins())
        end
        cmd "only | edit home"
        local home = api.nvim_get_current_buf()
        cmd("Kapture! " .. SAMPLE)
        shown "TEST 1"
        press "q"
        eq(home, api.nvim_get_current_buf())
    end)

    test("q where the buffer of before is gone, or is the ticket's own", function()
        local function go(...)
            vim.v.errmsg = ""
            for _, command in ipairs { ... } do cmd(command) end
            shown "TEST 1"
            while on_the_screen() > 0 do press "q" end
            eq("", vim.v.errmsg) -- E86, of a buffer that was wiped out with its window
        end
        for _ = 1, 2 do go("Kapture! " .. SAMPLE) end
        go("Kapture! " .. SAMPLE, "split")
        go("split", "Kapture! " .. SAMPLE, "only")
        go("edit gone", "Kapture! " .. SAMPLE, "bwipeout gone")
        go("Kapture " .. SAMPLE, "only", "vsplit")
        go("tab Kapture " .. SAMPLE, "split")
    end)

    if vim.fn.exists "+winfixbuf" == 1 then
        test("a window that is pinned to its buffer is no hindrance", function()
            cmd("Kapture! " .. SAMPLE)
            shown "TEST 1"
            vim.wo.winfixbuf = true
            press "q"
            eq({ 0, 1 }, { on_the_screen(), #api.nvim_list_wins() })
            vim.wo.winfixbuf = true
            cmd("Kapture! " .. SAMPLE) -- not in that one
            shown "TEST 1"
            eq(2, #api.nvim_list_wins())
            eq({}, T.notified)
            press "q"
            vim.wo.winfixbuf = false
        end)
    end

    test("a window that can't be opened is one line, without a traceback", function()
        vim.o.winminheight, vim.o.equalalways = 1, false
        while pcall(cmd, "split") do end
        cmd("Kapture " .. SAMPLE)
        has(T.notified[1].message, "kapture: E36: Not enough room")
        eq(nil, T.notified[1].message:find "[\n\t]")
        cmd "only"
        vim.v.errmsg = ""
    end)

    test("a session brings its tickets back", function()
        local session = vim.fn.tempname()
        cmd("Kapture " .. SAMPLE)
        shown "TEST 1"
        cmd("mksession! " .. session)
        cmd "silent! only! | silent! %bwipeout!"
        cmd("source " .. session)
        cmd("Kapture " .. SAMPLE)
        shown "TEST 1"
        eq({ "kapture", false }, { vim.bo.filetype, vim.bo.modifiable })
        cmd "silent! only! | silent! %bwipeout!"
        cmd("source " .. session)
        local buf = vim.fn.bufnr("kapture://" .. SAMPLE)
        shown("TEST 1", buf)
        -- what has the name alone, and no event tells of it
        cmd "silent! only! | silent! %bwipeout!"
        cmd("noautocmd file kapture://" .. SAMPLE)
        cmd "noautocmd setlocal buftype="
        cmd "new"
        cmd("Kapture " .. SAMPLE)
        shown "TEST 1"
        eq(2, #api.nvim_list_wins())
    end)

    test("nothing is warned of in a read-only editor", function()
        vim.v.warningmsg = ""
        cmd("view kapture://" .. SAMPLE)
        shown "TEST 1"
        press "R"
        local space = api.nvim_get_namespaces()["kapture-progress"]
        wait(function() return #api.nvim_buf_get_extmarks(0, space, 0, -1, {}) == 0 end)
        eq("", vim.v.warningmsg)
    end)

    test("a user's own settings and keys stay", function()
        api.nvim_create_autocmd("FileType", { pattern = "kapture", once = true, callback = function(a)
            cmd "setlocal nowrap foldmethod=indent list"
            vim.keymap.set("n", "q", function() vim.g.own_q = 1 end, { buffer = a.buf })
        end })
        local loaded = {}
        local id = api.nvim_create_autocmd("User", { pattern = "KaptureLoaded", callback = function(a)
            local there = T.text():find("TEST 1", 1, true) ~= nil
            table.insert(loaded, { api.nvim_buf_get_name(0), there, a.data and a.data.id })
        end })
        cmd("Kapture! " .. SAMPLE)
        shown "TEST 1"
        wait(function() return #loaded == 1 end, "KaptureLoaded")
        press "R"
        wait(function() return #loaded == 2 end, "KaptureLoaded again")
        eq({ false, "indent", true }, { vim.wo.wrap, vim.wo.foldmethod, vim.wo.list })
        press "q"
        eq(1, vim.g.own_q)
        eq(1, on_the_screen())
        api.nvim_del_autocmd(id)
        local with_data = vim.fn.has "nvim-0.8" == 1 and SAMPLE or nil
        eq({ "kapture://" .. SAMPLE, true, with_data }, loaded[1])
    end)

    test("folds that were opened and closed stay so over a refresh", function()
        local n = 0
        local id = api.nvim_create_autocmd("User", { pattern = "KaptureLoaded", callback = function() n = n + 1 end })
        cmd("Kapture! " .. sandbox.id(2))
        wait(function() return n == 1 end)
        local notes = vim.fn.search "^Notes (2)$"
        cmd(notes .. "foldclose")
        local raw = vim.fn.search "^Raw fields$"
        cmd(raw .. "foldopen")
        press "R"
        wait(function() return n == 2 end)
        eq({ notes, -1 }, { vim.fn.foldclosed(notes), vim.fn.foldclosed(raw) })
        api.nvim_del_autocmd(id)
    end)

    test("keys can be chosen", function()
        T.setup { keys = { close = { "<Esc>", "gq" }, refresh = false } }
        cmd("Kapture " .. SAMPLE)
        shown "TEST 1"
        eq("", vim.fn.maparg("q", "n"))
        eq("", vim.fn.maparg("R", "n"))
        assert(vim.fn.maparg("<CR>", "n", false, true).buffer == 1)
        press "gq"
        eq(0, on_the_screen())
        T.setup { keys = false }
        cmd("Kapture " .. SAMPLE)
        eq("", vim.fn.maparg("<CR>", "n"))
        T.setup { keys = { quit = "q" } }
        eq("kapture: setup: 'keys' has \"quit\"; there are close, refresh and follow", T.notified[1].message)
    end)

    test("a picker that is answered from insert mode leaves it", function()
        local choose
        local select = vim.ui.select
        vim.ui.select = function(items, _, on_choice) choose = function() on_choice(items[1]) end end
        cmd(("Kapture %s %s"):format(SAMPLE, sandbox.id(1)))
        wait(function() return choose end, "the list")
        vim.ui.select = select
        local mode
        vim.keymap.set("i", "<F5>", choose)
        api.nvim_create_autocmd("InsertLeave", { once = true, callback = function() mode = "left" end })
        api.nvim_feedkeys(api.nvim_replace_termcodes("i<F5>", true, false, true), "xm!", false)
        eq("left", mode)
        eq("kapture://" .. SAMPLE, api.nvim_buf_get_name(0))
        vim.keymap.del("i", "<F5>")
        shown "TEST 1"
    end)

    test("no text of a ticket breaks its page", function()
        local render = require "kapture.nvim.render"
        local odd = {
            "a\nb", "c\r\nd", "e\0f", "\27[31m", "\255\254", "&#10;x", ("y"):rep(300000), "", "\t", "%s",
            "\226\128\174",
        }
        local info = {}
        for _, name in ipairs(odd) do
            info[name] = { [name] = name, deep = { [name] = { name, vim.NIL, { [name] = name } } } }
        end
        for _, text in ipairs(odd) do
            local ticket = {
                task_details = { ticketId = SAMPLE, title = text, status = text, detail = text, [text] = text },
                additional_info = info,
                conversation_type = {
                    [text] = { { sender_name = text, message = text, sentDate = text }, text, vim.NIL },
                },
                history = { [text] = { a = text } },
            }
            local lines, marks = T.unfolded(render.ticket(ticket))
            api.nvim_buf_set_lines(0, 0, -1, false, lines) -- raises where one is not a line
            for i = 1, #marks, 4 do
                local line, from, to = unpack(marks, i, i + 2)
                assert(from <= to and to <= #lines[line], lines[line])
            end
            for i, line in ipairs(lines) do assert(#line < 210000, i) end
            eq(nil, render.label(ticket):find "[\n%z]")
        end
        local lines = T.unfolded(render.ticket { task_details = { detail = ("é&amp;"):rep(40000) } })
        local detail = {}
        for i = 4, #lines do
            if lines[i] == "" then break end
            detail[#detail + 1] = lines[i]:sub(3)
        end
        eq(true, ("é&"):rep(40000) == table.concat(detail))
    end)

    test("a page that can't be made is said, and nothing waits for ever", function()
        local render = require "kapture.nvim.render"
        local original = render.ticket
        render.ticket = function() error "out of the blue" end
        cmd("Kapture! " .. SAMPLE)
        shown "out of the blue"
        render.ticket = original
        eq({ false, false }, { vim.bo.modifiable, T.text():find("Fetching", 1, true) ~= nil })
        press "R"
        shown "TEST 1"
    end)
end
