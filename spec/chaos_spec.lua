-- Calls of many batches and loops, several on one client, on a service that is
-- ill in every way at once, with hooks that step, go on with another loop, cancel,
-- close and collect. Everything ends, and every id comes out exactly once.
-- KAPTURE_CHAOS_SEED is the first round, KAPTURE_CHAOS_ROUNDS how many (`make
-- soak`: 300).
local kapture = require "kapture"
local calls = require "spec.support.calls"
local generator = require("spec.support.random").generator
local sandbox = require "spec.support.sandbox"

local rounds = tonumber(os.getenv "KAPTURE_CHAOS_ROUNDS") or 12
local first = tonumber(os.getenv "KAPTURE_CHAOS_SEED") or 1

local DEADLINE = 3 -- of a call, and of a loop's batch

local function pick(random, list) return list[random(#list)] end

-- What is wrong with the service: base_url, and the ids that spoil a request.
local function illness(random, ids, seed)
    local bad, list, faults = {}, {}, {}
    local share = pick(random, { 0, 0, 2, 5, 20, 60, 95 })
    for _, id in ipairs(ids) do
        if random(100) <= share then
            bad[id] = true
            list[#list + 1] = id
        end
    end
    local on = pick(random, { "https", "https1", "http" })
    local kinds = pick(random, { "reset+503", "close+500+slow", "truncate+429+slow", "503", "slow" })
    local rate = pick(random, { 0, 0.05, 0.2, 0.5 })
    if rate > 0 then faults[#faults + 1] = ("random,seed=%d,rate=%g,ms=60,kinds=%s"):format(seed, rate, kinds) end
    if random(6) == 1 then faults[#faults + 1] = ("maxids,n=%d"):format(random(8)) end
    if random(8) == 1 then faults[#faults + 1] = "delay,ms=1,jitter=20" end
    if random(12) == 1 then faults[#faults + 1] = ("hang,s=1,times=1,skip=%d"):format(random(4)) end
    if random(15) == 1 then faults[#faults + 1] = ("outage,skip=%d"):format(random(6)) end
    if random(20) == 1 then faults[#faults + 1] = "retry-after,after=1,times=3" end
    if #list > 0 then
        faults[#faults + 1] = ("badid,status=%d,id=%s"):format(pick(random, { 400, 404, 413, 500, 503 }),
            table.concat(list, "+"))
    end
    faults[#faults + 1] = { key = sandbox.key(), on = on }
    return sandbox.url((table.unpack or unpack)(faults)), bad -- luacheck: compat
end

local function account_call(job)
    local tickets, info, err = job.request:result()
    if tickets then
        calls.account(job.ids, tickets, info.missing, info.failed)
    else
        calls.account(job.ids, err.tickets, err.missing, err.failed)
    end
    for _, ticket in ipairs(tickets or err.tickets) do
        assert(not job.bad[calls.id_of(ticket)], "a ticket of a bad id")
    end
end

local ILL_WILL = "a hook of ill will"

local Round = {}
Round.__index = Round

function Round:hook()
    if self.random(2) == 1 then return nil end
    return function()
        if self.depth >= 2 or self.random(8) > 1 then return end
        self.depth = self.depth + 1
        local ok, message = pcall(self.meddle, self)
        self.depth = self.depth - 1
        -- nobody hears of an error in a hook: what failed here is told by the round
        if not ok and message ~= ILL_WILL then self.broken = self.broken or tostring(message) end
        if not ok then error(message, 0) end
    end
end

function Round:options(ids)
    local random = self.random
    local url, bad = illness(random, ids, self.seed * 31 + #self.jobs)
    return {
        base_url = url, partial = random(2) == 1, hook = self:hook(), batch_size = pick(random, { 1, 2, 4, 10, 25 }),
        retries = random(4) - 1, backoff = pick(random, { 0, 0.01 }), timeout = 1,
        fields = { "task_details.ticketId" },
    }, bad
end

function Round:ids()
    return sandbox.ids(pick(self.random, { 1, 3, 17, 60, 150 }), self.random(3000))
end

function Round:submit()
    local ids = self:ids()
    local o, bad = self:options(ids)
    self.jobs[#self.jobs + 1] = { ids = ids, bad = bad, request = self.client:submit(ids, o) }
end

function Round:loop()
    local ids = self:ids()
    local o, bad = self:options(ids)
    self.jobs[#self.jobs + 1] = { ids = ids, bad = bad, loop = self.client:tickets(ids, o), n = 0 }
end

-- One id of a loop; nothing where it is at work further up.
function Round:go_on(job)
    local ok, id, ticket, err = pcall(job.loop)
    if not ok then
        assert(self.depth > 0, id) -- only a hook may call it at the wrong time
        assert(tostring(id):find("loop", 1, true) or tostring(id):find("hook", 1, true), id)
        return
    end
    if id == nil then
        assert(job.closed or job.n == #job.ids, "a loop that ends early")
        job.done = true
        return
    end
    job.n = job.n + 1
    self.moved = calls.now()
    assert(id == job.ids[job.n], "another's turn")
    assert((ticket ~= nil) ~= (err ~= nil))
    assert(not ticket or calls.id_of(ticket) == id, "another's ticket")
    assert(not ticket or not job.bad[id], "a ticket of a bad id")
end

function Round:advance(job)
    if job.done then return end
    if job.loop then
        for _ = 1, self.random(9) do
            if not job.done then self:go_on(job) end
        end
        return
    end
    local what = self.random(3)
    if what == 1 then self.client:step() end
    if what == 2 then self.client:step(0.002) end
    if what == 3 then job.request:wait(0.002) end
    if job.request:done() and not job.done then
        job.done = true
        account_call(job)
    end
end

function Round:meddle()
    local what, job = self.random(20), pick(self.random, self.jobs)
    if what <= 5 then
        self.client:step()
    elseif what <= 8 then
        self.client:step(0.001)
    elseif what <= 13 then
        self:advance(job)
    elseif what == 14 then
        if job.loop then job.closed = true job.loop:close() else job.request:cancel() end
    elseif what <= 16 then
        collectgarbage()
    elseif what == 17 and #self.jobs < 8 then
        self:submit()
    elseif what == 18 and #self.jobs < 8 then
        self:loop()
    elseif what == 19 then
        self.client:get_ticket(sandbox.id(1), { deadline = 1 })
    elseif what == 20 then
        error(ILL_WILL, 0)
    end
end

local function run(seed)
    local r = setmetatable({ seed = seed, random = generator(seed * 7919), jobs = {}, depth = 0 }, Round)
    r.client = kapture.new { base_url = sandbox.https, token = sandbox.token, ca_file = sandbox.ca, deadline = DEADLINE,
        concurrency = r.random(6), rate = r.random(10) == 1 and 200 or nil }
    for _ = 1, 1 + r.random(3) do
        if r.random(2) == 1 then r:submit() else r:loop() end
    end
    -- a service that says 429 to every other request, whatever the pace, is asked slowly
    r.moved = calls.now()
    local at = 0
    while at < #r.jobs do
        at = at + 1
        while not r.jobs[at].done do
            for i = at, #r.jobs do r:advance(r.jobs[i]) end
            assert(not r.broken, r.broken)
            assert(calls.now() < r.moved + 60, "it never ends")
        end
    end
    assert(r.client:step() == 0, "something is left")
    assert(not r.broken, r.broken)
    if r.random(2) == 1 then r.client:close() end
end

describe("chaos", function()
    it("ends, and loses no id", function()
        for seed = first, first + rounds - 1 do
            local ok, message = pcall(run, seed)
            assert(ok, ("KAPTURE_CHAOS_SEED=%d: %s"):format(seed, tostring(message)))
        end
        collectgarbage()
        collectgarbage()
    end)
end)
