-- Over a bad line: 40 ms there and 40 ms back, 10 ms more or less, 2 packets in
-- 100 lost, 5 ahead of their turn. The sandbox and the real servers are at its
-- far end, this process' clients at the near one.
local host = require "kapture_host"
local kapture = require "kapture"
local peers -- and these two, at the far end
local ask, sandbox
local wan = require "spec.support.wan"

local function sh(command, ...)
    assert.are.equal(0, tonumber((assert(io.popen(command:format(...) .. "; echo $?")):read "*a"):match "(%d+)\n$"))
end

describe("a bad line", function()
    local line, up, direct, IDS = nil, {}, nil, nil

    setup(function()
        line = wan.start { delay = 40, jitter = 10, loss = 2, reorder = 5 }
        -- This sandbox is no one else's: it lives in the far namespace.
        host.unset "KAPTURE_SANDBOX_READY"
        line:far(function()
            sandbox = require "spec.support.sandbox"
            ask, peers = require "spec.support.ask", require "spec.support.peers"
            IDS = sandbox.ids(300)
            -- The sandbox's authority signs one more certificate: for the far address.
            local ca = sandbox.dir .. "/ca"
            sh([[cd %s && printf 'subjectAltName = IP:%s\n' >wan.ext &&
                openssl req -config ca.cnf -new -key leaf.key -subj /CN=wan 2>/dev/null |
                openssl x509 -req -days 30 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile wan.ext -out wan.pem \
                2>/dev/null]], ca, wan.address)
            for _, name in ipairs(peers.names) do
                up[name] = peers.start(name, { host = wan.address, cert = ca .. "/wan.pem", key = ca .. "/leaf.key" })
            end
            direct = assert(kapture.new(ask.opts()):get_ticket(IDS))
        end)
    end)
    teardown(function()
        for _, peer in pairs(up) do peer:stop() end
        if sandbox then sandbox.stop() end
        if line then line:stop() end
    end)

    -- f at the near end, with a client whose calls go to this listener.
    local function near(on, opts, f)
        return line:near(function()
            local client = kapture.new(ask.opts(opts, { on = on }))
            local function call(ids, more, ...)
                return ask.on(function(list, all)
                    local given = { base_url = all.base_url }
                    for name, value in pairs(more or {}) do given[name] = value end
                    return client:get_ticket(list, given)
                end, ids, nil, ...)
            end
            f(call, client)
            client:close()
        end)
    end

    it("is one", function()
        near("haproxy", nil, function(call)
            local from = host.now()
            assert.is_nil(call("1", nil, { on = "haproxy" }).message)
            -- three times there and back, and no packet much faster than the line
            assert.is_true(host.now() - from > 0.06, host.now() - from)
        end)
        assert.is_truthy(line.how == "netem" or line.how == "link")
    end)

    for _, name in ipairs { "apache", "caddy", "haproxy" } do
        for proto, suffix in pairs { ["HTTP/2.0"] = "", ["HTTP/1.1"] = "1" } do
            it(("brings everything from %s over %s"):format(name, proto), function()
                near(name .. suffix, nil, function(call)
                    local got = call(IDS, { batch_size = 30, compression = name ~= "caddy" }, { on = name .. suffix })
                    assert.is_nil(got.message)
                    assert.are.same(direct, got.tickets)
                    assert.are.equal(0, got.info.retries)
                    for _, entry in ipairs(up[name]:requests(got.key, 10)) do
                        assert.are.equal(proto, entry.proto)
                    end
                end)
            end)
        end
    end

    it("has lost packets meanwhile", function()
        assert.is_true(line:resent() > 0)
    end)

    for proto, on in pairs { ["HTTP/2"] = "haproxy", ["HTTP/1.1"] = "haproxy1" } do
        it("keeps timeouts over " .. proto, function()
            near(on, nil, function(call)
                assert.is_nil(call("1", nil, { on = on }).message)
                local from = host.now()
                local err = call("1", { timeout = 0.8 }, "hang,s=20", { on = on }).err
                local took = host.now() - from
                assert.are.equal("timeout", err.kind)
                assert.is_true(took >= 0.79 and took < 3, took)
            end)
        end)

        it("keeps deadlines over " .. proto .. ", and what has come by then", function()
            near(on, { concurrency = 2 }, function(call)
                -- connecting over this line may take all of the time
                assert.is_nil(call("1", nil, { on = on }).message)
                local from = host.now()
                local err = call(IDS, { batch_size = 10, deadline = 1.5 }, "delay,ms=150",
                    { on = on }).err
                local took, n = host.now() - from, 0
                assert.are.equal("timeout", err.kind)
                assert.is_true(took >= 1.49 and took < 4, took)
                assert.is_true(#err.tickets > 0)
                for _, f in ipairs(err.failed) do n = n + #f.ids end
                assert.are.equal(#IDS, #err.tickets + n)
            end)
        end)

        it("that is cut for a while costs time only, over " .. proto, function()
            near(on, { timeout = 30, retries = 2 }, function(_, client)
                local request = client:submit(IDS, { batch_size = 10,
                                                     base_url = sandbox.url("delay,ms=50", { on = on }) })
                local from = host.now()
                while host.now() - from < 0.6 do client:step(0.1) end
                line:cut()
                while host.now() - from < 1.4 do client:step(0.1) end
                assert.is_false(request:done())
                line:mend()
                local tickets, message = request:wait(60)
                assert.is_nil(not tickets and message or nil)
                assert.are.same(direct, tickets)
            end)
        end)

        it("that is dead is noticed by timeout and deadline, over " .. proto, function()
            near(on, nil, function(call)
                assert.is_nil(call("1", nil, { on = on }).message)
                line:cut()
                local from = host.now()
                local ok, why = pcall(function()
                    local err = call("1", { timeout = 0.5, retries = 20, backoff = 0.1, deadline = 2 }, { on = on }).err
                    assert.are.equal("timeout", err.kind)
                end)
                local took = host.now() - from
                line:mend()
                assert(ok, why)
                assert.is_true(took < 4, took)
            end)
        end)

        -- Its old connections are as good as any, as far as it can see, and never
        -- bring an answer again.
        it("that changes under kept connections is tried anew, over " .. proto, function()
            near(on, { batch_size = 1, concurrency = 3, timeout = 2, retries = 3, backoff = 0.1 }, function(call)
                assert.is_nil(call("1,2,3", nil, "delay,ms=200", { on = on }).message)
                line:move()
                local got = call("1", nil, { on = on })
                assert.is_nil(got.message)
                assert.is_true(got.info.retries >= 1)
                -- and the next calls have nothing to do with it; of HTTP/1.1's, two are left
                local retries = 0
                for i = 1, 4 do
                    got = call(tostring(i), nil, { on = on })
                    assert.is_nil(got.message)
                    retries = retries + got.info.retries
                end
                assert.is_true(retries <= (proto == "HTTP/2" and 1 or 3), retries)
            end)
        end)
    end
end)
