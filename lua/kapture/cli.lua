--- The command `kapture`. Exit codes are gh's: 0 done, 1 failed, 2 cancelled or
--- misused, 4 authentication.

local argparse = require "argparse"
local kapture = require "kapture"
local config = require "kapture.cli.config"
local json = require "kapture.cli.json"
local output = require "kapture.cli.output"
local where = require "kapture.cli.where"

local M = {}

local OK, FAILED, MISUSED, AUTH = 0, 1, 2, 4

local function complain(...)
  io.stderr:write("kapture: ", table.concat({ ... }), "\n")
end

-- Options of the call that the command takes as they are.
local passed_on = {
  { "subdomain", "the account's subdomain of kapturecrm.com" },
  { "base_url", "scheme, host, port and path prefix instead of the subdomain" },
  { "timeout", "seconds for one attempt" },
  { "connect_timeout", "seconds for connecting" },
  { "deadline", "seconds for each batch, retries included" },
  { "retries", "extra attempts for a request" },
  { "backoff", "seconds: base of the pause before a retry" },
  { "max_backoff", "seconds: the longest such pause" },
  { "batch_size", "ids in a request" },
  { "concurrency", "requests in flight" },
  { "rate", "requests a second, at most" },
  { "max_response_bytes", "bytes of a response, at most" },
  { "ca_file", "a file of CA certificates" },
  { "ca_path", "a directory of CA certificates" },
  { "cert", "a client certificate" },
  { "key", "its private key" },
  { "proxy", "a proxy's URL" },
  { "user_agent", "the User-Agent header" },
  { "conversation_type", "body field: all, notes, chat" },
  { "history_type", "body field: all" },
  { "include_emailbody", "body field" },
}

local function dashed(name)
  return "--" .. name:gsub("_", "-")
end

local function add_connection(command)
  command:option("--profile", "Section of the configuration file."):argname "<name>"
  command:option("--config", "Configuration file; $XDG_CONFIG_HOME/kapture/config unless given."):argname "<file>"
  for _, o in ipairs(passed_on) do
    command:option(dashed(o[1]), o[2] .. "."):argname "<value>"
  end
  command:flag("--insecure", "Do not check the server's certificate.")
  command:flag("--no-compression", "Do not ask for a compressed response.")
end

local function build_parser()
  local parser = argparse("kapture", "Tickets from Kapture CRM.")
    :epilog "The token comes from $KAPTURE_TOKEN or the configuration file, never from an argument."
  parser:flag("--version", "Print the versions and exit."):action(function()
    local v = kapture.version()
    print(("kapture %s (libcurl %s, %s, Lua %s)"):format(v.kapture, v.libcurl, v.tls, v.abi))
    os.exit(OK)
  end)
  parser:require_command(true)
  parser:command_target "command"
  local get = parser:command("get", "Fetch tickets.")
  get:epilog "Ids may be separated by commas; - reads them from standard input, a line each."
  get:argument("ids", "Ticket ids, or - for standard input."):args "*"
  get:option("-f --from", "Read ids from a file too, a line each."):argname "<file>"
  get:option("-o --output", "table, json, ndjson or csv."):argname "<form>":choices { "table", "json", "ndjson", "csv" }
  get:option("--fields", "Paths, separated by commas: only these are fetched and shown."):argname "<paths>"
  get:option("--where", "Only tickets for which this Lua expression over their fields is true.")
    :argname "<expression>"
  get:option("--resume", "Skip the ids that are in this NDJSON file already."):argname "<file>"
  get:flag("--partial", "Exit with 0 although some requests failed.")
  get:flag("-q --quiet", "No progress and no list of missing ids.")
  add_connection(get)
  local doctor = parser:command("doctor", "Say what is wrong with a setup.")
  add_connection(doctor)
  return parser
end

