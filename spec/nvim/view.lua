-- :Kapture and its buffers.
return function(T)
    local test, eq, has, hasnt, wait, sandbox = T.test, T.eq, T.has, T.hasnt, T.wait, T.sandbox
    local cmd, api = vim.cmd, vim.api
    local SAMPLE = "713516551148"

    local function press(keys)
        api.nvim_feedkeys(api.nvim_replace_termcodes(keys, true, false, true), "xm", false)
    end

    local function shown(what)
        wait(function() return T.text():find(what, 1, true) ~= nil end, what)
    end

    local function notified(part)
        wait(function()
            for _, n in ipairs(T.notified) do
                if n.message:find(part, 1, true) then return true end
            end
        end, "a notification with " .. part .. " in " .. vim.inspect(T.notified))
    end

    local function line_of(part)
        for i, line in ipairs(T.lines()) do
            if line:find(part, 1, true) then return i end
        end
        error("no line with " .. part .. " in\n" .. T.text())
    end

    local function marks(name)
        return api.nvim_buf_get_extmarks(0, api.nvim_get_namespaces()[name], 0, -1, { details = true })
    end

    test("shows the vendor's sample in a scratch buffer", function()
        cmd("Kapture " .. SAMPLE)
        eq("kapture://" .. SAMPLE, api.nvim_buf_get_name(0))
        has(T.text(), "Fetching")
        shown "TEST 1"
        eq(SAMPLE .. "  TEST 1", T.lines()[1])
        has(T.text(), "Kapture Dev API's") -- unescaped
        has(T.text(), "19-04-2024 14:19")
        has(T.text(), "Status ")
        has(T.text(), "Assignee ")
        has(T.text(), '"taskId": 530348198')
        has(T.text(), '"attachments": []')
        has(T.text(), '"additional_info": {}')
        hasnt(T.text(), "Fetching")
        eq({ "nofile", "wipe", false, false, false, "kapture" }, { vim.bo.buftype, vim.bo.bufhidden, vim.bo.swapfile,
            vim.bo.modifiable, vim.bo.modified, vim.bo.filetype })
        assert(#marks "kapture" > 10)
        eq(0, #marks "kapture-progress")
    end)

    test("shows conversations, history and additional info, foldable", function()
        local id = sandbox.id(2)
        cmd("Kapture " .. id)
        shown "Raw fields"
        local text = T.text()
        has(text, "\nNotes (2)\n")
        has(text, "\nAdditional info\n")
        has(text, "\nHistory (7)\n")
        has(text, "Customer says the parcel was marked delivered")
        has(text, "Path C:\\Temp\\app.log says <null>.")
        has(text, "Priya D'Souza")
        local raw, notes = line_of "Raw fields", line_of "Notes (2)"
        eq(-1, vim.fn.foldclosed(notes))
        eq(raw, vim.fn.foldclosed(raw))
        eq(#T.lines(), vim.fn.foldclosedend(raw))
        eq(0, vim.fn.foldlevel(1))
        eq(1, vim.fn.foldlevel(notes + 1))
        api.nvim_win_set_cursor(0, { notes, 0 })
        cmd "normal! zc"
        eq(notes, vim.fn.foldclosed(notes))
        assert(vim.fn.foldclosedend(notes) < line_of "History (7)")
        press "<CR>"
        eq(-1, vim.fn.foldclosed(notes))
        -- every ticket can be shown
        for i = 1, 30 do
            local ticket
            require("kapture.nvim").client():get_ticket(sandbox.id(i), {
                conversation_type = "all", history_type = "all", include_emailbody = "1",
            }, function(t) ticket = t[1] end)
            wait(function() return ticket end)
            local page = require("kapture.nvim.render").ticket(ticket)
            local lines = T.unfolded(page)
            for _, line in ipairs(lines) do assert(not line:find "[\n%z]", line) end
            for _, fold in ipairs(page.folds) do assert(fold.first < fold.last and fold.last <= #lines) end
        end
    end)

    test("shows progress meanwhile, and never blocks", function()
        T.setup { base_url = sandbox.url "delay,ms=900" }
        local began = (vim.uv or vim.loop).hrtime()
        cmd("Kapture " .. SAMPLE)
        assert(((vim.uv or vim.loop).hrtime() - began) / 1e6 < 500)
        vim.wait(350)
        local progress = marks "kapture-progress"
        eq(1, #progress)
        has(progress[1][4].virt_text[1][1], "fetching, 0.")
        shown "TEST 1"
        eq(0, #marks "kapture-progress")
    end)

    test("q closes, in a split and alone", function()
        local windows = #api.nvim_list_wins()
        cmd("Kapture " .. SAMPLE)
        eq(windows + 1, #api.nvim_list_wins())
        shown "TEST 1"
        local buf = api.nvim_get_current_buf()
        press "q"
        eq(windows, #api.nvim_list_wins())
        eq(false, api.nvim_buf_is_valid(buf))
        cmd("Kapture! " .. SAMPLE) -- in this window
        eq(windows, #api.nvim_list_wins())
        shown "TEST 1"
        buf = api.nvim_get_current_buf()
        press "q"
        eq(windows, #api.nvim_list_wins())
        eq(false, api.nvim_buf_is_valid(buf))
    end)

    test("R fetches anew and keeps what there is until then", function()
        local key = sandbox.key()
        T.setup { base_url = sandbox.url("delay,ms=200", { key = key }) }
        cmd("Kapture " .. SAMPLE)
        shown "TEST 1"
        api.nvim_win_set_cursor(0, { 3, 0 })
        press "R"
        has(T.text(), "TEST 1")
        wait(function() return #sandbox.requests(key) == 2 end, "a second request")
        wait(function() return #marks "kapture-progress" == 0 end)
        has(T.text(), "TEST 1")
        eq({ 3, 0 }, api.nvim_win_get_cursor(0))
        cmd "Kapture refresh"
        wait(function() return #sandbox.requests(key) == 3 end, "a third request")
        cmd "edit"
        wait(function() return #sandbox.requests(key) == 4 end, "a fourth request")
        shown "TEST 1"
        eq({}, T.notified)
    end)

    test("a fetch ends with its buffer, not with the focus", function()
        for _, way in ipairs { "quit", "enew", "bwipeout" } do
            local key = sandbox.key()
            T.setup { base_url = sandbox.url("hang,s=30", { key = key }) }
            cmd("Kapture " .. SAMPLE)
            local buf = api.nvim_get_current_buf()
            wait(function() return sandbox.stats(key).inflight == 1 end, "the request to arrive")
            cmd(way)
            wait(function() return sandbox.requests(key)[1] end, "the request to be gone: " .. way, 5)
            wait(function() return not api.nvim_buf_is_valid(buf) end)
            cmd "silent! only! | enew"
        end
        vim.wait(100)
        eq({}, T.notified) -- whoever leaves need not be told
    end)

    test("three in a row all arrive, while one is somewhere else", function()
        T.setup { base_url = sandbox.url "delay,ms=700" }
        local home, bufs = api.nvim_get_current_win(), {}
        for i = 1, 3 do
            cmd("Kapture " .. sandbox.id(i))
            bufs[i] = api.nvim_get_current_buf()
        end
        api.nvim_set_current_win(home)
        for i = 1, 3 do
            wait(function() return T.text(bufs[i]):find("Raw fields", 1, true) end, "ticket " .. i)
            has(T.lines(bufs[i])[1], sandbox.id(i))
            wait(function()
                return api.nvim_win_call(vim.fn.bufwinid(bufs[i]), function() return vim.fn.foldclosed "$" ~= -1 end)
            end, "the raw fields to be folded")
        end
        eq(home, api.nvim_get_current_win())
        eq({}, T.notified)
    end)

    test(":Kapture cancel ends it", function()
        T.setup { base_url = sandbox.url "hang,s=30" }
        cmd("Kapture " .. SAMPLE)
        cmd "Kapture cancel"
        has(T.text(), "Cancelled")
        eq(1, #T.notified)
        cmd "Kapture cancel"
        has(T.notified[2].message, "nothing")
    end)

    test("opens the id under the cursor", function()
        api.nvim_buf_set_lines(0, 0, -1, false, { "see #" .. SAMPLE .. ", please" })
        api.nvim_win_set_cursor(0, { 1, 8 })
        cmd "Kapture open"
        shown "TEST 1"
        press "q"
        cmd "enew!"
        api.nvim_buf_set_lines(0, 0, -1, false, { "x/detail=5/530348198/" .. SAMPLE })
        api.nvim_win_set_cursor(0, { 1, 25 })
        press "<Plug>(kapture-open)"
        shown "TEST 1"
        press "q"
        cmd "enew!"
        cmd "Kapture open"
        eq("kapture: no ticket id under the cursor", T.notified[1].message)
        eq(vim.log.levels.WARN, T.notified[1].level)
        local id_at = require("kapture.nvim").id_at
        eq("713516551148", id_at("a 713516551148 b", 3))
        eq("713516551148", id_at("ticket-713516551148", 10))
        eq("ticket-713516551148", id_at("ticket-713516551148", 3))
        eq("ab_1-2", id_at("(ab_1-2)", 2))
        eq(nil, id_at("(ab_1-2)", 1))
        eq(nil, id_at("", 1))
    end)

    local picked
    local function picking(n)
        picked = nil
        local original = vim.ui.select
        vim.ui.select = function(items, opts, on_choice)
            picked = vim.tbl_map(opts.format_item, items)
            vim.ui.select = original
            on_choice(items[n], n)
        end
    end

    test("gives a list of several, to pick from", function()
        picking(2)
        cmd(("Kapture %s %s,404123456789 %s"):format(sandbox.id(1), SAMPLE, sandbox.id(3)))
        wait(function() return picked end, "the list")
        eq(3, #picked)
        eq(SAMPLE .. "  Pending  TEST 1", picked[2])
        eq("kapture://" .. SAMPLE, api.nvim_buf_get_name(0))
        shown "TEST 1"
        eq(1, #T.notified)
        eq("kapture: not known: 404123456789", T.notified[1].message)
        -- and nothing when nothing is picked
        picking(99)
        local wins = #api.nvim_list_wins()
        cmd(("Kapture %s %s"):format(sandbox.id(1), SAMPLE))
        wait(function() return picked end, "the list")
        eq(wins, #api.nvim_list_wins())
    end)

    test("takes ids from a visual selection", function()
        api.nvim_buf_set_lines(0, 0, -1, false, {
            "first " .. sandbox.id(1) .. " then " .. SAMPLE .. ";", "and " .. sandbox.id(2) .. " on 12-10-2022",
        })
        picking(99)
        api.nvim_win_set_cursor(0, { 1, 0 })
        press "Vj:Kapture open<CR>"
        wait(function() return picked end, "the list")
        eq(3, #picked)
        -- part of a line: one id, no list
        api.nvim_win_set_cursor(0, { 1, 22 })
        press "v$<Plug>(kapture-open)"
        shown "TEST 1"
        press "q"
        cmd "1,1Kapture open 713000000007"
        shown "713000000007"
    end)

    test("says in one line what went wrong, and once", function()
        local function failing(options, part)
            T.setup(options)
            cmd("Kapture! " .. SAMPLE)
            shown(part)
            eq({ SAMPLE, "", "", "R tries again, q closes." },
                { T.lines()[1], T.lines()[2], T.lines()[4], T.lines()[5] })
            hasnt(T.text(), sandbox.token)
            -- beside a ticket that is there, it is a notification
            T.setup()
            press "R"
            shown "TEST 1"
            eq({}, T.notified)
            T.setup(options)
            press "R"
            notified(part)
            eq(1, #T.notified)
            eq(nil, T.notified[1].message:find "\n")
            eq(vim.log.levels.ERROR, T.notified[1].level)
            has(T.text(), "TEST 1")
            hasnt(T.notified[1].message, sandbox.token)
            T.notified = {}
            cmd "enew!"
        end
        failing({ token = "wrong-token-of-mine" }, "auth: Invalid Auth Key")
        failing({ base_url = sandbox.refused }, "network: ")
        failing({ base_url = sandbox.unknownca }, "tls: ")
        failing({ token = function() error "the keyring\nis locked" end }, "config: the token function failed")
        failing({ base_url = sandbox.url "html" }, "server: HTTP 502")
        failing({ base_url = sandbox.url "echo-token" }, "server: ")
        T.setup()
        cmd "Kapture! 404123456789"
        shown "does not know this ticket"
        eq({}, T.notified)
        T.setup { base_url = sandbox.url "outage" }
        cmd(("Kapture %s %s"):format(sandbox.id(1), SAMPLE))
        notified "server: "
        cmd "Kapture a;b"
        notified "is no ticket id"
        T.notified = {}
        T.setup { timout = 3 }
        eq("kapture: setup: unknown option 'timout', did you mean 'timeout'?", T.notified[1].message)
        cmd("Kapture " .. SAMPLE)
        shown "setup: unknown option 'timout'"
        eq(1, #T.notified)
    end)

    test("completes subcommands, recent ids and those on the screen", function()
        eq({ "cancel", "health", "open", "refresh" }, vim.list_slice(vim.fn.getcompletion("Kapture ", "cmdline"), 1, 4))
        eq({ "refresh" }, vim.fn.getcompletion("Kapture re", "cmdline"))
        cmd("Kapture " .. SAMPLE)
        shown "TEST 1"
        cmd "enew!"
        eq({ SAMPLE }, vim.fn.getcompletion("Kapture 7135", "cmdline"))
        api.nvim_buf_set_lines(0, 0, -1, false, { "see 799900000001" })
        eq({ "799900000001" }, vim.fn.getcompletion("Kapture open 7999", "cmdline"))
        eq({}, vim.fn.getcompletion("Kapture refresh ", "cmdline"))
    end)

    test("leaves a window's options to its other buffers", function()
        vim.wo.foldmethod, vim.wo.wrap = "marker", false
        cmd("Kapture! " .. SAMPLE)
        shown "TEST 1"
        eq({ "manual", true }, { vim.wo.foldmethod, vim.wo.wrap })
        cmd "enew"
        eq({ "marker", false }, { vim.wo.foldmethod, vim.wo.wrap })
    end)

    test("goes to a ticket that is on the screen, and obeys :vertical and :tab", function()
        cmd("vertical Kapture " .. SAMPLE)
        shown "TEST 1"
        assert(api.nvim_win_get_width(0) < vim.o.columns)
        local wins = #api.nvim_list_wins()
        cmd("Kapture " .. SAMPLE)
        eq(wins, #api.nvim_list_wins())
        cmd("tab Kapture " .. sandbox.id(5))
        eq(2, #api.nvim_list_tabpages())
        shown "Raw fields"
        press "q"
        eq(1, #api.nvim_list_tabpages())
    end)
end
