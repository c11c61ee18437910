-- lua-http as its manual has it for more than one request: a connection of
-- http.client, and a stream on it for each.
local cjson = require "cjson"
local client = require "http.client"
local context = require "openssl.ssl.context"
local headers = require "http.headers"
local http_tls = require "http.tls"
local store = require "openssl.x509.store"

return function(given)
    local ctx = http_tls.new_client_context()
    ctx:setVerify(context.VERIFY_PEER)
    local authorities = store.new()
    authorities:add(given.ca)
    ctx:setStore(authorities)
    local connection
    local function connect()
        connection = assert(client.connect({
            host = given.host, port = given.port, tls = true, ctx = ctx, sendname = given.host,
        }, 10))
    end
    return function(body)
        if not connection then connect() end
        local request = headers.new()
        request:append(":method", "POST")
        request:append(":scheme", "https")
        request:append(":authority", given.host .. ":" .. given.port)
        request:append(":path", given.path)
        request:append("authorization", "Basic " .. given.token)
        request:append("content-type", "application/json")
        request:append("content-length", tostring(#body))
        local stream = assert(connection:new_stream())
        assert(stream:write_headers(request, false, 10))
        assert(stream:write_chunk(body, true, 10))
        local answer = assert(stream:get_headers(10))
        assert(answer:get ":status" == "200", answer:get ":status")
        local text = assert(stream:get_body_as_string(10))
        stream:shutdown()
        return cjson.decode(text)
    end
end
