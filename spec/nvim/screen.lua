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

    local function start(faults)
        vim.o.columns, vim.o.lines = 100, 40
        vim.cmd "enew"
        buf = vim.api.nvim_get_current_buf()
        job = vim.fn.termopen({
            vim.v.progpath, "-n", "-i", "NONE", "-u", "NORC", "--cmd", "set rtp^=" .. vim.o.runtimepath,
            "--cmd", "set nomore shortmess+=I",
        }, { env = {
            KAPTURE_BASE_URL = faults and sandbox.url(faults) or sandbox.https, KAPTURE_TOKEN = sandbox.token,
            SSL_CERT_FILE = sandbox.ca, CURL_CA_BUNDLE = sandbox.ca, NVIM = "",
        } })
        sees "~"
        type_keys((":lua require('kapture.nvim').setup { ca_file = '%s', retries = 0 }<CR>"):format(sandbox.ca))
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

    test(":Kapture completes on <Tab>", function()
        start()
        type_keys ":Kapture re<Tab>"
        sees ":Kapture refresh"
        type_keys "<Esc>"
        gone ":Kapture refresh"
        stop()
    end)
end
