--- The parser of the command line, made from the table of its options.

local argparse = require "argparse"
local options = require "kapture.cli.options"

local M = {}

-- argparse's own names of targets are fine, but for flags that say no.
local function add(command, o)
  local names = (o.short and o.short .. " " or "") .. o.long
  if not o.takes_value then
    command:flag(names, o.doc):target(o.name)
    return
  end
  local option = command:option(names, o.doc):argname(o.argname):target(o.name)
  if o.choices then
    option:choices(o.complete)
  end
  if o.many then
    option:count "*"
  end
end

---@param version fun() prints the versions
function M.new(version)
  local parser = argparse("kapture", "Tickets from Kapture CRM.")
    :epilog "The token comes from $KAPTURE_TOKEN or the configuration file, never from an argument. See kapture(1)."
  parser:flag("--version", "Print the versions and exit."):action(version)
  parser:require_command(true)
  parser:command_target "command"
  for _, c in ipairs(options.commands) do
    local command = parser:command(c.name, c.doc)
    if c.takes_ids then
      command:argument("ids", "Ticket ids, also separated by commas; - reads standard input, a line each.")
        :args "*"
    end
    if c.name == "sandbox" then
      command:argument("argv", "After --: a command that it runs for, with KAPTURE_BASE_URL, _TOKEN and _CA_FILE set.")
        :args "*"
    end
    for i, o in ipairs(options.of(c)) do
      if i > 1 then -- argparse has --help itself
        add(command, o)
      end
    end
  end
  return parser
end

return M
