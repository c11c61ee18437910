-- `raw = true`: tickets as text, checked as closely as decoding checks them.
local ask = require "spec.support.ask"
local documents = require "spec.support.documents"
local kapture = require "kapture"
local probe = require "kapture_decode"
local sandbox = require "spec.support.sandbox"
local read = require("spec.support.system").read

local sample = read "spec/support/sample.json"

-- Without the blanks between tokens, by another way.
local function compact(text)
    local out, at = {}, 1
    while at <= #text do
        if text:sub(at, at) == '"' then
            local from = at
            repeat
                at = text:find('["\\]', at + 1)
                local c = text:sub(at, at)
                if c == "\\" then at = at + 1 end
            until c == '"'
            out[#out + 1] = text:sub(from, at)
            at = at + 1
        else
            local stop = text:find('"', at, true) or #text + 1
            out[#out + 1] = (text:sub(at, stop - 1):gsub("[ \t\r\n]+", ""))
            at = stop
        end
    end
    return table.concat(out)
end

local function difference(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a ~= b and not (a ~= a and b ~= b) end
    for k, v in pairs(a) do if difference(v, b[k]) then return true end end
    for k in pairs(b) do if a[k] == nil then return true end end
    return (getmetatable(a) == nil) ~= (getmetatable(b) == nil) -- an array
end

-- What decoding says of it, and raw says, whole and in slices; true: it is JSON.
local function agree(text)
    local value, id, details = probe.ticket(text)
    local raw, raw_id, raw_details = probe.raw(text)
    local sliced, sliced_id, sliced_details, asides = probe.raw(text, true)
    local fine = type(details) == "boolean"
    assert.are.equal(fine, raw ~= nil, text)
    assert.are.same({ raw, raw_id, raw_details }, { sliced, sliced_id, sliced_details })
    assert.are.same({ id, details }, { raw_id, raw_details }, text) -- or message and kind
    if not fine then return false, 0 end
    assert.are.equal(compact(text), raw)
    local again, same_id = probe.ticket(raw)
    assert.is_false(difference(value, again))
    assert.are.equal(id, same_id)
    return true, asides
end

describe("a raw ticket", function()
    it("is its own JSON without blanks between tokens", function()
        for text, raw in pairs {
            ["{}"] = "{}", ['{"a":1}'] = '{"a":1}',
            [' { "a b" : [ 1 , 2.50 ,\t"\\u00e9 \\" " ] ,\r\n"c" : { } } '] = '{"a b":[1,2.50,"\\u00e9 \\" "],"c":{}}',
            ['{"n":1E+2,"n":-0.0,"big":123456789012345678901234567890}'] =
                '{"n":1E+2,"n":-0.0,"big":123456789012345678901234567890}',
            ['{"half":"\\ud800","pair":"\\ud83d\\ude00","raw":"\240\159\152\128","bad":"\255"}'] =
                '{"half":"\\ud800","pair":"\\ud83d\\ude00","raw":"\240\159\152\128","bad":"\255"}',
        } do
            assert.are.equal(raw, (probe.raw(text)))
            assert.is_true(agree(text))
        end
    end)

    it("has the id that decoding finds", function()
        local function id_of(details) return select(2, probe.raw('{"task_details":' .. details .. "}")) end
        for details, id in pairs {
            ['{"ticketId":"12"}'] = "12", ['{"ticketId":12}'] = "12", ['{"ticketId":1.2e1}'] = "12",
            ['{"ticketId":"1","ticketId":"2"}'] = "2", ['{"ticketId":"1","ticketId":null}'] = false,
            ['{"ticketId":"\\u0031\\u0032"}'] = "12", ['{"t\\u0069cketId":"12"}'] = "12",
            ['{"ticketId":"1"},"task\\u005fdetails":{"ticketId":"2"}'] = "2",
            ['{"ticketId":"1"},"task_details":[]'] = false, ["[]"] = false, ['{"x":{"ticketId":"1"}}'] = false,
            ['{"ticketId":"' .. ("\\u0031"):rep(64) .. '"}'] = ("1"):rep(64),
            ['{"ticketId":"' .. ("\\u0031"):rep(65) .. '"}'] = false,
            ['{"ticketId":"' .. ("1"):rep(500) .. '"}'] = false, ['{"ticketId":["1"]}'] = false,
            ['{"\\u0074\\u0069\\u0063\\u006b\\u0065\\u0074\\u0049\\u0064":"12"}'] = "12",
        } do
            assert.are.equal(id, id_of(details) or false, details)
            agree('{"task_details":' .. details .. "}")
        end
    end)

    it("is what decoding takes, and nothing else is: random documents, damaged ones, in slices", function()
        local accepted, refused, asides = 0, 0, 0
        for seed = 1, 3000 do
            local whole = seed % 4 > 0 and documents.value(seed % 700, 4) or documents.records(seed % 700, 3)
            local text = seed % 3 > 0 and documents.damage(seed, whole) or whole
            if seed % 5 == 0 then text = '{"task_details":{"x":' .. text .. ',"ticketId": "1"} }' .. (" "):rep(40) end
            local fine, n = agree(text)
            asides = asides + n
            if fine then accepted = accepted + 1 else refused = refused + 1 end
        end
        assert.is_true(accepted > 1000 and refused > 500 and asides > 5000)
    end)

    it("is refused when cut off at any byte, as it is decoded", function()
        local text = sample:match "^%s*%[%s*(.-)%s*%]%s*$"
        assert.is_true(agree(text))
        for n = 0, #text - 1 do assert.is_false((agree(text:sub(1, n)))) end
        for n = 1, #text, 7 do agree(text:sub(1, n) .. "\1" .. text:sub(n + 1)) end
    end)

    it("may be nested 1000 deep", function()
        for depth = 998, 1002 do
            assert.are.equal(depth <= 1000, (agree(("["):rep(depth) .. ("]"):rep(depth))))
            assert.are.equal(depth <= 1000, (agree(('{"a": '):rep(depth) .. "1" .. ("}"):rep(depth))))
        end
    end)
end)

describe("raw = true", function()
    local client

    before_each(function() client = kapture.new() end)
    after_each(function() client:close() end)

    local ways = {
        ["kapture.get_ticket"] = function(ids, opts) return kapture.get_ticket(ids, opts) end,
        ["client:get_ticket"] = function(ids, opts) return client:get_ticket(ids, opts) end,
        ["client:submit"] = function(ids, opts) return client:submit(ids, opts):wait(20) end,
        ["a client's option"] = function(ids, opts)
            local own = kapture.new(opts)
            local tickets, second, err = own:get_ticket(ids)
            own:close()
            return tickets, second, err
        end,
    }

    local function call(way, ids, opts, ...)
        opts = opts or {}
        opts.raw = true
        return ask.on(ways[way], ids, opts, ...)
    end

    for way in pairs(ways) do
        it("gives text in the order of the ids, and what is missing: " .. way, function()
            local ids = sandbox.ids(120)
            local missing = table.remove(ids, 7)
            table.insert(ids, 30, missing)
            local whole = ask(ids, { history_type = "all" })
            local got = call(way, ids, { history_type = "all" }, "shuffle", "drop,id=" .. missing)
            assert.is_nil(got.message)
            assert.are.same({ missing }, got.info.missing)
            assert.are.equal(119, #got.tickets)
            assert.are.equal(kapture.array_mt, getmetatable(got.tickets))
            for i, text in ipairs(got.tickets) do
                assert.are.equal("string", type(text))
                local ticket, id = probe.ticket(text)
                assert.are.equal(ids[i < 30 and i or i + 1], id)
                assert.are.equal(compact(text), text)
                assert.is_false(difference(ticket, whole.tickets[i < 30 and i or i + 1]))
            end
        end)
    end

    local function percent(text)
        return (text:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end))
    end

    local function body(text, ids, opts)
        return call("client:get_ticket", ids, opts, "body,text=" .. percent(text))
    end

    it("reads every form of an answer", function()
        local one, two = '{"task_details": {"ticketId": "1"} }', '{ "task_details":{"ticketId":2,"x":[ ]}}'
        for _, form in ipairs {
            "[%s , %s]", '{"status":"success","message":[%s,\n%s]}', '{"tickets":[ %s,%s ] ,"status":"success"}',
        } do
            local got = body(form:format(two, one), "1,2,3")
            assert.is_nil(got.message)
            assert.are.same({ '{"task_details":{"ticketId":"1"}}', '{"task_details":{"ticketId":2,"x":[]}}' },
                { got.tickets[1], got.tickets[2] })
            assert.are.same({ "3" }, got.info.missing)
        end
        for _, form in ipairs { " %s ", '{"status":"success","message": %s }' } do
            local got = body(form:format(one), "1")
            assert.are.equal('{"task_details":{"ticketId":"1"}}', got.tickets and got.tickets[1] or got.err.tickets[1])
        end
        -- unasked ones at the end, the last of two
        local other = '{"task_details":{"ticketId":"9"},"n":%d}'
        local got = body("[" .. other:format(1) .. "," .. other:format(2) .. "," .. one .. "]", "1")
        assert.are.same({ '{"task_details":{"ticketId":"1"}}', '{"task_details":{"ticketId":"9"},"n":2}' },
            { got.tickets[1], got.tickets[2] })
    end)

    it("knows what is no ticket, in a list and alone", function()
        local ticket = '{"task_details":{"ticketId":"1"}}'
        for text, kind in pairs {
            ['{"message":"Invalid Auth Key","status":"failed"}'] = "auth",
            ['{ "history" : {} , "note" : "Invalid Auth Key" }'] = "auth",
            ['{"message":"it does not exist","status":"failed"}'] = "not_found",
            ['{"task_details":[]}'] = "protocol", ["null"] = "protocol", ['"text"'] = "protocol", ["tru"] = "protocol",
            ['{"task_details":{"ticketId":"\\x"}}'] = "protocol",
            ['{"task_details":{"ticketId":"1" "x":2}}'] = "protocol",
        } do
            local list = "[" .. ticket .. "," .. text .. "]"
            local got = body(list, "1,2", { isolate = false })
            assert.are.equal(kind, got.err and got.err.kind, text)
            local decoded = ask("1,2", { isolate = false }, "body,text=" .. percent(list))
            assert.are.equal(decoded.message, got.message)
            assert.are.equal(#decoded.err.tickets, #got.err.tickets)
            assert.are.equal(body(text, "1").message, ask("1", nil, "body,text=" .. percent(text)).message)
        end
        local bad = body(ticket:gsub("1", "\1"), "1")
        assert.is_truthy(bad.message:find("control character in a string at byte", 1, true), bad.message)
    end)

    it("goes on in slices through a large ticket", function()
        local part = '{ "a" : [1, 2, "three"], "b" : null }'
        local text = '[{"history":{"list":[' .. (part .. ","):rep(3000) .. part ..
            ']}, "task_details":{"ticketId":"1"}}]'
        local list = probe.tickets(text, "raw")
        local sliced, _, asides = probe.tickets(text, "raw", 0)
        assert.is_true(asides > 10000)
        assert.are.equal(list[1], sliced[1])
        assert.are.equal(compact(text:sub(2, -2)), list[1])
    end)

    it("goes through the iterator", function()
        local ids, n = sandbox.ids(130), 0
        local opts = ask.opts({ raw = true, batch_size = 20 }, "drop,id=" .. sandbox.id(3))
        for id, ticket, err in kapture.tickets(ids, opts) do
            n = n + 1
            assert.are.equal(ids[n], id)
            if id == sandbox.id(3) then
                assert.are.equal("missing", err.kind)
            else
                assert.are.equal(id, (select(2, probe.ticket(ticket))))
            end
        end
        assert.are.equal(130, n)
    end)

    it("is not for fields, at one level or at two", function()
        local fields = { "task_details" }
        local function complaint(f, ...)
            local ok, why = pcall(f, ...)
            assert.is_false(ok)
            assert.is_truthy(why:find("option 'raw': not with 'fields'", 1, true), why)
            return why
        end
        complaint(kapture.new, { raw = true, fields = fields })
        assert.is_truthy(complaint(kapture.get_ticket, "1", { raw = true, fields = fields })
            :find("bad argument #2 to 'get_ticket'", 1, true))
        complaint(kapture.tickets, "1", { raw = true, fields = fields })
        local c = kapture.new { fields = fields }
        complaint(c.get_ticket, c, "1", { raw = true })
        complaint(c.submit, c, "1", { raw = true })
        c:close()
        c = kapture.new(ask.opts { raw = true })
        complaint(c.get_ticket, c, "1", { fields = fields })
        assert.are.equal("table", type(c:get_ticket(sandbox.id(1), { raw = false, fields = fields })[1]))
        c:close()
    end)
end)
