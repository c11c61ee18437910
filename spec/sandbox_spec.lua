-- The sandbox does what its README says.
local json = require "spec.support.json"
local sandbox = require "spec.support.sandbox"

local PATH = "/search-ticket-by-ticket-id.html/v.2.0"

-- One request with the curl command: status, body, headers, curl's exit code.
local function curl(base, ids, o)
    o = o or {}
    local body = o.body or '{"ticket_ids":"' .. (ids or "") .. '"}'
    local command = ("curl -sS -i -m %s --cacert '%s' -H 'Authorization: %s' -H 'Content-Type: %s' %s -d '%s' '%s' 2>&1")
        :format(o.seconds or 5, sandbox.ca, o.auth or "Basic " .. sandbox.token, o.type or "application/json",
            o.more or "", body, base .. (o.path or PATH))
    local pipe = io.popen(command .. "; echo; echo $?", "r")
    local text = pipe:read "*a"
    pipe:close()
    local code
    text, code = text:match "^(.*)\n(%d+)\n$"
    local answer = { code = tonumber(code), text = text, headers = {} }
    local head, rest = text:match "^(HTTP/.-\r\n)\r\n(.*)$"
    if head then
        answer.status, answer.body = tonumber(head:match "^HTTP/%S+ (%d+)"), rest
        for name, value in head:gmatch "\n([^:\n]+): ([^\r]*)" do answer.headers[name:lower()] = value end
    end
    return answer
end

describe("sandbox", function()
    it("gives the vendor's sample", function()
        local r = curl(sandbox.https, "713516551148")
        assert.equal(200, r.status)
        local t = json.decode(r.body)
        assert.equal(1, #t)
        assert.equal(530348198, t[1].task_details.taskId)
        assert.equal("Kapture Dev API&apos;s", t[1].task_details.creatorName)
    end)

    it("answers as the page says to what is wrong", function()
        local cases = {
            { 401, "Invalid Auth Key", auth = "Basic bm8=" },
            { 401, "Invalid Auth Key", auth = "Basic Basic " .. sandbox.token },
            { 400, "Invalid Json.", body = "[]" },
            { 400, "Invalid Json.", body = "{" },
            { 400, "Invalid Json.", body = '{"ticket_ids":"1"} x' },
            { 400, "Invalid Json.", type = "text/plain" },
            { 400, "ticket_ids are missing.", body = "{}" },
            { 400, "ticket_ids are missing.", body = '{"ticket_ids":""}' },
            { 400, "ticket_ids are missing.", body = '{"ticket_ids":" , "}' },
            { 400, "ticket_ids are missing.", body = '{"ticket_id":"1"}' },
        }
        for _, case in ipairs(cases) do
            local r = curl(sandbox.http, "1", case)
            assert.equal(case[1], r.status)
            assert.same({ message = case[2], status = "failed" }, json.decode(r.body))
            r = curl(sandbox.url("failed", { on = "http" }), "1", case)
            assert.equal(200, r.status)
        end
        assert.equal(404, curl(sandbox.https, "1", { path = "/search-ticket-by-ticket-id.html" }).status)
        assert.equal(405, curl(sandbox.https, "1", { more = "-X PUT" }).status)
    end)
end)
