-- What a user sees: another Neovim with its own screen in a terminal of this one.
return function(T)
    local test, eq, has, sandbox = T.test, T.eq, T.has, T.sandbox
    local job, buf

    local function screen() return table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), "\n") end

    local function sees(part, seconds)
        if not vim.wait((seconds or 15) * 1000, function() return screen():find(part, 1, true) ~= nil end, 10) then
            error(("%q is not on the screen:\n%s"):format(part, screen()), 2)
        end
    end

    local function gone(part)
        if not vim.wait(5000, function() return not screen():find(part, 1, true) end, 10) then
            error(("%q stays on the screen:\n%s"):format(part, screen()), 2)
        end
    end

    local function type_keys(keys)
        vim.fn.chansend(job, vim.api.nvim_replace_termcodes(keys, true, true, true))
    end

    local function start(faults, more)
        more = more or {}
        vim.o.columns, vim.o.lines = 100, 40
        vim.cmd "enew"
        buf = vim.api.nvim_get_current_buf()
        job = vim.fn.termopen(vim.list_extend({
            vim.v.progpath, "-n", "-i", "NONE", "-u", "NORC", "--cmd", "set rtp^=" .. vim.o.runtimepath,
            "--cmd", "set nomore shortmess+=I", "--cmd",
            ("lua require('kapture.nvim').setup { ca_file = '%s', retries = 0 }"):format(sandbox.ca),
        }, more), { env = {
            KAPTURE_BASE_URL = faults and sandbox.url(faults) or sandbox.https,
            KAPTURE_TOKEN = more.token or sandbox.token, NVIM = "",
            SSL_CERT_FILE = sandbox.ca, CURL_CA_BUNDLE = sandbox.ca,
        } })
        sees(more.sees or "~")
    end

    -- Nothing waits for a key, and nothing has gone wrong.
    local function calm()
        type_keys ":echo 6*7<CR>"
        sees("42", 5)
        for _, part in ipairs { "Press ENTER", "Error ", "E5108", "stack traceback" } do
            eq(nil, screen():find(part, 1, true))
        end
        type_keys ":messages<CR>"
        vim.wait(200)
        for _, part in ipairs { "Error ", "E5108", "E86", "W10", "stack traceback" } do
            if screen():find(part, 1, true) then error(part .. " in :messages\n" .. screen(), 2) end
        end
        type_keys "<CR>"
    end

    local function stop()
        type_keys "<C-\\><C-n>:qa!<CR>"
        eq({ 0 }, vim.fn.jobwait({ job }, 10000))
        vim.cmd "bwipeout!"
    end

    test("progress, then the ticket with its raw fields folded", function()
        start "delay,ms=1200"
        type_keys ":Kapture 713516551148<CR>"
        sees "fetching, 0."
        sees "Fetching the ticket"
        sees "fetching, 1." -- it moves: the editor is awake
        sees "TEST 1"
        gone "fetching"
        sees "Kapture Dev API's"
        sees "Raw fields …"
        eq(nil, screen():find("taskId", 1, true))
        type_keys "Gza"
        sees '"taskId": 530348198'
        stop()
    end)

    test("typing goes on while a ticket is fetched", function()
        start "delay,ms=3000"
        type_keys ":Kapture 713516551148<CR>"
        sees "fetching"
        type_keys ":echo 6*7<CR>"
        sees("42", 2)
        has(screen(), "fetching")
        type_keys "q"
        gone "fetching"
        gone "kapture://"
        stop()
    end)

    test("a failure is one line, and no prompt waits for a key", function()
        start "html"
        type_keys ":Kapture 713516551148<CR>"
        sees "server: HTTP 502"
        sees "R tries again"
        eq(nil, screen():find("Press ENTER", 1, true))
        type_keys ":echo 6*7<CR>"
        sees("42", 5)
        stop()
    end)

    test("a list of several, and the one that was picked", function()
        start()
        type_keys ":Kapture 713516551148 713000000002<CR>"
        sees "Ticket"
        sees "713000000002"
        type_keys "2<CR>"
        sees "kapture://713000000002"
        sees "Status"
        stop()
    end)

    test("without a token: one line that fits, once", function()
        start(nil, { token = "" })
        type_keys ":Kapture 713516551148<CR>"
        sees "no token: set $KAPTURE_TOKEN"
        eq(nil, screen():find("nginx", 1, true))
        calm()
        type_keys ":Kapture 713516551148 713000000002<CR>"
        sees "kapture: no token: set $KAPTURE_TOKEN, or give setup() a token"
        eq(nil, screen():find("Press ENTER", 1, true))
        stop()
    end)

    test("a message that does not fit is cut, and whole in :Kapture health", function()
        start()
        type_keys ":lua require('kapture.nvim').notify('begin ' .. ('words '):rep(40) .. 'end')<CR>"
        sees "kapture: begin words"
        sees "… (:Kapture health)"
        eq(nil, screen():find("Press ENTER", 1, true))
        type_keys ":Kapture health<CR>"
        sees "token: present"
        type_keys ":call search('words end')<CR>"
        sees "words end"
        stop()
    end)

    test("a ticket named on the command line, by a start-up that waits and one that only reads", function()
        start("delay,ms=200", { "kapture://713516551148", "-R", "-c", "lua vim.wait(1000)", sees = "TEST 1" })
        calm()
        type_keys "R"
        sees "fetching"
        gone "fetching"
        calm()
        has(screen(), "TEST 1")
        stop()
    end)

    -- Neovim 0.12's own messages and command line, in floating windows.
    if pcall(require, "vim._core.ui2") then
        test("q with the windows of ui2", function()
            start("delay,ms=300", { "-c", "lua require('vim._core.ui2').enable {}" })
            for _, command in ipairs { "Kapture", "Kapture!", "tab Kapture", "only | Kapture!" } do
                type_keys(":" .. command .. " 713516551148<CR>")
                sees "TEST 1"
                type_keys ":echo 'said ' .. 6*7<CR>"
                sees("said 42", 5)
                type_keys ":lua vim.g.floats = #vim.tbl_filter(function(w) return "
                type_keys "vim.api.nvim_win_get_config(w).relative ~= '' end, vim.api.nvim_list_wins())<CR>"
                type_keys "q"
                gone "TEST 1"
                type_keys ":echo 'floats ' .. (g:floats > 0) .. ' tabs ' .. tabpagenr('$')<CR>"
                sees("floats 1 tabs 1", 5)
                for _, part in ipairs { "E444", "E5108", "stack traceback" } do
                    eq(nil, screen():find(part, 1, true))
                end
            end
            type_keys ":Kapture 713516551148 713000000002<CR>"
            sees "Type number"
            type_keys "2<CR>"
            sees "kapture://713000000002"
            sees "Status"
            type_keys "q"
            gone "kapture://"
            stop()
        end)
    end

    test("q closes splits of a ticket, loaded or not, with nothing to be heard", function()
        start "delay,ms=400"
        for _, waits in ipairs { 0, 1 } do
            type_keys ":Kapture 713516551148<CR>"
            if waits == 1 then sees "TEST 1" else sees "Fetching" end
            type_keys ":split<CR>"
            vim.wait(100)
            type_keys "q"
            vim.wait(100)
            type_keys "q"
            gone "kapture://"
            calm()
        end
        stop()
    end)

    test("a list that arrives in the command-line window waits for its end", function()
        start "delay,ms=700"
        type_keys ":Kapture 713516551148 713000000002<CR>q:"
        sees "[Command Line]"
        vim.wait(1500)
        eq(nil, screen():find("E11", 1, true))
        has(screen(), "[Command Line]")
        type_keys ":quit<CR>"
        sees "Type number"
        type_keys "2<CR>"
        sees "kapture://713000000002"
        sees "Status"
        calm()
        -- and so does a ticket
        type_keys ":Kapture refresh<CR>:<C-f>"
        sees "[Command Line]"
        vim.wait(1500)
        type_keys ":quit<CR>"
        gone "[Command Line]"
        gone "fetching"
        calm()
        stop()
    end)

    test(":Kapture completes on <Tab>", function()
        start()
        type_keys ":Kapture re<Tab>"
        sees ":Kapture refresh"
        type_keys "<Esc>"
        gone ":Kapture refresh"
        stop()
    end)
end
