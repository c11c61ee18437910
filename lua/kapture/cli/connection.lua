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

-- A nearer source's options over a farther one's. base_url and subdomain both
-- name the service: the farther one's other would only be in the way.
local function overlay(opts, nearer)
    if nearer.base_url or nearer.subdomain then
        opts.base_url, opts.subdomain = nil, nil
    end
    for name, value in pairs(nearer) do
        if name == "headers" then
            opts.headers = opts.headers or {}
            for header, text in pairs(value) do
                opts.headers[header] = text
            end
        else
            opts[name] = value
        end
    end
end

--- The configuration file that counts.
---@param args table as the parser left it
---@return string|nil
function M.path(args)
    return args.config or config.default_path()
end

---@param args table as the parser left it
---@return table|nil opts for kapture.new and its calls
---@return string|nil why
function M.options(args)
    local path = M.path(args)
    local opts, profile = {}, {}
    if path then
        local common, own, absent = config.read(path, args.profile)
        if common then
            opts, profile = common, own
        elseif not absent or args.config or args.profile then
            return nil, own
        end
    elseif args.profile then
        return nil, "no configuration file: neither XDG_CONFIG_HOME nor HOME is set"
    end
    overlay(opts, {
        base_url = env "base_url", subdomain = env "subdomain", token = env "token", ca_file = env "ca_file",
    })
    overlay(opts, profile)
    local given_here = {}
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
            given_here[o.name] = value
        end
    end
    for _, header in ipairs(args.header or {}) do
        local name, value = header:match "^([^:%s]+):%s*(.*)$"
        if not name then
            return nil, ("--header: 'name: value' expected, got '%s'"):format(header)
        end
        given_here.headers = given_here.headers or {}
        given_here.headers[name] = value
    end
    overlay(opts, given_here)
    return opts
end

return M
