#!/usr/bin/env lua
-- tools/ldoc.lua DIR FILE ...: copies of Lua files, their LuaCATS annotations in
-- LDoc's words, and a config.ld, into DIR. For `make doc`.
local dir = arg[1]

local function convert(text, name)
  local out = { "--- " .. name, "-- @module " .. name, "" }
  local inside -- a class whose fields are being listed
  for line in text:gmatch "([^\n]*)\n" do
    local tag, rest = line:match "^%-%-%-@(%l+)%s*(.*)$"
    local choice = line:match "^%-%-%-| ?(.*)$"
    if tag == "class" or tag == "alias" then
      local class, doc = rest:match "^(%S+)%s*(.*)$"
      local described = (out[#out] or ""):find "^%-%-%- "
      if doc ~= "" or not described then
        out[#out + 1] = "--- " .. (doc ~= "" and doc or class)
      end
      out[#out + 1] = "-- @table " .. class
      inside = true
    elseif tag == "field" then
      if not rest:find "^private" then
        out[#out + 1] = "-- @field " .. rest:gsub("^%[(%l+)%]", "%1")
      end
    elseif tag == "param" or tag == "return" then
      out[#out + 1] = ("-- @%s %s"):format(tag, rest)
    elseif tag then
      inside = inside and tag ~= "meta"
    elseif choice then
      out[#out + 1] = "-- @field " .. choice:gsub('"', "", 2)
    elseif line:find "^%-%-%-%-" then
      out[#out + 1] = line
    elseif line:find "^%-%-%-" then
      out[#out + 1] = line:gsub("^%-%-%-%s?", "--- ", 1)
      inside = false
    else
      if inside then
        out[#out + 1] = "local _ = nil"
        inside = false
      end
      out[#out + 1] = line
    end
  end
  -- LDoc takes a comment's further lines with two dashes
  local code, before = {}, false
  for _, line in ipairs(out) do
    local doc = line:find "^%-%-%- "
    code[#code + 1] = doc and before and line:sub(2) or line
    before = line:find "^%-%-" ~= nil
  end
  return table.concat(code, "\n") .. "\n"
end

local config = assert(io.open(dir .. "/config.ld", "w"))
config:write('project = "kapture"\ntitle = "kapture for Lua"\nfile = {\n')
for i = 2, #arg do
  local file = assert(io.open(arg[i]))
  local text = file:read "*a"
  file:close()
  local name = arg[i]:gsub("^%l+/", ""):gsub("%.lua$", ""):gsub("/", ".")
  local to = dir .. "/" .. name .. ".lua"
  file = assert(io.open(to, "w"))
  file:write(convert(text, name))
  file:close()
  config:write(("  %q,\n"):format(name .. ".lua"))
end
config:write "}\n"
config:close()