---@return table|nil opts
---@return string|nil why
local function connection(args)
  local path = args.config or config.default_path()
  local opts = {}
  if path then
    local read, why, absent = config.read(path, args.profile)
    if read then
      opts = read
    elseif not absent or args.config or args.profile then
      return nil, why
    end
  end
  for _, o in ipairs(passed_on) do
    local text = args[o[1]]
    if text then
      local value, expected = config.convert(o[1], text)
      if value == nil then
        return nil, ("%s: %s expected, got '%s'"):format(dashed(o[1]), expected, text)
      end
      opts[o[1]] = value
    end
  end
  -- nearest wins: what is in the environment comes before the file
  for _, name in ipairs { "token", "base_url", "subdomain" } do
    local value = os.getenv("KAPTURE_" .. name:upper())
    if value and value ~= "" and not args[name] then
      opts[name] = nil
    end
  end
  local ca = os.getenv "KAPTURE_CA_FILE"
  if ca and ca ~= "" and not opts.ca_file then
    opts.ca_file = ca
  end
  if args.insecure then
    opts.verify = false
  end
  if args.no_compression then
    opts.compression = false
  end
  return opts
end

-- Ids already written, from an NDJSON file; a line cut short by a crash counts
-- as not written.
local function already(path)
  local done, file = {}, io.open(path, "r")
  if not file then
    return done
  end
  for line in file:lines() do
    local id = line:match '"ticketId":%s*"([%w_-]+)"' or line:match '"ticketId":%s*(%d+)'
    if id and line:sub(-1) == "}" then
      done[id] = true
    end
  end
  file:close()
  return done
end

