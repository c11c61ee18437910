-- Ctrl-C: the interpreters' handler of SIGINT sets a hook that raises an error at
-- the next call. Blocking calls let it, and are over then.
local host = require "kapture_host"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

describe("Ctrl-C", function()
    local client

    before_each(function()
        client = kapture.new {
            base_url = sandbox.url "delay,ms=20000", token = sandbox.token, ca_file = sandbox.ca, timeout = 25,
        }
    end)
    after_each(function() client:close() end)

    local function interrupted(f)
        local began = host.now()
        debug.sethook(function()
            if host.now() - began > 0.3 then
                debug.sethook()
                error("interrupted!", 0)
            end
        end, "c")
        local ok, e = pcall(f)
        debug.sethook()
        assert.is_false(ok)
        assert.equal("interrupted!", e)
        assert.is_true(host.now() - began < 10)
        local tickets = assert(client:get_ticket("6", { base_url = sandbox.https }))
        assert.equal("6", tickets[1].task_details.ticketId)
    end

    it("ends a blocking call", function()
        interrupted(function() client:get_ticket "5" end)
    end)

    it("leaves nothing behind that keeps the next call from waiting", function()
        -- The call has a hook and is ended when its second request has just been
        -- started (which waits until the first one's answer is known to be no
        -- refusal); the next call has no hook.
        local options = { base_url = sandbox.url "status,code=404", isolate = false, batch_size = 1 }
        options.hook = function(event)
            if event.event ~= "failure" then return end
            debug.sethook(function()
                debug.sethook()
                error("interrupted!", 0)
            end, "c")
        end
        local one = kapture.new { token = sandbox.token, ca_file = sandbox.ca, concurrency = 1 }
        local ok = pcall(function() return one:get_ticket("1,2,3", options) end)
        debug.sethook()
        assert.is_false(ok)
        local tickets = assert(one:get_ticket("6", { base_url = sandbox.https, deadline = 20 }))
        assert.equal("6", tickets[1].task_details.ticketId)
        one:close()
    end)

    it("ends the iterator's wait", function()
        interrupted(function()
            for _ in client:tickets "5" do
                error "not yet"
            end
        end)
    end)

    it("leaves the descriptor readable for what ended during the wait", function()
        local fd = client:fd()
        local ended = client:submit("4", { base_url = sandbox.https })
        local request, began, waits = client:submit "5", host.now(), 0
        debug.sethook(function()
            if ended:done() then waits = waits + 1 end
            -- it has waited since, and taken back what had woken it
            if waits > 3 or host.now() - began > 15 then
                debug.sethook()
                error("interrupted!", 0)
            end
        end, "c")
        pcall(function() request:wait() end)
        debug.sethook()
        assert.is_true(ended:done())
        assert.is_true(host.poll(fd, 5))
        local _, reported = client:step()
        assert.equal(ended, reported[1])
    end)

    it("ends step and wait, and not the request", function()
        local request = client:submit "5"
        interrupted(function() client:step(20) end)
        assert.is_false(request:done())
        interrupted(function() request:wait() end)
        assert.same({ nil, "pending" }, { request:result() })
    end)

    it("ends them with one request at a time, and a call that waits for its turn", function()
        local one = kapture.new {
            base_url = sandbox.url "delay,ms=20000", token = sandbox.token, ca_file = sandbox.ca, timeout = 25,
            concurrency = 1,
        }
        local request = one:submit "5"
        local function ends(f)
            local began = host.now()
            debug.sethook(function()
                if host.now() - began > 0.3 then
                    debug.sethook()
                    error("interrupted!", 0)
                end
            end, "c")
            local ok, e = pcall(f)
            debug.sethook()
            assert.same({ false, "interrupted!" }, { ok, e })
            assert.is_true(host.now() - began < 10)
            assert.is_false(request:done())
        end
        ends(function() one:step(20) end)
        ends(function() request:wait() end)
        ends(function() one:get_ticket("6", { base_url = sandbox.https }) end)
        request:cancel() -- it has the client's only place
        assert.equal("6", assert(one:get_ticket("6", { base_url = sandbox.https }))[1].task_details.ticketId)
        one:close()
    end)
end)
