-- Requests with the curl command, for specs that look at the sandbox past the
-- module under test.
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"

local quoted = system.quoted

local curl = { PATH = "/search-ticket-by-ticket-id.html/v.2.0" }

-- Runs curl with these words: its output and its exit code.
function curl.run(words)
    local command = "curl -sS --cacert %s %s 2>/dev/null; code=$?; echo; echo $code"
    local text = system.output(command:format(quoted(sandbox.ca), words))
    local output, code = text:match "^(.*)\n(%d+)\n$"
    return output, tonumber(code)
end

local function words_for(base, ids, o)
    local words = {
        "-m", o.seconds or 8,
        "-H", quoted("Authorization: " .. (o.auth or "Basic " .. sandbox.token)),
        "-H", quoted("Content-Type: " .. (o.type or "application/json")),
        "-d", quoted(o.body or '{"ticket_ids":"' .. (ids or "") .. '"}'),
        o.more or "",
    }
    for _ = 1, o.times or 1 do words[#words + 1] = quoted(base .. (o.path or curl.PATH)) end
    return table.concat(words, " ")
end

local function parse(text, code)
    local answer = { code = code, text = text, headers = {} }
    local head, rest = text:match "^(HTTP/.-\r\n)\r\n(.*)$"
    while head and head:find "^HTTP/1.1 1" do head, rest = rest:match "^(HTTP/.-\r\n)\r\n(.*)$" end
    if head then
        answer.version, answer.status = head:match "^HTTP/(%S+) (%d+)"
        answer.status, answer.head = tonumber(answer.status), head
        answer.body = rest
        for name, value in head:gmatch "\n([^:\n]+): ([^\r]*)" do answer.headers[name:lower()] = value end
    end
    return answer
end

-- One POST to a base url: { code = curl's, status =, version =, headers =
-- (names in lower case), body =, text = all of it }. `o` may change auth, type,
-- body, path, seconds; times = N sends it N times on one connection (then only
-- text and code tell); more = further words for curl.
function curl.post(base, ids, o)
    return parse(curl.run("-i " .. words_for(base, ids, o or {})))
end

-- The same POST to several base urls, by one curl: an answer for each.
function curl.each(bases, ids, o)
    local mark = "\n@@end "
    local words = { "-i -w '\\n@@end %{exitcode}@@'", words_for(bases[1], ids, o or {}) }
    for i = 2, #bases do words[#words + 1] = quoted(bases[i] .. curl.PATH) end
    local list, text, from = {}, curl.run(table.concat(words, " ")), 1
    for i = 1, #bases do
        local stop, last = text:find(mark, from, true)
        local code, next_one = text:match("^(%d+)@@()", last + 1)
        list[i] = parse(text:sub(from, stop - 1), tonumber(code))
        from = next_one
    end
    return list
end

-- The body alone, byte for byte.
function curl.body(base, ids, o)
    return (curl.run(words_for(base, ids, o or {})))
end

return curl
