--- `kapture sandbox`: the stand-in for the service, from wherever it is
--- installed; with a command, for as long as that runs.

local exit = require "kapture.cli.exit"
local shell = require "kapture.cli.shell"

local M = {}

local quoted = shell.quoted

local function exists(path)
    local file = io.open(path, "r")
    if file then
        file:close()
    end
    return file ~= nil
end

-- Beside this file: in a checkout, under make install's prefix, and in a rock;
-- or beside the command.
local function directory()
    local here = debug.getinfo(1, "S").source:match "^@(.*)kapture/cli/sandbox%.lua$"
    local places = { (here or "") .. "../sandbox", (here or "") .. "../../kapture/sandbox" }
    local command = arg and arg[0] and arg[0]:match "^(.*)/"
    if command then
        places[#places + 1] = command .. "/../share/kapture/sandbox"
    end
    local pipe = here and io.popen("ls -d " .. quoted(here .. "../../../lib/luarocks")
        .. "/rocks*/kapture/*/sandbox 2>/dev/null")
    for line in (pipe and pipe:lines() or function() end) do
        places[#places + 1] = line
    end
    if pipe then
        pipe:close()
    end
    for _, place in ipairs(places) do
        if exists(place .. "/run") then
            return place
        end
    end
end

function M.run(args, complain)
    local place = directory()
    if not place then
        complain "the sandbox is not installed beside the command"
        return exit.FAILED
    end
    local words = { "exec bash" }
    local function add(...)
        for _, word in ipairs { ... } do
            words[#words + 1] = quoted(word)
        end
    end
    if #args.argv > 0 then
        if args.port or args.ready or args.token or args.faults then
            complain "sandbox: no options with a command, please"
            return exit.MISUSED
        end
        add(place .. "/with", (table.unpack or unpack)(args.argv)) -- luacheck: ignore 113
    else
        add(place .. "/run")
        for _, name in ipairs { "port", "ready", "token" } do
            if args[name] then
                add("--" .. name, args[name])
            end
        end
        if args.faults then
            add "--faults"
        end
    end
    return shell.status(table.concat(words, " ")) or exit.MISUSED
end

return M
