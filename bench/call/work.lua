-- One measurement's work: `work.lua URL CA_FILE TOKEN COUNT N COMPRESSION`, as
-- floor.c has it: a first call for COUNT tickets, then N more, their CPU time
-- and wall time. COMPRESSION is "-" for none.
local kapture = require "kapture"

local url, ca_file, token, count, n, compression = table.unpack(arg)
local opts = { base_url = url, ca_file = ca_file, token = token, compression = compression ~= "-" }
local ids = "713516551148"
if count ~= "1" then
    ids = {}
    for i = 1, tonumber(count) do ids[i] = 713516551147 + i end
end

local function call()
    local tickets, message = kapture.get_ticket(ids, opts)
    assert(tickets, message)
    return tickets, message
end

assert(#call() == tonumber(count))
local started = os.clock()
local elapsed = 0
for _ = 1, tonumber(n) do
    local _, info = call()
    elapsed = elapsed + info.elapsed
end
print(("%.6f %.6f"):format(os.clock() - started, elapsed))
