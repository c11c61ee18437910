--- The buffers behind `:Kapture`: one for each ticket, `kapture://<id>`.

local M = {}

local api = vim.api
local space = api.nvim_create_namespace "kapture"
local progress_space = api.nvim_create_namespace "kapture-progress"

-- Wide ones first: conversations are what a reader of a ticket is after.
local VIEW_OPTIONS = { conversation_type = "all", history_type = "all" }
local SPINNER = { "⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏" }
local RECENT_MAX = 50

---@class kapture.nvim.View
---@field buf integer
---@field id string
---@field handle kapture.luv.Handle|nil the call that goes on
---@field serial integer which call that is
---@field job kapture.nvim.Job|nil the page that is being made, or put into the buffer
---@field timer table|nil the spinner's
---@field loaded boolean a ticket is shown
---@field page {folds: kapture.nvim.Fold[]}|nil the one that is shown
---@field status string|nil what the progress says beside the time

---@type table<integer, kapture.nvim.View> by buffer
local views = {}
---@type string[] ids that were shown, the latest first
local recent = {}
---@type kapture.luv.Handle|nil the call for several tickets
local listing

local function set_highlights()
    for name, link in pairs {
        KaptureTitle = "Title",
        KaptureLabel = "Identifier",
        KaptureSection = "Statement",
        KaptureSub = "Type",
        KaptureSender = "Special",
        KaptureError = "ErrorMsg",
        KaptureProgress = "Comment",
    } do
        api.nvim_set_hl(0, name, { link = link, default = true })
    end
end

-- Not before it is needed: it needs the C module.
local render = setmetatable({}, {
    __index = function(_, name) return require("kapture.nvim.render")[name] end,
})

local function notify(...) require("kapture.nvim").notify(...) end

-- Runs a command of Vim's; what it can't do is said in one line.
local function attempt(command)
    local ok, why = pcall(vim.cmd, command)
    if not ok then notify((tostring(why):gsub("^.-(E%d+:)", "%1"):match "^[^\n]*")) end
    return ok
end

--- Ids shown in this session, the latest first.
---@return string[]
function M.recent() return recent end

local function remember(id)
    recent = vim.tbl_filter(function(other) return other ~= id end, recent)
    table.insert(recent, 1, id)
    recent[RECENT_MAX + 1] = nil
end

-- A page into its buffer -------------------------------------------------------------

--- 'foldtext': the heading itself.
---@return string
function M.foldtext()
    return vim.fn.getline(vim.v.foldstart) .. " …"
end

local function windows_of(buf)
    return vim.fn.win_findbuf(buf)
end

-- Local to this buffer in this window: another buffer in it has its own. They are
-- set once, before 'filetype': what a user's ftplugin or the user sets then stays.
local function set_window_options(win)
    api.nvim_win_call(win, function()
        vim.cmd "setlocal foldmethod=manual foldenable foldlevel=99"
        vim.cmd "setlocal foldtext=v:lua.require'kapture.nvim.view'.foldtext()"
        vim.cmd "setlocal wrap linebreak breakindent nospell nolist"
    end)
end

-- The names of the folds that are closed in this window, or nil where nobody
-- could have closed or opened one yet.
local function closed_folds(view, win)
    if not view.page or not view.page.folds[1] then return nil end
    return api.nvim_win_call(win, function()
        local closed = {}
        for _, fold in ipairs(view.page.folds) do
            if vim.fn.foldlevel(fold.first) == 0 then return nil end
            closed[fold.name] = vim.fn.foldclosed(fold.first) ~= -1
        end
        return closed
    end)
end

-- Manual folds: those by expression are worked out anew, line by line, at each
-- change. Where the user folds in another way, that is it.
local function set_folds(page, win, closed)
    api.nvim_win_call(win, function()
        if vim.wo.foldmethod ~= "manual" then return end
        vim.cmd "normal! zE"
        for _, fold in ipairs(page.folds) do
            vim.cmd(("%d,%dfold"):format(fold.first, fold.last))
            local shut = fold.closed
            if closed and closed[fold.name] ~= nil then shut = closed[fold.name] end
            if not shut then vim.cmd(fold.first .. "foldopen") end
        end
    end)
