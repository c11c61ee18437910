--- The command's configuration file: `key = value` lines, profiles as sections.

local M = {}

local shell = require "kapture.cli.shell"

local names, paths = {}, {}
for _, o in ipairs(require("kapture.cli.options").connection) do
    names[o.name] = o.type
    paths[o.name] = o.complete == "file" or o.complete == "directory"
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
    local pipe = io.popen("ls -ldL -- " .. shell.quoted(path) .. " 2>/dev/null")
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

-- The value that a line means: without its quotes, and with the home directory
-- for ~/ where a file is named. What a shell or another format would read in yet
-- another way is refused: sent as it stands, it would only be a wrong token.
local function value_of(name, text)
    local mark = text:match [[^(["'])]]
    if mark then
        local inner = text:match("^" .. mark .. "([^" .. mark .. "]*)" .. mark .. "$")
        if not inner then
            return nil, ("%s: closing %s expected"):format(name, mark)
        end
        text = inner
    elseif text:find "%s#" then
        return nil, name .. ": a comment has a line of its own (quote the value if # is part of it)"
    end
    if paths[name] and text:find "^~" then
        local home = os.getenv "HOME"
        if not text:find "^~/" or not home or home == "" then
            return nil, ("%s: can't tell what '%s' is: give the whole path"):format(name, text)
        end
        text = home .. text:sub(2)
    elseif paths[name] and text:find "^%$" then
        return nil, ("%s: there are no variables here: give the whole path instead of '%s'"):format(name, text)
    end
    return text
end

--- Reads the lines before the first section, and those of `[profile]`.
--- `header.NAME = value` is one more request header.
---@param path string
---@param profile string|nil
---@return table|nil common nil: the file can't be used
---@return table|string own those of the profile; why
---@return boolean|nil absent there is no such file, or none for us: HOME may be
--- another user's, or /dev/null
function M.read(path, profile)
    local file, reason = io.open(path, "r")
    if not file then
        return nil, reason, true
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
    for text_line in file:lines() do
        number = number + 1
        local line = text_line:gsub("\r$", "")
        if number == 1 then
            line = line:gsub("^\239\187\191", "") -- a byte order mark
        end
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
            local meant, why = value_of(key, value)
            if not meant then
                return refuse("%s:%d: %s", path, number, why)
            end
            local converted, expected = M.convert(key, meant)
            if converted == nil then
                return refuse("%s:%d: %s: %s expected, got '%s'", path, number, key, expected, meant)
            end
            options[key] = converted
        elseif header and options then
            local meant, why = value_of("header." .. header, text)
            if not meant then
                return refuse("%s:%d: %s", path, number, why)
            end
            options.headers = options.headers or {}
            options.headers[header] = meant
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
