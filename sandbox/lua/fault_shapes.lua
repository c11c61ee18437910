-- Faults that change what is answered: the tickets, their envelope, the text.
local service = require "service"
local ticket = require "ticket"

local M = {}

M.shuffle = {
    doc = "another order at each answer",
    list = function(_, _, resp)
        local t = resp.tickets
        for i = #t, 2, -1 do
            local j = math.random(i)
            t[i], t[j] = t[j], t[i]
        end
    end,
}

M.duplicates = {
    doc = "the first n tickets come twice, the later one with the title \"second\"",
    params = { n = 1 },
    list = function(_, p, resp)
        local t = resp.tickets
        for i = 1, math.min(p.n, #t) do
            t[#t + 1] = ngx.re.sub(t[i], [["title":"(?:[^"\\]|\\.)*"]], '"title":"second"', "jo")
        end
    end,
}

M.unasked = {
    doc = "tickets nobody asked for (merged ones, say) are among the others; several ids joined by +",
    params = { id = "799999999991" },
    list = function(ctx, p, resp)
        for id in p.id:gmatch "[^+]+" do
            local t = ticket.get(id, ticket.wants(ctx.fields))
            if t then table.insert(resp.tickets, 1, t.text) end
        end
    end,
}

M.drop = {
    doc = "the tickets of these ids (joined by +) are missing from the answer",
    params = { id = "" },
    list = function(_, p, resp)
        for id in p.id:gmatch "[^+]+" do
            for i = #resp.tickets, 1, -1 do
                if resp.tickets[i]:find('"ticketId":"' .. id .. '"', 1, true) then table.remove(resp.tickets, i) end
            end
        end
    end,
}

-- An id of digits as JSON may write the number.
local number_forms = {
    plain = function(id) return id end,
    point = function(id) return id .. ".0" end,
    exponent = function(id) return id:sub(1, 1) .. (#id > 1 and "." .. id:sub(2) or "") .. "e" .. #id - 1 end,
}

M.numeric = {
    doc = "ticketId comes as a number; form plain, point (1234.0) or exponent (1.234e3)",
    params = { form = "plain" },
    list = function(_, p, resp)
        local write = number_forms[p.form] or number_forms.plain
        for i, text in ipairs(resp.tickets) do
            resp.tickets[i] = text:gsub('"ticketId":"(%d+)"', function(id) return '"ticketId":' .. write(id) end, 1)
        end
    end,
}

M.element = {
    doc = "in place of these ids' tickets (joined by +) stands json, percent-encoded: one that could not be read, say",
    params = { id = "", json = '{"message":"The ticket can not be read","status":"failed"}' },
    list = function(_, p, resp)
        for id in p.id:gmatch "[^+]+" do
            for i, text in ipairs(resp.tickets) do
                if text:find('"ticketId":"' .. id .. '"', 1, true) then resp.tickets[i] = p.json end
            end
        end
    end,
}

M.field = {
    doc = "one more field in each task_details: value is JSON, percent-encoded",
    params = { name = "extra", value = "null" },
    list = function(_, p, resp)
        local field = '"task_details":{"' .. p.name .. '":' .. p.value .. ","
        for i, text in ipairs(resp.tickets) do
            local from, to = text:find('"task_details":{', 1, true)
            resp.tickets[i] = text:sub(1, from - 1) .. field .. text:sub(to + 1)
        end
    end,
}

M.noid = {
    doc = "tickets without ticketId",
    list = function(_, _, resp)
        for i, text in ipairs(resp.tickets) do
            resp.tickets[i] = text:gsub('"ticketId":"%d+",', "", 1)
        end
    end,
}

M.envelope = {
    doc = "success in form array, success, message-array, message-object (one ticket), message-string (no ticket), " ..
        "message-json, inline (one ticket), data, Message; or none: customer (a failure), error (no tickets), " ..
        "mute (tickets without a status)",
    params = { form = "success" },
    list = function(_, p, resp)
        local form, n = p.form, #resp.tickets
        if form == "array" then return end
        resp.wrap = function(texts)
            local array = service.as_array(texts)
            if form == "inline" and n == 1 then
                return texts[1]:sub(1, -2) .. ',"status":"success"}'
            elseif form == "message-object" and n == 1 then
                return '{"status":"success","message":' .. texts[1] .. "}"
            elseif form == "message-string" then
                return '{"message":"Ticket fetched successfully.","status":"success"}'
            elseif form == "message-json" then
                return '{"message":' .. require("json").quote(array) .. ',"status":"success"}'
            elseif form == "message-array" then
                return '{"message":' .. array .. ',"status":"success"}'
            elseif form == "Message" then
                return '{"Message":' .. array .. ',"Status":"success"}'
            elseif form == "data" then
                return '{"status":"success","data":' .. array .. "}"
            elseif form == "error" then
                return '{"status":"error","message":[]}'
            elseif form == "mute" then
                return '{"message":' .. array .. "}"
            elseif form == "customer" then
                return service.failed_body("", "customer")
            end
            return '{"status":"success","message":' .. array .. "}"
        end
    end,
}

M.notjson = {
    doc = "text that is not JSON, under 200",
    params = { text = "Service is being upgraded, please try later." },
    body = function(_, p, resp) resp.body = p.text end,
}

M.type = {
    doc = "another Content-Type",
    params = { type = "text/html" },
    body = function(_, p, resp) resp.type = p.type end,
}

M.bom = {
    doc = "a byte order mark before the body",
    body = function(_, _, resp) resp.body = "\239\187\191" .. resp.body end,
}

M.trailing = {
    doc = "something after the JSON",
    params = { text = "<!-- served by node 7 -->" },
    body = function(_, p, resp) resp.body = resp.body .. p.text end,
}

M.leading = {
    doc = "something before the JSON (blanks, by default)",
    params = { text = "\r\n \t" },
    body = function(_, p, resp) resp.body = p.text .. resp.body end,
}

M.deep = {
    doc = "one ticket in which values nest to this depth, the outermost array counted",
    params = { depth = 1001 },
    list = function(ctx, p, resp)
        local n = math.max(p.depth - 3, 1)
        resp.tickets = {
            '{"additional_info":{"deep":' .. ("["):rep(n) .. ("]"):rep(n) ..
                '},"history":{},"task_details":{"ticketId":"' .. ctx.ids[1] .. '"}}',
        }
    end,
}

M.thick = {
    doc = "one ticket with a history of so many entries, some 170 bytes each",
    params = { entries = 25000 },
    list = function(ctx, p, resp)
        local list = {}
        -- In two strings each: of long ones LuaJIT hashes a part only, now and then
        -- one that all of them share, and is busy for a minute.
        for i = 1, math.max(p.entries, 1) do
            list[2 * i - 1] = ('%s{"id":%d,"type":"Email","employeeName":"Agent %d","status":"Pending",'):format(
                i > 1 and "," or "", 10000000 + i, i % 97)
            list[2 * i] = ('"substatus":"Waiting","date":"2024-04-19 14:%02d:%02d",'
                .. '"detail":"Entry %d: the parcel was \\"found\\" and will come"}'):format(i % 60, i % 59, i)
        end
        resp.tickets = {
            '{"additional_info":{},"history":{"history":[' .. table.concat(list) ..
                ']},"task_details":{"ticketId":"' .. ctx.ids[1] .. '"}}',
        }
    end,
}

M.oversized = {
    doc = "valid JSON of so many bytes; length yes (Content-Length), no (without) or gzip (compressed if asked for)",
    params = { bytes = 67108865, length = "yes" },
    gate = function(ctx, p)
        local head = '[{"additional_info":{},"history":{},"task_details":{"ticketId":"' ..
            (ctx.ids[1] or "0") .. '","detail":"'
        local tail = '"}}]'
        local fill = math.max(p.bytes - #head - #tail, 0)
        local block = ("x"):rep(65536)
        if p.length ~= "yes" then ctx.plan.length = false end
        if p.length ~= "gzip" then ctx.plan.identity = true end
        return {
            status = 200, type = service.JSON, size = #head + fill + #tail,
            produce = function(write)
                write(head)
                local left = fill
                while left > 0 do
                    write(left >= #block and block or block:sub(1, left))
                    left = left - #block
                end
                write(tail)
            end,
        }
    end,
}

M.gzipbomb = {
    doc = "valid JSON of so many bytes as a small gzip body, whether asked for or not",
    params = { bytes = 1073741824 },
    gate = function(ctx, p)
        local head = '[{"additional_info":{},"history":{},"task_details":{"ticketId":"' ..
            (ctx.ids[1] or "0") .. '","detail":"'
        ctx.plan.identity = true
        return {
            status = 200, type = service.JSON, headers = { { "Content-Encoding", "gzip" } },
            produce = function(write)
                require("deflate").repeated(write, head, "x", p.bytes, '"}}]')
            end,
        }
    end,
}

M.badgzip = {
    doc = "Content-Encoding: gzip on what is not: form noise, cut (ends early) or plain; or on more than one " ..
        "stream: members (two of them) or trailing (bytes behind it)",
    params = { form = "noise" },
    body = function(ctx, p, resp)
        ctx.plan.identity = true
        resp.headers = resp.headers or {}
        resp.headers[#resp.headers + 1] = { "Content-Encoding", "gzip" }
        if p.form == "plain" then return end
        local parts = {}
        require("deflate").repeated(function(s) parts[#parts + 1] = s end, resp.body, " ", #resp.body, "")
        local gz = table.concat(parts)
        if p.form == "members" then
            local half = math.floor(#resp.body / 2)
            resp.body = require("deflate").gzip(resp.body:sub(1, half)) ..
                require("deflate").gzip(resp.body:sub(half + 1))
        elseif p.form == "trailing" then
            resp.body = gz .. "bytes behind it"
        elseif p.form == "cut" then
            resp.body = gz:sub(1, math.floor(#gz / 2))
        else
            resp.body = gz:sub(1, 10) .. ("\255\254noise"):rep(20)
        end
    end,
}

M.encoding = {
    doc = "claims a Content-Encoding that nobody asked for",
    params = { name = "x-kapture" },
    body = function(ctx, p, resp)
        ctx.plan.identity = true
        resp.headers = resp.headers or {}
        resp.headers[#resp.headers + 1] = { "Content-Encoding", p.name }
    end,
}

M.headers = {
    doc = "n more response headers of so many bytes each",
    params = { n = 100, bytes = 100 },
    body = function(_, p, resp)
        resp.headers = resp.headers or {}
        for i = 1, p.n do
            resp.headers[#resp.headers + 1] = { "X-Filler-" .. i, ("h"):rep(p.bytes) }
        end
    end,
}

return M
