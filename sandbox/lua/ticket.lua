-- Tickets as JSON text, made from their id alone: the same id gives the same
-- ticket in every worker and on every run.
--
-- An id's hash picks one of some thousand variants, which are made when first
-- needed and kept; the id and its task's number are filled in. So an id never
-- seen before costs no more than a few microseconds.
local bit = require "bit"
local cache = require "cache"
local json = require "json"
local words = require "words"

local band, bxor, lshift, rshift, tobit = bit.band, bit.bxor, bit.lshift, bit.rshift, bit.tobit
local byte, format, concat = string.byte, string.format, table.concat

local M = {}

local SAMPLE_ID, SAMPLE_TASK = "713516551148", 530348198
local SAMPLE = '"task_details":{"date":"19-04-2024 14:19","tat":"","sla":"","status":"Pending",' ..
    '"nextFollowUp":"19-04-2024 14:19","lastFollowUp":"22-04-2024 14:31","taskId":530348198,"email":"","phone":"",' ..
    '"lastSource":"Mobile App","lastConvesationTime":"19-04-2024 14:19","title":"TEST 1","orderId":"",' ..
    '"primarySource":"Mobile App","ticketEmail":"","folderId":0,"ticketId":"713516551148","detail":"",' ..
    '"mergedTicketId":"","contactId":0,"productId":0,"creatorId":209803,"customerId":0,"assignedId":209803,' ..
    '"creatorName":"Kapture Dev API&apos;s","priority":"low","attachment":"","pendingTaskId":0,' ..
    '"ticketCloseEmpId":209803,"assignedToName":"Kapture Dev API&apos;s","callBack":"","queueKey":"",' ..
    '"customer_rating":0,"lastConversationId":0,"slaStatus":"out of sla","queueName":"","total_conversations":0,' ..
    '"disposition":"Inbox","taskEnddate":"","customer_feedback":"",' ..
    '"url":"https://devapi.kapturecrm.com/employee/view-task-detail.html?detail=5/530348198/713516551148",' ..
    '"substatus":"Pending","substatusKey":"PS","assigneeCode":"","ftr":"no","attachments":[]}'

-- FNV-1a, its multiplication by shifts: a product would not fit a double.
local function hash(s, h)
    h = h or tobit(0x811c9dc5)
    for i = 1, #s do
        h = bxor(h, byte(s, i))
        h = tobit(h + lshift(h, 1) + lshift(h, 4) + lshift(h, 7) + lshift(h, 8) + lshift(h, 24))
    end
    h = bxor(h, rshift(h, 15))
    return tobit(h + lshift(h, 10))
end
M.hash = hash

-- xorshift32. One state for the module: nothing yields while a ticket is made.
local state = 1
local function seed(variant, salt)
    state = hash(tostring(variant), tobit(0x811c9dc5 + salt))
    if state == 0 then state = 1 end
end
local function below(n)
    state = bxor(state, lshift(state, 13))
    state = bxor(state, rshift(state, 17))
    state = bxor(state, lshift(state, 5))
    return band(state, 0x7fffffff) % n
