--- Where the command's ids come from, and which of them are there already.

local M = {}

local function read(path)
  local file, why = io.open(path, "r")
  if not file then
    return nil, why
  end
  local ok, what = file:read(0) -- a directory opens well, and then can't be read
  if ok == nil and what then
    file:close()
    return nil, path .. ": " .. what
  end
  return file
end

-- The id of a ticket in one line of NDJSON. Quotes inside of texts are escaped
-- there, so a key is a key.
local function id_of(line)
  if not line:find "}\r?$" then
    return nil
  end
  local details = line:match '"task_details":%s*{(.*)' or line
  return details:match '"ticketId":%s*"([%w_-]+)"' or details:match '"ticketId":%s*(%d+)'
end

-- What follows the last newline, and where that begins.
local function unfinished(file)
  local size = file:seek "end"
  local from = size
  while from > 0 do -- back to the last newline, a block at a time
    local block = math.min(4096, from)
    file:seek("set", from - block)
    local text = file:read(block) or ""
    local before = text:match "^.*\n()"
    if before then
      from = from - block + before - 1
      break
    end
    from = from - block
  end
  file:seek("set", from)
  return from < size and file:read "*a" or "", from
end

-- A line that was cut short, by a crash or a full disk, is blanked: what is
-- appended to the file begins a line of its own then, and readers of NDJSON pass
-- over blank ones.
local function mend(path)
  local file, why = io.open(path, "r+b")
  if not file then
    return nil, why
  end
  local cut, from = unfinished(file)
  if cut ~= "" then
    local keep = id_of(cut) -- it lacks the newline only
    file:seek("set", keep and from + #cut or from)
    file:write(keep and "" or (" "):rep(#cut - 1), "\n")
  end
  return file:close()
end

--- Ids that an NDJSON file holds, none if there is no such file or none is named.
---@param path string|nil
---@return table<string, boolean>|nil
---@return string|nil why
function M.already(path)
  local done, file = {}, path and io.open(path, "r")
  if not file then
    return done
  end
  file:close()
  local why
  file, why = read(path)
  if not file then
    return nil, why
  end
  local others = 0
  for line in file:lines() do
    local id = id_of(line)
    if id then
      done[id] = true
    elseif line:find "%S" then
      others = others + 1
    end
  end
  -- the first ticket may be the one that was cut short; else a file without a
  -- ticket is another one than was meant, and stays as it is
  local cut = unfinished(file)
  file:close()
  if not next(done) and others > (cut:find "^{" and 1 or 0) then
    return nil, path .. ": no task_details.ticketId in it"
  end
  local mended
  mended, why = mend(path)
  if not mended then
    return nil, why
  end
  return done
end

local function words(line)
  local list = {}
  line = line:gsub("^\239\187\191", "") -- a byte order mark
  for part in line:gmatch "[^,]+" do
    local word = part:match "^%s*(.-)%s*$"
    if word ~= "" then
      list[#list + 1] = word
    end
  end
  return list
end

-- How many ids a stream will give, where it can be read twice.
local function count(stream, skip)
  local start = stream:seek "cur"
  if not start or not stream:seek("end") then
    return nil
  end
  stream:seek("set", start)
  local n = 0
  for line in stream:lines() do
    for _, word in ipairs(words(line)) do
      n = skip[word] and n or n + 1
    end
  end
  stream:seek("set", start)
  return n
end

--- One id after the other from arguments, standard input (-) and a file.
---@param given string[] the arguments
---@param from string|nil a file
---@param skip table<string, boolean>
---@return { next: (fun(): string|nil), total: (fun(): integer|nil) }|nil
---@return string|nil why
function M.new(given, from, skip)
  local queue, at, streams = {}, 0, {}
  for _, word in ipairs(given) do
    if word == "-" then
      streams[#streams + 1] = io.stdin
    else
      for _, id in ipairs(words(word)) do
        queue[#queue + 1] = id
      end
    end
  end
  if from then
    local file, why = read(from)
    if not file then
      return nil, why
    end
    streams[#streams + 1] = file
  end

  local function next_line()
    while streams[1] do
      local line, why = streams[1]:read "*l"
      if line then
        return line
      elseif why then
        error({ input = why }, 0)
      end
      table.remove(streams, 1)
    end
  end

  local function next_id()
    while true do
      at = at + 1
      local id = queue[at]
      if id == nil then
        local line = next_line()
        if line == nil then
          return nil
        end
        queue, at = words(line), 0
      elseif not skip[id] then
        return id
      end
    end
  end

  return {
    next = next_id,
    total = function()
      local n = 0
      for _, id in ipairs(queue) do
        n = skip[id] and n or n + 1
      end
      for _, stream in ipairs(streams) do
        local more = count(stream, skip)
        if not more then
          return nil
        end
        n = n + more
      end
      return n
    end,
  }
end

return M
