--- The command's configuration file: `key = value` lines, profiles as sections.

local M = {}

local names = {}
for _, o in ipairs(require("kapture.cli.options").connection) do
  names[o.name] = o.type
end
names.partial = "boolean"
M.names = names

---@return string|nil
function M.default_path()
  local base = os.getenv "XDG_CONFIG_HOME"
  if not base or base == "" then
    local home = os.getenv "HOME"
    if not home or home == "" then
      return nil
    end
    base = home .. "/.config"
  end
  return base .. "/kapture/config"
end

-- There is no stat in Lua: `ls -ld` says the same everywhere.
local function others_can_read(path)
  local quoted = "'" .. path:gsub("'", [['\'']]) .. "'"
  local pipe = io.popen("ls -ldL -- " .. quoted .. " 2>/dev/null")
  local line = pipe and pipe:read("*l") or ""
  if pipe then
    pipe:close()
  end
  local group, other = (line or ""):match("^%S...(...)(...)")
  return group == nil or group:find("[rw]") ~= nil or other:find("[rw]") ~= nil
end

--- A value as its option wants it; nil and what was expected.
---@param name string
---@param text string
function M.convert(name, text)
  local kind = names[name]
  if kind == "number" then
    local value = tonumber(text)
    return value, "a number"
  elseif kind == "boolean" then
    local values = { ["true"] = true, yes = true, on = true, ["false"] = false, no = false, off = false }
    return values[text:lower()], "true or false"
  end
  return text
end

--- Reads the lines before the first section, and those of `[profile]`.
--- `header.NAME = value` is one more request header.
---@param path string
---@param profile string|nil
---@return table|nil common nil: the file can't be used
---@return table|string own those of the profile; why
---@return boolean|nil absent there is no such file
function M.read(path, profile)
  local file, reason, code = io.open(path, "r")
  if not file then
    return nil, reason, code == 2 -- ENOENT
  end
  local readable, directory = file:read(0)
  if readable == nil and directory then
    file:close()
    return nil, path .. ": " .. directory
  end
  if others_can_read(path) then
    file:close()
    return nil, path .. ": others can read it (chmod 600 it: it may hold a token)"
  end
  local function refuse(why, ...)
    file:close()
    return nil, why:format(...)
  end
  local common, own, number, found = {}, {}, 0, profile == nil
  local options = common
  for raw in file:lines() do
    number = number + 1
    local line = raw:gsub("\r$", "")
    local name = line:match("^%s*%[%s*(.-)%s*%]%s*$")
    local key, value = line:match("^%s*([%w_-]+)%s*=%s*(.-)%s*$")
    local header, text = line:match("^%s*header%.([^%s=]+)%s*=%s*(.-)%s*$")
    if name then
      options = name == profile and own or nil
      found = found or name == profile
    elseif key and options then
      if not names[key] then
        return refuse("%s:%d: unknown option '%s'%s", path, number, key,
          names[key:gsub("-", "_")] and (" (it is %s here)"):format((key:gsub("-", "_"))) or "")
      end
      local converted, expected = M.convert(key, value)
      if converted == nil then
        return refuse("%s:%d: %s: %s expected, got '%s'", path, number, key, expected, value)
      end
      options[key] = converted
    elseif header and options then
      options.headers = options.headers or {}
      options.headers[header] = text
    elseif not key and not header and not line:match("^%s*$") and not line:match("^%s*[#;]") then
      return refuse("%s:%d: 'key = value' or '[profile]' expected", path, number)
    end
  end
  file:close()
  if not found then
    return nil, ("%s: no profile '%s'"):format(path, profile)
  end
  return common, own
end

return M
