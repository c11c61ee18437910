--- Tickets in Neovim, without a frozen screen.
---
---     local client = require("kapture.nvim").new()
---     client:get_ticket("713516551148", nil, function(tickets, message_or_info, err)
---         -- on the main loop: everything of vim.api may be called
---     end)
---
--- and what is behind the command `:Kapture`. See `:help kapture`.

local M = {}

--- What `setup` was given. Options of `kapture.new`; the environment's and
--- kapture's own defaults apply to all that is not in it.
---@type table
M.options = {}

-- In a ticket's buffer, by what they do.
local KEYS = { close = "q", refresh = "R", follow = "<CR>" }

--- The keys in tickets' buffers: one, a list of them, or false for none.
---@type table<string, string|string[]|false>
M.keys = vim.deepcopy(KEYS)

---@type kapture.nvim.Client|nil
local shared

--- The latest message that was cut, whole: `:checkhealth kapture` shows it.
---@type string|nil
M.cut = nil

-- Where vim.notify is Neovim's own, text that does not fit beside the ruler makes
-- everybody press a key.
local function fitted(message)
    local room = vim.v.echospace
    local source = debug.getinfo(vim.notify, "S").source
    -- Neovim's own Lua is compiled in, since 0.12 without its name.
    if not (source:find "^@?vim/" or source:find "^=?%?$") then return message end
    if vim.fn.strdisplaywidth(message) <= room then return message end
    M.cut = message
    local hint = " … (:Kapture health)"
    local n = vim.fn.strchars(message)
    local start
    repeat
        start = vim.fn.strcharpart(message, 0, n)
        n = n - math.max(1, math.floor((vim.fn.strdisplaywidth(start .. hint) - room) / 2))
    until n <= 0 or vim.fn.strdisplaywidth(start .. hint) <= room
    return start .. hint
end

--- Says it in one line, whatever it is.
---@param message string
---@param level integer|nil of vim.log.levels
function M.notify(message, level)
    message = "kapture: " .. tostring(message):gsub("[\r\n]+%s*", " ")
    vim.notify(fitted(message), level or vim.log.levels.ERROR, { title = "kapture" })
end

--- Where this plugin is installed.
---@return string
function M.root()
    local here = debug.getinfo(1, "S").source:sub(2)
    return vim.fn.fnamemodify(here, ":p:h:h:h")
end

--- The C module, or nil and a line that says what to do.
---@return table|nil module
---@return string|nil message
function M.module()
    local ok, module = pcall(require, "kapture")
    if ok and type(module) == "table" and module.version then return module end
    if ok or tostring(module):find("module 'kapture' not found", 1, true) then
        return nil, ("the C module is not built: run `make nvim` in %s"):format(M.root())
    end
    return nil, ("the C module can't be loaded (see :checkhealth kapture): %s"):format(
        tostring(module):match "^[^\n]*" .. " " .. (tostring(module):match "\n%s*([^\n]*)" or ""))
end

--- Where an option comes from, and its value: `setup`, or the environment.
---@param option string
---@param variable string
---@return string|nil where
---@return any value
function M.source_of(option, variable)
    local value = M.options[option]
    if value ~= nil then return type(value) == "function" and "a function" or "setup()", value end
    local env = vim.env[variable]
    if env and env ~= "" then return "$" .. variable, env end
end

--- What has to be configured before any call can be made, or nil.
---@return string|nil
function M.absent()
    if not M.source_of("token", "KAPTURE_TOKEN") then
        return "no token: set $KAPTURE_TOKEN, or give setup() a token"
    elseif not (M.source_of("base_url", "KAPTURE_BASE_URL") or M.source_of("subdomain", "KAPTURE_SUBDOMAIN")) then
        return "no account: set $KAPTURE_SUBDOMAIN, or give setup() a subdomain"
    end
end

--- A client whose callbacks, hooks and token function run on the main loop,
--- wherever its calls are made.
---@param opts kapture.Options|nil as for `kapture.new`, over what `setup` was given
---@return kapture.nvim.Client
function M.new(opts)
    if opts ~= nil and type(opts) ~= "table" then
        error(("bad argument #1 to 'new' (table expected, got %s)"):format(type(opts)), 2)
    end
    local client = require("kapture.nvim.client").new(vim.tbl_extend("force", M.options, opts or {}), 2)
    return client
end

-- The words for options that `kapture.new` does not take.
local function mistake_in(options)
    if next(options) == nil then return nil end -- no need to load the module
    local module = M.module()
    if not module then return nil end -- said where it is needed
    local ok, client = pcall(module.new, options)
    if ok then
        client:close()
        return nil
    end
    return "setup: " .. tostring(client):gsub("^.-bad argument #1 to 'new' %((.*)%)$", "%1")
end

local function mistake_in_keys(keys)
    if keys == nil or keys == false then return nil end
    if type(keys) ~= "table" then return "setup: 'keys' is a table, or false" end
    for action, key in pairs(keys) do
        if KEYS[action] == nil then
            return ("setup: 'keys' has %s; there are close, refresh and follow"):format(vim.inspect(action))
        elseif key ~= false and type(key) ~= "string" and type(key) ~= "table" then
            return ("setup: keys.%s is a string, a list of strings, or false"):format(action)
        end
    end
end

