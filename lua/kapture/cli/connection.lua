--- The options of a call, from arguments, environment and configuration file.
--- Whatever is nearest wins: an argument, a profile that was asked for, the
--- environment, the file.

local config = require "kapture.cli.config"
local options = require "kapture.cli.options"

local M = {}

local function env(name)
  local value = os.getenv("KAPTURE_" .. name:upper())
  return value ~= "" and value or nil
end

-- Both name the service: where the nearer source has one of them, the farther
-- one's other would only be in the way.
local function set_account(opts, from)
  if from.base_url or from.subdomain then
    opts.base_url, opts.subdomain = from.base_url, from.subdomain
  end
end

---@param args table as the parser left it
---@return table|nil opts for kapture.new and its calls
---@return string|nil why
function M.options(args)
  local path = args.config or config.default_path()
  local opts = {}
  if path then
    local read, why, absent = config.read(path, args.profile)
    if read then
      opts = read
    elseif not absent or args.config or args.profile then
      return nil, why
    end
  elseif args.profile then
    return nil, "no configuration file: neither XDG_CONFIG_HOME nor HOME is set"
  end
  local around = { base_url = env "base_url", subdomain = env "subdomain" }
  if not (args.profile and (opts.base_url or opts.subdomain)) then
    set_account(opts, around)
  end
  if not (args.profile and opts.token) then
    opts.token = env "token" or opts.token
  end
  set_account(opts, args)
  for _, o in ipairs(options.connection) do
    local given = args[o.name]
    if o.config_only then
      given = nil -- `sandbox` has a --token of its own
    elseif o.flag then
      given = given and "false" or nil
    end
    if given then
      local value, expected = config.convert(o.name, given)
      if value == nil then
        return nil, ("%s: %s expected, got '%s'"):format(options.dashed(o.name), expected, given)
      end
      opts[o.name] = value
    end
  end
  for _, header in ipairs(args.header or {}) do
    local name, value = header:match "^([^:%s]+):%s*(.*)$"
    if not name then
      return nil, ("--header: 'name: value' expected, got '%s'"):format(header)
    end
    opts.headers = opts.headers or {}
    opts.headers[name] = value
  end
  opts.ca_file = opts.ca_file or env "ca_file"
  return opts
end

return M
