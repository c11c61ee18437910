local bench = require "bench"
local kapture = require "kapture"

local total = tonumber(arg[1])

local function resident()
    for line in io.lines "/proc/self/status" do
        local kb = line:match "^VmRSS:%s*(%d+)"
        if kb then
            return tonumber(kb)
        end
    end
end

local keep = bench.keeper "iterator"
local taken, given, early, most = 0, 0, nil, 0
local function source()
    if taken < total then
        taken = taken + 1
        return 900000000000 + taken % 20000 -- tickets that the sandbox keeps
    end
end

local started = os.time()
for _, ticket, err in kapture.tickets(source, { ca_file = os.getenv "KAPTURE_CA_FILE" }) do
    assert(ticket or err.kind == "missing", err and err.message)
    given = given + 1
    if given % 10000 == 0 then
        local now = resident()
        keep("at." .. given, now)
        if given > 50000 and now > most then
            most = now
        end
    end
    if given == 50000 then
        collectgarbage()
        early = resident()
    end
end
collectgarbage()
local late = resident()
assert(given == total)
print(("%d ids in %d s: resident %d KiB after 50,000, %d KiB at the end (%+d KiB)"):format(
    given, os.time() - started, early or late, late, late - (early or late)))
keep("ids", given)
keep("early", early or late)
keep("late", late)
keep("grown", late - (early or late))
keep("most", most)
