#!/usr/bin/env lua
-- tools/types.lua [--check]: the options and the kinds of failure in
-- library/kapture.lua, from the tables of csrc/lua/options.c and csrc/base/failure.c. With
-- --check, whether they are so.

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- The string literals in a piece of C, without quotes and escapes.
local function literals(text)
  local list = {}
  for literal in text:gsub("\\(.)", function(c) return ("\\%03d"):format(c:byte()) end):gmatch '"([^"]*)"' do
    list[#list + 1] = literal:gsub("\\(%d%d%d)", function(n) return string.char(tonumber(n)) end)
  end
  return list
end

local types = {
  STRING = "string", TOKEN = "string|(fun(): string)", SECONDS = "number", PAUSE = "number", RATE = "number",
  COUNT = "integer", SIZE = "number", FLAG = "boolean", PARAM = "string|boolean|number",
  HEADERS = "table<string, string>", BODY = "table", FIELDS = "string[]", HOOK = "fun(event: kapture.Event)",
}
local untold = { none = true, [""] = true, ['""'] = true } -- defaults

local function options()
  local out = { "---@class kapture.Options" }
  for name, kind, min, max, rest in read("csrc/lua/options.c"):gmatch
    '\n    {"([%w_]+)", (%u+), [^"]-, (%d+), (%d+),(.-)},\n?%f[%s}]' do
    local texts = literals(rest)
    local default = table.remove(texts, 1)
    local range = kind == "COUNT" and (", %s to %s"):format(min, max) or ""
    out[#out + 1] = ("---@field %s %s|nil %s%s%s"):format(name, types[kind], table.concat(texts), range,
      untold[default] and "" or " (" .. default .. ")")
  end
  return table.concat(out, "\n")
end

local function kinds()
  local out = { "---@alias kapture.Kind" }
  local hidden = { none = true, nomem = true } -- no caller ever sees them
  for name, rest in read("csrc/base/failure.c"):gmatch '%[KAP_KIND_[%u_]+%] = {"([%l_]+)", %l+, %l+,(.-)},\n' do
    if not hidden[name] then
      out[#out + 1] = ('---| "%s" %s'):format(name, table.concat(literals(rest)))
    end
  end
  return table.concat(out, "\n")
end

local path = "library/kapture.lua"
local text = read(path)

-- The block of annotations that begins with this line.
local function replace(whole, block)
  local from = assert(whole:find(block:match "^[^\n]+" .. "\n", 1, true))
  local to = assert(whole:find("\n\n", from, true))
  return whole:sub(1, from - 1) .. block .. whole:sub(to)
end

local new = replace(replace(text, options()), kinds())
if arg[1] == "--check" then
  if new ~= text then
    io.write(path, ": run tools/types.lua\n")
    os.exit(1)
  end
else
  local file = assert(io.open(path, "wb"))
  file:write(new)
  file:close()
end
