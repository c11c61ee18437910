--- The command line as data: parser, configuration file, shell completions and
--- the manual's spec all read it from here.

local M = {}

---@class kapture.cli.option
---@field name string the option of the call; on the command line with dashes
---@field type "string"|"number"|"boolean" what the configuration file takes
---@field doc string
---@field complete "file"|"directory"|string[]|nil what a shell offers for its value
---@field config_only boolean|nil not on the command line, where others could see it
---@field flag string|nil the flag that gives the other value
---@field short string|nil
---@field argname string|nil
---@field many boolean|nil may be given more than once

--- What goes into a call, in the order of README.
---@type kapture.cli.option[]
M.connection = {
  { name = "subdomain", type = "string", doc = "The account's subdomain of kapturecrm.com." },
  { name = "base_url", type = "string", doc = "Scheme, host, port and path prefix instead of the subdomain." },
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
  { name = "timeout", type = "number", doc = "Seconds for one attempt." },
  { name = "connect_timeout", type = "number", doc = "Seconds for connecting." },
  { name = "deadline", type = "number", doc = "Seconds for each batch, retries included." },
  { name = "retries", type = "number", doc = "Extra attempts for a request." },
  { name = "backoff", type = "number", doc = "Seconds: base of the pause before a retry." },
  { name = "max_backoff", type = "number", doc = "Seconds: the longest such pause." },
  { name = "batch_size", type = "number", doc = "Ids in a request." },
  { name = "concurrency", type = "number", doc = "Requests in flight." },
  { name = "rate", type = "number", doc = "Requests a second, at most." },
  { name = "isolate", type = "boolean", doc = "Do not halve a request that the service refuses.",
    flag = "--no-isolate" },
  { name = "max_response_bytes", type = "number", doc = "Bytes of a response, at most." },
  { name = "compression", type = "boolean", doc = "Do not ask for a compressed response.",
    flag = "--no-compression" },
  { name = "verify", type = "boolean", doc = "Do not check the server's certificate.", flag = "--insecure" },
  { name = "ca_file", type = "string", doc = "A file of CA certificates.", complete = "file" },
  { name = "ca_path", type = "string", doc = "A directory of CA certificates.", complete = "directory" },
  { name = "cert", type = "string", doc = "A client certificate.", complete = "file" },
  { name = "key", type = "string", doc = "Its private key.", complete = "file" },
  { name = "proxy", type = "string", doc = "A proxy's URL." },
  { name = "user_agent", type = "string", doc = "The User-Agent header." },
}

-- Where the connection's options come from.
local where_from = {
  { name = "profile", argname = "<name>", doc = "Section of the configuration file." },
  { name = "config", argname = "<file>", complete = "file",
    doc = "Configuration file; $XDG_CONFIG_HOME/kapture/config unless given." },
  { name = "header", argname = "<name: value>", many = true, doc = "One more request header; may come again." },
}

local get = {
  { name = "from", short = "-f", argname = "<file>", complete = "file",
    doc = "Read ids from a file too, a line each." },
  { name = "output", short = "-o", argname = "<form>", choices = true,
    complete = { "table", "json", "ndjson", "csv" }, doc = "table, json, ndjson or csv." },
  { name = "fields", argname = "<paths>",
    doc = "Paths such as task_details.ticketId, separated by commas: only these are fetched and shown." },
  { name = "where", argname = "<expression>",
    doc = "Only tickets for which this Lua expression over their fields is true." },
  { name = "resume", argname = "<file>", complete = "file",
    doc = "Skip the ids that are in this NDJSON file already." },
  { name = "missing", argname = "<file>", complete = "file",
    doc = "Write the ids that the service does not know there." },
  { name = "failed", argname = "<file>", complete = "file",
    doc = "Write the ids whose requests failed there." },
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
  { name = "get", doc = "Fetch tickets.", options = get, connects = true, takes_ids = true },
  { name = "doctor", doc = "Say what is wrong with a setup.", options = {}, connects = true },
  { name = "sandbox", doc = "A stand-in for the service on this machine, until Ctrl-C.", options = sandbox },
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
      doc = o.doc,
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
