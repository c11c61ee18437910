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

--- Reads a profile: the lines before the first section, then those of
--- `[profile]`. `header.NAME = value` is one more request header.
---@param path string
---@param profile string|nil
---@return table|nil options nil: the file can't be used
---@return string|nil why
---@return boolean|nil absent there is no such file
function M.read(path, profile)
  local file = io.open(path, "r")
  if not file then
    return nil, path .. ": no such file", true
  end
  if others_can_read(path) then
    file:close()
    return nil, path .. ": others can read it (chmod 600 it: it may hold a token)"
  end
  local options, section, found, number = {}, nil, profile == nil, 0
  for line in file:lines() do
    number = number + 1
    line = line:gsub("\r$", "")
    local name = line:match("^%s*%[%s*(.-)%s*%]%s*$")
    local key, value = line:match("^%s*([%w_]+)%s*=%s*(.-)%s*$")
    local header, text = line:match("^%s*header%.([^%s=]+)%s*=%s*(.-)%s*$")
    if name then
      section = name
      found = found or name == profile
    elseif key then
      if section == nil or section == profile then
        if not names[key] then
          file:close()
          return nil, ("%s:%d: unknown option '%s'"):format(path, number, key)
        end
        local converted, expected = M.convert(key, value)
        if converted == nil then
          file:close()
          return nil, ("%s:%d: %s: %s expected, got '%s'"):format(path, number, key, expected, value)
        end
        options[key] = converted
      end
    elseif header then
      if section == nil or section == profile then
        options.headers = options.headers or {}
        options.headers[header] = text
      end
    elseif not line:match("^%s*$") and not line:match("^%s*[#;]") then
      file:close()
      return nil, ("%s:%d: 'key = value' or '[profile]' expected"):format(path, number)
    end
  end
  file:close()
  if not found then
    return nil, ("%s: no profile '%s'"):format(path, profile)
  end
  return options
end

return M
