-- The sandbox answers as its README says. Its faults: sandbox_faults_spec.lua.
local curl = require "spec.support.curl"
local json = require "spec.support.json"
local sandbox = require "spec.support.sandbox"

local SAMPLE = [[
{"additional_info":{},"history":{},"task_details":{"date":"19-04-2024 14:19","tat":"","sla":"","status":"Pending",
"nextFollowUp":"19-04-2024 14:19","lastFollowUp":"22-04-2024 14:31","taskId":530348198,"email":"","phone":"",
"lastSource":"Mobile App","lastConvesationTime":"19-04-2024 14:19","title":"TEST 1","orderId":"",
"primarySource":"Mobile App","ticketEmail":"","folderId":0,"ticketId":"713516551148","detail":"",
"mergedTicketId":"","contactId":0,"productId":0,"creatorId":209803,"customerId":0,"assignedId":209803,
"creatorName":"Kapture Dev API&apos;s","priority":"low","attachment":"","pendingTaskId":0,"ticketCloseEmpId":209803,
"assignedToName":"Kapture Dev API&apos;s","callBack":"","queueKey":"","customer_rating":0,"lastConversationId":0,
"slaStatus":"out of sla","queueName":"","total_conversations":0,"disposition":"Inbox","taskEnddate":"",
"customer_feedback":"",
"url":"https://devapi.kapturecrm.com/employee/view-task-detail.html?detail=5/530348198/713516551148",
"substatus":"Pending","substatusKey":"PS","assigneeCode":"","ftr":"no","attachments":[]}}]]

