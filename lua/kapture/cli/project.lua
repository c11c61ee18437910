--- A ticket with some of its fields only, where the whole of it had to be
--- fetched: what the option `fields` does while decoding.

local kapture = require "kapture"

local M = {}

--- The names of a path; `\.` is a dot in one of them.
---@param path string
---@return string[]
function M.split(path)
  local list = {}
  for name in path:gsub("\\%.", "\1"):gmatch "[^.]+" do
    list[#list + 1] = name:gsub("\1", ".")
  end
  return list
end

local function pick(value, tree)
  if type(value) ~= "table" or tree == true then
    return value
  end
  local to = setmetatable({}, getmetatable(value))
  if getmetatable(value) == kapture.array_mt then -- a path goes through arrays
    for i = 1, #value do
      to[i] = pick(value[i], tree)
    end
    return to
  end
  for name, inner in pairs(tree) do
    if value[name] ~= nil then
      to[name] = pick(value[name], inner)
    end
  end
  return to
end

---@param paths string[]
---@return fun(ticket: table): table
function M.compile(paths)
  local tree = {}
  for _, path in ipairs(paths) do
    local at, last, above = tree, nil, nil
    for _, name in ipairs(M.split(path)) do
      if at == true then -- a shorter path has it whole
        break
      end
      at[name] = at[name] or {}
      above, last, at = at, name, at[name]
    end
    if at ~= true and above then
      above[last] = true
    end
  end
  return function(ticket)
    return pick(ticket, tree)
  end
end

return M
