--- Where the command's ids come from, and which of them are there already.

local system = require "kapture.cli.system"

local M = {}

-- Whoever types ids, or follows a log, is answered after so many seconds of
-- silence; nobody waits for a full batch.
local SILENCE = 0.1

-- An id has 64 characters at most; of what is longer this much is kept, to be
-- shown.
local LONGEST = 4096

local BOM = "^\239\187\191"

-- Lines of a descriptor, without what ends them; of the last one also whether
-- anything did.
local function lines(fd)
    local parts, ready, at, ended = {}, {}, 0, false
    return function()
        while true do
            at = at + 1
            if ready[at] then
                return ready[at], true
            elseif ended then
                return nil
            end
            local text, why = system.read(fd)
            if text == nil then
                error({ resume = why }, 0)
            elseif text == "" then
                ended = true
                local rest = table.concat(parts)
                if rest ~= "" then
                    return rest, false
                end
                return nil
            elseif text then
                ready, at = {}, 0
                local from = 1
                for line, stop in text:gmatch "([^\n]*)\n()" do
                    parts[#parts + 1] = line
                    ready[#ready + 1] = table.concat(parts)
                    parts, from = {}, stop
                end
                parts[#parts + 1] = text:sub(from)
            else
                at = at - 1
            end
        end
    end
end

-- A line that was cut short, by a crash or a full disk, is blanked: what is
-- appended to the file begins a line of its own then, and readers of NDJSON pass
-- over blank ones. What can't be sought in is nobody's to append to.
local function mend(path, from, rest, whole)
    local file, why = io.open(path, "r+b")
    if not file then
        return nil, ("%s: its last line is cut short, and can't be mended (%s)"):format(path, why:match ": (.*)$"
            or why)
    end
    local size = file:seek "end"
    if size ~= from + #rest then
        file:close()
        return true
    end
    file:seek("set", whole and size or from)
    local written, reason = file:write(whole and "" or (" "):rep(#rest - 1), "\n")
    local closed, late = file:close()
    return written and closed, ("%s: %s"):format(path, reason or late or "")
end

--- Ids that an NDJSON file holds, none if there is no such file or none is named.
---@param path string|nil
---@return table<string, boolean>|nil
---@return string|nil why
function M.already(path)
    local done = {}
    if not path then
        return done
    end
    local fd, why, code = system.open(path)
    if not fd and code == 2 then -- ENOENT: there is nothing yet
        return done
    elseif not fd then
        return nil, path .. ": " .. why
    end
    local others, size, rest, whole = 0, 0, "", false
    local ok, failure = pcall(function()
        for line, finished in lines(fd) do
            local id = system.ticket_id(line)
            if id then
                done[id] = true
            elseif line:find "%S" then
                others = others + 1
            end
            if finished then
                size = size + #line + 1
            else
                rest, whole = line, id ~= nil
            end
        end
    end)
    if not ok then
        if type(failure) == "table" and failure.resume then
            return nil, path .. ": " .. failure.resume
        end
        error(failure, 0)
    end
    -- the first ticket may be the one that was cut short; else a file without a
    -- ticket is another one than was meant, and stays as it is
    if not next(done) and others > (rest:find "^{" and 1 or 0) then
        return nil, path .. ": no task_details.ticketId in it"
    end
    if rest ~= "" then
        local mended
        mended, why = mend(path, size, rest, whole)
        if not mended then
            return nil, why
        end
    end
    return done
end

-- Takes text as it comes, and calls `emit` with each word of it: commas and line
-- ends part them, and a # that begins a word makes a comment of the line's rest.
local function splitter(emit)
    local word, comment = "", false
    local function finish()
        local id = word:gsub(BOM, ""):match "^%s*(.-)%s*$"
        word = ""
        if id ~= "" then
            emit(id)
        end
    end
    local function add(piece)
        if #word <= LONGEST then
            word = word .. (word == "" and piece:match "^%s*(.*)$" or piece)
        elseif piece:find "%S" then -- no id any more, whatever its end is
            word = word:sub(1, LONGEST) .. "..."
        end
    end
    return {
        feed = function(text)
            local at = 1
            while at <= #text do
                local stop = text:find(comment and "\n" or "[,\n#]", at)
                if not comment then
                    add(text:sub(at, (stop or #text + 1) - 1))
                    local mark = stop and text:sub(stop, stop)
                    if mark == "#" and word:gsub(BOM, ""):find "%S$" then
                        word = word .. "#"
                    elseif mark then
                        comment = mark == "#"
                        finish()
                    end
                elseif stop then
                    comment = false
                end
                at = (stop or #text) + 1
            end
        end,
        finish = finish,
    }
end

local function words(text)
    local list = {}
    for part in text:gmatch "[^,\n]+" do
        local word = part:gsub(BOM, ""):match "^%s*(.-)%s*$"
        if word ~= "" then
            list[#list + 1] = word
        end
    end
    return list
end

-- How many ids a stream will give, where it can be read twice.
local function count(path, start, skip)
    local file = io.open(path, "rb")
    if not file or not file:seek "end" then
        if file then
            file:close()
        end
        return nil
    end
    file:seek("set", start)
    local n = 0
    local split = splitter(function(id)
        n = skip[id] and n or n + 1
    end)
    while true do
        local text = file:read(16384)
        if not text then
            break
        end
        split.feed(text)
    end
    split.finish()
    file:seek("set", start) -- where /dev/stdin is not opened anew, it goes on from here
    file:close()
    return n
end

--- Whether that names standard input.
function M.is_stdin(path)
    return path == "-" or path == "/dev/stdin" or path == "/dev/fd/0"
end

--- One id after the other from arguments, standard input (-) and a file. `next`
--- gives nil also where nothing has come for a moment, so that what has is asked
--- for: `ended` tells the two apart.
---@param given string[] the arguments
---@param from string|nil a file
---@param skip table<string, boolean>
---@return { next: (fun(): string|nil), ended: (fun(): boolean), total: (fun(): integer|nil) }|nil
---@return string|nil why
function M.new(given, from, skip)
    local queue, at, streams = {}, 0, {}
    for _, word in ipairs(given) do
        if word == "-" then
            streams[#streams + 1] = { fd = 0, path = "/dev/stdin" }
        else
            for _, id in ipairs(words(word)) do
                queue[#queue + 1] = id
            end
        end
    end
    if from and M.is_stdin(from) then
        streams[#streams + 1] = { fd = 0, path = "/dev/stdin" }
    elseif from then
        local fd, why = system.open(from)
        if not fd then
            return nil, from .. ": " .. why
        end
        streams[#streams + 1] = { fd = fd, path = from }
    end

    local split = splitter(function(id)
        queue[#queue + 1] = id
    end)
    local asked, ended = 0, false -- since the last silence

    -- False after a silence.
    local function more()
        local text, why = system.read(streams[1].fd, asked > 0 and SILENCE or nil)
        if text == nil then
            error({ input = why }, 0)
        elseif text == "" then
            split.finish()
            table.remove(streams, 1)
        elseif text then
            split.feed(text)
        else
            return asked == 0 -- a signal came: Lua looks after that
        end
        return true
    end

    return {
        next = function()
            while true do
                at = at + 1
                local id = queue[at]
                if id and not skip[id] then
                    asked = asked + 1
                    return id
                elseif not id then
                    queue, at = {}, 0
                    if not streams[1] then
                        ended = true
                        return nil
                    elseif not more() then
                        asked = 0
                        return nil
                    end
                end
            end
        end,
        ended = function()
            return ended
        end,
        total = function()
            local n = 0
            for _, id in ipairs(queue) do
                n = skip[id] and n or n + 1
            end
            for _, stream in ipairs(streams) do
                local start = stream.fd == 0 and io.stdin:seek "cur" or 0
                local found = count(stream.path, start, skip)
                if not found then
                    return nil
                end
                n = n + found
            end
            return n
        end,
    }
end

return M