-- One id after the other from the arguments, a file and standard input.
---@return fun(): string|nil
local function source(args, skip)
  local queue, at = {}, 0
  local streams = {}
  for _, word in ipairs(args.ids) do
    if word == "-" then
      streams[#streams + 1] = io.stdin
    else
      for id in word:gmatch "[^,]+" do
        queue[#queue + 1] = id
      end
    end
  end
  if args.from then
    local file, why = io.open(args.from, "r")
    if not file then
      return nil, why
    end
    streams[#streams + 1] = file
  end
  local function next_line()
    while streams[1] do
      local line = streams[1]:read "*l"
      if line then
        return line
      end
      table.remove(streams, 1)
    end
  end
  return function()
    while true do
      at = at + 1
      local id = queue[at]
      if id == nil then
        queue, at = {}, 0
        local line = next_line()
        if line == nil then
          return nil
        end
        for word in line:gmatch "[^,]+" do
          word = word:match "^%s*(.-)%s*$"
          if word ~= "" then
            queue[#queue + 1] = word
          end
        end
      elseif not skip[id] then
        return id
      end
    end
  end
end

local function is_terminal(fd)
  local ok = os.execute("test -t " .. fd)
  return ok == true or ok == 0
end

local function terminal_width()
  local columns = tonumber(os.getenv "COLUMNS" or "")
  if not columns then
    local pipe = io.popen "tput cols 2>/dev/null"
    columns = pipe and tonumber(pipe:read "*l" or "")
    if pipe then
      pipe:close()
    end
  end
  return columns and columns > 0 and columns or 80
end

-- "1200 tickets, 340/s" on stderr, at most four times a second.
local function progress(enabled)
  local started, last, n = os.time(), 0, 0
  return {
    step = function()
      n = n + 1
      local now = os.clock()
      if enabled and now - last > 0.05 then
        last = now
        local seconds = math.max(os.time() - started, 1)
        io.stderr:write(("\r%d ids, %d/s"):format(n, math.floor(n / seconds)), "\27[K")
      end
    end,
    clear = function()
      if enabled then
        io.stderr:write "\r\27[K"
      end
    end,
  }
end

local function list(ids, limit)
  local shown = table.concat(ids, " ", 1, math.min(#ids, limit))
  return #ids > limit and shown .. " ..." or shown
end

local commands = {}

function commands.get(args)
  local opts, why = connection(args)
  if not opts then
    complain(why)
    return MISUSED
  end
  local keep
  if args.where then
    keep, why = where.compile(args.where)
    if not keep then
      complain("--where: ", why)
      return MISUSED
    end
  end
  local columns
  if args.fields then
    columns = {}
    for path in args.fields:gmatch "[^,]+" do
      columns[#columns + 1] = path
    end
    if not keep then -- an expression may look at any field
      opts.fields = columns
    end
  end
  local next_id
  next_id, why = source(args, args.resume and already(args.resume) or {})
  if not next_id then
    complain(why)
    return MISUSED
  end
  local tty = is_terminal(1)
  local form = args.output or (tty and "table" or "ndjson")
  local function out(...)
    local ok, reason = io.stdout:write(...)
    if not ok then
      error({ output = reason }, 0)
    end
  end
  local writer = output.new(form, out, columns, tty and terminal_width() or math.huge)
  local bar = progress(not args.quiet and not tty and is_terminal(2))
  local missing, failed, invalid, first, asked = {}, {}, {}, nil, 0
  for id, ticket, err in kapture.tickets(next_id, opts) do
    asked = asked + 1
    bar.step()
    if ticket then
      local wanted, reason = true, nil
      if keep then
        wanted, reason = keep(ticket)
      end
      if reason then
        bar.clear()
        complain("--where: ", reason, " (ticket ", id, ")")
        return FAILED
      end
      if wanted then
        writer:ticket(ticket)
      end
    elseif err.kind == "missing" then
      missing[#missing + 1] = id
    else
      first = first or err
      local into = err.kind == "invalid_ids" and invalid or failed
      into[#into + 1] = id
    end
  end
  bar.clear()
  writer:finish()
  if not io.stdout:flush() then
    error({ output = "write error" }, 0)
  end
  if asked == 0 and not args.resume then
    complain "no ids given"
    return MISUSED
  end
  if #missing > 0 and not args.quiet then
    complain(#missing, " not known to the service: ", list(missing, 20))
  end
  if #invalid > 0 then
    complain(#invalid, " not ids: ", list(invalid, 5))
  end
  if #failed > 0 then
    complain(#failed, " failed: ", list(failed, 20))
  end
  if first then
    complain(first.kind, ": ", first.message)
    if first.kind == "auth" or first.kind == "config" and first.message:find "token" then
      return AUTH
    end
    return args.partial and #failed + #invalid < asked and OK or FAILED
  end
  return OK
end

function commands.doctor(args)
  local healthy = true
  local function say(ok, what, detail)
    healthy = healthy and ok
    print((ok and "ok    " or "WRONG ") .. what .. (detail and ": " .. detail or ""))
  end
  local v = kapture.version()
  say(true, "module", ("kapture %s, libcurl %s, %s, resolver %s, HTTP/2 %s"):format(
    v.kapture, v.libcurl, v.tls, v.resolver, v.http2 and "yes" or "no"))
  local opts, why = connection(args)
  say(opts ~= nil, "configuration", why or args.config or config.default_path())
  if not opts then
    return MISUSED
  end
  local token = os.getenv "KAPTURE_TOKEN"
  local has_token = opts.token ~= nil or (token ~= nil and token ~= "")
  say(has_token, "token", has_token and "present" or "set KAPTURE_TOKEN or token in the configuration file")
  local tickets, info, err = kapture.get_ticket("1", opts)
  if tickets then
    say(true, "service", ("answers in %.0f ms"):format(info.elapsed * 1000))
  else
    say(false, "service", err.kind .. ": " .. info)
    return err.kind == "auth" and AUTH or FAILED
  end
  return healthy and OK or FAILED
end

--- Runs the command; the exit code.
---@param argv string[]
---@return integer
function M.run(argv)
  local parser = build_parser()
  local ok, args = parser:pparse(argv)
  if not ok then
    complain(args, " (see kapture --help)")
    return MISUSED
  end
  local done, code = pcall(commands[args.command], args)
  if done then
    return code
  elseif type(code) == "table" and code.output then
    -- a reader that has seen enough (| head) is no failure worth words
    if not code.output:find "[Pp]ipe" then
      complain("standard output: ", code.output)
    end
    return FAILED
  elseif tostring(code):find "interrupted!" then
    return MISUSED
  elseif tostring(code):find "bad argument" then
    complain((tostring(code):gsub("^.-%(", ""):gsub("%)$", "")))
    return MISUSED
  end
  complain(tostring(code))
  return FAILED
end

M.json = json

return M
