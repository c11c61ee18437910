--- A ticket with some of its fields only, where the whole of it had to be
--- fetched: what the option `fields` does while decoding.

local kapture = require "kapture"

local M = {}

--- The names of a path; `\.` is a dot in one of them.
---@param path string
---@return string[]
function M.split(path)
    local list = {}
    for name in path:gsub("\\%.", "\1"):gmatch "[^.]+" do
        list[#list + 1] = name:gsub("\1", ".")
    end
    return list
end

-- The ticket's own, by the service's documentation.
local own = { task_details = true, additional_info = true, history = true, conversation_type = true }

--- Where a path may lead: a name alone is a field of task_details, as in --where,
--- or one of the ticket's own.
---@param path string
---@return string[]
function M.places(path)
    local alone = #M.split(path) == 1 and not own[path]
    return alone and { "task_details." .. path, path } or { path }
end

--- All places of these paths.
---@param paths string[]
---@return string[]
function M.all(paths)
    local list = {}
    for _, path in ipairs(paths) do
        for _, place in ipairs(M.places(path)) do
            list[#list + 1] = place
        end
    end
    return list
end

--- What a path leads to in a ticket; nil where it leads nowhere.
---@param ticket table
---@param path string
function M.at(ticket, path)
    for _, place in ipairs(M.places(path)) do
        local value = ticket
        for _, name in ipairs(M.split(place)) do
            if type(value) ~= "table" then
                value = nil
                break
            end
            value = value[name]
        end
        if value ~= nil then
            return value
        end
    end
end

local function leads(value, names, i)
    if i > #names then
        return true
    elseif type(value) ~= "table" then
        return false
    elseif getmetatable(value) == kapture.array_mt then
        for _, element in ipairs(value) do
            if leads(element, names, i) then
                return true
            end
        end
        return false
    end
    local inner = value[names[i]]
    return inner ~= nil and leads(inner, names, i + 1)
end

--- Whether it leads anywhere, arrays included.
---@param ticket table
---@param path string
function M.has(ticket, path)
    for _, place in ipairs(M.places(path)) do
        if leads(ticket, M.split(place), 1) then
            return true
        end
    end
    return false
end

local function pick(value, tree)
    if type(value) ~= "table" or tree == true then
        return value
    end
    local to = setmetatable({}, getmetatable(value))
    if getmetatable(value) == kapture.array_mt then -- a path goes through arrays
        for i = 1, #value do
            to[i] = pick(value[i], tree)
        end
        return to
    end
    for name, inner in pairs(tree) do
        if value[name] ~= nil then
            to[name] = pick(value[name], inner)
        end
    end
    return to
end

---@param paths string[]
---@return fun(ticket: table): table
function M.compile(paths)
    local tree = {}
    for _, path in ipairs(M.all(paths)) do
        local at, last, above = tree, nil, nil
        for _, name in ipairs(M.split(path)) do
            if at == true then -- a shorter path has it whole
                break
            end
            at[name] = at[name] or {}
            above, last, at = at, name, at[name]
        end
        if at ~= true and above then
            above[last] = true
        end
    end
    return function(ticket)
        return pick(ticket, tree)
    end
end

return M
