-- Without blocking: submit, the descriptor, step, and ends of every kind.
local kapture = require "kapture"
local ask = require "spec.support.ask"
local system = require "spec.support.system"
local sandbox = require "spec.support.sandbox"
local host = require "kapture_host"

local function client(options)
    return kapture.new(ask.opts(options))
end

-- Seconds, without those that others on this machine made it wait for a processor.
local function clock()
    return host.now() - host.queued()
end

local function ids_of(tickets)
    local list = {}
    for i, t in ipairs(tickets) do list[i] = t.task_details.ticketId end
    return list
end

-- Waits for the descriptor as poll(2) does, and steps, until `enough` says so.
local function drive(c, enough, seconds)
    local all, limit, going = {}, host.now() + (seconds or 20), nil
    repeat
        assert(host.now() < limit, "took too long")
        if host.poll(c:fd(), 0.5) then
            local ended
            going, ended = c:step()
            for _, r in ipairs(ended) do all[#all + 1] = r end
        end
    until enough(all, going)
    return all
end

local function ended(n)
    return function(all) return #all >= n end
end

local function threads()
    local n = 0
    local list = assert(io.popen "ls /proc/$PPID/task")
    for _ in list:lines() do n = n + 1 end
    list:close()
    return n
end

-- Something that stays at work until it is ended, and its key in the log.
local function hanging(c, options)
    local key = sandbox.key()
    local o = { base_url = sandbox.url("hang,s=30", { key = key, on = options and options.on }) }
    local r = c:submit("1", o)
    local limit = host.now() + 10
    while sandbox.stats(key).inflight == 0 do
        assert(host.now() < limit, "the request did not arrive")
        host.sleep(0.02)
    end
    return r, key
end

-- When the sandbox saw that its client was gone, as an entry in the log.
local function aborted(key, seconds)
    local limit = host.now() + seconds
    repeat
        local e = sandbox.requests(key)[1]
        if e then return e end
        host.sleep(0.01)
    until host.now() > limit
end

describe("submit", function()
    it("returns at once, pending, and the ticket comes", function()
        local c = client()
        local before = clock()
        local r = c:submit("713516551148", { base_url = sandbox.url "delay,ms=300" })
        assert.is_true(clock() - before < 0.25)
        assert.is_false(r:done())
        assert.same({ nil, "pending" }, { r:result() })
        assert.equal(2, select("#", r:result()))
        assert.truthy(tostring(r):find "pending")
        local tickets, info = r:wait()
        assert.same({ "713516551148" }, ids_of(tickets))
        assert.equal(1, info.requests)
        assert.is_true(r:done())
        assert.truthy(tostring(r):find "done")
        local again, same = r:result()
        assert.equal(tickets, again)
        assert.equal(info, same)
        c:close()
        assert.equal(tickets, (r:result()))
    end)

    it("raises a caller's mistake, as get_ticket does", function()
        local c = client()
        local ok, e = pcall(c.submit, c, "1", { timout = 1 })
        assert.is_false(ok)
        assert.truthy(e:find("bad argument #2 to 'submit' (unknown option 'timout', did you mean", 1, true), e)
        ok, e = pcall(c.submit, c, true)
        assert.is_false(ok)
        assert.truthy(e:find("bad argument #1 to 'submit'", 1, true), e)
        assert.equal(0, (c:step()))
    end)

    it("is done at once where it fails at once, and is reported", function()
        local c = client()
        for kind, r in pairs {
            invalid_ids = c:submit "a b", config = c:submit("1", { base_url = "ftp://x" }),
        } do
            assert.is_true(r:done())
            local t, message, err = r:result()
            assert.is_nil(t)
            assert.equal(kind, err.kind)
            assert.equal(message, err.message)
        end
        assert.is_true(host.poll(c:fd(), 0))
        local going, list = c:step()
        assert.equal(0, going)
        assert.equal(2, #list)
        assert.is_false(host.poll(c:fd(), 0))
    end)

    it("calls a token function once, and contains one that raises", function()
        local calls = 0
        local c = client { token = function() calls = calls + 1; return sandbox.token end }
        assert.truthy(c:submit("1"):wait())
        assert.equal(1, calls)
        local r = c:submit("1", { token = function() error { } end })
        assert.is_true(r:done())
        assert.equal("config", select(3, r:result()).kind)
        r = c:submit("1", { token = function() error("two\nlines", 0) end })
        assert.equal("the token function failed: two lines", (select(2, r:result())))
        r = c:submit("1", { token = coroutine.wrap(function() coroutine.yield(sandbox.token) end) })
        assert.truthy(r:wait())
    end)

    it("keeps order, missing and batches as get_ticket does", function()
        local c = client { batch_size = 7, concurrency = 3 }
        local ids = sandbox.ids(40)
        table.insert(ids, 11, "404000000001")
        local tickets, info = c:submit(ids):wait()
        table.remove(ids, 11)
        assert.same(ids, ids_of(tickets))
        assert.same({ "404000000001" }, info.missing)
        assert.equal(6, info.requests)
    end)

    it("sends nothing more after a refused token", function()
        for _, on in ipairs { "https", "https1" } do
            for _, concurrency in ipairs { 1, 4 } do
                for _ = 1, 25 do
                    local c, key = client { concurrency = concurrency }, sandbox.key()
                    local _, _, err = c:submit(sandbox.ids(60), { batch_size = 3,
                        retries = 0, base_url = sandbox.url("expired,skip=3", { key = key, on = on }) }):wait()
                    assert.equal("auth", err.kind)
                    assert.equal(60, #err.tickets + #err.ids)
                    c:close()
                    -- those that were under way with the one refused
                    local requests = sandbox.stats(key).requests
                    assert.is_true(requests <= 3 + concurrency, requests)
                end
            end
        end
    end)

    it("keeps its client alive", function()
        local r = client():submit("713516551148", { base_url = sandbox.url "delay,ms=100" })
        for _ = 1, 5 do collectgarbage() end
        assert.same({ "713516551148" }, ids_of((r:wait())))
    end)

    it("runs many at once on one descriptor", function()
        local c = client { concurrency = 16 }
        local wanted = {}
        for i = 1, 200 do wanted[c:submit(sandbox.id(i))] = sandbox.id(i) end
        for _, r in ipairs(drive(c, ended(200))) do
            assert.same({ wanted[r] }, ids_of(assert(r:result())))
            wanted[r] = nil
        end
        assert.is_nil(next(wanted))
        local going, list = c:step()
        assert.equal(0, going)
        assert.equal(0, #list)
    end)

    it("leaves blocking calls and iterators their place on the client", function()
        local c = client { concurrency = 4 }
        local it = c:tickets(sandbox.ids(30), { batch_size = 2 })
        assert.equal(sandbox.id(1), (it()))
        local r = c:submit(sandbox.ids(60), { batch_size = 5 })
        assert.equal(2, #c:get_ticket "1,2")
        for i = 2, 30 do assert.equal(sandbox.id(i), (it())) end
        assert.equal(60, #r:wait())
        assert.equal(1, #c:get_ticket "3")
    end)
end)

describe("the engine's thread", function()
    it("can be woken even if there were no descriptors when the client was new #once", function()
        local c, files = client(), {}
        local before = assert(host.files(120))
        repeat
            local file = io.open "/dev/null"
            files[#files + 1] = file
        until not file
        local ok, _, message, err = pcall(function() return c:submit("1"):wait(20) end)
        for _, file in ipairs(files) do file:close() end
        host.files(before)
        assert.is_true(ok, _)
        assert.equal("network", err and err.kind, message)
        for i = 1, 3 do -- the first is there when the thread starts
            local tickets, why = c:submit(i):wait(20)
            assert(tickets, why)
        end
        c:close()
    end)

    it("is not there for a blocking script", function()
        collectgarbage() -- other tests' clients, and with them their threads
        collectgarbage()
        local before = threads()
        local c = client()
        assert.truthy(c:get_ticket "1")
        for _ in c:tickets "1,2,3" do end
        c:fd()
        c:step()
        assert.equal(before, threads())
        local r = c:submit "1"
        assert.truthy(r:wait())
        assert.equal(before + 1, threads())
        assert.truthy(c:get_ticket "1")
        assert.equal(before + 1, threads())
        c:close()
        assert.equal(before, threads())
    end)

    it("takes no signal, and its client goes on after signals", function()
        local c = client()
        local r = c:submit("1", { base_url = sandbox.url "delay,ms=300" })
        local caught, elsewhere = 0, 0
        repeat
            local n, e = host.signals(20)
            caught, elsewhere = caught + n, elsewhere + e
            c:step(0.01)
        until r:done()
        assert.truthy(r:result())
        assert.is_true(caught > 0)
        assert.equal(0, elsewhere)
        if os.getenv "WRAP" then return end -- valgrind keeps the masks to itself
        -- every signal but KILL, STOP and the two of the C library is blocked
        local list = assert(io.popen "cat /proc/$PPID/task/*/status")
        local masks = {}
        for line in list:lines() do
            local mask = line:match "^SigBlk:%s*(%x+)"
            if mask then masks[#masks + 1] = mask end
        end
        list:close()
        local blocked = 0
        for _, mask in ipairs(masks) do
            if mask == "fffffffe7ffbfeff" or mask == "fffffffe3ffbfeff" or mask == "fffffffc7ffbfeff" then
                blocked = blocked + 1
            end
        end
        assert.is_true(blocked >= 1, table.concat(masks, " "))
    end)
end)

describe("the descriptor", function()
    it("is readable exactly while there is something to do or report", function()
        local c = client()
        local fd = c:fd()
        assert.equal("number", type(fd))
        assert.is_false(host.poll(fd, 0))
        local r = c:submit("1", { base_url = sandbox.url "delay,ms=200" })
        assert.equal(fd, c:fd())
        assert.is_false(host.poll(fd, 0))
        assert.is_true(host.poll(fd, 5))
        assert.is_true(host.poll(fd, 0))
        assert.is_false(r:done()) -- it arrived; nobody has dealt with it
        local going, list = c:step()
        assert.equal(0, going)
        assert.same({ r }, list)
        assert.is_false(host.poll(fd, 0))
    end)

    it("is not readable after a wait, a blocking call, or an iterator", function()
        local c = client()
        local r = c:submit "1"
        assert.truthy(r:wait())
        assert.is_false(host.poll(c:fd(), 0))
        assert.truthy(c:get_ticket "1")
        assert.is_false(host.poll(c:fd(), 0))
        for _ in c:tickets "1,2" do end
        assert.is_false(host.poll(c:fd(), 0))
        assert.same({ 0, {} }, { c:step() })
    end)

    it("is readable after wait for what others left to report", function()
        local c = client()
        local a = c:submit "1"
        local b = c:submit("2", { base_url = sandbox.url "delay,ms=100" })
        assert.truthy(b:wait())
        assert.is_true(a:done())
        assert.is_true(host.poll(c:fd(), 0))
        local _, list = c:step()
        assert.same({ a }, list)
        assert.is_false(host.poll(c:fd(), 0))
    end)

    it("is nil once closed", function()
        local c = client()
        local fd = c:fd()
        c:submit "1"
        c:close()
        assert.is_nil(c:fd())
        assert.is_nil(c:pollfd())
        assert.equal(-1, c:getfd())
        assert.is_nil(host.poll(fd, 0)) -- closed for the system, too
        c = client()
        c:close()
        assert.is_nil(c:fd())
    end)

    it("follows the conventions of cqueues and of LuaSocket", function()
        local c = client()
        assert.equal(c:fd(), c:pollfd())
        assert.equal(c:fd(), c:getfd())
        assert.equal("r", c:events())
        assert.is_nil(c:timeout())
        assert.is_false(c:dirty())
        c:submit "a b"
        assert.equal(0, c:timeout())
        assert.is_true(c:dirty())
        c:step()
        assert.is_nil(c:timeout())
        assert.is_false(c:dirty())
    end)
end)

describe("step", function()
    it("says how many go on and which have ended, each once", function()
        local c = client()
        local slow = c:submit("1", { base_url = sandbox.url "delay,ms=600" })
        local fast = c:submit "2"
        local list = drive(c, ended(1))
        assert.same({ fast }, list)
        local going, none = c:step()
        assert.equal(1, going)
        assert.same({}, none)
        assert.same({ slow }, drive(c, ended(1)))
        assert.equal(0, (c:step()))
    end)

    it("waits at most as long as it is told, and no longer than needed", function()
        local c = client()
        local before = host.now()
        assert.equal(0, (c:step(5))) -- nothing to wait for
        c:submit("1", { base_url = sandbox.url "delay,ms=1500" })
        assert.equal(1, (c:step()))
        assert.equal(1, (c:step(0)))
        assert.equal(1, (c:step(-1)))
        assert.is_true(host.now() - before < 1)
        before = host.now()
        assert.equal(1, (c:step(0.2)))
        assert.is_true(host.now() - before >= 0.19)
        local going, list = c:step(math.huge)
        assert.equal(0, going)
        assert.equal(1, #list)
    end)

    it("does not report what wait has returned", function()
        local c = client()
        local a, b = c:submit "1", c:submit "2"
        assert.truthy(a:wait())
        assert.same({ b }, drive(c, ended(1)))
    end)

    -- Steps through a response of megabytes with the collector stopped: its
    -- pauses are the host's own.
    local function slices(ids, options)
        local c = client { timeout = 60 }
        local r = c:submit(ids, options)
        assert.is_true(host.poll(c:fd(), 60))
        local steps, long, worst, total = 0, 0, 0, 0
        collectgarbage()
        collectgarbage "stop"
        repeat
            assert.is_true(host.poll(c:fd(), 0), "readable while there is more")
            local before = host.work()
            c:step()
            local took = host.work() - before
            steps, total = steps + 1, total + took
            if took > worst then worst = took end
            if took > 0.012 then long = long + 1 end
        until r:done()
        collectgarbage "restart"
        local tickets, info = r:result()
        assert.is_true(info.bytes > 4e6, tostring(info.bytes))
        if not system.instrumented then
            -- one of them may be held up by the machine: of few, that is much
            assert.is_true(steps + 1 >= total / 0.006, ("%d steps for %.1f ms"):format(steps, total * 1e3))
            -- Lua rehashes all its strings whenever their number has doubled,
            -- and a growing array its elements: some milliseconds in one
            -- allocation, whoever makes it.
            assert.is_true(long <= 2, ("%d long steps, %.1f ms in one"):format(long, worst * 1e3))
        end
        return tickets
    end

    it("gives the host its turn during a large response", function()
        assert.equal(1000, #slices(sandbox.ids(1000), {
            batch_size = 1000, include_emailbody = "1", conversation_type = "all",
            history_type = "all", base_url = sandbox.url "identity",
        }))
    end)

    it("gives the host its turn during a large ticket, in every form of answer", function()
        for _, form in ipairs { false, "success", "message-object", "inline" } do
            local faults = { "identity", "thick" }
            if form then table.insert(faults, 2, "envelope,form=" .. form) end
            local tickets = slices(sandbox.id(1), { base_url = sandbox.url((table.unpack or unpack)(faults)) })
            assert.equal(1, #tickets)
            assert.equal(sandbox.id(1), tickets[1].task_details.ticketId)
            local history = tickets[1].history.history
            assert.equal(25000, #history)
            for _, i in ipairs { 1, 2, 777, 12345, 24999, 25000 } do
                assert.equal(10000000 + i, history[i].id)
                assert.equal(('Entry %d: the parcel was "found" and will come'):format(i), history[i].detail)
            end
        end
    end)

    it("gives the host its turn during raw tickets, many and a large one", function()
        assert.equal(1000, #slices(sandbox.ids(1000), {
            batch_size = 1000, include_emailbody = "1", conversation_type = "all", raw = true,
            history_type = "all", base_url = sandbox.url "identity",
        }))
        local tickets = slices(sandbox.id(1), { base_url = sandbox.url("identity", "thick"), raw = true })
        assert.equal(1, #tickets)
        assert.equal(25000, select(2, tickets[1]:gsub('"Entry %d+: the parcel was \\"found\\" and will come"', "")))
        assert.truthy(tickets[1]:find "^{.*}$")
    end)

    it("forgets a ticket that it has begun, when its call is cancelled", function()
        local c = client { timeout = 60 }
        for way = 1, 3 do
            local r = c:submit(sandbox.id(1), { base_url = sandbox.url("identity", "thick") })
            assert.is_true(host.poll(c:fd(), 60))
            for _ = 1, way do c:step() end
            assert.is_false(r:done())
            r:cancel()
            assert.equal("cancelled", select(3, r:result()).kind)
            assert.same({ r }, select(2, c:step()))
            assert.equal(1, #c:get_ticket "5")
        end
        local r = c:submit(sandbox.id(1), { base_url = sandbox.url("identity", "thick"), fields = { "history" } })
        assert.is_true(host.poll(c:fd(), 60))
        c:step()
        c:close()
        assert.equal("closed", select(3, r:result()).kind)
    end)

    it("never waits for names, connections or handshakes", function()
        local c = client { deadline = 30, connect_timeout = 30 }
        local worst = 0
        local function timed(f, ...)
            local before = clock()
            local a, b = f(...)
            worst = math.max(worst, clock() - before)
            return a, b
        end
        timed(c.submit, c, "1", { base_url = sandbox.stall })
        timed(c.submit, c, "1", { base_url = sandbox.blackhole })
        timed(c.submit, c, "1", { base_url = "https://no-such-host.invalid" })
        for _ = 1, 40 do
            timed(c.step, c)
            host.sleep(0.005)
        end
        timed(c.close, c)
        assert.is_true(worst < 0.1, ("%.0f ms"):format(worst * 1e3))
    end)

    it("works from any coroutine, also with those that are gone", function()
        local c, r
        do
            coroutine.wrap(function()
                c = client { batch_size = 1, hook = function() end }
                r = coroutine.wrap(function() return c:submit(sandbox.ids(20)) end)()
            end)()
        end
        repeat
            collectgarbage()
            local co = coroutine.create(function() return c:step(0.1) end)
            assert(coroutine.resume(co))
        until r:done()
        collectgarbage()
        assert.equal(20, #coroutine.wrap(function() return r:result() end)())
    end)
end)

describe("cancel", function()
    it("is seen by the server at once, also on a connection that others use", function()
        for _, on in ipairs { "https", "https1" } do
            local c = client { concurrency = 8 }
            assert.truthy(c:get_ticket "1") -- HTTP/2 from here on, where there is
            local others = {}
            for i = 1, 3 do others[i] = c:submit(i, { base_url = sandbox.url("delay,ms=1500", { on = on }) }) end
            local r, key = hanging(c, { on = on })
            local before = host.now()
            r:cancel()
            assert.equal("cancelled", select(3, r:result()).kind)
            local entry = assert(aborted(key, 5), "the server still waits: " .. on)
            assert.is_true(host.now() - before < 1)
            assert.is_true(entry.aborted)
            for _, other in ipairs(others) do assert.equal(1, #other:wait(20)) end
            c:close()
        end
    end)
end)

describe("wait", function()
    it("gives up after so many seconds, and can be taken up again", function()
        local c = client()
        local r = c:submit("1", { base_url = sandbox.url "delay,ms=400" })
        local before = host.now()
        assert.same({ nil, "pending" }, { r:wait(0.1) })
        assert.is_true(host.now() - before >= 0.09)
        assert.same({ nil, "pending" }, { r:wait(0) })
        assert.same({ nil, "pending" }, { r:wait(-1) })
        assert.equal(1, #r:wait(20))
        assert.equal(1, #r:wait())
        assert.equal(1, #r:wait(0))
    end)

    it("lets others get on meanwhile", function()
        local c = client()
        local other = c:submit(sandbox.ids(10), { batch_size = 1 })
        assert.truthy(c:submit("1", { base_url = sandbox.url "delay,ms=700" }):wait())
        assert.is_true(other:done())
    end)
end)

describe("cancel", function()
    it("ends it within the call, closes the socket, and is reported once", function()
        for _, on in ipairs { "https", "https1", "http" } do
            local c = client()
            local r, key = hanging(c, { on = on })
            local before = clock()
            r:cancel()
            assert.is_true(r:done())
            assert.is_true(clock() - before < 0.05)
            assert.is_truthy(aborted(key, 5))
            local _, message, err = r:result()
            assert.equal("cancelled", err.kind)
            assert.equal("string", type(message))
            assert.same({ "1" }, err.ids)
            assert.same({}, err.tickets)
            assert.is_true(host.poll(c:fd(), 0))
            local going, list = c:step()
            assert.equal(0, going)
            assert.same({ r }, list)
            r:cancel()
            assert.same({ 0, {} }, { c:step() })
        end
    end)

    it("changes nothing about one that is done", function()
        local c = client()
        local r = c:submit "1"
        local tickets = r:wait()
        r:cancel()
        assert.equal(tickets, (r:result()))
        assert.same({ 0, {} }, { c:step() })
    end)

    it("keeps what had arrived", function()
        local c = client { batch_size = 1, concurrency = 1 }
        local id = sandbox.id(3)
        local r = c:submit(sandbox.ids(5), { base_url = sandbox.url("delay,ms=20000,ifid=" .. id) })
        repeat c:step(0.05) until #sandbox.requests(function(e) return e.ids == sandbox.id(2) end) > 0
        c:step(0.3)
        r:cancel()
        local _, _, err = r:result()
        assert.equal("cancelled", err.kind)
        assert.same(sandbox.ids(2), ids_of(err.tickets))
        assert.same(sandbox.ids(3, 2), err.ids)
    end)

    it("is not held up by the resolver, a connect or a handshake", function()
        for _, base in ipairs { "https://no-such-host.invalid", sandbox.blackhole, sandbox.stall } do
            local c = client()
            local r = c:submit("1", { base_url = base })
            host.sleep(0.02)
            local before = clock()
            r:cancel()
            c:close()
            assert.is_true(clock() - before < 0.3, base)
        end
    end)

    it("works from inside a hook, of itself too", function()
        local c, r = client { batch_size = 1 }, nil
        r = c:submit(sandbox.ids(5), { hook = function(e)
            if e.event == "response" then r:cancel() end
        end })
        local _, _, err = r:wait(20)
        assert.equal("cancelled", err.kind)
    end)
end)

describe("close", function()
    it("ends everything with kind closed", function()
        local c = client()
        local a, key = hanging(c)
        local b = c:submit(sandbox.ids(100), { batch_size = 1 })
        c:close()
        for _, r in ipairs { a, b } do
            assert.is_true(r:done())
            local _, message, err = r:result()
            assert.equal("closed", err.kind)
            assert.equal(err.message, message)
            local _, _, again = r:wait()
            assert.equal(err, again)
            r:cancel()
        end
        assert.is_truthy(aborted(key, 5))
    end)

    it("makes later calls fail with closed, and step give nothing", function()
        local c = client()
        assert.truthy(c:submit("1"):wait())
        c:submit "2"
        c:close()
        c:close()
        assert.same({ 0, {} }, { c:step() })
        assert.same({ 0, {} }, { c:step(5) })
        assert.is_nil(c:fd())
        local r = c:submit "1"
        assert.is_true(r:done())
        assert.same({ 0, {} }, { c:step() }) -- nor of what was asked for since
        assert.equal("closed", select(3, r:result()).kind)
        assert.equal("closed", select(3, r:wait()).kind)
        local kept = setmetatable({ c:submit "1" }, { __mode = "v" })
        collectgarbage()
        collectgarbage()
        assert.is_nil(kept[1])
        assert.equal("closed", select(3, c:get_ticket "1").kind)
        local rounds = 0
        for id, ticket, err in c:tickets "1,2" do
            rounds = rounds + 1
            assert.equal(tostring(rounds), id)
            assert.is_nil(ticket)
            assert.equal("closed", err.kind)
        end
        assert.is_true(rounds >= 1)
        assert.same({ 0, {} }, { c:step() })
        assert.truthy(tostring(c):find "closed")
    end)

    it("works from inside a hook, during step, wait and a blocking call", function()
        for _, way in ipairs { "step", "wait", "get_ticket", "tickets" } do
            local c
            c = client { batch_size = 2, hook = function(e) if e.event == "response" then c:close() end end }
            local err
            if way == "get_ticket" then
                err = select(3, c:get_ticket(sandbox.ids(8)))
            elseif way == "tickets" then
                for _, _, e in c:tickets(sandbox.ids(8)) do err = e end
            else
                local r = c:submit(sandbox.ids(8))
                if way == "wait" then r:wait(20) else
                    repeat c:step(0.1) until r:done()
                end
                err = select(3, r:result())
            end
            assert.equal("closed", err.kind, way)
        end
    end)

    it("lets a hook step and wait, too", function()
        local c = client { batch_size = 1 }
        local inner, seen = nil, 0
        local r = c:submit(sandbox.ids(6), { hook = function(e)
            if e.event ~= "response" then return end
            seen = seen + 1
            c:step()
            if not inner then
                inner = c:submit("9")
                assert(inner:wait(20))
            end
            collectgarbage()
        end })
        repeat c:step(0.2) until r:done()
        assert.equal(6, #r:result())
        assert.equal(6, seen)
        assert.equal(1, #inner:result())
    end)
end)

if _VERSION >= "Lua 5.4" then
    it("a client is closed by the end of its block", function()
        local text = [[local kapture, options = ...
            local r
            do
                local c <close> = kapture.new(options)
                r = c:submit "1"
            end
            return r]]
        local r = assert(load(text))(kapture, { base_url = sandbox.stall, token = "x", ca_file = sandbox.ca })
        assert.equal("closed", select(3, r:result()).kind)
    end)
end

-- The end of a whole state: a script of its own each, which must end as if
-- nothing had been going on, and soon.
describe("lua_close", function()
    local function run(text, leaks)
        local lua, i = arg and arg[-1] or nil, -1
        while arg and arg[i - 1] do i = i - 1; lua = arg[i] end
        local name = os.tmpname()
        local file = assert(io.open(name, "w"))
        file:write(([[
            local kapture = require "kapture"
            local o = { token = %q, ca_file = %q, retries = 0, concurrency = 8 }
            local https, stall, hang = %q, %q, %q
            local function client(t) for k, v in pairs(o) do t[k] = v end return kapture.new(t) end
        ]]):format(sandbox.token, sandbox.ca, sandbox.https, sandbox.stall, sandbox.url "hang,s=20"), text,
            '\nio.write "the end"')
        file:close()
        local before = host.now()
        local wrap, environment = (os.getenv "WRAP" or ""):gsub("[%c]", ""), ""
        if leaks then
            environment = 'ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"'
            wrap = wrap:gsub("%-%-leak%-check=%a+", "--leak-check=no")
        end
        local pipe = assert(io.popen(("%s %s %s %s 2>&1; echo \" $?\""):format(environment, wrap, lua, name)))
        local out = pipe:read "*a"
        pipe:close()
        os.remove(name)
        assert.equal("the end 0", (out:gsub("%s+$", "")))
        assert.is_true(wrap ~= "" or host.now() - before < 5)
    end

    it("ends requests in flight", function()
        run [[
            c = client { base_url = hang }
            for i = 1, 20 do c:submit(i) end
            d = client { base_url = stall }
            r = d:submit "1"
            e = client { base_url = "https://no-such-host.invalid" }
            e:submit "1"
            c:step(0.2)
        ]]
    end)

    it("ends them in another order, with results nobody took", function()
        run [[
            local all = {}
            for i = 1, 10 do
                local c = client { base_url = i % 2 == 0 and https or hang }
                all[i] = { c:submit "1", c:submit "a b", c:submit("2", { hook = function() end }) }
                if i % 3 == 0 then all[i][1]:cancel() end
                if i % 4 == 0 then c:step(0.05) end
                if i % 5 == 0 then c:close() end
            end
            requests = all
        ]]
    end)

    -- From 5.4 on, what a finalizer makes while a state is closed is never finalized
    -- itself, whoever's it is: nothing a leak detector could be told.
    local leaks = _VERSION >= "Lua 5.4"

    it("meets finalizers that use what has been finalized", function()
        run([[
            local function finalizer(f)
                if newproxy then
                    local p = newproxy(true)
                    getmetatable(p).__gc = f
                    return p
                end
                return setmetatable({}, { __gc = f })
            end
            local c, r, s, t, it
            early = finalizer(function() -- made first, finalized last
                c:step() c:fd() c:getfd() c:dirty() c:timeout()
                r:done() r:result() r:wait() r:cancel()
                s:result() s:wait() t:result() t:wait(1)
                tostring(c) tostring(r)
                local again = c:submit "1"
                again:result()
                c:get_ticket "1"
                for _ in c:tickets "1" do end
                c:close()
            end)
            c = client { base_url = https }
            r = c:submit("1", { base_url = hang })
            s = c:submit("1")
            t = c:submit("2")
            t:wait()
            it = c:tickets("1,2,3")
            it()
            late = finalizer(function() c:step() r:result() s:cancel() c:submit "5" end)
        ]], leaks)
    end)

    it("ends a coroutine's blocking call from its own hook's os.exit", function()
        run [[
            c = client { base_url = https, hook = function(e)
                if e.event == "response" then io.write "the end" os.exit(0) end
            end }
            c:submit "1"
            c:submit("2", { base_url = hang })
            coroutine.wrap(function() c:get_ticket "1" end)()
        ]]
    end)
end)

describe("the collector", function()
    it("ends what nobody holds", function()
        local key
        do
            local c = client()
            local _
            _, key = hanging(c)
        end
        for _ = 1, 4 do collectgarbage() end
        assert.is_truthy(aborted(key, 5))
    end)

    it("may take the requests and leave the client", function()
        local c = client { concurrency = 8 }
        for i = 1, 50 do c:submit(i) end
        for _ = 1, 4 do collectgarbage() end
        assert.equal(50, #drive(c, ended(50)))
        local weak = setmetatable({}, { __mode = "k" })
        for i = 1, 10 do weak[c:submit(i)] = true end
        drive(c, ended(10))
        for _ = 1, 4 do collectgarbage() end
        assert.is_nil(next(weak))
    end)
end)