local function keys_in_order(text)
    local keys = {}
    for key in text:gmatch '[{,]"([%w_]+)":' do keys[#keys + 1] = key end
    return table.concat(keys, " ")
end

local function ids_of(body)
    local list = {}
    for id in body:gmatch '"ticketId":"(%d+)"' do list[#list + 1] = id end
    return list
end

describe("sandbox: the service #once", function()
    it("shows other users its certificate, and nothing else #once", function()
        local dir = sandbox.ca:match "^(.*)/ca/ca%.pem$"
        local pipe = io.popen("find '" .. dir .. "' -type f -perm /077; stat -c %a '" .. dir .. "'")
        local text = pipe:read "*a"
        pipe:close()
        assert.are.equal(sandbox.ca .. "\n711\n", text)
    end)

    it("gives the vendor's sample, its keys in their order", function()
        local r = curl.post(sandbox.https, "713516551148")
        assert.equal(200, r.status)
        assert.equal("application/json;charset=UTF-8", r.headers["content-type"])
        assert.equal("[" .. SAMPLE:gsub("\n", "") .. "]", r.body)
        assert.same({ json.decode(SAMPLE) }, json.decode(r.body))
    end)

    it("answers as the page says to what is wrong", function()
        local cases = {
            { 401, "Invalid Auth Key", auth = "Basic bm8=" },
            { 401, "Invalid Auth Key", auth = "Basic Basic " .. sandbox.token },
            { 401, "Invalid Auth Key", auth = sandbox.token },
            { 401, "Invalid Auth Key", auth = "" },
            { 401, "Invalid Auth Key", auth = "Basic no", body = "[]" },
            { 400, "Invalid Json.", body = "[]" },
            { 400, "Invalid Json.", body = '[{"ticket_ids":"1"}]' },
            { 400, "Invalid Json.", body = "{" },
            { 400, "Invalid Json.", body = "" },
            { 400, "Invalid Json.", body = '{"ticket_ids":"1"} x' },
            { 400, "Invalid Json.", body = '{"ticket_ids":NaN}' },
            { 400, "Invalid Json.", type = "text/plain" },
            { 400, "Invalid Json.", type = "" },
            { 400, "ticket_ids are missing.", body = "{}" },
            { 400, "ticket_ids are missing.", body = '{"ticket_ids":""}' },
            { 400, "ticket_ids are missing.", body = '{"ticket_ids":" , "}' },
            { 400, "ticket_ids are missing.", body = '{"ticket_ids":null}' },
            { 400, "ticket_ids are missing.", body = '{"ticket_ids":["1"]}' },
            { 400, "ticket_ids are missing.", body = '{"ticket_id":"1"}' },
        }
        for _, case in ipairs(cases) do
            local expected = ('{"message": "%s","status": "failed"}'):format(case[2])
            local r = curl.post(sandbox.http, "1", case)
            assert.same({ case[1], expected }, { r.status, r.body })
            r = curl.post(sandbox.url("failed", { on = "http" }), "1", case)
            assert.same({ 200, expected }, { r.status, r.body })
        end
    end)

    it("knows one path and one method", function()
        assert.equal(404, curl.post(sandbox.https, "1", { path = "/search-ticket-by-ticket-id.html" }).status)
        assert.equal(404, curl.post(sandbox.https, "1", { path = curl.PATH .. "/" }).status)
        assert.equal(404, curl.post(sandbox.https .. "/x", "1").status)
        local r = curl.post(sandbox.https, "1", { more = "-X PUT" })
        assert.equal(405, r.status)
        assert.equal("POST", r.headers.allow)
    end)

    it("takes a charset, and text around ids", function()
        local r = curl.post(sandbox.https,
            " 713000000001 ,,713000000002 ", { type = "Application/JSON; charset=utf-8" })
        assert.equal(200, r.status)
        assert.equal(2, #ids_of(r.body))
    end)

    it("gives each ticket that exists once, in an order of its own", function()
        local asked = sandbox.ids(50)
        local r = curl.post(sandbox.https,
            table.concat(asked, ",") .. "," .. asked[1] .. ",4041234567,404123456789,abc,12-3,404")
        local got = ids_of(r.body)
        assert.not_same(asked, { (table.unpack or unpack)(got, 1, 50) })
        assert.equal(51, #got)
        table.sort(got)
        assert.equal("404", got[1])
        table.remove(got, 1)
        assert.same(asked, got)
        assert.equal("[]", curl.post(sandbox.https, "4041234567,abc").body)
    end)

    it("makes the same ticket every time, another for each id", function()
        local ids = table.concat(sandbox.ids(3), ",")
        local all = { body = '{"ticket_ids":"' .. ids ..
            '","history_type":"all","conversation_type":"all","include_emailbody":"1"}' }
        local first = curl.body(sandbox.http, nil, all)
        for _ = 1, 5 do assert.equal(first, curl.body(sandbox.https1, nil, all)) end
        local t = json.decode(first)
        assert.not_equal(t[1].task_details.taskId, t[2].task_details.taskId)
    end)

    it("makes tickets of realistic variety", function()
        local text = curl.body(sandbox.http, table.concat(sandbox.ids(500), ","))
        local tickets = json.decode(text)
        assert.equal(500, #tickets)
        local wanted = keys_in_order(SAMPLE:gsub("\n", ""):match '"task_details":(.*)')
        for details in text:gmatch '"task_details":(%b{})' do
            assert.equal(wanted, keys_in_order(details:gsub('"detail":"[^"]*\\.-",', '"detail":"",')))
        end
        for _, pattern in ipairs {
            "&apos;", "&amp;", "&lt;", "&quot;", "प्रिया", "👍", "\\u0938", "\\ud83d", "\\n", "\\/",
            '"taskEnddate":"%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d"', '"date":"%d%d%-%d%d%-%d%d%d%d %d%d:%d%d"',
            '"callBack":null', '"additional_info":{}', '"additional_info":{"', '"mergedTicketId":"7%d+"',
            '"status":"Complete"', '"status":"Pending"', '"tat":"0:1:29"', '"attachments":%["', '"queueName":null',
        } do
            assert.truthy(text:find(pattern), pattern)
        end
        for _, ticket in ipairs(tickets) do
            assert.equal("number", type(ticket.task_details.taskId))
            assert.truthy(ticket.task_details.url:find("/" .. ticket.task_details.ticketId .. "$"))
        end
    end)

    it("gives history, conversations and mails when asked for", function()
        local ids = table.concat(sandbox.ids(20), ",")
        local function ask(fields)
            return curl.body(sandbox.http, nil, { body = '{"ticket_ids":"' .. ids .. '"' .. fields .. "}" })
        end
        local plain = ask ""
        assert.equal(plain, ask ',"history_type":"","conversation_type":"","include_emailbody":"","new":[1]')
        assert.falsy(plain:find '"conversation_type"' or plain:find '"history":{"')
        assert.truthy(ask(',"history_type":"all"'):find '"history":{"history":%[{"')
        local chat = ask ',"conversation_type":"chat"'
        assert.truthy(chat:find '"chat":%[{"chat_message":"' and chat:find '"chat_message":%[{"url":')
        assert.truthy(chat:find '"sentDate":"%d%d%d%d%-%d%d%-%d%d %d%d:%d%d"')
        assert.falsy(chat:find '"notes"')
        local notes = ask ',"conversation_type":"notes"'
        assert.truthy(notes:find '"notes":%[{"detail":"' and not notes:find '"chat"')
        local all = ask ',"conversation_type":"all"'
        assert.truthy(all:find '"notes"' and all:find '"chat"' and not all:find '"email":%[')
        local mails = ask ',"include_emailbody":"true"'
        assert.truthy(mails:find '"emailBody":"' and #mails > #plain + 100000)
        assert.equal(20, #json.decode(mails))
        -- The vendor's sample has none of either.
        assert.same({ {} }, { json.decode(curl.body(sandbox.http, nil, {
            body = '{"ticket_ids":"713516551148","conversation_type":"all"}' }))[1].conversation_type })
    end)

    it("speaks HTTP/2, HTTP/1.1, with and without TLS, and compresses when asked", function()
        assert.equal("2", curl.post(sandbox.https, "1").version)
        assert.equal("1.1", curl.post(sandbox.https, "1", { more = "--http1.1" }).version)
        assert.equal("1.1", curl.post(sandbox.https1, "1").version)
        assert.equal("1.1", curl.post(sandbox.http, "1").version)
        local r = curl.post(sandbox.https, "1", { more = "--compressed" })
        assert.equal("gzip", r.headers["content-encoding"])
        assert.equal(curl.body(sandbox.https, "1"), r.body)
        assert.is_nil(curl.post(sandbox.https, "1").headers["content-encoding"])
    end)

    it("fails the handshake where it should", function()
        local codes = {
            expired = 60, notyet = 60, wronghost = 60, selfsigned = 60, unknownca = 60, nointermediate = 60,
            tls11 = 35, nottls = 35, refused = 7, stall = 28, blackhole = 28,
        }
        for listener, code in pairs(codes) do
            local seconds = code == 28 and 1 or 10
            assert.same({ listener, code }, { listener, curl.post(sandbox[listener], "1", { seconds = seconds }).code })
        end
        assert.not_equal(0, curl.post(sandbox.clientcert, "1").code)
        local r = curl.post(sandbox.clientcert, "1",
            { more = "--cert " .. sandbox.client_cert .. " --key " .. sandbox.client_key })
        assert.equal(200, r.status)
        r = curl.post(sandbox.tls11, "1", { more = "--tlsv1.0 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0" })
        assert.equal(200, r.status)
    end)
end)

describe("sandbox: the log #once", function()
    it("has a request as it came, and never the token", function()
        local key = sandbox.key()
        local long = table.concat(sandbox.ids(100), ",")
        local r = curl.post(sandbox.url { key = key }, nil, {
            body = '{"ticket_ids":"' .. long .. '","assigned":"x","response":{"a":[1]}}',
            more = "-H 'X-Api-Key: " .. sandbox.token .. "' -H 'Cookie: JSESSIONID=\"q\"' -A agent/1",
        })
        assert.equal(200, r.status)
        local list = sandbox.requests(key)
        assert.equal(1, #list)
        local e = list[1]
        assert.same({ "https", 1, "HTTP/2.0", "POST", curl.PATH, 200, "right", long, 100, "agent/1", false }, {
            e.listener, e.n, e.proto, e.method, e.path, e.status, e.auth, e.ids, e.count, e.agent, e.aborted })
        assert.same({ assigned = "x", response = { a = { 1 } } }, e.fields)
        assert.equal('JSESSIONID="q"', e.headers.cookie)
        assert.equal("***", e.headers["x-api-key"])
        assert.is_nil(e.headers.authorization)
        assert.equal(#r.body, e.sent)
        assert.truthy(e.tls:find "^TLSv1" and e.time > 1e9 and e.elapsed >= 0 and e.elapsed < 5)
        local file = assert(io.open(sandbox.log))
        assert.falsy(file:read("*a"):find(sandbox.token, 1, true))
        file:close()
        curl.post(sandbox.url { key = key }, "1", { auth = "Basic " .. sandbox.token .. "x" })
        curl.post(sandbox.url { key = key }, "1", { more = "-H Authorization:" })
        list = sandbox.requests(key)
        assert.same({ "right", "wrong" }, { list[1].auth, list[2].auth })
    end)

    it("shows which requests shared a connection", function()
        for _, on in ipairs { "https", "https1", "http" } do
            local key = sandbox.key()
            assert.equal(0, curl.post(sandbox.url { on = on, key = key }, "1", { times = 4 }).code)
            local list = sandbox.requests(key)
            assert.equal(4, #list)
            for i = 1, 4 do assert.same({ list[1].conn, i }, { list[i].conn, list[i].n }) end
        end
        local key = sandbox.key()
        curl.post(sandbox.url { on = "few", key = key }, "1", { times = 5 })
        local conns = {}
        for _, e in ipairs(sandbox.requests(key)) do conns[e.conn] = (conns[e.conn] or 0) + 1 end
        local sizes = {}
        for _, n in pairs(conns) do sizes[#sizes + 1] = n end
        table.sort(sizes)
        assert.same({ 2, 3 }, sizes)
    end)

    it("counts what is at work at once", function()
        local key = sandbox.key()
        curl.post(sandbox.url("delay,ms=150", { key = key }), "1", { times = 6, more = "-Z --parallel-immediate" })
        local most = 0
        for _, e in ipairs(sandbox.requests(key)) do most = math.max(most, e.inflight_key) end
        assert.equal(6, most)
        assert.same({ requests = 6, inflight = 0, most = 6 }, sandbox.stats(key))
    end)

    it("is complete for whoever has the whole answer", function()
        for _, spec in ipairs {
            "tag", "bytes1", "drip,ms=1", "chunked", "oversized,bytes=3000000,length=no", "delay,ms=5,after=headers",
        } do
            for i = 1, 4 do
                local key = sandbox.key()
                assert.equal(0, curl.post(sandbox.url(spec, { key = key, http1 = i % 2 == 0 }), "1").code)
                assert.equal(1, #sandbox.requests(key), spec)
            end
        end
    end)

    it("tells of clients that went away", function()
        for _, on in ipairs { "https", "https1", "http" } do
            local key = sandbox.key()
            assert.equal(28, curl.post(sandbox.url("hang,s=20", { on = on, key = key }), "1", { seconds = 1 }).code)
            local list
            for _ = 1, 40 do
                list = sandbox.requests(key)
                if list[1] then break end
                os.execute "sleep 0.05"
            end
            assert.equal(1, #list)
            assert.same({ true, "hang", 499 }, { list[1].aborted, list[1].acted, list[1].status })
            assert.same({ requests = 1, inflight = 0, most = 1 }, sandbox.stats(key))
        end
    end)
end)
