-- This module, with no option but where the server is.
local kapture = require "kapture"

return function(given)
    local opts = {
        base_url = given.url:gsub("/search%-ticket.*$", ""), token = given.token, ca_file = given.ca,
    }
    return function(body)
        return assert(kapture.get_ticket(body:match '"ticket_ids":"([^"]*)"', opts))
    end
end
