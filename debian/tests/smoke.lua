-- The module works, as far as that can be seen without a network.
local kapture = require "kapture"
assert(kapture._VERSION == "kapture " .. kapture.version().kapture)
assert(_VERSION:sub(5) == kapture.version().abi or jit)

-- Nobody listens on port 9 of this machine; if somebody does, it is not HTTP.
local tickets, message, err = kapture.get_ticket("713516551148", {
    base_url = "http://127.0.0.1:9",
    token = "none",
    proxy = "",
    retries = 0,
    deadline = 20,
})
assert(not tickets)
assert(err.kind == "network" or err.kind == "protocol", message)

local client = kapture.new { base_url = "http://127.0.0.1:9", token = "none", proxy = "", retries = 0 }
local request = client:submit { "713000000001", "713000000002" }
assert(client:fd() >= 0)
tickets, message, err = request:wait(20)
assert(not tickets and #err.ids == 2, message)
client:close()
print("kapture " .. kapture.version().kapture .. " works on " .. (jit and jit.version or _VERSION))
