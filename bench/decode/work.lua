-- One measurement's work, to be run under callgrind: `work.lua DECODER TEXT N`
-- decodes the text of that file N times. What N times cost is the difference
-- of two runs.

local decoder, path, n = arg[1], arg[2], tonumber(arg[3])
local file = assert(io.open(path, "rb"))
local text = file:read "*a"
local decode

if decoder == "cjson" then
    decode = require "cjson".decode
elseif decoder == "floor" then
    local floor = require "kapture_floor"
    local value = require "kapture_decode".tickets(text)
    local tape = floor.record(setmetatable(value, {}))
    _G.keep = value
    decode = function() return floor.build(tape) end
elseif decoder == "copy" then
    decode = require "kapture_decode".copy
elseif decoder == "fields" then
    local probe = require "kapture_decode"
    local texts = dofile((arg[0]:gsub("work%.lua$", "texts.lua")))
    local fields = probe.fields(texts.fields)
    decode = function(t) return probe.tickets(t, fields) end
elseif decoder == "raw" then
    local tickets = require "kapture_decode".tickets
    decode = function(t) return tickets(t, "raw") end
else
    decode = require "kapture_decode".tickets
end

-- Nothing is collected, so that no run pays for another's garbage.
collectgarbage()
collectgarbage "stop"
for _ = 1, n do
    assert(decode(text))
end
os.exit(0, false)
