-- What a server writes on a kept connection while nobody asked: a 408, a stray
-- line end, another response. It must not become the answer to the next request.
local calls = require "spec.support.calls"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"
local server = require "spec.support.server"

local GOODBYE = [["HTTP/1.1 408 Request Time-out\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]]
local stray = {
    ["a 408 and the end"] = "c:send(" .. GOODBYE .. ") c:log 'said' do return end",
    ["a 408"] = "c:send(" .. GOODBYE .. ")",
    ["a line end"] = [[c:send "\r\n"]],
    ["a second response"] = "c:answer(r.ids)",
    ["a response without tickets"] = [[c:send(c:head(200, "Content-Length: 2") .. "[]")]],
}
local transports = {
    ["plain HTTP"] = { "", "http" },
    ["TLS 1.2"] = { "c:tls { protocol = 'tlsv1_2' }", "https" },
    ["TLS 1.3"] = { "c:tls { protocol = 'tlsv1_3' }", "https" },
}

local function options(s, scheme, extra)
    local o = { base_url = s[scheme], token = "t", ca_file = sandbox.ca, retries = 0, backoff = 0 }
    for name, value in pairs(extra or {}) do o[name] = value end
    return o
end

-- Each way of asking: all ids, one after the other; the ids of the tickets.
local ways = {}

function ways.blocking(client, ids, settle)
    local got = {}
    for i, id in ipairs(ids) do
        local tickets, info = assert(client:get_ticket(id))
        assert.same({}, info.missing)
        assert.equal(0, info.retries)
        assert.equal(1, info.requests)
        got[i] = calls.id_of(tickets[1])
        settle()
    end
    return got
end

function ways.submitted(client, ids, settle)
    local got = {}
    for i, id in ipairs(ids) do
        local tickets, info = assert(client:submit(id):wait(10))
        assert.same({}, info.missing)
        assert.equal(0, info.retries)
        assert.equal(1, info.requests)
        got[i] = calls.id_of(tickets[1])
        settle()
    end
    return got
end

function ways.iterated(client, ids, settle)
    local got = {}
    for id, ticket, err in client:tickets(ids, { fields = { "task_details" } }) do
        assert(ticket, err and err.message)
        assert.equal(id, calls.id_of(ticket))
        got[#got + 1] = id
        settle()
    end
    return got
end

local function nothing() end

-- Waits until the server has written all that it is going to, and it is here.
local function settled(s)
    return function()
        calls.eventually(function()
            local asked, said = 0, 0
            for _, line in ipairs(s.log()) do
                if line == "said" then said = said + 1 else asked = asked + 1 end
            end
            return said >= asked
        end)
        calls.sleep(0.005)
    end
end

for transport, t in pairs(transports) do
    describe("over " .. transport, function()
        for what, act in pairs(stray) do
            it(what .. " behind an answer is nobody's answer", function()
                local s = server(("%s for r in c:requests() do c:answer(r.ids) c:sleep(0.01) %s c:log 'said' end")
                    :format(t[1], act))
                for name, way in pairs(ways) do
                    -- The iterator asks ahead at once: then it can only be told by the
                    -- tickets in it that it came too early.
                    if name ~= "iterated" or not what:find "without" then
                        local client = kapture.new(options(s, t[2], { batch_size = 1, concurrency = 1 }))
                        local ids = sandbox.ids(4)
                        assert.same(ids, way(client, ids, settled(s)), name)
                        client:close()
                    end
                end
                s.stop()
            end)

            it(what .. " that comes in the same moment is none either", function()
                local s = server(("%s for r in c:requests() do c:answer(r.ids) %s c:log 'said' end"):format(t[1], act))
                local together = server(([[
                    %s
                    for r in c:requests() do
                        local send, parts = c.send, {}
                        c.send = function(_, text) parts[#parts + 1] = text end
                        local ended = (function() c:answer(r.ids) %s return false end)()
                        c.send = send
                        c:send(table.concat(parts))
                        c:log "said"
                        if ended == nil then return end
                    end]]):format(t[1], act))
                for _, one in ipairs { s, together } do
                    local client = kapture.new(options(one, t[2]))
                    local ids = sandbox.ids(4)
                    assert.same(ids, ways.blocking(client, ids, settled(one)))
                    client:close()
                end
                s.stop()
                together.stop()
            end)
        end

        it("fifty ids in requests of their own keep their answers", function()
            local s = server(("%s for r in c:requests() do c:answer(r.ids) c:sleep(0.002) c:answer { '1' } end")
                :format(t[1]))
            for _, size in ipairs { 50, 5, 1 } do
                local client = kapture.new(options(s, t[2], { batch_size = size, retries = 2 }))
                for round = 1, 2 do
                    local ids = sandbox.ids(50, round * 50)
                    local tickets, info = assert(client:get_ticket(ids))
                    assert.same({}, info.missing)
                    assert.equal(0, info.retries)
                    assert.same(ids, calls.ids_of(tickets))
                    calls.sleep(0.02)
                end
                client:close()
            end
            s.stop()
        end)

        it("a connection with nothing on it is used again", function()
            local s = server(t[1] .. " for r in c:requests() do c:answer(r.ids) end")
            local client = kapture.new(options(s, t[2]))
            assert.same(sandbox.ids(10), ways.blocking(client, sandbox.ids(10), nothing))
            assert.same(sandbox.ids(10), ways.submitted(client, sandbox.ids(10), nothing))
            for _, line in ipairs(s.log()) do assert.equal("1", line:match "^%d+") end
            assert.equal(20, #s.log())
            client:close()
            s.stop()
        end)

        it("a 408 in answer to a request on a kept connection is nobody's failure", function()
            local s = server(([[
                %s
                local first = true
                for r in c:requests() do
                    if first then c:answer(r.ids) else c:send(%s) return end
                    first = false
                end]]):format(t[1], GOODBYE))
            for name, way in pairs(ways) do
                local client = kapture.new(options(s, t[2], { batch_size = 1, concurrency = 1 }))
                assert(client:get_ticket "1")
                local ids = name == "iterated" and sandbox.ids(3) or {}
                assert.same(ids, way(client, ids, nothing))
                for _ = 1, 3 do
                    local tickets, info = assert(client:get_ticket { "1", "2" })
                    assert.equal(2, #tickets)
                    assert.equal(0, info.retries)
                end
                client:close()
            end
            s.stop()
        end)

        it("a 408 on a new connection is a failure, and tried again", function()
            local s = server(([[%s for _ in c:requests() do c:send(%s) return end]]):format(t[1], GOODBYE))
            local client = kapture.new(options(s, t[2], { retries = 2 }))
            local _, _, err = client:get_ticket "1"
            assert.equal("bad_request", err.kind)
            assert.equal(408, err.status)
            assert.equal(3, err.attempts)
            assert.is_true(err.retryable)
            assert.equal(3, #s.log())
            client:close()
            s.stop()
        end)
    end)
end

describe("over HTTP/2", function()
    it("a connection at rest is used again, whatever frames have come on it", function()
        local o, key = calls.options({}, { on = "https" })
        local client = kapture.new(o)
        for i = 1, 10 do
            assert.equal(1, #assert(client:get_ticket(sandbox.id(i))))
            calls.sleep(0.01)
        end
        client:close()
        local conn
        for _, request in ipairs(sandbox.requests(key)) do
            assert.equal("HTTP/2.0", request.proto)
            conn = conn or request.conn
            assert.equal(conn, request.conn)
        end
    end)

    it("a 408 is the answer to its request", function()
        local o, key = calls.options("status,code=408,times=1", { on = "https" })
        local client = kapture.new(o)
        assert(client:get_ticket("1", { base_url = sandbox.https }))
        local _, info = assert(client:get_ticket "1")
        assert.equal(1, info.retries)
        assert.equal(2, sandbox.stats(key).requests)
        client:close()
    end)
end)
