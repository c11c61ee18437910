--- The command `kapture`. Exit codes are gh's: 0 done, 1 failed, 2 cancelled or
--- misused, 4 authentication.

if not pcall(require, "argparse") then
  io.stderr:write "kapture: the command needs argparse (Debian: lua-argparse; LuaRocks: argparse)\n"
  os.exit(1)
end
local kapture = require "kapture"
local exit = require "kapture.cli.exit"
local parser = require "kapture.cli.parser"
local terminal = require "kapture.cli.terminal"

local M = {}

local function version()
  local v = kapture.version()
  print(("kapture %s (libcurl %s, %s, Lua %s)"):format(v.kapture, v.libcurl, v.tls or "no TLS", v.abi))
  os.exit(exit.OK)
end

local function complain(...)
  io.stderr:write("kapture: ", terminal.plain((table.concat { ... }:gsub("\n", " "))), "\n")
end

--- Runs the command; the exit code.
---@param argv string[]
---@return integer
function M.run(argv)
  local ok, args = parser.new(version):pparse(argv)
  if not ok then
    complain(args, " (see kapture --help)")
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
  elseif tostring(code):find "interrupted!" then
    return exit.MISUSED
  end
  -- an option out of its range: the module says which, and what it takes
  local mistake = tostring(code):match "bad argument #%d+ to '[%w_]+' %((.*)%)$"
  complain(mistake or tostring(code))
  return mistake and exit.MISUSED or exit.FAILED
end

return M