end

-- Lines from..to of the page in the place of those in the buffer; cursors stay.
local function put_lines(buf, from, to, lines)
    local places = {}
    for _, win in ipairs(windows_of(buf)) do
        if win ~= api.nvim_get_current_win() then
            places[win] = api.nvim_win_call(win, vim.fn.winsaveview)
        end
    end
    local bo = vim.bo[buf]
    -- Under `nvim -R` and `:view` a buffer is read-only, and a change is warned of.
    local readonly = bo.readonly
    bo.readonly, bo.modifiable = false, true
    local ok, why = pcall(api.nvim_buf_set_lines, buf, from, to, false, lines)
    bo.modifiable, bo.modified, bo.readonly = false, false, readonly
    for win, place in pairs(places) do
        api.nvim_win_call(win, function() vim.fn.winrestview(place) end)
    end
    if not ok then error(why, 0) end
end

local function same_lines(buf, from, lines)
    local there = api.nvim_buf_get_lines(buf, from, from + #lines, false)
    for i = 1, #lines do
        if there[i] ~= lines[i] then return false end
    end
    return true
end

local LINES = 256 -- taken away at a time

-- The page into the buffer, from the top, over what is there. To be run in slices.
local function put(view, page)
    local tick = require("kapture.nvim.slices").tick
    local buf, n = view.buf, page.count
    local closed = {}
    for _, win in ipairs(windows_of(buf)) do closed[win] = closed_folds(view, win) or false end
    view.page = nil -- of what is in the buffer now, nothing is known
    for i, block in ipairs(page.blocks) do
        local from, to, marks = block.before, block.before + block.count, block.marks
        local lines = vim.split(block.text, "\n", { plain = true })
        api.nvim_buf_clear_namespace(buf, space, from, to)
        if not same_lines(buf, from, lines) then put_lines(buf, from, to, lines) end
        for m = 1, #marks, 4 do
            api.nvim_buf_set_extmark(buf, space, marks[m] - 1, marks[m + 1], {
                end_col = marks[m + 2], hl_group = marks[m + 3],
            })
        end
        if page.blocks[i + 1] then tick(65536) end -- the last lines come with their folds
    end
    local count = api.nvim_buf_line_count(buf)
    while count > n do
        local from = math.max(n, count - LINES)
        api.nvim_buf_clear_namespace(buf, space, from, -1)
        put_lines(buf, from, count, {})
        count = from
        tick(65536)
    end
    for _, win in ipairs(windows_of(buf)) do set_folds(page, win, closed[win]) end
    -- Its lines are in the buffer now: only where the folds are is asked again.
    view.page = { folds = page.folds }
end

local function stop_job(view)
    if view.job then view.job.cancel() end
    view.job = nil
end

-- A few lines where there is no ticket, or none yet.
local function put_note(view, text, group)
    if not api.nvim_buf_is_valid(view.buf) then return end
    stop_job(view)
    local lines = { view.id, "" }
    for _, line in ipairs(text) do lines[#lines + 1] = (line:gsub("%c+", " ")) end
    local marks = { 1, 0, #view.id, "KaptureTitle" }
    for i = 3, #lines do vim.list_extend(marks, { i, 0, #lines[i], group }) end
    local block = { before = 0, count = #lines, text = table.concat(lines, "\n"), marks = marks }
    put(view, { blocks = { block }, count = #lines, folds = {} })
end

-- Progress ----------------------------------------------------------------------------

local function stop_progress(view)
    local timer = view.timer
    view.timer = nil
    if timer and not timer:is_closing() then timer:close() end
    if api.nvim_buf_is_valid(view.buf) then api.nvim_buf_clear_namespace(view.buf, progress_space, 0, -1) end
end

local function start_progress(view)
    local uv = vim.uv or vim.loop
    local started = uv.hrtime()
    view.status = nil
    local function show()
        if view.timer == nil or not api.nvim_buf_is_valid(view.buf) then return end
        local seconds = (uv.hrtime() - started) / 1e9
        local turn = SPINNER[math.floor(seconds * 10) % #SPINNER + 1]
        local text = ("  %s fetching, %.1f s%s"):format(turn, seconds, view.status and " · " .. view.status or "")
        api.nvim_buf_clear_namespace(view.buf, progress_space, 0, -1)
        api.nvim_buf_set_extmark(view.buf, progress_space, 0, 0, {
            virt_text = { { text, "KaptureProgress" } },
            virt_text_pos = "eol",
        })
    end
    view.timer = uv.new_timer()
    view.timer:start(100, 100, vim.schedule_wrap(show))
    show()
end

-- Fetching ----------------------------------------------------------------------------

local function describe(message, err)
    local words = err.kind == "config" and require("kapture.nvim").absent()
    words = words or ("%s: %s"):format(err.kind, message)
    if err.kind == "auth" or err.kind == "config" then words = words .. " (see :checkhealth kapture)" end
    return words
end

local function cancel_view(view)
    local handle, job = view.handle, view.job
    view.handle = nil
    view.serial = view.serial + 1 -- what still comes is of no interest
    stop_job(view)
    stop_progress(view)
    if handle then handle.cancel() end
    return handle ~= nil or job ~= nil
end

-- Said once: in the buffer, or, where that has a ticket in it, beside it. An old
-- ticket is better than none.
local function fail(view, words, level)
    if view.loaded then return notify(("%s: %s"):format(view.id, words), level) end
    put_note(view, { words, "", "R tries again, q closes." }, "KaptureError")
end

local function announce(view)
    local event = { pattern = "KaptureLoaded", modeline = false }
    if vim.fn.has "nvim-0.8" == 1 then event.data = { buf = view.buf, id = view.id } end
    api.nvim_buf_call(view.buf, function() api.nvim_exec_autocmds("User", event) end)
end

local function show(view, ticket)
    view.job = require("kapture.nvim.slices").run(function()
        local page = render.ticket(ticket)
        view.loaded = true
        put(view, page)
    end, function(ok, why)
        view.job = nil
        stop_progress(view)
        if not ok then
            view.loaded = false
            return fail(view, "The ticket came, but can't be shown: " .. why)
        end
        remember(view.id)
        announce(view)
    end)
end

local function arrived(view, tickets, message, err)
    view.handle = nil
    if tickets and tickets[1] then return show(view, tickets[1]) end
    stop_progress(view)
    if not tickets then
        fail(view, describe(message, err))
    else
        fail(view, "The service does not know this ticket.", vim.log.levels.WARN)
    end
end

local function fetch(view)
    cancel_view(view)
    local client, words = require("kapture.nvim").client()
    if not client then return fail(view, words) end
    if #view.id > 64 or not view.id:find "^[%w_-]+$" then return fail(view, "This is no ticket id.") end
    local serial = view.serial
    if not view.loaded then put_note(view, { "Fetching the ticket …" }, "KaptureProgress") end
    start_progress(view)
    local configured = require("kapture.nvim").options
    local opts = vim.tbl_extend("keep", {
        hook = function(event)
            if configured.hook then pcall(configured.hook, event) end
            if event.event == "retry" and serial == view.serial then
                view.status = ("%s, again in %.1f s"):format(event.message or event.kind or "?", event.delay or 0)
            end
        end,
    }, VIEW_OPTIONS)
    for name in pairs(VIEW_OPTIONS) do
        if configured[name] ~= nil then opts[name] = nil end
    end
    view.handle = client:get_ticket(view.id, opts, function(tickets, message, err)
        if serial == view.serial and views[view.buf] == view then arrived(view, tickets, message, err) end
    end)
end

-- Buffers and windows -------------------------------------------------------------------

-- Floats and external windows come and go: notifications, Neovim's own messages.
local function is_floating(win)
    local config = api.nvim_win_get_config(win)
    return config.relative ~= "" or config.external == true
end

local function pinned(win)
    return vim.fn.exists "+winfixbuf" == 1 and vim.wo[win].winfixbuf
end

local function close_window()
    local win, buf = api.nvim_get_current_win(), api.nvim_get_current_buf()
    local others = vim.tbl_filter(function(other)
        return other ~= win and not is_floating(other)
    end, api.nvim_tabpage_list_wins(0))
    if others[1] or is_floating(win) then
        attempt "close"
    elseif #api.nvim_list_tabpages() > 1 then
        attempt "tabclose"
    else
        if pinned(win) then vim.wo[win].winfixbuf = false end
        local other = vim.fn.bufnr "#"
        if other < 1 or other == buf or not pcall(vim.cmd, "buffer " .. other) then attempt "enew" end
    end
end

local function make_view(buf, id)
    local view = { buf = buf, id = id, serial = 0, loaded = false }
    views[buf] = view
    local function map(action, f, words)
        local keys = require("kapture.nvim").keys[action]
        for _, key in ipairs(type(keys) == "table" and keys or { keys or nil }) do
            api.nvim_buf_set_keymap(buf, "n", key, "", {
                callback = f, noremap = true, nowait = true, silent = true, desc = words,
            })
        end
    end
    map("close", close_window, "Close the ticket")
    map("refresh", function() fetch(view) end, "Fetch the ticket again")
    map("follow", function() M.open_under_cursor() end, "Open the ticket under the cursor, or the fold")
    local group = api.nvim_create_augroup("kapture-" .. buf, { clear = true })
    local function on(event, f)
        api.nvim_create_autocmd(event, { group = group, pattern = ("<buffer=%d>"):format(buf), callback = f })
    end
    on("BufWinEnter", function()
        local win = api.nvim_get_current_win()
        if view.page and not closed_folds(view, win) then set_folds(view.page, win) end
    end)
    on("BufUnload", function() cancel_view(view) end)
    on("BufWipeout", function()
        cancel_view(view)
        views[buf] = nil
        vim.schedule(function() pcall(api.nvim_del_augroup_by_id, group) end)
    end)
    local bo = vim.bo[buf]
    bo.buftype, bo.bufhidden, bo.swapfile, bo.undolevels, bo.modifiable = "nofile", "wipe", false, -1, false
    for _, win in ipairs(windows_of(buf)) do set_window_options(win) end
    bo.filetype = "kapture" -- last: a user's ftplugin has the last word
    return view
end

--- The autocommand of `kapture://` buffers.
---@param buf integer
function M.read(buf)
    set_highlights()
    local id = api.nvim_buf_get_name(buf):match "^kapture://(.*)$" or ""
    local view = views[buf] or make_view(buf, id)
    view.loaded, view.page = false, nil -- `:edit` has emptied the buffer
    fetch(view)
end

--- The same for a buffer that has the name of one and nothing else, as a session
--- leaves it.
---@param buf integer
function M.adopt(buf)
    if not views[buf] then M.read(buf) end
end

local function open_one(id, how)
    local name = "kapture://" .. id
    for _, win in ipairs(api.nvim_tabpage_list_wins(0)) do
        local buf = api.nvim_win_get_buf(win)
        if api.nvim_buf_get_name(buf) == name then
            api.nvim_set_current_win(win)
            vim.cmd "stopinsert"
            local view = views[buf]
            if not view then
                M.read(buf)
            elseif not view.handle then
                fetch(view)
            end
            return
        end
    end
    local command = how.bang and not pinned(0) and "edit" or "split"
    if not attempt(("%s %s %s"):format(how.mods or "", command, vim.fn.fnameescape(name))) then return end
    vim.cmd "stopinsert" -- a picker's prompt may have been one to type in
    local buf = api.nvim_get_current_buf()
    if api.nvim_buf_get_name(buf) == name then M.adopt(buf) end
end

-- A list to pick from -----------------------------------------------------------------------

-- In the command-line window no other can be opened: what comes then, waits.
local function outside_of_cmdwin(f)
    if vim.fn.getcmdwintype() == "" then return f() end
    api.nvim_create_autocmd("CmdwinLeave", {
        once = true,
        callback = function()
            vim.defer_fn(function() outside_of_cmdwin(f) end, 1)
        end,
    })
end

local function pick(tickets, how)
    vim.ui.select(tickets, { prompt = "Ticket", kind = "kapture", format_item = render.label }, function(ticket)
        local details = ticket and ticket.task_details
        if type(details) ~= "table" then return end -- none chosen, or one without an id
        open_one(tostring(details.ticketId), how)
    end)
end

-- What did not come, in one message: two of them would have to be confirmed.
local function say_what_is_missing(info)
    local parts, level = {}, vim.log.levels.WARN
    if #info.missing > 0 then parts[1] = "not known: " .. table.concat(info.missing, ", ") end
    local first = (info.failed or {})[1]
    if first then
        local ids = {}
        for _, failure in ipairs(info.failed) do vim.list_extend(ids, failure.ids or {}) end
        parts[#parts + 1] = ("%s (%s: %s)"):format(table.concat(ids, ", "), first.kind, first.message)
        level = vim.log.levels.ERROR
    end
    if parts[1] then notify(table.concat(parts, "; "), level) end
end

local function open_list(ids, how)
    local client, words = require("kapture.nvim").client()
    if not client then return notify(words) end
    if listing then listing.cancel() end
    local mine
    api.nvim_echo({ { ("kapture: fetching %d tickets (:Kapture cancel)"):format(#ids) } }, false, {})
    mine = client:get_ticket(ids, { partial = true }, function(tickets, message, err)
        if listing == mine then listing = nil end
        api.nvim_echo({ { "" } }, false, {})
        vim.cmd "redraw" -- or what follows would be a second message, to be confirmed
        if not tickets then
            if err.kind ~= "cancelled" then notify(describe(message, err)) end
            return
        end
        say_what_is_missing(message)
        if #tickets > 0 then outside_of_cmdwin(function() pick(tickets, how) end) end
    end)
    listing = mine
end

--- Shows a ticket, or a list of several to pick one from.
---@param ids string[]
---@param how {mods: string|nil, bang: boolean|nil}|nil
function M.open(ids, how)
    how = how or {}
    local module, words = require("kapture.nvim").module()
    if not module then return notify(words) end
    for _, id in ipairs(ids) do
        if #id > 64 or not id:find "^[%w_-]+$" then
            return notify(("invalid_ids: %s is no ticket id"):format(vim.inspect(id)))
        end
    end
    if #ids == 1 then return open_one(ids[1], how) end
    open_list(ids, how)
end

--- `:Kapture refresh`.
function M.refresh()
    local view = views[api.nvim_get_current_buf()]
    if not view then return notify("this buffer shows no ticket", vim.log.levels.WARN) end
    fetch(view)
end

--- `:Kapture cancel`: ends what is going on, everywhere.
function M.cancel()
    local n = listing and 1 or 0
    if listing then listing.cancel() end
    listing = nil
    for _, view in pairs(views) do
        if cancel_view(view) then
            n = n + 1
            if not view.loaded then put_note(view, { "Cancelled. R fetches it." }, "KaptureProgress") end
        end
    end
    notify(n == 0 and "nothing to cancel" or "cancelled", vim.log.levels.INFO)
end

--- <CR> in a ticket: another ticket's id opens it, a fold opens or closes.
function M.open_under_cursor()
    local line = api.nvim_get_current_line()
    local id = require("kapture.nvim").id_at(line, api.nvim_win_get_cursor(0)[2] + 1)
    if vim.fn.foldlevel "." > 0 and not (id and id:find "^%d+$" and #id >= 10) then
        return pcall(vim.cmd, "normal! za")
    end
    local view = views[api.nvim_get_current_buf()]
    if id and id:find "^%d+$" and #id >= 10 and not (view and id == view.id) then M.open({ id }, {}) end
end

return M
