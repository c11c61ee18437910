--- The command line as data: parser, configuration file, shell completions and
--- the manual's spec all read it from here.

local M = {}

---@class kapture.cli.option
---@field name string the option of the call; on the command line with dashes
---@field type "string"|"number"|"boolean" what the configuration file takes
---@field doc string
---@field default string|nil in words, where none is given
---@field complete "file"|"directory"|string[]|nil what a shell offers for its value
---@field config_only boolean|nil not on the command line, where others could see it
---@field flag string|nil the flag that gives the other value
---@field short string|nil
---@field argname string|nil
---@field many boolean|nil may be given more than once

--- What goes into a call, in the order of doc/reference.md.
---@type kapture.cli.option[]
M.connection = {
  { name = "subdomain", type = "string", doc = "The account's subdomain of kapturecrm.com.",
    default = "$KAPTURE_SUBDOMAIN" },
  { name = "base_url", type = "string", doc = "Scheme, host, port and path prefix instead of the subdomain.",
    default = "$KAPTURE_BASE_URL" },
  { name = "token", type = "string", doc = "The token as issued.", config_only = true },
  { name = "cookie", type = "string", doc = "A Cookie header's value.", config_only = true },
  { name = "conversation_type", type = "string", doc = "Body field: all, notes, chat.",
    complete = { "all", "notes", "chat" } },
  { name = "history_type", type = "string", doc = "Body field: all.", complete = { "all" } },
  { name = "assigned", type = "string", doc = "Body field, passed on." },
  { name = "disposed", type = "string", doc = "Body field, passed on." },
  { name = "response", type = "string", doc = "Body field, passed on." },
  { name = "landing_queue", type = "string", doc = "Body field, passed on." },
  { name = "create", type = "string", doc = "Body field, passed on." },
  { name = "resolved", type = "string", doc = "Body field, passed on." },
  { name = "include_emailbody", type = "string", doc = "Body field, passed on." },
  { name = "timeout", type = "number", doc = "Seconds for one attempt.",
    default = "30" },
  { name = "connect_timeout", type = "number", doc = "Seconds for connecting.",
    default = "10" },
  { name = "deadline", type = "number", doc = "Seconds for each batch, retries included.",
    default = "120" },
  { name = "retries", type = "number", doc = "Extra attempts for a request.",
    default = "2" },
  { name = "backoff", type = "number", doc = "Seconds: base of the pause before a retry.",
    default = "0.5" },
  { name = "max_backoff", type = "number", doc = "Seconds: the longest such pause.",
    default = "20" },
  { name = "batch_size", type = "number", doc = "Ids in a request.",
    default = "50" },
  { name = "concurrency", type = "number", doc = "Requests in flight.",
    default = "4" },
  { name = "rate", type = "number", doc = "Requests a second, at most.",
    default = "no limit" },
  { name = "isolate", type = "boolean", doc = "Do not halve a request that the service refuses.",
    flag = "--no-isolate" },
  { name = "max_response_bytes", type = "number", doc = "Bytes of a response, at most.",
    default = "67108864 (64 MiB)" },
  { name = "compression", type = "boolean", doc = "Do not ask for a compressed response.",
    flag = "--no-compression" },
  { name = "verify", type = "boolean", doc = "Do not check the server's certificate.", flag = "--insecure" },
  { name = "ca_file", type = "string", doc = "A file of CA certificates.",
    default = "$KAPTURE_CA_FILE or the system's", complete = "file" },
  { name = "ca_path", type = "string", doc = "A directory of CA certificates.", complete = "directory" },
  { name = "cert", type = "string", doc = "A client certificate.", complete = "file" },
  { name = "key", type = "string", doc = "Its private key.", complete = "file" },
  { name = "proxy", type = "string", doc = "A proxy's URL.",
    default = "the environment's" },
  { name = "user_agent", type = "string", doc = "The User-Agent header.",
    default = "kapture and its version" },
}

-- Where the connection's options come from.
local where_from = {
  { name = "profile", argname = "<name>", doc = "Section of the configuration file." },
  { name = "config", argname = "<file>", complete = "file",
    doc = "Configuration file.", default = "$XDG_CONFIG_HOME/kapture/config" },
  { name = "header", argname = "<name: value>", many = true, doc = "One more request header; may come again." },
}

