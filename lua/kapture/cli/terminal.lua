--- What the command knows of a terminal, and the progress it shows on one.

local system = require "kapture.cli.system"

local M = {}

M.is = system.is_terminal

--- Whether it can move back to a line's beginning and clear the rest.
function M.can_repaint()
    local name = os.getenv "TERM"
    return name ~= nil and name ~= "" and name ~= "dumb"
end

---@return integer columns
function M.width()
    local columns = tonumber(os.getenv "COLUMNS" or "")
    if not columns then
        local pipe = io.popen "{ stty size </dev/tty; } 2>/dev/null"
        columns = pipe and tonumber((pipe:read "*l" or ""):match " (%d+)$" or "")
        if pipe then
            pipe:close()
        end
    end
    return columns and columns > 0 and math.floor(columns) or 80
end

--- Text with nothing in it that a terminal would obey.
---@param text string
function M.plain(text)
    -- C1 controls, too: as UTF-8 they are C2 80 to C2 9F
    return (text:gsub("%c", "?"):gsub("\194[\128-\159]", "?"))
end

local function duration(seconds)
    seconds = math.floor(seconds + 0.5)
    if seconds < 60 then
        return seconds .. " s"
    elseif seconds < 3600 then
        return ("%d:%02d min"):format(math.floor(seconds / 60), seconds % 60)
    end
    return ("%d:%02d h"):format(math.floor(seconds / 3600), math.floor(seconds / 60) % 60)
end

--- The line, no wider than that: a bar where the total is known and there is
--- room for one.
function M.progress_line(n, total, seconds, width)
    local rate = n / math.max(seconds, 1)
    local per_second = rate < 10 and ("%.1f/s"):format(rate) or ("%.0f/s"):format(rate)
    local text
    if total then
        local left = rate > 0 and ", " .. duration((total - n) / rate) .. " left" or ""
        text = ("%d of %d, %s%s"):format(n, total, per_second, left)
        local room = math.min(width - #text - 3, 40)
        if room >= 8 then
            local full = math.floor(room * math.min(n / math.max(total, 1), 1))
            text = "[" .. ("#"):rep(full) .. ("."):rep(room - full) .. "] " .. text
        end
    else
        text = ("%d ids, %s"):format(n, per_second)
    end
    return text:sub(1, math.max(width - 1, 1))
end

--- Progress on stderr, for work of more than a second, painted once a second;
--- where it is not enabled, nothing at all. The clock has whole seconds: from
--- one to the next may be an instant, from one to the next but one is a second.
---@param enabled boolean
---@param total integer|nil how many ids there will be, where that is known
function M.progress(enabled, total)
    local started, last, n, shown = os.time(), os.time(), 0, false
    local width = enabled and M.width() or 0
    return {
        step = function()
            n = n + 1
            if not enabled then
                return
            end
            local now = os.time()
            if now ~= last and now - started >= 2 then
                last, shown = now, true
                io.stderr:write("\r", M.progress_line(n, total, now - started, width), "\27[K")
            end
        end,
        --- Nothing will move for so long, because the service wants it so.
        pause = function(delay)
            if enabled and delay >= 1 then
                last, shown = os.time(), true
                local text = "the service asks to wait, " .. duration(delay)
                io.stderr:write("\r", text:sub(1, math.max(width - 1, 1)), "\27[K")
            end
        end,
        clear = function()
            if shown then
                shown = false
                io.stderr:write "\r\27[K"
            end
        end,
    }
end

return M
