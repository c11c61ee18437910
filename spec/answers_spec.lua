-- What an answer says of which ids: tickets, failures that stand among them, and
-- what the service does not know. Only a success in its own words makes an id
-- missing.
local ask = require "spec.support.ask"
local calls = require "spec.support.calls"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local ids_of = calls.ids_of

local function percent(text)
    return (text:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function body(text, status)
    return ("body,text=%s,code=%d"):format(percent(text), status or 200)
end

local function element(id, json)
    return ("element,id=%s%s"):format(id, json and ",json=" .. percent(json) or "")
end

local function list(t)
    local out = {}
    for i, v in ipairs(t) do out[i] = v end
    return out
end

-- The ways to make a call; each gives what get_ticket gives.
local ways = {
    blocking = function(ids, opts)
        local client = kapture.new(opts)
        local tickets, second, err = client:get_ticket(ids)
        client:close()
        return tickets, second, err
    end,
    submitted = function(ids, opts)
        local client = kapture.new(opts)
        local tickets, second, err = client:submit(ids):wait(20)
        client:close()
        return tickets, second, err
    end,
}

local FAILED = '{"message":"The ticket can not be read","status":"failed"}'
local REFUSED = '{"message":"Invalid Auth Key","status":"failed"}'

describe("a refused token in a list", function()
    for name, way in pairs(ways) do
        it("is auth, and nothing more is sent: " .. name, function()
            for _, n in ipairs { 1, 2, 50, 200 } do
                local opts, key = calls.options(body("[" .. REFUSED .. "]"), { concurrency = 1, partial = n == 200 })
                local ids = sandbox.ids(n)
                local tickets, message, err = way(ids, opts)
                assert.is_nil(tickets)
                assert.are.equal("auth", err.kind)
                assert.are.equal("Invalid Auth Key", message)
                assert.are.equal(200, err.status)
                assert.is_false(err.retryable)
                assert.same({}, err.missing)
                assert.same(ids, list(err.ids))
                assert.are.equal(1, sandbox.stats(key).requests)
            end
        end)
    end

    it("is auth in the iterator, for all that was taken from the source", function()
        local opts, key = calls.options(body("[" .. REFUSED .. "]"), { concurrency = 1, batch_size = 2 })
        local n = 0
        for _, ticket, err in kapture.tickets({ 1, 2, 3, 4, 5 }, opts) do
            n = n + 1
            assert.is_nil(ticket)
            assert.are.equal("auth", err.kind)
        end
        assert.is_true(n >= 2)
        assert.are.equal(1, sandbox.stats(key).requests)
    end)

    it("is auth in other words, places and forms, and under any status", function()
        for _, text in ipairs {
            "[" .. REFUSED .. ",{}]", "[{}," .. REFUSED .. "]", "[" .. FAILED .. "," .. REFUSED .. "]",
            "[null," .. REFUSED .. "," .. FAILED .. "]",
            '[{"Message":"AuthKeyInvalid","Status":"failed"}]', '[{"message":"APIExpired","status":"failed"}]',
            '[{"status":"error","message":"Invalid Auth Key"}]', '[{"message":["Invalid Auth Key"],"status":"failed"}]',
            '[{"message":{"error":"AuthKeyInvalid"},"status":"failed"}]', '[{"error":"APIExpired"}]',
            '["Invalid Auth Key"]', '[["Invalid Auth Key"]]', '[{"history":{},"error":"Invalid Auth Key"}]',
            '{"status":"success","message":[' .. REFUSED .. "]}", '{"message":[' .. REFUSED .. "]}",
            '{"status":"success","message":"Invalid Auth Key","data":[]}',
            -- and whatever is wrong behind it
            "[" .. REFUSED .. ",", "[" .. REFUSED .. "]x",
        } do
            for _, fields in ipairs { false, { "history" } } do
                local kind, got = ask.kind("1,2,3", { fields = fields or nil }, body(text))
                assert.are.equal("auth", kind, text)
                assert.are.equal(1, #got.log, text)
            end
        end
        for _, status in ipairs { 400, 403, 404, 500, 503 } do
            local kind, got = ask.kind("1", nil, body("[" .. REFUSED .. "]", status))
            assert.are.equal("auth", kind)
            assert.are.equal("Invalid Auth Key", got.message)
        end
    end)

    it("keeps the tickets beside it, and stops the rest", function()
        for at = 1, 3 do
            local opts, key = calls.options(element(at, REFUSED), { batch_size = 3, concurrency = 1 })
            local _, _, err = ways.blocking("1,2,3,4,5,6", opts)
            assert.are.equal("auth", err.kind)
            assert.are.equal(2, #err.tickets)
            assert.same({}, err.missing)
            assert.same({ tostring(at), "4", "5", "6" }, list(err.ids))
            assert.same({ tostring(at) }, list(err.failed[1].ids))
            assert.are.equal(1, sandbox.stats(key).requests)
        end
    end)

    it("is not what a ticket's text says", function()
        local text = '[{"task_details":{"ticketId":"1","title":"Invalid Auth Key"}},{"message":"No","status":"failed"}]'
        local kind, got = ask.kind("1,2", { isolate = false }, body(text))
        assert.are.equal("bad_request", kind)
        assert.are.equal("No", got.message)
        assert.are.equal("1", ask.ids_of(got.err.tickets))
    end)
end)

describe("a failure in a list", function()
    for name, way in pairs(ways) do
        it("is one of the ids that did not come, which are looked at alone: " .. name, function()
            for _, at in ipairs { 1, 2, 3 } do
                for _, fields in ipairs { false, { "task_details.title" }, { "history" } } do
                    local opts, key = calls.options(element(at), { fields = fields or nil })
                    local tickets, message, err = way("1,2,3", opts)
                    assert.is_nil(tickets)
                    assert.are.equal("The ticket can not be read", message)
                    assert.are.equal("bad_request", err.kind)
                    assert.are.equal(2, #err.tickets)
                    assert.same({}, err.missing)
                    assert.same({ tostring(at) }, list(err.ids))
                    assert.are.equal(1, #err.failed)
                    assert.same({ tostring(at) }, list(err.failed[1].ids))
                    assert.are.equal(2, sandbox.stats(key).requests)
                    assert.same({ [1] = tostring(at) }, { sandbox.requests(key)[2].ids })
                end
            end
        end)
    end

    it("is read alike over each protocol", function()
        for _, on in ipairs { "https", "https1", "http" } do
            local opts = calls.options(element("2"), { on = on })
            local _, message, err = ways.blocking("1,2,3", opts)
            assert.are.equal("The ticket can not be read", message)
            assert.same({ "1", "3" }, ids_of(err.tickets))
            opts = calls.options(element("2", REFUSED), { on = on })
            assert.are.equal("auth", select(3, ways.submitted("1,2,3", opts)).kind)
        end
    end)

    it("is found among fifty, and what came is not asked for again", function()
        local ids = sandbox.ids(50)
        for _, bad in ipairs { { 1 }, { 25 }, { 50 }, { 1, 50 }, { 7, 8, 30 } } do
            local names, is_bad, good = {}, {}, {}
            for i, at in ipairs(bad) do
                names[i] = ids[at]
                is_bad[ids[at]] = true
            end
            for _, id in ipairs(ids) do
                if not is_bad[id] then good[#good + 1] = id end
            end
            local opts, key = calls.options(element(table.concat(names, "+")), { partial = true })
            local tickets, info = ways.blocking(ids, opts)
            assert.same(good, ids_of(tickets))
            assert.same({}, info.missing)
            assert.same(names, calls.failed_ids(info.failed))
            assert.are.equal(#bad, #info.failed)
            for i, entry in ipairs(sandbox.requests(key)) do
                for id in entry.ids:gmatch "[^,]+" do assert.is_true(i == 1 or is_bad[id]) end
            end
        end
    end)

    it("leaves it to the second look what it is", function()
        -- alone, one comes after all, and the service does not know the other
        local opts = calls.options({ element("2", FAILED) .. ",times=1" })
        local tickets, info = ways.blocking({ "1", "2", calls.unknown(1) }, opts)
        assert.same({ "1", "2" }, ids_of(tickets))
        assert.same({ calls.unknown(1) }, list(info.missing))
    end)

    it("stays with its words where nothing is to be looked at", function()
        local opts, key = calls.options(element("2"), { isolate = false, partial = true })
        local tickets, info = ways.blocking({ "1", "2", calls.unknown(1), "3" }, opts)
        assert.same({ "1", "3" }, ids_of(tickets))
        assert.same({}, list(info.missing))
        assert.same({ "2", calls.unknown(1) }, list(info.failed[1].ids))
        assert.are.equal("The ticket can not be read", info.failed[1].message)
        assert.are.equal(1, sandbox.stats(key).requests)
    end)

    it("is nobody's where every ticket came", function()
        local ticket = '{"task_details":{"ticketId":"1"}}'
        for _, other in ipairs { FAILED, "{}", "null", "[]" } do
            for _, text in ipairs { "[" .. ticket .. "," .. other .. "]", "[" .. other .. "," .. ticket .. "]" } do
                local got = ask("1", nil, body(text))
                assert.is_nil(got.message)
                assert.are.equal("1", ask.ids_of(got.tickets))
            end
        end
    end)

    it("has the kind of its words, and is tried again where that may help", function()
        for json, kind in pairs {
            [FAILED] = "bad_request", ['{"Message":"No","Status":"failed"}'] = "bad_request",
            ['{"status":"failed"}'] = "bad_request", ['{"message":["a\\nb"],"status":"failed"}'] = "bad_request",
            ['{"message":{"error":"ServerFailure"},"status":"failed"}'] = "server",
            ['{"message":"ReqFieldMissing","status":"failed"}'] = "bad_request",
            ['{"Customer Details":"Customer does not exist","status":"failed"}'] = "not_found",
            ['{"history":{},"message":"No","status":"failed"}'] = "protocol",
            ['{"message":"No","status":"error"}'] = "protocol", ['{"message":"No"}'] = "protocol",
        } do
            local got = ask("1,2,3", { isolate = false }, element("2", json))
            assert.are.equal(kind, got.err.kind, json)
            assert.are.equal("1,3", ask.ids_of(got.err.tickets))
            assert.same({ "2" }, list(got.err.ids))
            assert.same({}, list(got.err.missing))
        end
        local json = '{"message":"ServerFailure","status":"failed"}'
        local opts, key = calls.options(element("2", json) .. ",times=1", { retries = 1, isolate = false })
        assert.are.equal(3, #ways.blocking("1,2,3", opts))
        assert.are.equal("2", sandbox.requests(key)[2].ids)
    end)

    it("comes out of the iterator for its id alone", function()
        local opts = calls.options(element("2+5"), { batch_size = 3 })
        local seen = {}
        for id, ticket, err in kapture.tickets("1,2,3,4,5,6", opts) do
            seen[#seen + 1] = id .. (ticket and "" or " " .. err.kind .. " " .. err.ids[1])
        end
        assert.same({ "1", "2 bad_request 2", "3", "4", "5 bad_request 5", "6" }, seen)
    end)

    it("is told to hooks with the ids that it is about", function()
        local recorder = {}
        local opts = calls.options(element("2"), { hook = function(e)
            recorder[#recorder + 1] = e.event .. " " .. table.concat(e.ids, ",")
        end })
        ways.blocking("1,2,3", opts)
        assert.same({ "request 1,2,3", "response 1,2,3", "split 2", "request 2", "response 2", "failure 2" }, recorder)
    end)
end)

describe("an object that is no ticket", function()
    local odd = {
        "[{}]", "[null]", '[{"task_details":null}]', '[{"task_details":[]}]', '[{"task_details":"x"}]', "[1]",
        '[{"task_details":{},"task_details":null}]', "[[]]", '["x"]', "[true]", '[{"status":"success"}]',
        '[{"history":{},"additional_info":{}}]', '[{"ticketId":"1","status":"Pending"}]',
        '[{"history":{"task_details":{"ticketId":"1"}}}]', '[[{"task_details":{"ticketId":"1"}}]]',
        '[{"Task_Details":{"ticketId":"1"}}]', '[{"status":"success","message":[]}]',
        '{"status":"success","message":[{}]}', '{"status":"success","message":[null]}',
        '{"status":"success","message":{"task_details":null}}', '{"task_details":null,"status":"success"}',
    }

    it("is protocol, never a ticket and never missing", function()
        for _, text in ipairs(odd) do
            for _, fields in ipairs { false, { "history" }, { "task_details.ticketId" } } do
                for _, partial in ipairs { false, true } do
                    local kind, got = ask.kind("1", { fields = fields or nil, partial = partial }, body(text))
                    assert.are.equal("protocol", kind, text)
                    assert.same({}, list(got.err.tickets))
                    assert.same({}, list(got.err.missing))
                    assert.same({ "1" }, list(got.err.ids))
                end
            end
        end
    end)

    it("leaves the tickets beside it", function()
        for _, json in ipairs { "{}", "null", '{"task_details":null}', '{"history":{"a":"\\n"}}', "[]", '"x"' } do
            local opts, key = calls.options(element("3", json), { partial = true })
            local tickets, info = ways.blocking("1,2,3,4", opts)
            assert.same({ "1", "2", "4" }, ids_of(tickets))
            assert.same({ "3" }, list(info.failed[1].ids))
            assert.are.equal("protocol", info.failed[1].kind)
            assert.are.equal(2, sandbox.stats(key).requests)
        end
    end)

    it("is a ticket where its task_details is an object, whatever it holds and wherever it is", function()
        for _, text in ipairs {
            '[{"task_details":{}}]', '[{"task_details":null,"task_details":{}}]', '[{"x":1,"task_details":{"a":[]}}]',
            '[ { "history" : { } , "task_details" : { } } ]', '[{"task\\u005fdetails":{}}]',
            '[{"status":"failed","message":"x","task_details":{}}]',
        } do
            for _, fields in ipairs { false, { "history" } } do
                local got = ask("1", { fields = fields or nil }, body(text))
                assert.is_nil(got.message)
                assert.are.equal(1, #got.tickets, text)
                assert.same({ "1" }, list(got.info.missing))
            end
        end
    end)

    it("is read over in slices as well", function()
        local filler = ('{"task_details":{"ticketId":"9","detail":"%s"}},'):format(("x"):rep(200000))
        local text = "[" .. filler .. FAILED .. "," .. filler:gsub('"9"', '"1"') .. '{"task_details":{"ticketId":"2"}}]'
        local opts = calls.options({ "body,text=" .. text:gsub("[%%/,+?#]", percent) }, { isolate = false })
        local client = kapture.new()
        local _, message, err = client:submit("1,2,3", opts):wait(20)
        client:close()
        if err.status ~= 200 then return end -- a url of that length is not for this server
        assert.are.equal("The ticket can not be read", message)
        assert.same({ "1", "2", "9" }, ids_of(err.tickets))
    end)
end)

describe("an id is missing", function()
    local function missing(text)
        local got = ask("1,2", nil, body(text))
        assert.is_nil(got.message, text)
        assert.same({}, list(got.tickets))
        assert.same({ "1", "2" }, list(got.info.missing), text)
    end

    it("by a success in the service's own words", function()
        for _, text in ipairs {
            "[]", " [ ] ", '{"status":"success","message":[]}', '{"Status":"Success","Message":[ ]}',
            '{"status":"success","data":[]}', '{"data":[],"status":"success"}', '{"status":"success","message":{}}',
            '{"status":"success","message":"No tickets","data":[]}', '{"status":"success","x":{},"tickets":[ ]}',
        } do missing(text) end
        local got = ask("1," .. calls.unknown(1), nil, "envelope,form=data")
        assert.same({ "1" }, ids_of(got.tickets))
        assert.same({ calls.unknown(1) }, list(got.info.missing))
        got = ask(calls.unknown(1), nil, "envelope,form=data")
        assert.same({ calls.unknown(1) }, list(got.info.missing))
        got = ask("1", nil, body '{"status":"success","message":[],"data":[{"task_details":{"ticketId":"1"}}]}')
        assert.same({ "1" }, ids_of(got.tickets))
    end)

    it("by nothing else", function()
        for _, text in ipairs {
            '{"status":"error","message":[]}', '{"status":"Error","data":[]}', '{"status":"failure","message":[]}',
            '{"status":"ok","message":[]}', '{"status":"successful","message":[]}', '{"status":"","message":[]}',
            '{"status":true,"message":[]}', '{"status":200,"message":[]}', '{"status":null,"message":[]}',
            '{"status":["success"],"message":[]}', '{"message":[]}', '{"data":[]}', "{}", '{"message":{}}',
            '{"status":"failed","message":[]}', '{"status":"failed","data":[]}', '{"success":true,"data":[]}',
            '{"status":"success"}', '{"status":"success","data":null}', '{"status":"success","message":""}',
            '{"status":"success","message":null}', '{"status":"success","status":"error","message":[]}',
            '{"status":"success","message":"Ticket fetched successfully."}',
        } do
            for _, status in ipairs { 200, 201 } do
                local got = ask("1,2", { isolate = false }, body(text, status))
                assert.is_nil(got.tickets, text)
                assert.is_truthy(got.err.kind == "protocol" or got.err.kind == "bad_request")
                assert.same({}, list(got.err.missing), text)
                assert.same({ "1", "2" }, list(got.err.ids), text)
            end
        end
    end)

    it("not for one batch of four whose envelope says another word", function()
        local ids = sandbox.ids(200)
        for name, way in pairs(ways) do
            local opts = calls.options("envelope,form=error,ifid=" .. ids[75], { partial = true, isolate = false })
            local tickets, info = way(ids, opts)
            assert.are.equal(150, #tickets, name)
            assert.same({}, list(info.missing))
            assert.are.equal(1, #info.failed)
            assert.are.equal(50, #info.failed[1].ids)
            opts.partial = false
            local none, _, err = way(ids, opts)
            assert.is_nil(none)
            assert.are.equal(50, #err.ids)
            assert.are.equal(150, #err.tickets)
        end
    end)

    it("not beside tickets that nothing calls a success", function()
        for _, form in ipairs { '{"message":[%s]}', '{"status":true,"message":[%s]}', '{"message":%s}', "%s" } do
            local text = form:format '{"task_details":{"ticketId":"1"}}'
            local got = ask("1", nil, body(text))
            assert.same({ "1" }, ids_of(got.tickets), text)
            got = ask("1,2", { isolate = false }, body(text))
            assert.are.equal("protocol", got.err.kind, text)
            assert.same({ "1" }, ids_of(got.err.tickets))
            assert.same({ "2" }, list(got.err.ids))
            assert.same({}, list(got.err.missing))
        end
        -- each is then asked for alone
        local opts, key = calls.options "envelope,form=mute"
        local tickets, info = ways.blocking("1,2,3", opts)
        assert.same({ "1", "2", "3" }, ids_of(tickets))
        assert.same({}, list(info.missing))
        assert.are.equal(1, sandbox.stats(key).requests)
    end)

    it("in the iterator by the same rule", function()
        local opts = calls.options("envelope,form=error")
        for _, ticket, err in kapture.tickets("1,2", opts) do
            assert.is_nil(ticket)
            assert.are.equal("protocol", err.kind)
        end
        opts = calls.options("envelope,form=data")
        for _, _, err in kapture.tickets(calls.unknown(3), opts) do assert.are.equal("missing", err.kind) end
    end)
end)

describe("a ticketId that is a number", function()
    it("is compared as its digits, with a point or an exponent as well", function()
        for _, form in ipairs { "plain", "point", "exponent" } do
            local got = ask("713516551148,7,10,100200", nil, "numeric,form=" .. form)
            assert.is_nil(got.message)
            assert.are.equal(4, #got.tickets)
            assert.same({}, list(got.info.missing))
        end
        for text, id in pairs {
            ["713516551148.0"] = "713516551148", ["7.13516551148e11"] = "713516551148", ["1E2"] = "100",
            ["1e+2"] = "100", ["12300e-2"] = "123", ["0.5e1"] = "5", ["0.0"] = "0", ["0e99"] = "0",
            ["18446744073709551615"] = "18446744073709551615", ["18446744073709551615.00"] = "18446744073709551615",
            ["1e63"] = "1" .. ("0"):rep(63),
        } do
            for _, fields in ipairs { false, { "history" }, { "task_details.ticketId" } } do
                local got = ask(id, { fields = fields or nil }, body('[{"task_details":{"ticketId":' .. text .. "}}]"))
                assert.is_nil(got.message)
                assert.are.equal(1, #got.tickets)
                assert.same({}, list(got.info.missing), text)
            end
        end
    end)

    it("is no id where it is no such integer", function()
        for _, text in ipairs { "1.5", "-1", "-0.0", "1e64", "1e999999999999999999999", "1e-1", "10.01" } do
            local got = ask("1", nil, body('[{"task_details":{"ticketId":' .. text .. "}}]"))
            assert.same({ "1" }, list(got.info.missing), text)
        end
    end)

    it("keeps its digits as a field, beyond 64 bits as a string", function()
        for _, digits in ipairs { "18446744073709551615", "-9223372036854775809", "123456789012345678901234567890" } do
            local got = ask("1", nil, "field,name=big,value=" .. digits)
            assert.are.equal(digits, got.tickets[1].task_details.big)
        end
        assert.are.equal("number", type(ask("1", nil, "field,name=big,value=1.0").tickets[1].task_details.big))
    end)
end)
