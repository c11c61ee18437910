-- Real servers between us and the sandbox, each over HTTP/2 and HTTP/1.1: what
-- arrives is what the sandbox sent, and what goes wrong on the way, in the
-- server or behind it, is told as what it is. apache.lua, caddy.lua and
-- haproxy.lua are one each.
local ask = require "spec.support.ask"
local host = require "kapture_host"
local kapture = require "kapture"
local peers = require "spec.support.peers"
local sandbox = require "spec.support.sandbox"
local name = ...

local MANY = sandbox.ids(300)

-- What each answers with when it can't go on.
local gone = { apache = 503, caddy = 502, haproxy = 503 } -- nothing listens behind it
local slow = { apache = 502, caddy = 504, haproxy = 504 } -- what is behind it takes too long
local large = { apache = 413, caddy = 502, haproxy = 413 } -- a body too large for it
local long = { apache = 414, caddy = 404, haproxy = 400 } -- a path too long for it, or only unknown

local function matching(list, field)
    local values, n = {}, 0
    for _, entry in ipairs(list) do
        if not values[entry[field]] then n = n + 1 end
        values[entry[field]] = true
    end
    return n, values
end

describe(name, function()
    local peer
    local direct -- the same from the sandbox itself
    setup(function()
        peer = peers.start(name)
        direct = assert(kapture.get_ticket(MANY, ask.opts()))
    end)
    teardown(function() peer:stop() end)

    for proto, suffix in pairs { ["HTTP/2.0"] = "", ["HTTP/1.1"] = "1" } do
        local on = name .. suffix

        -- That this call went through it, and with this protocol only.
        local function spoke(got, n)
            local list = peer:requests(got.key, n)
            assert.is_true(#list > 0)
            for _, entry in ipairs(list) do assert.are.equal(proto, entry.proto) end
            return list
        end

        local function failed(kind, got)
            assert.are.equal(kind, got.err and got.err.kind, got.message)
            return got.err
        end

        describe("over " .. proto, function()
            it("brings a ticket", function()
                local got = ask("713516551148", nil, { on = on })
                assert.is_nil(got.message)
                assert.are.same(ask("713516551148").tickets, got.tickets)
                assert.are.equal(200, spoke(got)[1].status)
                assert.are.equal("right", got.log[1].auth)
                assert.are.equal("http", got.log[1].listener)
            end)

            it("brings hundreds, in batches, several at once", function()
                local got = ask(MANY, { batch_size = 20, concurrency = 6 }, "delay,ms=50", "shuffle", { on = on })
                assert.is_nil(got.message)
                assert.are.same(direct, got.tickets)
                assert.are.equal(15, got.info.requests)
                local connections = matching(spoke(got, 15), "port")
                assert.is_true(connections <= 6, connections)
                local most = 0
                for _, entry in ipairs(got.log) do most = math.max(most, entry.inflight_key) end
                assert.is_true(most > 1 and most <= 6, most)
            end)

            it("carries all requests at once in one connection, or each in its own", function()
                local client = kapture.new(ask.opts())
                local function call(ids, opts)
                    return client:get_ticket(ids, { base_url = opts.base_url, batch_size = 1 })
                end
                ask.on(call, "1", nil, { on = on })
                local got = ask.on(call, "1,2,3,4", nil, "delay,ms=300", { on = on })
                assert.is_nil(got.message)
                assert.are.equal(proto == "HTTP/2.0" and 1 or 4, (matching(spoke(got, 4), "port")))
            end)

            it("keeps its connection for the next call", function()
                local client, calls, ports = kapture.new(ask.opts()), {}, {}
                for i = 1, 3 do
                    calls[i] = ask.on(function(ids, opts)
                        return client:get_ticket(ids, { base_url = opts.base_url })
                    end, tostring(i), nil, { on = on })
                    assert.is_nil(calls[i].message)
                end
                for i = 1, 3 do ports[i] = spoke(calls[i])[1].port end
                assert.are.same({ ports[1], ports[1], ports[1] }, ports)
            end)

            it("sends gzip or not, the sandbox's or its own", function()
                for _, fault in ipairs { "tag", "identity", "chunked" } do
                    for _, compression in ipairs { true, false } do
                        local got = ask(MANY, { batch_size = 300, compression = compression }, fault, { on = on })
                        assert.is_nil(got.message)
                        assert.are.same(direct, got.tickets)
                        assert.are.equal(compression and "gzip" or "-", spoke(got)[1].encoding)
                    end
                end
            end)

            it("brings a ticket of megabytes", function()
                for _, compression in ipairs { true, false } do
                    local got = ask("1", { compression = compression },
                        "thick,entries=20000", { on = on })
                    assert.is_nil(got.message)
                    assert.are.equal(20000, #got.tickets[1].history.history)
                    assert.is_true(got.info.bytes > 2e6)
                end
            end)

            it("brings it in pieces", function()
                local got = ask("1,2,3", { compression = false }, "drip,bytes=500,ms=5", { on = on })
                assert.is_nil(got.message)
                assert.are.equal(3, #got.tickets)
            end)

            it("is not waited for longer than the timeout, and then goes on", function()
                local client, from = kapture.new(ask.opts()), host.now()
                local function call(ids, opts)
                    return client:get_ticket(ids, { base_url = opts.base_url, timeout = opts.timeout })
                end
                local err = failed("timeout", ask.on(call, "1", { timeout = 0.4 }, "delay,ms=4000", { on = on }))
                local took = host.now() - from
                assert.is_true(took >= 0.39 and took < 3, took)
                assert.is_true(err.retryable)
                assert.is_nil(ask.on(call, "1", { timeout = 10 }, { on = on }).message)
            end)

            it("is not waited for longer than the deadline", function()
                local from = host.now()
                local got = ask(MANY, { batch_size = 20, concurrency = 2, deadline = 0.7 }, "delay,ms=200",
                    { on = on })
                local took, err = host.now() - from, failed("timeout", got)
                assert.is_true(took >= 0.69 and took < 3, took)
                assert.is_true(#err.tickets > 0)
                local n = #err.tickets
                for _, f in ipairs(err.failed) do n = n + #f.ids end
                assert.are.equal(#MANY, n)
            end)

            it("passes on failures that go over", function()
                for _, fault in ipairs { "status,code=503,body=html", "truncate", "reset,at=0.6", "reset", "close" } do
                    local got = ask("1,2,3", { retries = 1, backoff = 0, compression = false },
                        fault .. ",times=1", { on = on })
                    assert.is_nil(got.message, fault)
                    assert.are.equal(3, #got.tickets)
                    -- what has no answer yet, they may try again themselves
                    local own = (fault == "reset" or fault == "close") and got.info.requests == 1
                    assert.is_true(own or got.info.requests == 2, fault .. ": " .. got.info.requests .. " requests")
                end
            end)

            it("breaks off where the answer does", function()
                for _, fault in ipairs { "truncate", "truncate,finish=reset", "reset,at=0.6", "truncate,at=0.9" } do
                    local err = failed("network", ask("1,2,3", { compression = false }, fault, { on = on }))
                    assert.are.equal(0, #err.tickets)
                    assert.is_true(err.retryable)
                end
            end)

            it("passes for whole what is not, and is not believed", function()
                -- Caddy and HAProxy end what they compress as if it were complete, or
                -- what came without a length: then it is no JSON. httpd may see it in
                -- time for a page of its own.
                for _, fault in ipairs { "truncate", "truncate,framing=chunked", "reset,at=0.6" } do
                    for _, compression in ipairs { true, false } do
                        local err = ask("1,2,3", { compression = compression }, fault, { on = on }).err
                        assert.is_truthy(err)
                        local own = name == "apache" and "server" or "protocol"
                        assert.is_true(err.kind == "network" or err.kind == own, err.kind)
                        -- what stood whole before the fault is kept
                        assert.is_true(#err.tickets < 3)
                        assert.are.equal(3 - #err.tickets, #err.ids)
                    end
                end
            end)

            it("answers itself for a server that resets the connection", function()
                local got = ask("1", nil, "reset", { on = on })
                assert.is_true(got.err.retryable)
                -- over HTTP/2, HAProxy asks us to try again instead
                if on == "haproxy" and got.err.kind == "network" then return end
                assert.is_true(failed("server", got).status == 502 or name == "apache" and got.err.status == 500)
            end)

            it("answers itself where there is none", function()
                local err = failed("server", ask("1", nil, { on = name .. "gone" .. suffix }))
                assert.are.equal(gone[name], err.status)
                assert.is_true(err.retryable)
                if name ~= "caddy" then assert.is_truthy(err.body:lower():find("<html>", 1, true), err.body) end
            end)

            it("answers itself for one that is too slow", function()
                local err = failed("server", ask("1", nil, "delay,ms=6000", { on = name .. "tight" .. suffix }))
                assert.are.equal(slow[name], err.status)
            end)

            it("passes on how long to wait", function()
                local delays = {}
                local got = ask("1", { retries = 1, backoff = 0, hook = function(event)
                    delays[#delays + 1] = event.delay
                end }, "retry-after,code=429,after=1,times=1", { on = on })
                assert.is_nil(got.message)
                assert.are.equal(1, got.info.retries)
                assert.is_true(delays[1] >= 1 and delays[1] < 3, delays[1])
                local err = failed("rate_limited", ask("1", nil, "retry-after,code=429,after=7", { on = on }))
                assert.are.equal(7, err.retry_after)
                assert.are.equal(429, err.status)
            end)

            it("gets requests that fit when it refuses large ones", function()
                local tight = name .. "tight" .. suffix
                local got = ask(MANY, { batch_size = 300 }, { on = tight })
                assert.is_nil(got.message)
                assert.are.same(direct, got.tickets)
                local _, statuses = matching(peer:requests(got.key, got.info.requests), "status")
                assert.are.same({ [200] = true, [large[name]] = true }, statuses)
                -- however often: over HTTP/2 the answer and a reset come together
                for _ = 1, 8 do
                    local err = ask(MANY, { batch_size = 300, isolate = false }, { on = tight }).err
                    assert.are.equal(large[name], err.status)
                    assert.are.equal(large[name] == 413 and "bad_request" or "server", err.kind)
                    assert.are.equal(#MANY, #err.ids)
                end
            end)

            it("gets smaller ones after a 414, too", function()
                local got = ask(MANY, { batch_size = 100 }, "maxids,n=30,status=414", { on = on })
                assert.is_nil(got.message)
                assert.are.same(direct, got.tickets)
            end)

            it("refuses a path that is too long", function()
                local err = ask("1", { base_url = sandbox[on] .. "/" .. ("long"):rep(5000) }).err
                assert.are.equal(long[name], err.status)
                assert.are.equal(long[name] == 404 and "not_found" or "bad_request", err.kind)
            end)

            it("leaves it to the service to refuse a token", function()
                local got = ask(MANY, { token = "wrong", batch_size = 100, concurrency = 1 }, { on = on })
                assert.are.equal(401, failed("auth", got).status)
                assert.are.equal("Invalid Auth Key", got.message)
                assert.are.equal(1, #spoke(got))
            end)

            it("has a certificate that is checked", function()
                local got = ask("1", { ca_file = false }, { on = on })
                failed("tls", got)
                assert.are.equal(0, #got.log)
            end)

            it("feeds the iterator", function()
                local key, n = sandbox.key(), 0
                local opts = ask.opts({ batch_size = 25 }, "shuffle", { on = on, key = key })
                for id, ticket, err in kapture.tickets(MANY, opts) do
                    n = n + 1
                    assert.is_nil(err)
                    assert.are.equal(MANY[n], id)
                    assert.are.same(direct[n], ticket)
                end
                assert.are.equal(#MANY, n)
                spoke({ key = key }, 12)
            end)

            it("answers calls that nobody waits for", function()
                local client, requests = kapture.new(ask.opts(nil, "delay,ms=100,jitter=200", { on = on })), {}
                for i = 1, 8 do requests[i] = client:submit(sandbox.ids(10, i * 10 - 10), { batch_size = 5 }) end
                local from, going, ended = host.now(), 8, 0
                while going > 0 and host.now() - from < 20 do
                    host.poll(client:fd(), 1)
                    local list
                    going, list = client:step()
                    ended = ended + #list
                end
                assert.are.equal(8, ended)
                for i = 1, 8 do
                    local tickets = assert(requests[i]:result())
                    for j = 1, 10 do assert.are.same(direct[i * 10 - 10 + j], tickets[j]) end
                end
            end)

            it("is told when a call is cancelled, and goes on with the others", function()
                local client, key = kapture.new(ask.opts()), sandbox.key()
                local function url(...) return { base_url = sandbox.url(...) } end
                local other = client:submit("2", url("delay,ms=700", { on = on }))
                local request = client:submit("1", url("hang,s=30", { on = on, key = key }))
                local from = host.now()
                while sandbox.stats(key).requests == 0 and host.now() - from < 10 do client:step(0.05) end
                request:cancel()
                local _, _, err = request:result()
                assert.are.equal("cancelled", err.kind)
                assert.are.equal(1, #assert(other:wait(20)))
                assert.are.equal(1, #assert(client:get_ticket("3", url { on = on })))
                -- and the peer has let go of the sandbox; httpd only when it has
                -- something to send on
                if name == "apache" then return end
                from = host.now()
                while sandbox.stats(key).inflight > 0 and host.now() - from < 10 do host.sleep(0.05) end
                assert.are.equal(0, sandbox.stats(key).inflight)
            end)

            it("may be reloaded under way", function()
                local key, reloaded = sandbox.key(), false
                local opts = ask.opts({ batch_size = 5, concurrency = 4, retries = 2, backoff = 0.1 },
                    "delay,ms=60", { on = on, key = key })
                local client, n = kapture.new(opts), 0
                for _, ticket, err in client:tickets(MANY) do
                    n = n + 1
                    assert.is_nil(err)
                    assert.are.same(direct[n], ticket)
                    if n == 60 then
                        peer:reload()
                        reloaded = true
                    end
                end
                assert.are.equal(#MANY, n)
                assert.is_true(reloaded)
                -- what it had before is closed or half closed by now
                host.sleep(0.3)
                assert.are.equal(1, #assert(client:get_ticket("1")))
            end)
        end)
    end
end)