--- Optional: defaults for the command and for `new`. What it can't take it says,
--- in one line: an error would end the user's init.lua there.
---@param opts kapture.Options|nil options of `kapture.new`: subdomain, token (a function, say), timeout ...; and
--- `keys`, those in tickets' buffers
function M.setup(opts)
    if opts ~= nil and type(opts) ~= "table" then
        error(("bad argument #1 to 'setup' (table expected, got %s)"):format(type(opts)), 2)
    end
    local options = vim.tbl_extend("force", {}, opts or {})
    local keys = options.keys
    options.keys = nil
    M.options = options
    M.keys = vim.deepcopy(KEYS)
    local mistake = mistake_in_keys(keys)
    if mistake then
        M.notify(mistake)
    elseif keys ~= nil then
        for action in pairs(KEYS) do
            if keys == false then
                M.keys[action] = false
            elseif keys[action] ~= nil then
                M.keys[action] = keys[action]
            end
        end
    end
    if shared then shared:close() end
    shared = nil
    mistake = mistake_in(options)
    if mistake then M.notify(mistake) end
end

--- The client behind the command, or nil and why there is none.
---@return kapture.nvim.Client|nil
---@return string|nil
function M.client()
    if shared then return shared end
    local module, message = M.module()
    if not module then return nil, message end
    local mistake = mistake_in(M.options)
    if mistake then return nil, mistake end
    local options = vim.tbl_extend("force", {}, M.options)
    options.fields, options.raw = nil, nil -- a ticket is shown whole
    shared = require("kapture.nvim.client").new(options, 2)
    return shared
end

-- Ids in text -------------------------------------------------------------------

-- In prose only a run of digits is taken for an id: ticket ids have 10 to 12.
local LEAST_DIGITS = 6

--- The ids in a text, in order, each once.
---@param text string
---@return string[]
function M.ids_in(text)
    local ids, seen = {}, {}
    for id in text:gmatch "%f[%w]%d+%f[%W]" do
        if #id >= LEAST_DIGITS and #id <= 64 and not seen[id] then
            seen[id] = true
            ids[#ids + 1] = id
        end
    end
    local word = vim.trim(text)
    if #ids == 0 and #word <= 64 and word:find "^[%w_-]+$" then ids[1] = word end
    return ids
end

--- The id at this place of a line (a byte, from 1), or nil.
---@param line string
---@param column integer
---@return string|nil
function M.id_at(line, column)
    for _, pattern in ipairs { "()%d+()", "()[%w_-]+()" } do
        for from, to in line:gmatch(pattern) do
            local word = line:sub(from, to - 1)
            local fits = #word <= 64 and (pattern ~= "()%d+()" or #word >= LEAST_DIGITS)
            if fits and from <= column and column < to then return word end
        end
    end
end

local function id_under_cursor()
    local column = vim.api.nvim_win_get_cursor(0)[2] + 1
    return M.id_at(vim.api.nvim_get_current_line(), column)
end

-- The visual selection where the range is that of it, else the lines.
local function text_of_range(first, last)
    local lines = vim.api.nvim_buf_get_lines(0, first - 1, last, false)
    local from, to = vim.fn.getpos "'<", vim.fn.getpos "'>"
    if from[2] ~= first or to[2] ~= last or vim.fn.visualmode() == "V" then
        return table.concat(lines, "\n")
    end
    if vim.fn.visualmode() == "v" then
        lines[#lines] = lines[#lines]:sub(1, to[3])
        lines[1] = lines[1]:sub(from[3])
    else
        local left, right = math.min(from[3], to[3]), math.max(from[3], to[3])
        for i, line in ipairs(lines) do lines[i] = line:sub(left, right) end
    end
    return table.concat(lines, "\n")
end

-- The command -------------------------------------------------------------------

local subcommands = {}

local function split_words(words)
    local ids = {}
    for _, word in ipairs(words) do
        for id in word:gmatch "[^,%s]+" do ids[#ids + 1] = id end
    end
    return ids
end

function subcommands.open(words, context)
    local ids = split_words(words)
    if #ids == 0 and context.range > 0 then
        ids = M.ids_in(text_of_range(context.line1, context.line2))
        if #ids == 0 then return M.notify("no ticket id in the selection", vim.log.levels.WARN) end
    elseif #ids == 0 then
        ids[1] = id_under_cursor()
        if not ids[1] then return M.notify("no ticket id under the cursor", vim.log.levels.WARN) end
    end
    require("kapture.nvim.view").open(ids, { mods = context.mods, bang = context.bang })
end

function subcommands.refresh()
    require("kapture.nvim.view").refresh()
end

function subcommands.cancel()
    require("kapture.nvim.view").cancel()
end

function subcommands.health()
    vim.cmd "checkhealth kapture"
end

--- What `:Kapture` does.
---@param a table as nvim_create_user_command gives it
function M.command(a)
    local words = vim.list_slice(a.fargs)
    local context = { range = a.range, line1 = a.line1, line2 = a.line2, mods = a.mods, bang = a.bang }
    local run = subcommands.open
    if words[1] and subcommands[words[1]] then run = subcommands[table.remove(words, 1)] end
    run(words, context)
end

--- The command's completion: subcommands, and ids of this session and buffer.
---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
    local words = vim.split(line:gsub("^.-Kapture!?", ""), "%s+", { trimempty = true })
    local candidates = {}
    if #words == 0 or (#words == 1 and lead ~= "") then
        candidates = vim.tbl_keys(subcommands)
        table.sort(candidates)
    end
    if not words[1] or not subcommands[words[1]] or words[1] == "open" or (#words == 1 and lead ~= "") then
        local first = math.max(0, vim.fn.line "w0" - 1)
        local text = table.concat(vim.api.nvim_buf_get_lines(0, first, vim.fn.line "w$", false), "\n")
        local ids = text:find "%d" and M.ids_in(text) or {}
        vim.list_extend(candidates, require("kapture.nvim.view").recent())
        vim.list_extend(candidates, ids)
    end
    local seen = {}
    return vim.tbl_filter(function(candidate)
        local fits = vim.startswith(candidate, lead) and not seen[candidate]
        seen[candidate] = true
        return fits
    end, candidates)
end

return M
