--- The command `kapture`. Exit codes are gh's: 0 done, 1 failed, 2 misused, 4
--- authentication. Ctrl-C ends it by SIGINT.

local closed = require("kapture.cli.streams").closed()
if closed then
    io.stderr:write("kapture: " .. closed .. " is closed\n")
    os.exit(1)
end
local found, failure = pcall(require, "argparse")
if not found and tostring(failure):find("interrupted!", 1, true) then
    error(failure, 0)
elseif not found then
    io.stderr:write "kapture: the command needs argparse: apt install lua-argparse, or luarocks install argparse\n"
    os.exit(1)
end
local kapture = require "kapture"
local exit = require "kapture.cli.exit"
local options = require "kapture.cli.options"
local parser = require "kapture.cli.parser"
local terminal = require "kapture.cli.terminal"

local M = {}

local function complain(...)
    io.stderr:write("kapture: " .. terminal.plain((table.concat { ... }:gsub("\n", " "))) .. "\n")
end

-- Prints what was asked for instead of a run, and ends.
local function show(text)
    local written, why = io.stdout:write(text .. "\n")
    if written then
        written, why = io.stdout:flush()
    end
    if not written then
        complain("standard output: ", why or "write error")
    end
    os.exit(written and exit.OK or exit.FAILED)
end

local function version()
    local v = kapture.version()
    show(("kapture %s (libcurl %s, %s, Lua %s)"):format(v.kapture, v.libcurl, v.tls or "no TLS", v.abi))
end

--- Runs the command; the exit code.
---@param argv string[]
---@return integer
function M.run(argv)
    local ok, args = parser.parse(argv, version, show)
    if not ok then
        local of = ""
        for _, c in ipairs(options.commands) do
            of = argv[1] == c.name and c.name .. " " or of
        end
        complain(args, " (see kapture ", of, "--help)")
        return exit.MISUSED
    end
    local done, code = pcall(function()
        local result = require("kapture.cli." .. args.command).run(args, complain)
        local written, why = io.stdout:flush()
        if not written then
            error({ output = why or "write error" }, 0)
        end
        return result
    end)
    if done then
        return code
    elseif type(code) == "table" and code.output then
        -- a reader that has seen enough (| head) is no failure worth words
        if not code.output:find "[Pp]ipe" then
            complain("standard output: ", code.output)
        end
        return exit.FAILED
    elseif type(code) == "table" and code.input then
        complain("ids: ", code.input)
        return exit.FAILED
    elseif tostring(code):find("interrupted!", 1, true) then
        error(code, 0) -- bin/kapture ends by it
    end
    -- an option out of its range: the module says which, and what it takes
    local mistake = tostring(code):match "bad argument #%d+ to '[%w_]+' %((.*)%)$"
    complain(mistake or tostring(code))
    return mistake and exit.MISUSED or exit.FAILED
end

return M
