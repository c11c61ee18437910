-- A bulk job against a rate limit, as the service saw it. See run, beside this.
local bench = require "bench"
local chart = require "chart"
local kapture = require "kapture"

local LIMIT = 5
local base = os.getenv "KAPTURE_BASE_URL"
local ids = {}
for i = 1, 2000 do ids[i] = 713000000000 + i end
local tickets, info, err = kapture.get_ticket(ids, {
    base_url = ("%s/fault/ratelimit,n=%d,per=1,after=1,key=limit"):format(base, LIMIT),
    deadline = 600,
})
assert(tickets and #tickets == #ids, err and info)

-- Arrivals, in order; what the service took of them, ticket by ticket.
local seen = {}
local log = bench.capture(("curl -s --cacert %s %s"):format(
    bench.quote(os.getenv "KAPTURE_CA_FILE"), bench.quote(base .. "/sandbox/log?key=limit")))
for line in log:gmatch "[^\n]+" do
    local time, status = line:match '"time":([%d.]+)', line:match '"status":(%d+)'
    local list = line:match '"ids":"([^"]*)"'
    seen[#seen + 1] = { time = tonumber(time), taken = status == "200", ids = select(2, list:gsub("[^,]+", "")) }
end
assert(#seen == info.requests, #seen .. " arrived")
table.sort(seen, function(a, b) return a.time < b.time end)
local points, sum, refused = {}, 0, 0
for i, one in ipairs(seen) do
    if one.taken then
        sum = sum + one.ids
    else
        refused = refused + 1
    end
    points[i] = ("%.3f %d %s"):format(one.time - seen[1].time, sum, one.taken and "taken" or "refused")
end
print(("%d tickets in %.1f s; %d requests, %d of them refused"):format(#tickets, info.elapsed, #seen, refused))

os.execute("mkdir -p " .. bench.dir)
chart.draw("limit", 320, chart.lines(points) .. ([[
set title "2,000 ids, 50 in a request; the service takes %d requests a second" font "sans-serif,14"
set xlabel "seconds"
set ylabel "tickets that arrived"
set xrange [-0.2:*]
set xtics 0, 1
set yrange [0:2050]
set grid y lc rgb "#dddddd"
set key right bottom reverse Left
plot (x < 0 ? 1/0 : %d * 50 * x) title "the limit, used to the full" with lines dt 2 lc rgb "#b0b0b0", \
     $data using 1:2 notitle with steps lc rgb "#8ec1ea", \
     $data using 1:(strcol(3) eq "taken" ? $2 : 1/0) title "a request that is answered" \
     with points pt 7 ps 0.5 lc rgb "#1f6fb4", \
     $data using 1:(strcol(3) eq "refused" ? $2 : 1/0) title "one that is refused (429)" \
     with points pt 2 ps 0.9 lw 2 lc rgb "#c43c2e"
]]):format(LIMIT, LIMIT))
