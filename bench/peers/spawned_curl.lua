-- A curl process for each request, as editor plugins and scripts have it.
local cjson = require "cjson"

return function(given)
    local command = ("curl -sS --fail --cacert '%s' -H 'Authorization: Basic %s' "
        .. "-H 'Content-Type: application/json' -d '%%s' '%s'"):format(given.ca, given.token, given.url)
    return function(body)
        local pipe = assert(io.popen(command:format(body)))
        local text = pipe:read "*a"
        assert(pipe:close())
        return cjson.decode(text)
    end
end
