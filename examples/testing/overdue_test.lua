-- Its tests, against the sandbox: every fault is a path in the base url.
-- kapture sandbox -- lua5.4 overdue_test.lua
local overdue = require("overdue").overdue

local base = os.getenv "KAPTURE_BASE_URL"
local function with(fault)
    return { base_url = base .. fault, backoff = 0 }
end

-- the vendor's sample is out of its SLA; one that begins with 404 does not exist
local list = assert(overdue({ "713516551148", "404000000001" }, with ""))
assert(#list == 1 and list[1] == "713516551148")

-- a bad gateway once, then well
assert(overdue("713516551148", with "/fault/status,code=502,times=1"))

-- a token that has been disabled
local none, message = overdue("713516551148", with "/fault/status,code=401")
assert(not none and message == "please renew the token")

-- nothing there at all
none, message = overdue("713516551148", { base_url = "https://127.0.0.1:1", retries = 0 })
assert(not none and message:find "connect")
print "fine"
