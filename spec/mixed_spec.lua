-- Many ids through a bad day: a tenth of the requests is reset, refused, slow
-- or cut, three ids spoil whatever they are in, some do not exist. Every id comes
-- out exactly once. KAPTURE_MIXED_SEEDS and KAPTURE_MIXED_IDS make it longer
-- (`make soak`: 50 and 5,000).
local kapture = require "kapture"
local calls = require "spec.support.calls"
local sandbox = require "spec.support.sandbox"

local seeds = tonumber(os.getenv "KAPTURE_MIXED_SEEDS") or 3
local count = tonumber(os.getenv "KAPTURE_MIXED_IDS") or 800

local function day(seed)
    local ids, bad, unknown = sandbox.ids(count, seed * count), {}, {}
    for i = 1, 3 do bad[ids[(seed * 131 + i * 277) % count + 1]] = true end
    for i = 1, count, 97 do
        if not bad[ids[i]] then
            ids[i] = calls.unknown(seed * count + i)
            unknown[ids[i]] = true
        end
    end
    local list = {}
    for id in pairs(bad) do list[#list + 1] = id end
    table.sort(list)
    local kinds = seed % 2 == 0 and "reset+503+slow+truncate" or "close+502+slow+truncate+429"
    local o = calls.options({ ("random,seed=%d,rate=0.1,ms=40,kinds=%s"):format(seed, kinds),
        ("badid,status=%d,id=%s"):format(seed % 3 == 0 and 400 or 500, table.concat(list, "+")) },
        { on = seed % 2 == 0 and "https1" or "https", partial = true, backoff = 0.01, retries = 4, concurrency = 8,
            batch_size = 10 + seed % 41, fields = { "task_details.ticketId" } })
    return ids, o, bad, unknown
end

local function right(seed, seen, bad, unknown)
    local failed = 0
    for id, as in pairs(seen) do
        local expected = bad[id] and "failed" or unknown[id] and "missing" or "ticket"
        if as ~= expected then
            -- a request may have met five faults in a row, and nothing else
            assert(as == "failed", ("seed %d: %s is %s, not %s"):format(seed, id, as, expected))
            failed = failed + 1
        end
    end
    assert.is_true(failed <= count / 20, ("seed %d: %d failed beside the bad ones"):format(seed, failed))
end

describe("a bad day", function()
    it("loses no id of a call", function()
        for seed = 1, seeds do
            local ids, o, bad, unknown = day(seed)
            local client = calls.client(o)
            local tickets, info = client:get_ticket(ids, o)
            assert(tickets, ("seed %d: %s"):format(seed, tostring(info)))
            client:close()
            right(seed, calls.account(ids, tickets, info.missing, info.failed), bad, unknown)
        end
    end)

    it("loses no id of an iterator, and keeps the order", function()
        for seed = 1, seeds do
            local ids, o, bad, unknown = day(seed + 1000)
            o.partial = nil
            local client, seen, n = calls.client(o), {}, 0
            for id, ticket, err in client:tickets(ids, o) do
                n = n + 1
                assert(ids[n] == id and not seen[id], id)
                assert(not ticket or calls.id_of(ticket) == id, id)
                seen[id] = ticket and "ticket" or err.kind == "missing" and "missing" or "failed"
            end
            client:close()
            assert.equal(#ids, n)
            right(seed, seen, bad, unknown)
        end
    end)

    it("costs an iterator no memory", function()
        local total, n, early = 12000, 0, nil
        local given = 0
        local function resident()
            for line in io.lines "/proc/self/status" do
                local kib = line:match "^VmRSS:%s*(%d+)"
                if kib then return tonumber(kib) end
            end
        end
        local o = calls.options(nil, { fields = { "task_details.ticketId" }, concurrency = 8 })
        for _, ticket in kapture.tickets(function()
            n = n + 1
            return n <= total and sandbox.id(n % 4000) or nil
        end, o) do
            assert(ticket)
            given = given + 1
            if given == 6000 then
                collectgarbage()
                collectgarbage()
                early = resident()
            end
        end
        collectgarbage()
        collectgarbage()
        assert.equal(total, given)
        if early then assert.is_true(resident() - early < 2048, resident() - early) end
    end)
end)
