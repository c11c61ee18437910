-- LuaSocket and LuaSec as their manuals have it: ssl.https, which makes a new
-- connection for each request.
local cjson = require "cjson"
local https = require "ssl.https"
local ltn12 = require "ltn12"

return function(given)
    return function(body)
        local pieces = {}
        local ok, status = https.request {
            url = given.url,
            method = "POST",
            headers = {
                ["Authorization"] = "Basic " .. given.token,
                ["Content-Type"] = "application/json",
                ["Content-Length"] = #body,
            },
            source = ltn12.source.string(body),
            sink = ltn12.sink.table(pieces),
            verify = "peer",
            cafile = given.ca,
        }
        assert(ok and status == 200, status)
        return cjson.decode(table.concat(pieces))
    end
end
