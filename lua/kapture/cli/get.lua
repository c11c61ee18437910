--- `kapture get`: ids in, tickets out, in constant memory.

local kapture = require "kapture"
local connection = require "kapture.cli.connection"
local exit = require "kapture.cli.exit"
local output = require "kapture.cli.output"
local project = require "kapture.cli.project"
local source = require "kapture.cli.source"
local terminal = require "kapture.cli.terminal"
local where = require "kapture.cli.where"

local M = {}

-- Counts ids, shows the first few of them and writes all of them to a file if
-- there is one: there may be millions.
local SHOWN = 20

local function collector(path)
  local file, why
  if path then
    file, why = io.open(path, "w")
    if not file then
      return nil, why
    end
  end
  local shown = {}
  local self = { n = 0 }
  function self.add(id)
    self.n = self.n + 1
    if #shown < SHOWN then
      shown[#shown + 1] = #id > 64 and id:sub(1, 64) .. "..." or id
    end
    if file and not why then
      local written, reason = file:write(id, "\n")
      why = not written and reason or nil
    end
  end
  function self.list()
    return table.concat(shown, " ") .. (self.n > #shown and " ..." or "")
  end
  --- nil and why, where what was to be written is not
  function self.close()
    if not file then
      return true
    end
    local closed, reason = file:close()
    return closed and not why, path .. ": " .. tostring(why or reason)
  end
  return self
end

local function paths_of(text)
  local list = {}
  for word in text:gmatch "[^,]+" do
    local path = word:match "^%s*(.-)%s*$"
    if path ~= "" then
      list[#list + 1] = path
    end
  end
  return #list > 0 and list or nil
end

-- What the arguments ask for; nil and what is wrong with them.
local function prepare(args)
  local job, why = {}
  job.opts, why = connection.options(args)
  if not job.opts then
    return nil, why
  end
  -- the iterator has each id's own outcome: what a call does with it is ours
  job.partial = args.partial or job.opts.partial
  job.opts.partial = nil
  if args.where then
    job.keep, why = where.compile(args.where)
    if not job.keep then
      return nil, "--where: " .. why
    end
  end
  if args.fields then
    job.columns = paths_of(args.fields)
    if not job.columns then
      return nil, "--fields: paths such as task_details.ticketId expected"
    elseif job.keep then -- an expression may look at any field
      job.project = project.compile(job.columns)
    else
      job.opts.fields = job.columns
    end
  end
  local skip
  skip, why = source.already(args.resume)
  if not skip then
    return nil, "--resume: " .. why
  end
  if #args.ids == 0 and not args.from then
    return nil, "no ids given: name some, or - for standard input (see kapture get --help)"
  end
  job.ids, why = source.new(args.ids, args.from, skip)
  if not job.ids then
    return nil, why
  end
  job.missing, why = collector(args.missing)
  if not job.missing then
    return nil, why
  end
  job.failed, why = collector(args.failed)
  if not job.failed then
    return nil, why
  end
  job.invalid = collector()
  return job
end

-- One round for each id. The error of the first that failed, and how many ids
-- there were.
local function fetch(job, writer, bar)
  local first, asked = nil, 0
  for id, ticket, err in kapture.tickets(job.ids.next, job.opts) do
    asked = asked + 1
    bar.step()
    if ticket then
      local wanted, why = true, nil
      if job.keep then
        wanted, why = job.keep(ticket)
      end
      if why then
        error({ where = ("%s (ticket %s)"):format(why, id) }, 0)
      elseif wanted then
        writer:ticket(job.project and job.project(ticket) or ticket)
      end
    elseif err.kind == "missing" then
      job.missing.add(id)
    else
      first = first or err
      local into = err.kind == "invalid_ids" and job.invalid or job.failed
      into.add(id)
    end
  end
  return first, asked
end

local function report(job, args, complain, first, asked)
  local code = exit.OK
  if job.missing.n > 0 and not args.quiet then
    complain(job.missing.n, " not known to the service: ", job.missing.list())
  end
  if job.invalid.n > 0 then
    complain(job.invalid.n, " not ids: ", job.invalid.list())
  end
  if job.failed.n > 0 then
    complain(job.failed.n, " failed: ", job.failed.list())
  end
  if first then
    complain(first.kind, ": ", first.message)
    code = exit.of(first)
    if job.partial and code == exit.FAILED and job.failed.n + job.invalid.n < asked then
      code = exit.OK
    end
  end
  for _, ids in ipairs { job.missing, job.failed } do
    local written, why = ids.close()
    if not written then
      complain(why)
      code = exit.FAILED
    end
  end
  return code
end

function M.run(args, complain)
  local job, why = prepare(args)
  if not job then
    complain(why)
    return exit.MISUSED
  end
  local tty = terminal.is(1)
  local form = args.output or (tty and "table" or "ndjson")
  -- A line of progress may stand between lines of output, not within one.
  local whole_lines = form == "table" or form == "ndjson"
  local shows = not args.quiet and terminal.is(2) and (whole_lines or not tty)
  local bar = terminal.progress(shows, shows and job.ids.total() or nil)
  local function out(...)
    if tty then
      bar.clear()
    end
    local ok, reason = io.stdout:write(...)
    if not ok then
      error({ output = reason }, 0)
    end
  end
  local writer = output.new(form, out, job.columns, tty and terminal.width() or math.huge)
  local ok, first, asked = pcall(fetch, job, writer, bar)
  bar.clear()
  if not ok then
    io.stdout:flush()
    if type(first) == "table" and first.where then
      complain("--where: ", first.where)
      return exit.FAILED
    end
    if tostring(first):find "interrupted!" and args.output ~= "json" then
      complain(("interrupted; %s"):format(args.resume and "the same command goes on from here"
        or "what was written is complete up to there"))
    end
    error(first, 0)
  end
  writer:finish()
  local flushed, reason = io.stdout:flush()
  if not flushed then
    error({ output = reason or "write error" }, 0)
  end
  return report(job, args, complain, first, asked)
end

return M
