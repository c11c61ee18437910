-- Runs a peer that is written in Lua: `drive.lua PEER COUNT`. The peer's file
-- returns a function that makes `fetch(body)`, which gives the decoded answer.
-- See run for what it is given and prints.
local here = arg[0]:gsub("[^/]*$", "")
local socket = require "socket"

local given = {
    url = os.getenv "PEER_URL", host = os.getenv "PEER_HOST", port = tonumber(os.getenv "PEER_PORT"),
    path = os.getenv "PEER_PATH", ca = os.getenv "PEER_CA", token = os.getenv "PEER_TOKEN",
}
local fetch = dofile(here .. arg[1] .. ".lua")(given)

local bodies = {}
for line in io.lines(os.getenv "PEER_BODIES") do bodies[#bodies + 1] = line end

local count = tonumber(arg[2])
fetch(bodies[1])
local started, cpu, tickets = socket.gettime(), os.clock(), 0
for i = 1, count do tickets = tickets + #fetch(bodies[(i - 1) % #bodies + 1]) end
print(("%.6f %.6f %d"):format(socket.gettime() - started, os.clock() - cpu, tickets))
