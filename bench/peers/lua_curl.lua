-- Debian's lua-curl as its examples have it, with the handle kept, so that
-- libcurl keeps the connection.
local cjson = require "cjson"
local curl = require "curl"

return function(given)
    local easy = curl.easy_init()
    local pieces
    easy:setopt(curl.OPT_URL, given.url)
    easy:setopt(curl.OPT_CAINFO, given.ca)
    easy:setopt(curl.OPT_HTTPHEADER, {
        "Authorization: Basic " .. given.token, "Content-Type: application/json", "Expect:",
    })
    easy:setopt(curl.OPT_POST, 1)
    easy:setopt(curl.OPT_WRITEFUNCTION, function(piece)
        pieces[#pieces + 1] = piece
        return #piece
    end)
    return function(body)
        pieces = {}
        easy:setopt(curl.OPT_POSTFIELDS, body)
        easy:setopt(curl.OPT_POSTFIELDSIZE, #body)
        assert(easy:perform())
        return cjson.decode(table.concat(pieces))
    end
end