end
local function pick(list)
    return list[below(#list) + 1]
end

-- The three forms of dates the service uses.
local function date_form(y, m, d, h, min)
    return format("%02d-%02d-%d %02d:%02d", d, m, y, h, min)
end
local function seconds_form(y, m, d, h, min, s)
    return format("%d-%02d-%02d %02d:%02d:%02d", y, m, d, h, min, s)
end
local function minutes_form(y, m, d, h, min)
    return format("%d-%02d-%02d %02d:%02d", y, m, d, h, min)
end
local function some_day()
    return 2019 + below(6), 1 + below(12), 1 + below(28), below(24), below(60), below(60)
end

local function sentences(n)
    local parts = {}
    for i = 1, n do parts[i] = pick(words.sentences) end
    return concat(parts, n > 3 and "\\n" or " ")
end

local function additional_info(buf, n)
    n = n + 1
    if below(10) < 3 then
        buf[n] = "{}"
        return n
    end
    buf[n] = "{"
    local first = below(#words.groups)
    local groups = 1 + below(3)
    for g = 1, groups do
        local group = words.groups[(first + g) % #words.groups + 1]
        buf[n + 1] = (g > 1 and ',"' or '"') .. group[1] .. '":{'
        n = n + 1
        local fields = below(#group)
        for f = 1, fields do
            buf[n + 1] = (f > 1 and ',"' or '"') .. group[f + 1] .. '":'
            buf[n + 2] = pick(words.values)
            n = n + 2
        end
        n = n + 1
        buf[n] = "}"
    end
    n = n + 1
    buf[n] = "}"
    return n
end

local function attachments()
    local url = '"https://cdn.example.com/f/%d.%s"'
    return "[" .. format(url, below(1000000), "png") .. "," .. format(url, below(1000000), "pdf") .. "]"
end

-- Where id and task go in a variant's text: task, id, task, id.
local ID, TASK = "\1", "\2"

local function task_details()
    local y, m, d, h, min, s = some_day()
    local sub = below(#words.substatuses) + 1
    local complete = sub >= 4 and sub <= 5
    local source = pick(words.sources)
    local creator, assigned = 200000 + below(20000), 200000 + below(20000)
    local mail = below(3) == 0 and format('"user%d@example.%s"', below(100000), below(2) == 0 and "com" or "in") or '""'
    local long = below(20)
    local talks = below(4) == 0 and 0 or below(60)
    return concat {
        '"task_details":{"date":"', date_form(y, m, d, h, min),
        '","tat":"', pick(words.tats),
        '","sla":"', pick(words.slas),
        '","status":"', complete and "Complete" or "Pending",
        '","nextFollowUp":"', date_form(y, m, d, (h + 4) % 24, min),
        '","lastFollowUp":"', below(5) == 0 and "" or date_form(y, m, d % 28 + 1, h, below(60)),
        '","taskId":', TASK,
        ',"email":', mail,
        ',"phone":"', below(2) == 0 and "" or format("9%09d", below(1000000000)),
        '","lastSource":"', pick(words.sources),
        '","lastConvesationTime":"', date_form(y, m, d, h, (min + 7) % 60),
        '","title":"', pick(words.titles),
        '","orderId":"', below(3) == 0 and format("OD%09d", below(1000000000)) or "",
        '","primarySource":"', source,
        '","ticketEmail":', mail,
        ',"folderId":', tostring(below(3) == 0 and below(5000) or 0),
        ',"ticketId":"', ID,
        '","detail":"', long == 0 and sentences(12 + below(20)) or long < 8 and sentences(1 + below(4)) or "",
        '","mergedTicketId":"', below(25) == 0 and format("7%011d", below(1000000000)) or "",
        '","contactId":', tostring(below(2) == 0 and below(90000000) or 0),
        ',"productId":', tostring(below(4) == 0 and below(900) or 0),
        ',"creatorId":', tostring(creator),
        ',"customerId":', tostring(below(2) == 0 and below(90000000) or 0),
        ',"assignedId":', tostring(assigned),
        ',"creatorName":"', pick(words.names),
        '","priority":"', pick(words.priorities),
        '","attachment":"","pendingTaskId":',
        tostring(not complete and below(3) == 0 and 100000000 + below(900000000) or 0),
        ',"ticketCloseEmpId":', tostring(complete and assigned or 0),
        ',"assignedToName":"', pick(words.names),
        '","callBack":', below(6) == 0 and "null" or '""',
        ',"queueKey":"', below(3) == 0 and format("Q%d", below(40)) or "",
        '","customer_rating":', tostring(complete and below(6) or 0),
        ',"lastConversationId":', tostring(talks > 0 and 1000000000 + below(1000000000) or 0),
        ',"slaStatus":"', below(3) == 0 and "out of sla" or "in sla",
        '","queueName":', below(9) == 0 and "null" or '"' .. pick(words.queues) .. '"',
        ',"total_conversations":', tostring(talks),
        ',"disposition":"', pick(words.dispositions),
        '","taskEnddate":"', complete and seconds_form(y, m, d % 28 + 1, h, min, s) or "",
        '","customer_feedback":',
        below(8) == 0 and "null" or '"' .. (below(6) == 0 and pick(words.sentences) or "") .. '"',
        ',"url":"https://sandbox.kapturecrm.com/employee/view-task-detail.html?detail=5/', TASK, "/", ID,
        '","substatus":"', words.substatuses[sub],
        '","substatusKey":"', words.substatus_keys[sub],
        '","assigneeCode":"', below(4) == 0 and format("EMP%04d", below(10000)) or "",
        '","ftr":"', below(3) == 0 and "yes" or "no",
        '","attachments":', below(6) == 0 and attachments() or "[]",
        "}",
    }
end

-- What is inside a filled history is nowhere described; this is a guess.
local function history(variant)
    seed(variant, 1)
    local n = below(5) == 0 and 0 or 1 + below(48)
    if n == 0 then return "{}" end
    local buf = { '{"history":[' }
    for i = 1, n do
        local y, m, d, h, min, s = some_day()
        buf[i + 1] = concat {
            i > 1 and ',{"id":' or '{"id":', tostring(10000000 + below(90000000)),
            ',"type":"', pick(words.sources),
            '","employeeName":"', pick(words.names),
            '","status":"', below(3) == 0 and "Complete" or "Pending",
            '","substatus":"', pick(words.substatuses),
            '","date":"', seconds_form(y, m, d, h, min, s),
            '","detail":"', sentences(1 + below(2)),
            '"}',
        }
    end
    buf[n + 2] = "]}"
    return concat(buf)
end

local function chat(variant)
    seed(variant, 2)
    local buf = {}
    local agent, customer = pick(words.names), pick(words.names)
    for i = 1, below(3) == 0 and 0 or 1 + below(30) do
        local y, m, d, h, min = some_day()
        local from_agent = below(2) == 0
        local message = '"' .. sentences(1 + below(2)) .. '"'
        if below(8) == 0 then
            message = format('[{"url":"https://cdn.example.com/c/%d.jpg","mime":"image/jpeg","message":"%s"}]',
                below(1000000), below(2) == 0 and "" or pick(words.sentences))
        end
        buf[i] = concat {
            '{"chat_message":', message,
            ',"sender_name":"', from_agent and agent or customer,
            '","receiver_name":"', from_agent and customer or agent,
            '","sentDate":"', minutes_form(y, m, d, h, min),
            '"}',
        }
    end
    return '"chat":[' .. concat(buf, ",") .. "]"
end

local function notes(variant)
    seed(variant, 3)
    local buf = {}
    for i = 1, below(6) do buf[i] = '{"detail":"' .. sentences(1 + below(5)) .. '"}' end
    return '"notes":[' .. concat(buf, ",") .. "]"
end

-- Nor is it known where mail bodies go: here, beside chat and notes.
local function mails(variant)
    seed(variant, 4)
    local buf = {}
    for i = 1, 1 + below(3) do
        local y, m, d, h, min, s = some_day()
        local body = {}
        for p = 1, 20 + below(100) do body[p] = pick(words.paragraphs) end
        buf[i] = concat {
            '{"subject":"', pick(words.titles),
            '","from":"user', tostring(below(100000)), '@example.com',
            '","sentDate":"', seconds_form(y, m, d, h, min, s),
            '","emailBody":"', concat(body), '"}',
        }
    end
    return '"email":[' .. concat(buf, ",") .. "]"
end

-- A part of a variant, kept when made: mail bodies are large, so not for ever.
local parts = cache.new(32 * 1024 * 1024)
local function part(kind, make, variant)
    local key = kind .. variant
    local text = parts:get(key)
    if not text then
        text = make(variant)
        parts:set(key, text, #text + 100)
    end
    return text
end

local function conversations(variant, want)
    local list = {}
    if want.chat then list[#list + 1] = part("c", chat, variant) end
    if want.notes then list[#list + 1] = part("n", notes, variant) end
    if want.mail then list[#list + 1] = part("m", mails, variant) end
    return ',"conversation_type":{' .. concat(list, ",") .. "}"
end

-- What every ticket of a variant has, cut where id and task go.
local bases = {}

local function base_of(variant)
    seed(variant, 0)
    local buf = {}
    local info = concat(buf, "", 1, additional_info(buf, 0))
    local base = { info = '{"additional_info":' .. info .. ',"history":' }
    for piece in (task_details() .. ID):gmatch "([^\1\2]*)[\1\2]" do base[#base + 1] = piece end
    bases[variant] = base
    return base
end

local function sample(want)
    local talks = (want.chat or want.notes or want.mail) and ',"conversation_type":{}' or ""
    return { text = '{"additional_info":{},"history":{},' .. SAMPLE .. talks .. "}", order = SAMPLE_TASK }
end

local VARIANTS = 4096

local function make(id, want)
    if id == SAMPLE_ID then return sample(want) end
    local h = hash(id)
    local variant = band(h, VARIANTS - 1)
    local base = bases[variant] or base_of(variant)
    local task = 100000000 + band(hash(id, 7), 0x7fffffff) % 900000000
    local talks = (want.chat or want.notes or want.mail) and conversations(variant, want) or ""
    local history_text = want.history and part("h", history, variant) or "{}"
    local text = base.info .. history_text .. "," .. base[1] .. task .. base[2] .. id .. base[3] .. task .. base[4] ..
        id .. base[5] .. talks .. "}"
    return { text = text, order = task }
end

-- So branchy that traces of them would only push out better ones.
for _, maker in ipairs { base_of, history, chat, notes, mails } do jit.off(maker, true) end

local made = cache.new(32 * 1024 * 1024)

local plain_wants = { tag = "" }
local wants = { [""] = plain_wants }

-- What the body's fields ask for, as one of a few constant tables.
function M.wants(fields)
    local conversation, email = fields.conversation_type, fields.include_emailbody
    if (conversation == "" or conversation == nil) and (email == "" or email == nil) and
        (fields.history_type == "" or fields.history_type == nil) then
        return plain_wants
    end
    local want = {
        history = fields.history_type == "all",
        chat = conversation == "all" or conversation == "chat",
        notes = conversation == "all" or conversation == "notes",
        mail = email ~= nil and email ~= "" and email ~= json.null,
    }
    want.tag = (want.history and "h" or "") .. (want.chat and "c" or "") .. (want.notes and "n" or "") ..
        (want.mail and "m" or "")
    if not wants[want.tag] then wants[want.tag] = want end
    return wants[want.tag]
end

-- The rule for ids that don't exist: anything but digits, and ids of ten
-- digits or more that begin with 404.
function M.exists(id)
    if id:find "%D" or id == "" then return false end
    return not (#id >= 10 and id:find "^404")
end

-- A ticket as { text =, order = }, order being its task's number; or nil.
function M.get(id, want)
    if not M.exists(id) then return nil end
    want = want or plain_wants
    local key = want.tag .. id
    local ticket = made:get(key)
    if not ticket then
        ticket = make(id, want)
        made:set(key, ticket, #ticket.text + 200)
    end
    return ticket
end

return M
