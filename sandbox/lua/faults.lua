-- Reading fault specs from the path, and deciding which of them apply.
--
-- A fault is { doc =, params = { name = default }, h1 = , gate =, list =,
-- body =, wire = }: functions for the four moments at which it may act:
--   gate(ctx, p)        before anything: returns a response, or nil to go on
--   list(ctx, p, resp)  a success whose tickets are still a list of JSON texts
--   body(ctx, p, resp)  a response whose body is text
--   wire(ctx, p, plan)  how it is sent
local M = {}

local all = {}
for _, name in ipairs { "fault_gates", "fault_shapes", "fault_wire" } do
    for fault, def in pairs(require(name)) do
        assert(not all[fault], fault)
        all[fault] = def
    end
end

-- Parameters that every fault takes.
local common = {
    key = "", times = math.huge, skip = 0, ifid = "", ifconn = "",
}

local function unescape(s)
    return (s:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function parse_one(spec)
    local name = spec:match "^[^,]*"
    local def = all[name]
    if not def then return nil, "no such fault: " .. name end
    local p = {}
    for key, value in pairs(common) do p[key] = value end
    for key, value in pairs(def.params or {}) do p[key] = value end
    for item in spec:sub(#name + 2):gmatch "[^,]+" do
        local key, value = item:match "^([^=]+)=(.*)$"
        if not key then return nil, name .. ": not a parameter: " .. item end
        local default = p[key]
        if default == nil then return nil, name .. ": no such parameter: " .. key end
        value = unescape(value)
        if type(default) == "number" then
            value = tonumber(value)
            if not value then return nil, name .. ": " .. key .. " is a number" end
        end
        p[key] = value
    end
    return { name = name, def = def, p = p }
end

local function parse(prefix)
    local list, keys = {}, {}
    for spec in prefix:gmatch "/fault/([^/]*)" do
        local fault, message = parse_one(spec)
        if not fault then return nil, message end
        fault.counter = (fault.p.key ~= "" and fault.p.key or "/" .. prefix) .. ":" .. #list .. fault.name
        list[#list + 1] = fault
        if fault.p.key ~= "" and not keys[fault.p.key] then
            keys[fault.p.key] = true
            keys[#keys + 1] = fault.p.key
        end
    end
    return { list = list, keys = keys }
end

local parsed, held = {}, 0

-- Splits a path into the faults in front and the rest: fills ctx.fault,
-- ctx.path, ctx.keys, ctx.faults. Returns nil and why if a spec is no fault.
function M.split(ctx, path)
    local from = 1
    while true do
        local _, last = path:find("^/fault/[^/]*", from)
        if not last then break end
        from = last + 1
    end
    ctx.fault, ctx.path = path:sub(1, from - 1), path:sub(from)
    ctx.keys, ctx.faults = {}, {}
    if ctx.fault == "" then return true end
    local known = parsed[ctx.fault]
    if not known then
        local message
        known, message = parse(ctx.fault)
        if not known then return nil, message end
        if held >= 1000 then parsed, held = {}, 0 end
        parsed[ctx.fault] = known
        held = held + 1
    end
    ctx.keys, ctx.faults = known.keys, known.list
    return true
end

local counts = ngx.shared.counts

local function applies(ctx, fault)
    local p = fault.p
    if p.ifid ~= "" then
        local hit
        for id in p.ifid:gmatch "[^+]+" do hit = hit or ctx.wanted[id] end
        if not hit then return false end
    end
    if p.ifconn ~= "" and (p.ifconn == "kept") ~= (tonumber(ngx.var.connection_requests) > 1) then return false end
    if p.times ~= math.huge or p.skip > 0 then
        local n = counts:incr("fault:" .. fault.counter, 1, 0)
        return n > p.skip and n <= p.skip + p.times
    end
    return true
end

-- The faults of this request that apply to it, in the order given.
function M.active(ctx)
    if #ctx.faults == 0 then return ctx.faults end
    local list = {}
    for _, fault in ipairs(ctx.faults) do
        if applies(ctx, fault) then list[#list + 1] = fault end
    end
    return list
end

-- One line a fault, for `run --faults`.
function M.describe()
    local names, lines = {}, {}
    for name in pairs(all) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
        local def, params = all[name], {}
        for key, value in pairs(def.params or {}) do
            params[#params + 1] = "," .. key .. "=" .. tostring(value)
        end
        table.sort(params)
        local usage = (name .. table.concat(params)):gsub("[^%w%p]", function(c) return ("%%%02X"):format(c:byte()) end)
        lines[#lines + 1] = ("%s\t%s\t%s"):format(usage, def.h1 and "HTTP/1.1" or "any", def.doc)
    end
    return table.concat(lines, "\n") .. "\n"
end

return M