local get = {
  { name = "from", short = "-f", argname = "<file>", complete = "file",
    doc = "Read ids from a file too, a line each; - is standard input, and # begins a comment." },
  { name = "output", short = "-o", argname = "<form>", choices = true,
    complete = { "table", "json", "ndjson", "csv" }, doc = "table, json, ndjson or csv.",
    default = "table on a terminal and ndjson elsewhere" },
  { name = "fields", argname = "<paths>",
    doc = "Names such as ticketId, or paths such as additional_info.x.y, with commas between: only these are fetched "
      .. "and shown." },
  { name = "plain", is_flag = true, doc = "CSV with HTML entities resolved." },
  { name = "excel", is_flag = true,
    doc = "CSV for a spreadsheet: with a byte order mark, and an apostrophe before what it would run as a formula." },
  { name = "where", argname = "<expression>",
    doc = "Only tickets for which this Lua expression over their fields is true." },
  { name = "resume", argname = "<file>", complete = "file",
    doc = "Skip the ids that are in this NDJSON file already; they are kept in memory, some 200 bytes each." },
  { name = "missing", argname = "<file>", complete = "file",
    doc = "Write the ids that the service does not know there; - is standard output." },
  { name = "failed", argname = "<file>", complete = "file",
    doc = "Write the ids whose requests failed there, and after a refused token those not asked for; - is standard "
      .. "output." },
  { name = "partial", is_flag = true, doc = "Exit with 0 although some requests failed." },
  { name = "quiet", short = "-q", is_flag = true, doc = "No progress and no list of missing ids." },
}

local sandbox = {
  { name = "port", argname = "<port>", doc = "Port of its HTTPS listener, instead of a free one." },
  { name = "ready", argname = "<file>", complete = "file", doc = "Write KEY=value lines there once it answers." },
  { name = "token", argname = "<token>", doc = "The token that is right, instead of a random one." },
  { name = "faults", is_flag = true, doc = "List the faults with their parameters, and stop." },
}

--- The commands, each with the options that are its own.
M.commands = {
  { name = "get", doc = "Fetch tickets.", options = get, connects = true, takes_ids = true, examples = {
    { "kapture get 713516551148", "one ticket, for people" },
    { "kapture get -f ids.txt -o csv --fields ticketId,status,title > tickets.csv", "three columns of many" },
    { [[kapture get - --where 'status == "Pending"' < ids.txt]], "those that an expression holds for" },
    { "kapture get -f ids.txt -o ndjson --resume done.ndjson >> done.ndjson",
      "once more, for the rest of an interrupted run" },
    { "kapture get -f ids.txt --failed again.txt > some.ndjson",
      "then -f again.txt, with another file after --failed" },
  } },
  { name = "doctor", doc = "Say what is wrong with a setup.", options = {}, connects = true, examples = {
    { "kapture doctor --profile test", "of one section of the configuration file" },
  } },
  { name = "sandbox", doc = "A stand-in for the service on this machine, until Ctrl-C.", options = sandbox, examples = {
    { "kapture sandbox -- kapture get 713516551148", "a ticket without an account" },
  } },
}

function M.dashed(name)
  return "--" .. name:gsub("_", "-")
end

--- Every option of a command as the shell sees it: `long`, `short`, `doc`,
--- `takes_value`, `complete`.
function M.of(command)
  local list = {
    { long = "--help", short = "-h", doc = "Show help and exit." },
  }
  local function add(o)
    list[#list + 1] = {
      long = o.flag or M.dashed(o.name),
      short = o.short,
      doc = o.default and ("%s; %s unless given."):format(o.doc:gsub("%.$", ""), o.default) or o.doc,
      argname = o.argname or "<value>",
      complete = o.complete,
      choices = o.choices,
      many = o.many,
      takes_value = not (o.flag or o.is_flag),
      name = o.name,
    }
  end
  for _, o in ipairs(command.options) do
    add(o)
  end
  if command.connects then
    for _, o in ipairs(where_from) do
      add(o)
    end
    for _, o in ipairs(M.connection) do
      if not o.config_only then
        add(o)
      end
    end
  end
  return list
end

return M
