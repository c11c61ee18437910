--- `kapture get`: ids in, tickets out, in constant memory.

local kapture = require "kapture"
local connection = require "kapture.cli.connection"
local exit = require "kapture.cli.exit"
local output = require "kapture.cli.output"
local project = require "kapture.cli.project"
local roles = require "kapture.cli.roles"
local source = require "kapture.cli.source"
local system = require "kapture.cli.system"
local terminal = require "kapture.cli.terminal"
local where = require "kapture.cli.where"

local M = {}

-- Counts ids, shows the first few of them and writes all of them to a file if
-- there is one, each as soon as it is known: there may be millions, and a signal
-- may end the run.
local SHOWN = 20

local function collector(path)
    local file, why
    if path == "-" then
        local stdout = system.writer(1) -- not the tickets' own, which counts them
        file = {
            write = function(_, text)
                return stdout(text)
            end,
            close = function()
                return true
            end,
        }
    elseif path then
        file, why = io.open(path, "w")
        if not file then
            return nil, why
        end
        file:setvbuf "no"
    end
    local shown = {}
    local self = { n = 0, writes = file ~= nil }
    function self.add(id)
        self.n = self.n + 1
        if #shown < SHOWN then
            shown[#shown + 1] = #id > 64 and id:sub(1, 64) .. "..." or id
        end
        if file and not why then
            local written, reason = file:write(id .. "\n")
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
    for part in text:gmatch "[^,]+" do
        local path = part:match "^%s*(.-)%s*$"
        if path ~= "" then
            list[#list + 1] = path
        end
    end
    return #list > 0 and list or nil
end

-- What is read and what is written, for roles.clash.
local function parts(args, opts)
    local inputs, outputs = {}, {}
    local function add(list, name, path, more)
        if path and path ~= "" then
            local part = { name = name, path = path }
            for key, value in pairs(more or {}) do
                part[key] = value
            end
            list[#list + 1] = part
        end
    end
    local stdin = args.from and source.is_stdin(args.from)
    for _, id in ipairs(args.ids) do
        stdin = stdin or id == "-"
    end
    add(inputs, "standard input", stdin and 0, { ids = true })
    if not (args.from and source.is_stdin(args.from)) then
        add(inputs, "--from", args.from, { ids = true })
    end
    add(inputs, "--resume", args.resume, { appends = true })
    add(inputs, "the configuration file", connection.path(args))
    for _, name in ipairs { "ca_file", "cert", "key" } do
        add(inputs, name, opts[name])
    end
    for _, name in ipairs { "missing", "failed" } do
        add(outputs, "--" .. name, args[name] ~= "-" and args[name])
    end
    add(outputs, "standard output", 1, { stream = true })
    add(outputs, "standard error", 2, { stream = true })
    return inputs, outputs
end

-- What the arguments ask for; nil and what is wrong with them. Nothing is written
-- to, and no file emptied, before all of it is known to be right.
local function prepare(args, form)
    local job, why = {}
    job.opts, why = connection.options(args)
    if not job.opts then
        return nil, why
    end
    -- the iterator has each id's own outcome: what a call does with it is ours
    job.partial = args.partial or job.opts.partial
    job.opts.partial = nil
    if (args.plain and form ~= "csv" and form ~= "table") or (args.excel and form ~= "csv") then
        return nil, (args.excel and "--excel" or "--plain") .. " is for -o csv"
    elseif form == "json" and (args.missing == "-" or args.failed == "-") then
        return nil, "standard output has the JSON array: name a file for the ids"
    end
    -- what nobody looks into is passed on as it came
    job.opts.raw = form == "ndjson" and not args.where and not args.fields or nil
    if args.where then
        job.keep, why = where.compile(args.where)
        if not job.keep then
            return nil, "--where: " .. why
        end
        job.unknown_names = why
    end
    if args.fields then
        job.columns = paths_of(args.fields)
        if not job.columns then
            return nil, "--fields: paths such as task_details.ticketId expected"
        elseif job.keep then -- an expression may look at any field
            job.project = project.compile(job.columns)
        else
            job.opts.fields = project.all(job.columns)
        end
        job.unknown_columns = { (table.unpack or unpack)(job.columns) } -- luacheck: ignore 113
    end
    job.client = kapture.new(job.opts)
    -- as from a script's variable that is empty
    if not args.from and not table.concat(args.ids):find "[^%s,]" then
        return nil, "no ids given: name some, or - for standard input (see kapture get --help)"
    end
    local inputs, outputs = parts(args, job.opts)
    local clash = roles.clash(inputs, outputs)
    if clash then
        return nil, clash
    end
    local skip
    skip, why = source.already(args.resume)
    if not skip then
        return nil, "--resume: " .. why
    end
    job.ids, why = source.new(args.ids, args.from, skip)
    if not job.ids then
        return nil, why
    end
    job.missing, why = collector(args.missing)
    if not job.missing then
        return nil, why
    end
    -- two names that neither had a file may have one now
    clash = args.missing and args.failed and roles.clash({}, outputs)
    if clash then
        return nil, clash
    end
    job.failed, why = collector(args.failed)
    if not job.failed then
        return nil, why
    end
    job.invalid = collector()
    return job
end

-- Paths that led nowhere so far.
local function note_columns(job, ticket)
    local list = job.unknown_columns
    for i = list and #list or 0, 1, -1 do
        if project.has(ticket, list[i]) then
            table.remove(list, i)
        end
    end
end

-- After these nothing more is asked for.
local final = { auth = true, config = true, closed = true }

-- One round for each id; `tally` has the error of the first that failed, and how
-- many ids and tickets there were.
local function fetch(job, writer, bar, tally)
    local over = false
    repeat
        for id, ticket, err in job.client:tickets(job.ids.next, { hook = job.hook }) do
            tally.asked = tally.asked + 1
            bar.step()
            if ticket then
                tally.tickets = tally.tickets + 1
                note_columns(job, ticket)
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
                if final[err.kind] and not over then
                    over, tally.first = true, err
                end
                tally.first = tally.first or err
                local into = err.kind == "invalid_ids" and job.invalid or job.failed
                into.add(id)
            end
        end
    until over or job.ids.ended()
    -- Those that nobody came to ask for are to be asked for again, too.
    while over and job.failed.writes and not job.ids.ended() do
        local id = job.ids.next()
        if id then
            tally.asked = tally.asked + 1
            job.failed.add(id)
        end
    end
    tally.over = over
end

local function report(job, args, complain, tally)
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
    if tally.tickets > 0 then
        for option, names in pairs {
            ["--where"] = job.unknown_names and job.unknown_names() or {},
            ["--fields"] = job.unknown_columns or {},
        } do
            if #names > 0 then
                complain(option, ": no ticket had ", table.concat(names, ", "))
            end
        end
    end
    local first = tally.first
    if first then
        complain(first.kind, ": ", first.message)
        code = exit.of(first)
        if tally.over and not job.ids.ended() then
            complain "ids after that were not asked for (--failed writes them to a file)"
        end
        if job.partial and code == exit.FAILED and not tally.over and job.failed.n + job.invalid.n < tally.asked then
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
    local tty = terminal.is(1)
    local form = args.output or (tty and "table" or "ndjson")
    local job, why = prepare(args, form)
    if not job then
        if why ~= "" then
            complain(why)
        end
        return exit.MISUSED
    end
    -- A line of progress may stand between lines of output, not within one.
    local whole_lines = form == "table" or form == "ndjson"
    local shows = not args.quiet and terminal.is(2) and terminal.can_repaint() and (whole_lines or not tty)
    local bar = terminal.progress(shows, shows and job.ids.total() or nil)
    if shows then
        job.hook = function(event)
            if event.event == "pause" then
                bar.pause(event.delay)
            end
        end
    end
    local stdout = system.writer(1)
    local function out(text)
        if not text then
            return stdout()
        end
        if tty then
            bar.clear()
        end
        local ok, reason = stdout(text)
        if not ok then
            error({ output = reason }, 0)
        end
    end
    local writer = output.new(form, out, job.columns, {
        width = tty and terminal.width() or math.huge,
        plain = args.plain,
        excel = args.excel,
    })
    local tally = { asked = 0, tickets = 0 }
    local ok, failure = pcall(fetch, job, writer, bar, tally)
    bar.clear()
    if not ok then
        if type(failure) ~= "table" or not failure.output then
            pcall(writer.finish, writer) -- the first failure is the one to be told
        end
        if type(failure) == "table" and failure.where then
            complain("--where: ", failure.where)
            return exit.FAILED
        elseif tostring(failure):find("interrupted!", 1, true) then
            complain(("interrupted; %s"):format(args.resume and "the same command goes on from here"
                or "what was written is complete up to there"))
        end
        error(failure, 0)
    end
    writer:finish()
    return report(job, args, complain, tally)
end

return M
