--- Which files a run reads and which it writes. A file that has two parts to play
--- loses what is in it, so that is refused before anything is opened.

local system = require "kapture.cli.system"

local M = {}

---@class kapture.cli.role
---@field name string as a message has it
---@field path string|integer a descriptor, where it is open already
---@field stream boolean|nil standard output or error
---@field appends boolean|nil what is read is gone on with on standard output
---@field ids boolean|nil

local function words(a, b)
    if a.name == "standard error" then -- outputs stand first
        return "" -- they would go into that file
    end
    return ("%s and %s: '%s' can't be both"):format(a.name, b.name, type(a.path) == "string" and a.path or b.path)
end

-- Whether one can't be both. A file can, where nobody writes to it; what flows can
-- be read once only. Terminals and /dev/null take any part.
local function excluded(a, b)
    if a.output and b.output then
        return not (a.stream and b.stream) and a.kind == "file"
    elseif a.output or b.output then
        local output, input = a.output and a or b, a.output and b or a
        if input.appends and output.name == "standard output" then
            return false
        end
        return a.kind == "file" or a.kind == "pipe" and not output.stream
    end
    return not (a.ids and b.ids) and a.kind == "pipe"
end

--- The first two that are one file, in words for the user, or none where they
--- could not be said; nil where each is one of its own.
---@param inputs kapture.cli.role[]
---@param outputs kapture.cli.role[]
---@return string|nil
function M.clash(inputs, outputs)
    local parts = {}
    for _, list in ipairs { outputs, inputs } do
        for _, part in ipairs(list) do
            local file, kind = system.file(part.path)
            local whole = { output = list == outputs, file = file, kind = kind }
            for key, value in pairs(part) do
                whole[key] = value
            end
            parts[#parts + 1] = whole
        end
    end
    for i, a in ipairs(parts) do
        for j = i + 1, #parts do
            local b = parts[j]
            if a.file and a.file == b.file and excluded(a, b) then
                return words(a, b)
            elseif not a.file and a.path == b.path and a.output and b.output then -- there is no file yet
                return words(a, b)
            end
        end
    end
end

return M
