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
---@field timer table|nil the spinner's
---@field loaded boolean a ticket is shown
---@field left boolean its call was cancelled by leaving the buffer
---@field levels table<integer, string>
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

-- Whether the C module is there; says so where it is not.
local function usable()
    local module, message = require("kapture.nvim").module()
    if not module then require("kapture.nvim").notify(message) end
    return module ~= nil
end

local function notify(...) require("kapture.nvim").notify(...) end

--- Ids shown in this session, the latest first.
---@return string[]
function M.recent() return recent end

local function remember(id)
    recent = vim.tbl_filter(function(other) return other ~= id end, recent)
    table.insert(recent, 1, id)
    recent[RECENT_MAX + 1] = nil
end

-- A page into its buffer -------------------------------------------------------------

--- 'foldexpr' of these buffers.
---@param line integer
---@return string
function M.foldexpr(line)
    local view = views[api.nvim_get_current_buf()]
    return view and view.levels[line] or "0"
end

--- 'foldtext': the heading itself.
---@return string
function M.foldtext()
    return vim.fn.getline(vim.v.foldstart) .. " …"
end

local function windows_of(buf)
    return vim.fn.win_findbuf(buf)
end

-- Local to this buffer in this window: another buffer in it has its own.
local function set_window_options(win)
    api.nvim_win_call(win, function()
        vim.cmd "setlocal foldmethod=expr foldexpr=v:lua.require'kapture.nvim.view'.foldexpr(v:lnum)"
        vim.cmd "setlocal foldtext=v:lua.require'kapture.nvim.view'.foldtext() foldlevel=99 foldenable"
        vim.cmd "setlocal wrap linebreak breakindent nospell nolist"
    end)
end

