local bench = require "bench"
local kapture = require "kapture"

local base = os.getenv "KAPTURE_BASE_URL" .. "/fault/delay,ms=20"
local options = { base_url = base, ca_file = os.getenv "KAPTURE_CA_FILE", deadline = math.huge }

local function ids(first, n)
  local list = {}
  for i = 1, n do
    list[i] = 900000000000 + first + i
  end
  return list
end

local function fetch(client, list, concurrency)
  local tickets, info = client:get_ticket(list, { batch_size = 50, concurrency = concurrency })
  assert(tickets and #tickets + #info.missing == #list, info)
  return info.elapsed
end

local client = kapture.new(options)
fetch(client, ids(0, 10000), 8) -- the sandbox makes its tickets, connections open

local ratios = {}
for round = 1, tonumber(arg[1]) do
  local one = fetch(client, ids(0, 2000), 1) / 40
  local wall = fetch(client, ids(0, 10000), 8)
  ratios[round] = wall / (200 / 8 * one)
  print(("round %d: one request %.1f ms, 200 in %.0f ms, ideal %.0f ms: ratio %.3f"):format(
    round, one * 1e3, wall * 1e3, 200 / 8 * one * 1e3, ratios[round]))
end
local ratio = bench.spread(ratios)
print(("median ratio to the ideal: %.3f (%.3f to %.3f)"):format(ratio.median, ratio.low, ratio.high))
bench.keeper "batches"("ideal", ratio)
