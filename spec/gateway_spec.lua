-- examples/openresty, as `make gateway` runs it. nginx has LuaJIT, whatever Lua
-- runs the other specs: once is enough.
if os.getenv "ABI" and os.getenv "ABI" ~= "luajit" then return end

local json = require "spec.support.json"
local nginx = require "spec.support.nginx"
local system = require "spec.support.system"
local sandbox = require "spec.support.sandbox"

describe("examples/openresty", function()
    local child, dir, errors -- the kind that is to be logged as one

    local function start(base)
        dir = system.output "mktemp -d":match "%S+"
        child = assert(io.popen(([[
            export KAPTURE_BASE_URL=%s KAPTURE_TOKEN=%s KAPTURE_CA_FILE=%s LISTEN=unix:%s/http.sock
            examples/openresty/run >%s/output 2>&1 </dev/null &
            cat >/dev/null
            kill $!
            wait $!
        ]]):format(system.quoted(base), system.quoted(sandbox.token), system.quoted(sandbox.ca), dir, dir), "w"))
        assert.is_true(nginx.eventually(function()
            return system.output("curl -s --unix-socket " .. dir .. "/http.sock http://localhost/") ~= ""
        end))
    end

    after_each(function()
        if not child then return end
        child:close()
        child = nil
        local file = assert(io.open(dir .. "/output"))
        local log = file:read "*a"
        file:close()
        os.execute("rm -rf " .. dir)
        assert.is_nil(log:find(sandbox.token, 1, true))
        assert.are.equal(errors, log:match "%[error%][^\n]*: (%l+): ", log)
        errors = nil
    end)

    local function get(path)
        local text = system.output(("curl -s -i --max-time 10 --unix-socket %s/http.sock %s"):format(
            dir, system.quoted("http://localhost" .. path)))
        local head, body = text:match "^(.-)\r\n\r\n(.*)$"
        return json.decode(body), tonumber(head:match "^HTTP/%S+ (%d+)"), head, body
    end

    it("serves one ticket, as the service sent it, and keeps it", function()
        local key = sandbox.key()
        start(sandbox.url { key = key })
        for _ = 1, 3 do
            local ticket, status, head, body = get("/tickets/" .. sandbox.id(1))
            assert.are.equal(200, status)
            assert.is_truthy(head:find("application/json", 1, true))
            assert.are.equal(sandbox.id(1), ticket.task_details.ticketId)
            assert.is_truthy(body:find('"attachments":[]', 1, true))
            assert.is_truthy(body:find('"history":{}', 1, true))
        end
        assert.are.equal(1, #sandbox.requests(key))
    end)

    it("serves many, in order, and fetches only what it does not have", function()
        local key = sandbox.key()
        start(sandbox.url("drop,id=" .. sandbox.id(3), { key = key }))
        get("/tickets/" .. sandbox.id(2))
        local path = ("/tickets?ids=%s,%s%%2C%s"):format(sandbox.id(2), sandbox.id(1), sandbox.id(3))
        for _ = 1, 2 do
            local answer, status = get(path)
            assert.are.equal(200, status)
            assert.are.equal(2, #answer.tickets)
            assert.are.equal(sandbox.id(2), answer.tickets[1].task_details.ticketId)
            assert.are.equal(sandbox.id(1), answer.tickets[2].task_details.ticketId)
            assert.are.same({ sandbox.id(3) }, answer.missing)
        end
        local requests = sandbox.requests(key)
        assert.are.equal(2, #requests)
        assert.are.equal(sandbox.id(1) .. "," .. sandbox.id(3), requests[2].ids)
        local answer, status = get("/tickets/" .. sandbox.id(3))
        assert.are.equal(404, status)
        assert.are.equal("not_found", answer.error.kind)
    end)

    it("answers mistakes of the visitor with 400", function()
        start(sandbox.https)
        for _, path in ipairs { "/tickets", "/tickets?ids=", "/tickets?ids=a%20b!", "/tickets/" .. ("x"):rep(65) } do
            local answer, status = get(path)
            assert.are.equal(400, status, path)
            assert.are.equal("invalid_ids", answer.error.kind)
        end
    end)

    it("answers faults of the service with a status that says whose", function()
        for fault, want in pairs {
            ["outage,code=403"] = { 502, "forbidden" },
            ["expired"] = { 502, "auth" },
            ["retry-after,after=100"] = { 503, "rate_limited" },
        } do
            start(sandbox.url(fault))
            local answer, status, head = get("/tickets/" .. sandbox.id(1))
            assert.are.same(want, { status, answer.error.kind })
            local after = tonumber(head:match "Retry%-After: (%d+)" or nil)
            if fault == "retry-after,after=100" then -- and a little more, so that not all come back at once
                assert.is_true(after >= 100 and after <= 120, head)
            else
                assert.is_nil(after)
            end
            child:close()
            child = nil
            os.execute("rm -rf " .. dir)
        end
        assert.is_nil(child)
    end)

    it("logs what only a person can mend as an error", function()
        start(sandbox.url "expired")
        errors = "auth"
        get("/tickets/" .. sandbox.id(1))
    end)

    it("asks once for what many want at a time, and gives all of them the same failure", function()
        local key = sandbox.key()
        start(sandbox.url("delay,ms=700", { key = key }))
        local function together(n, id)
            return system.output(([[for i in $(seq %d); do curl -s -o /dev/null -w '%%{http_code} ' --max-time 10 \
                --unix-socket %s/http.sock http://localhost/tickets/%s & done; wait]]):format(n, dir, id))
        end
        assert.are.equal(("200 "):rep(20), together(20, sandbox.id(1)))
        assert.are.equal(1, #sandbox.requests(key))
        child:close()
        os.execute("rm -rf " .. dir)
        key = sandbox.key()
        start(sandbox.url("delay,ms=700", "status,code=403", { key = key }))
        assert.are.equal(("502 "):rep(20), together(20, sandbox.id(1)))
        assert.are.equal(1, #sandbox.requests(key))
        get("/tickets/" .. sandbox.id(1)) -- and nobody else
        assert.are.equal(2, #sandbox.requests(key))
    end)

    it("goes on for the others when the first of them goes away", function()
        local key = sandbox.key()
        start(sandbox.url("delay,ms=1000", { key = key }))
        local status = system.output(([[
            curl -s -o /dev/null --max-time 0.4 --unix-socket %s/http.sock http://localhost/tickets/1 &
            sleep 0.2
            curl -s -o /dev/null -w '%%{http_code}' --max-time 10 --unix-socket %s/http.sock http://localhost/tickets/1
            wait]]):format(dir, dir))
        assert.are.equal("200", status)
        assert.are.equal(2, #sandbox.requests(key))
    end)

    it("answers GET and HEAD, and counts", function()
        start(sandbox.https)
        local function status(words)
            return system.output(("curl -s -o /dev/null -w '%%{http_code}' --unix-socket %s/http.sock %s"):format(
                dir, words))
        end
        local url = "http://localhost/tickets/" .. sandbox.id(1)
        assert.are.equal("200", status("-I " .. url))
        assert.are.equal("405", status("-d x " .. url))
        assert.are.equal("405", status("-X DELETE http://localhost/tickets?ids=1"))
        assert.are.equal("200", status(url))
        local text = system.output("curl -s --unix-socket " .. dir .. "/http.sock http://localhost/metrics")
        for _, line in ipairs {
            "requests_total 4", "calls_total 1", "cache_hits_total 1", "cache_misses_total 1",
            'failures_total{kind="method"} 2',
        } do
            assert.is_truthy(text:find("kapture_gateway_" .. line .. "\n", 1, true), text)
        end
    end)
end)
