-- The plain client among LuaSocket's sockets, in its select.
local kapture = require "kapture"
local ask = require "spec.support.ask"
local sandbox = require "spec.support.sandbox"
local socket = require "socket"

local function new(more)
    return kapture.new(ask.opts(more))
end

describe("LuaSocket's select", function()
    it("serves 200 calls beside a server of its own", function()
        local client = new { concurrency = 16 }
        local server = assert(socket.bind("127.0.0.1", 0))
        local _, port = server:getsockname()
        local peer = assert(socket.connect("127.0.0.1", port))
        local accepted = assert(server:accept())
        local wanted, n, heard, limit = {}, 0, "", socket.gettime() + 60
        for i = 1, 200 do wanted[client:submit(sandbox.id(i))] = sandbox.id(i) end
        while n < 200 or #heard < 5 do
            assert(socket.gettime() < limit, "took too long")
            local readable = socket.select({ client, accepted }, nil, 1)
            if readable[client] then
                local _, ended = client:step()
                for _, r in ipairs(ended) do
                    assert.equal(wanted[r], assert(r:result())[1].task_details.ticketId)
                    wanted[r] = nil
                    n = n + 1
                    if n % 40 == 0 then peer:send "x" end
                end
            end
            if readable[accepted] then heard = heard .. accepted:receive(1) end
        end
        assert.is_nil(next(wanted))
        for _, s in ipairs { server, peer, accepted, client } do s:close() end
    end)

    it("times out while nothing happens, and sees what is dirty", function()
        local client = new()
        client:submit("1", { base_url = sandbox.url "delay,ms=700" })
        local readable, _, why = socket.select({ client }, nil, 0.05)
        assert.equal("timeout", why)
        assert.is_nil(readable[client])
        client:submit "a b"
        readable = socket.select({ client }, nil, 10)
        assert.is_true(readable[client] ~= nil)
        assert.equal(1, #select(2, client:step()))
        local n, limit = 0, socket.gettime() + 60
        while n == 0 do -- decoding may take several steps
            assert(socket.gettime() < limit, "took too long")
            readable = socket.select({ client }, nil, 20)
            assert.is_true(readable[client] ~= nil)
            n = #select(2, client:step())
        end
        assert.equal(1, n)
        client:close()
        assert.equal(-1, client:getfd()) -- which select leaves out
        assert.is_nil(socket.select({ client }, nil, 0)[client])
    end)
end)