local function put(view, page)
    local buf = view.buf
    if not api.nvim_buf_is_valid(buf) then return end
    local cursors = {}
    for _, win in ipairs(windows_of(buf)) do cursors[win] = api.nvim_win_get_cursor(win) end
    view.levels = page.levels
    vim.bo[buf].modifiable = true
    api.nvim_buf_set_lines(buf, 0, -1, false, page.lines)
    vim.bo[buf].modifiable = false
    vim.bo[buf].modified = false
    api.nvim_buf_clear_namespace(buf, space, 0, -1)
    for _, mark in ipairs(page.marks) do
        api.nvim_buf_set_extmark(buf, space, mark[1] - 1, mark[2], { end_col = mark[3], hl_group = mark[4] })
    end
    for win, cursor in pairs(cursors) do
        api.nvim_win_set_cursor(win, { math.min(cursor[1], #page.lines), cursor[2] })
        set_window_options(win)
        api.nvim_win_call(win, function()
            vim.cmd "normal! zx"
            for _, line in ipairs(page.closed) do pcall(vim.cmd, line .. "foldclose") end
        end)
    end
end

-- Progress ----------------------------------------------------------------------------

local function stop_progress(view)
    if view.timer then
        view.timer:stop()
        view.timer:close()
        view.timer = nil
    end
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
    local words = ("%s: %s"):format(err.kind, message)
    if err.kind == "auth" or err.kind == "config" then words = words .. " (see :checkhealth kapture)" end
    return words
end

local function cancel_view(view)
    local handle = view.handle
    view.handle = nil
    view.serial = view.serial + 1 -- what still comes is of no interest
    stop_progress(view)
    if handle then handle.cancel() end
    return handle ~= nil
end

local function show_failure(view, words)
    if view.loaded then return end -- an old ticket is better than none
    put(view, render.note(view.id, { words, "", "R tries again, q closes." }, "KaptureError"))
end

local function arrived(view, tickets, message, err)
    view.handle = nil
    stop_progress(view)
    if not tickets then
        local words = describe(message, err)
        show_failure(view, words)
        notify(("%s: %s"):format(view.id, words))
    elseif not tickets[1] then
        show_failure(view, "The service does not know this ticket.")
        notify(("%s: the service does not know this ticket"):format(view.id), vim.log.levels.WARN)
    else
        view.loaded = true
        remember(view.id)
        put(view, render.ticket(tickets[1]))
    end
end

local function fetch(view)
    cancel_view(view)
    local client = require("kapture.nvim").client()
    if not client then return show_failure(view, "No client could be made: see :messages.") end
    local serial = view.serial
    view.left = false
    if not view.loaded then put(view, render.note(view.id, { "Fetching the ticket …" }, "KaptureProgress")) end
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

local function close_window()
    local buf = api.nvim_get_current_buf()
    local listed = #api.nvim_tabpage_list_wins(0) > 1 or #api.nvim_list_tabpages() > 1
    if listed then
        api.nvim_win_close(0, false)
    else
        local other = vim.fn.bufnr "#" -- which may have been wiped since
        vim.cmd(other > 0 and other ~= buf and api.nvim_buf_is_valid(other) and "buffer " .. other or "enew")
    end
end

local function on_leave(view)
    if cancel_view(view) then
        view.left = true
        if not view.loaded then
            put(view, render.note(view.id, { "Cancelled. R fetches it." }, "KaptureProgress"))
        end
    end
end

local function make_view(buf, id)
    local view = { buf = buf, id = id, serial = 0, loaded = false, left = false, levels = {} }
    views[buf] = view
    local bo = vim.bo[buf]
    bo.buftype, bo.bufhidden, bo.swapfile, bo.undolevels = "nofile", "wipe", false, -1
    bo.modifiable, bo.filetype = false, "kapture"
    local function map(key, f, words)
        api.nvim_buf_set_keymap(buf, "n", key, "", {
            callback = f, noremap = true, nowait = true, silent = true, desc = words,
        })
    end
    map("q", close_window, "Close the ticket")
    map("R", function() fetch(view) end, "Fetch the ticket again")
    map("<CR>", function() M.open_under_cursor() end, "Open the link or ticket under the cursor")
    local group = api.nvim_create_augroup("kapture-" .. buf, { clear = true })
    local function on(event, f)
        api.nvim_create_autocmd(event, { group = group, pattern = ("<buffer=%d>"):format(buf), callback = f })
    end
    on("BufLeave", function() on_leave(view) end)
    on("BufEnter", function()
        if view.left then fetch(view) end
    end)
    on("BufWinEnter", function() set_window_options(api.nvim_get_current_win()) end)
    on("BufUnload", function() cancel_view(view) end)
    on("BufWipeout", function()
        cancel_view(view)
        views[buf] = nil
        vim.schedule(function() pcall(api.nvim_del_augroup_by_id, group) end)
    end)
    return view
end

--- The autocommand of `kapture://` buffers.
---@param buf integer
function M.read(buf)
    if not usable() then return end
    set_highlights()
    local id = api.nvim_buf_get_name(buf):match "^kapture://(.*)$" or ""
    local view = views[buf] or make_view(buf, id)
    for _, win in ipairs(windows_of(buf)) do set_window_options(win) end
    view.loaded = false -- `:edit` has emptied the buffer
    fetch(view)
end

local function open_one(id, how)
    local name = "kapture://" .. id
    for _, win in ipairs(api.nvim_tabpage_list_wins(0)) do
        if api.nvim_buf_get_name(api.nvim_win_get_buf(win)) == name then
            api.nvim_set_current_win(win)
            local view = views[api.nvim_get_current_buf()]
            if view and not view.handle then fetch(view) end
            return
        end
    end
    local command = how.bang and "edit" or "split"
    vim.cmd(("%s %s %s"):format(how.mods or "", command, vim.fn.fnameescape(name)))
end

-- A list to pick from -----------------------------------------------------------------------

local function pick(tickets, how)
    vim.ui.select(tickets, { prompt = "Ticket", kind = "kapture", format_item = render.label }, function(ticket)
        local details = ticket and ticket.task_details
        if type(details) ~= "table" then return end -- none chosen, or one without an id
        open_one(tostring(details.ticketId), how)
    end)
end

local function list_of(failed)
    local ids = {}
    for _, f in ipairs(failed or {}) do vim.list_extend(ids, f.ids or {}) end
    return ids
end

local function open_list(ids, how)
    local client = require("kapture.nvim").client()
    if not client then return end
    if listing then listing.cancel() end
    local mine
    api.nvim_echo({ { ("kapture: fetching %d tickets (:Kapture cancel)"):format(#ids) } }, false, {})
    mine = client:get_ticket(ids, { partial = true }, function(tickets, message, err)
        if listing == mine then listing = nil end
        if not tickets then
            if err.kind ~= "cancelled" then notify(describe(message, err)) end
            return
        end
        api.nvim_echo({ { "" } }, false, {})
        local failed = list_of(message.failed)
        if #message.missing > 0 then
            notify("not known: " .. table.concat(message.missing, ", "), vim.log.levels.WARN)
        end
        if #failed > 0 then
            local first = message.failed[1]
            notify(("%s (%s: %s)"):format(table.concat(failed, ", "), first.kind, first.message))
        end
        if #tickets > 0 then pick(tickets, how) end
    end)
    listing = mine
end

--- Shows a ticket, or a list of several to pick one from.
---@param ids string[]
---@param how {mods: string|nil, bang: boolean|nil}|nil
function M.open(ids, how)
    how = how or {}
    if not usable() then return end
    for _, id in ipairs(ids) do
        if #id > 64 or not id:find "^[%w_-]+$" then
            return notify(("invalid_ids: %q is no ticket id"):format(id))
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
            if not view.loaded then
                put(view, render.note(view.id, { "Cancelled. R fetches it." }, "KaptureProgress"))
            end
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
