--- `--where`: a Lua expression in which a ticket's fields are names, in a cage:
--- no globals, no modules, no methods of strings, bounded work and memory.

local null = require("kapture").null

local M = {}

local INSTRUCTIONS = 1000000
local MEMORY_KB = 64 * 1024

-- Pure functions of one's own: what an expression may call. Patterns that take
-- for ever are stopped by no hook, so `has` is a plain search.
local function helpers()
  return {
    null = null,
    lower = function(s)
      return string.lower(tostring(s))
    end,
    upper = function(s)
      return string.upper(tostring(s))
    end,
    has = function(s, word)
      return string.find(tostring(s), tostring(word), 1, true) ~= nil
    end,
    len = function(s)
      return #s
    end,
    num = function(s)
      return tonumber(s)
    end,
    str = function(s)
      return tostring(s)
    end,
  }
end

local load_in = rawget(_G, "setfenv")
    and function(code, env)
      local f, err = loadstring(code, "=where") -- luacheck: ignore 113
      return f and setfenv(f, env), err -- luacheck: ignore 113
    end
  or function(code, env)
    return load(code, "=where", "t", env)
  end

-- A string value would bring the shared string metatable along, so that
-- ("x"):rep(1e9) works: it is taken away while the expression runs.
local function caged(f)
  local strings = getmetatable("")
  local index = strings.__index
  local baseline = collectgarbage("count")
  local used = 0
  strings.__index = nil
  debug.sethook(function()
    used = used + 1000
    if used > INSTRUCTIONS then
      error("it takes too long", 0)
    elseif collectgarbage("count") - baseline > MEMORY_KB then
      error("it takes too much memory", 0)
    end
  end, "", 1000)
  local ok, result = pcall(f)
  debug.sethook()
  strings.__index = index
  return ok, result
end

-- The code with what stands in its strings left out; nil and why, where that
-- can't be told this simply.
local function without_strings(code)
  local out, i = {}, 1
  while i <= #code do
    local c = code:sub(i, i)
    if c == '"' or c == "'" then
      local j = i + 1
      while j <= #code and code:sub(j, j) ~= c do
        j = j + (code:sub(j, j) == "\\" and 2 or 1)
      end
      out[#out + 1] = '""'
      i = j + 1
    elseif code:find("^%-%-", i) then
      return nil, "comments are not allowed in it"
    elseif code:find("^%[=*%[", i) then
      return nil, "long strings are not allowed in it"
    else
      out[#out + 1] = c
      i = i + 1
    end
  end
  return table.concat(out)
end

local words = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
  .. "until while"):gmatch "%a+" do
  words[word] = true
end

-- The fields it names, as lists of names: what stands behind a bracket or is a
-- key of a table is none.
local function names_in(bare)
  local list = {}
  local text = " " .. bare:gsub("%.%.+", " ") .. " "
  for before, path, after in text:gmatch "([^%w_])%f[%a_]([%a_][%w_%.]*)()" do
    local first = path:match "^[^.]+"
    if before ~= "." and before ~= ":" and not words[first] and not text:find("^%s*=[^=]", after) then
      list[#list + 1] = path
    end
  end
  return list
end

local function has(env, path)
  local value = env
  for name in path:gmatch "[^.]+" do
    if type(value) ~= "table" then
      return false
    end
    value = value[name]
  end
  return value ~= nil
end

--- Compiles an expression; nil and the reason if it is none. The second function
--- gives the names in it that no ticket had so far.
---@param code string
---@return (fun(ticket: table): boolean|nil, string|nil)|nil
---@return string|(fun(): string[])
function M.compile(code)
  if code:find("\27", 1, true) then
    return nil, "it is not text"
  end
  local env = {}
  local f, err = load_in("return (" .. code .. "\n)", env)
  if not f then
    return nil, (tostring(err):gsub("^where:%d+: ", ""))
  end
  -- Without function bodies there is no loop and nothing that stays: the work
  -- is bounded by the expression's length, also where a compiler (LuaJIT's)
  -- leaves the hook out.
  local bare
  bare, err = without_strings(code)
  if not bare then
    return nil, err
  elseif bare:find "%f[%w_]function%f[^%w_]" then
    return nil, "functions are not allowed in it"
  end
  local unknown = names_in(bare)
  local function keep(ticket)
    for key in pairs(env) do
      env[key] = nil
    end
    for key, value in pairs(helpers()) do
      env[key] = value
    end
    for key, value in pairs(ticket) do
      env[key] = value
    end
    for key, value in pairs(type(ticket.task_details) == "table" and ticket.task_details or {}) do
      env[key] = value
    end
    env.ticket = ticket
    for i = #unknown, 1, -1 do
      if has(env, unknown[i]) then
        table.remove(unknown, i)
      end
    end
    local ok, result = caged(f)
    if not ok then
      return nil, (tostring(result):gsub("^[^%s:]*:%d+: ", ""))
    end
    return result and true or false
  end
  return keep, function()
    return unknown
  end
end

return M
