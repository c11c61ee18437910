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

local CLOSES = { ["("] = ")", ["["] = "]", ["{"] = "}" }

local function never_closed(bracket)
  return ("a '%s' is missing: the '%s' is never closed"):format(CLOSES[bracket], bracket)
end

-- What is wrong with its brackets, if anything: Lua would name those that the
-- expression is put into.
local function unbalanced(bare)
  local open = {}
  for bracket in bare:gmatch "[][(){}]" do
    if CLOSES[bracket] then
      open[#open + 1] = bracket
    else
      local last = table.remove(open)
      if not last then
        return ("there is no '%s' before this '%s'"):format(
          bracket == ")" and "(" or bracket == "]" and "[" or "{", bracket)
      elseif CLOSES[last] ~= bracket then
        return never_closed(last)
      end
    end
  end
  local last = open[#open]
  return last and never_closed(last)
end

-- Words of other languages, and what Lua has for them.
local FOREIGN = {
  { "!=", "~= means unequal" }, { "&&", "write and" }, { "||", "write or" },
  { "===", "== compares" }, { "<>", "~= means unequal" },
}

-- What was probably meant where Lua does not understand it.
local function meant(bare)
  for _, entry in ipairs(FOREIGN) do
    if bare:find(entry[1], 1, true) then
      return entry[2]
    end
  end
  if bare:find "%f[%w_]is%s+not%s+%a" or bare:find "%f[%w_]is%s+%a" then
    return "write == null, or ~= null"
  elseif bare:find "[^=<>~]=[^=]" then
    return "== compares"
  elseif bare:find "!" then
    return "write not"
  end
end

-- Lua's words for a field that is null, and for one that a ticket does not have.
local function explained(message, env, unknown)
  message = message:gsub("^[^%s:]*:%d+: ", ""):gsub("global '", "field '"):gsub("upvalue '", "field '")
  local name = message:match "field '([%w_]+)'"
  local is_null = name and rawequal(env[name], null)
  if message:find("userdata", 1, true) or is_null then
    return message:gsub("a userdata value", "null"):gsub("userdata", "null")
      .. ": test for null first, as in x ~= null and x > 3"
  elseif message:find("nil", 1, true) and unknown[1] then
    return message .. ": the ticket has no " .. table.concat(unknown, ", ")
  end
  return message
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
  local plain = without_strings(code)
  local wrong = plain and unbalanced(plain)
  if wrong then
    return nil, wrong
  end
  local f, err = load_in("return (" .. code .. "\n)", env)
  if not f then
    local hint = plain and meant(plain)
    err = tostring(err):gsub("^[^%s:]*:%d+: ", ""):gsub("^'%)' expected near ", "unexpected ")
    return nil, err .. (hint and ": " .. hint or "")
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
      return nil, explained(tostring(result), env, unknown)
    end
    return result and true or false
  end
  return keep, function()
    return unknown
  end
end

return M
