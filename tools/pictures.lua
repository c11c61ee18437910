-- Pictures of the command and of Neovim's buffer, as a terminal shows them:
--
--   make nvim && kapture sandbox -- nvim --headless -u NONE -S tools/pictures.lua
--
-- writes doc/command.svg and doc/neovim.svg.
local WIDTH, COLUMNS, ROWS = 8.4, 92, 26

-- Blanks as U+00A0: browsers no longer agree on xml:space.
local function escape(text)
    return (text:gsub("[&<> ]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", [" "] = "\194\160" }))
end

local function svg(path, lines)
    while #lines > 0 and lines[#lines]:find "^%s*$" do
        table.remove(lines)
    end
    local w, h = math.floor(COLUMNS * WIDTH + 24), #lines * 19 + 24
    local out = {
        ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">'):format(w, h, w, h),
        ('<rect width="%d" height="%d" rx="6" fill="#1d1f21"/>'):format(w, h),
        '<g font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="14" fill="#d8d8d8">',
    }
    for i, line in ipairs(lines) do
        local colour = line:find "^%$ " and ' fill="#8abeb7"' or line:find "^~" and ' fill="#5f6366"' or ""
        out[#out + 1] = ('<text x="12" y="%d"%s>%s</text>'):format(i * 19 + 8, colour, escape(line))
    end
    out[#out + 1] = "</g></svg>\n"
    local file = assert(io.open(path, "w"))
    file:write(table.concat(out, "\n"))
    file:close()
end

-- What stands on the screen once `seen` does.
local function screen(command, env, seen, keys)
    vim.o.columns, vim.o.lines = COLUMNS, ROWS + 2
    vim.cmd "enew!"
    local buf = vim.api.nvim_get_current_buf()
    local job = vim.fn.termopen(command, { env = env })
    local function lines() return vim.api.nvim_buf_get_lines(buf, 0, -1, false) end
    local function wait(text)
        assert(vim.wait(15000, function() return table.concat(lines(), "\n"):find(text, 1, true) end, 20), text)
    end
    for _, key in ipairs(keys or {}) do
        wait(key[1])
        vim.fn.chansend(job, key[2])
    end
    wait(seen)
    vim.wait(500)
    local got = vim.list_slice(lines(), 1, ROWS)
    vim.fn.jobstop(job)
    return got
end

local ok, why = pcall(function()
    local commands = {
        "kapture get 713516551148 713000000002 713000000009 404000000001",
        [[kapture get -f ids.txt --where 'priority == "high"' --fields task_details.title]],
        "kapture get 713516551148 -o ndjson --fields task_details.ticketId,task_details.attachments",
        "kapture doctor",
    }
    local dir = vim.fn.tempname()
    vim.fn.mkdir(dir)
    local ids = { "713516551148", "713000000002", "713000000004", "713000000005", "713000000009" }
    vim.fn.writefile(ids, dir .. "/ids.txt")
    local script = { "cd " .. dir }
    for _, command in ipairs(commands) do
        script[#script + 1] = "printf '%s\\n' " .. vim.fn.shellescape("$ " .. command)
        script[#script + 1] = command
    end
    vim.fn.writefile(vim.list_extend(script, { "printf done; sleep 20" }), dir .. "/run")
    local got = screen({ "sh", dir .. "/run" }, { COLUMNS = tostring(COLUMNS), HOME = "/home/you" }, "done")
    for i, line in ipairs(got) do
        if line:find "^done" then
            got[i] = ""
        end
    end
    svg("doc/command.svg", got)

    local ca = vim.env.KAPTURE_CA_FILE
    svg("doc/neovim.svg", screen({
        vim.v.progpath, "-n", "-i", "NONE", "-u", "NORC", "--cmd", "set rtp^=" .. vim.fn.getcwd(),
        "--cmd", "set nomore shortmess+=I",
        "-c", ("lua require('kapture.nvim').setup { ca_file = '%s' }"):format(ca),
    }, { NVIM = "" }, "Status", { { "~", ":Kapture! 713516551148\r" } }))
end)
if not ok then
    io.stderr:write(tostring(why), "\n")
    vim.cmd "cquit"
end
vim.cmd "qall!"
