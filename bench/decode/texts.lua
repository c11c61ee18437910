-- The responses that the decoder is measured with: tickets with the fields of
-- the vendor's sample, different from each other as real ones are. The same
-- texts on every run and on every Lua.

local texts = {}

-- Lua's own generator differs between versions.
local seed
local function random(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
end

local function pick(list)
    return list[random(#list)]
end

local function quote(s)
    return '"' .. s:gsub('[%c"\\]', {
        ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
    }) .. '"'
end

local words = {}
for w in ([[order payment delivery refund the customer has not received called back tomorrow
    product replacement was shipped from warehouse please confirm address we are sorry for
    inconvenience caused ticket resolved agent mobile app number invoice attached screenshot
    kindly look into this issue at earliest thanks regards team support एक शिकायत दर्ज ₹ 😀]]):gmatch("%S+") do
    words[#words + 1] = w
end

local function prose(bytes)
    local out, n = {}, 0
    while n < bytes do
        local w = pick(words)
        out[#out + 1] = w
        n = n + #w + 1
    end
    return table.concat(out, " "):sub(1, bytes):gsub("[\128-\255]+$", "")
end

local people = { "Kapture Dev API&apos;s", "Asha Rao", "Vikram Singh", "Meera Iyer", "R. D&apos;Souza", "System" }
local sources = { "Mobile App", "Email", "Phone", "Web", "Facebook", "WhatsApp" }
local statuses = { "Pending", "Complete", "Junk", "On Hold" }

local view = "https://devapi.kapturecrm.com/employee/view-task-detail.html?detail=5/"

local function date()
    return ("%02d-%02d-2024 %02d:%02d"):format(random(28), random(12), random(24) - 1, random(60) - 1)
end

local function digits(n)
    local out = { random(9) }
    for i = 2, n do
        out[i] = random(10) - 1
    end
    return table.concat(out)
end

-- A list of names and JSON values as an object.
local function object(list)
    local out = {}
    for i = 1, #list, 2 do
        out[#out + 1] = quote(list[i]) .. ":" .. list[i + 1]
    end
    return "{" .. table.concat(out, ",") .. "}"
end

local function array(n, make)
    local out = {}
    for i = 1, n do
        out[i] = make(i)
    end
    return "[" .. table.concat(out, ",") .. "]"
end

local function details()
    local ticket, task, person = digits(12), digits(9), pick(people)
    local employee, status, source, created = digits(6), pick(statuses), pick(sources), date()
    return object {
        "date", quote(created), "tat", '""', "sla", '""', "status", quote(status),
        "nextFollowUp", quote(created), "lastFollowUp", quote(date()), "taskId", task,
        "email", '""', "phone", '""', "lastSource", quote(source),
        "lastConvesationTime", quote(created), "title", quote(prose(random(30))), "orderId", '""',
        "primarySource", quote(source), "ticketEmail", '""', "folderId", "0",
        "ticketId", quote(ticket), "detail", '""', "mergedTicketId", '""', "contactId", "0",
        "productId", "0", "creatorId", employee, "customerId", "0", "assignedId", employee,
        "creatorName", quote(person), "priority", quote(pick { "low", "medium", "high" }),
        "attachment", '""', "pendingTaskId", "0", "ticketCloseEmpId", employee,
        "assignedToName", quote(person), "callBack", '""', "queueKey", '""', "customer_rating", "0",
        "lastConversationId", "0", "slaStatus", quote(pick { "out of sla", "in sla" }),
        "queueName", '""', "total_conversations", "0", "disposition", quote("Inbox"),
        "taskEnddate", '""', "customer_feedback", '""',
        "url", quote(view .. task .. "/" .. ticket),
        "substatus", quote(status), "substatusKey", quote("PS"), "assigneeCode", '""',
        "ftr", quote(pick { "yes", "no" }), "attachments", "[]",
    }
end

-- About 8 KB: entries of nine short fields and one of prose.
local function history()
    return object { "history", array(17, function()
        return object {
            "id", digits(8), "date", quote(date()),
            "action", quote(pick { "Assigned", "Status Changed", "Note Added" }),
            "employeeName", quote(pick(people)), "employeeId", digits(6), "fromStatus", quote(pick(statuses)),
            "toStatus", quote(pick(statuses)), "queueName", '""', "source", quote(pick(sources)),
            "remark", quote(prose(150 + random(150))),
        }
    end) }
end

-- An HTML mail of about 40 KB.
local function mail()
    local out, n = { "<html><body>\r\n" }, 0
    while n < 39000 do
        local line = ('<p class="MsoNormal" style="margin:0">%s</p>\r\n'):format(prose(60 + random(200)))
        out[#out + 1] = line
        n = n + #line
    end
    return table.concat(out) .. "</body></html>"
end

local function ticket(list)
    local all = { "additional_info", "{}", "history", "{}", "task_details", details() }
    for i = 1, #(list or {}), 2 do
        local at
        for j = 1, #all, 2 do
            at = all[j] == list[i] and j or at
        end
        at = at or #all + 1
        all[at], all[at + 1] = list[i], list[i + 1]
    end
    return object(all)
end

function texts.one()
    seed = 1
    return array(1, function() return ticket() end)
end

function texts.hundred()
    seed = 2
    return array(100, function() return ticket() end)
end

function texts.history()
    seed = 3
    return array(20, function() return ticket { "history", history() } end)
end

function texts.mail()
    seed = 4
    return array(10, function()
        return ticket { "conversation_type",
            object {
                "email", "[" .. object { "emailbody", quote(mail()), "sender_name", quote(pick(people)) } .. "]",
            } }
    end)
end

texts.names = { "one", "hundred", "history", "mail" }

-- Five of the sample's fields.
texts.fields = {
    "task_details.ticketId", "task_details.status", "task_details.title",
    "task_details.assignedToName", "task_details.lastFollowUp",
}

return texts
