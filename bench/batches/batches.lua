local bench = require "bench"
local kapture = require "kapture"

local function ids(n)
    local list = {}
    for i = 1, n do
        list[i] = 900000000000 + i
    end
    return list
end

-- Seconds for 10,000 ids. What the last ones have left is no part of it.
local function fetch(client)
    collectgarbage()
    collectgarbage()
    local list = ids(10000)
    local tickets, info = client:get_ticket(list, { batch_size = 50 })
    assert(tickets and #tickets + #info.missing == #list, info)
    return info.elapsed
end

local where, rounds = arg[1], tonumber(arg[2])
local keep = bench.keeper("batches-" .. where)

local function measure(name, key, url)
    name = ("%s, processors %s"):format(name, where)
    local function client(concurrency)
        return kapture.new {
            base_url = url .. "/fault/delay,ms=20", ca_file = os.getenv "KAPTURE_CA_FILE", deadline = math.huge,
            concurrency = concurrency,
        }
    end
    local single, eight = client(1), client(8)
    fetch(eight) -- the sandbox makes its tickets, connections open
    fetch(single)
    local ratios = {}
    for round = 1, rounds do
        local one, wall = fetch(single) / 200, fetch(eight)
        ratios[round] = wall / (200 / 8 * one)
        print(("%s, round %d: one request %.1f ms, 200 in %.0f ms, ideal %.0f ms: ratio %.3f"):format(
            name, round, one * 1e3, wall * 1e3, 200 / 8 * one * 1e3, ratios[round]))
    end
    local ratio = bench.spread(ratios)
    print(("%s, median ratio to the ideal: %.3f (%.3f to %.3f)"):format(name, ratio.median, ratio.low, ratio.high))
    keep(key, ratio)
end

local http1
for line in io.lines(os.getenv "KAPTURE_SANDBOX_READY") do
    http1 = http1 or line:match "^https1=(.*)"
end
measure("HTTP/2", "h2", os.getenv "KAPTURE_BASE_URL")
measure("HTTP/1.1", "h1", http1)
