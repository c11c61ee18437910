-- resty.kapture in a real nginx. nginx has LuaJIT, whatever Lua runs the other
-- specs: once is enough.
if os.getenv "ABI" and os.getenv "ABI" ~= "luajit" then return end

local json = require "spec.support.json"
local nginx = require "spec.support.nginx"
local sandbox = require "spec.support.sandbox"

local TOKEN = sandbox.token

-- Lua for nginx: a client, and an answer that shows a result.
local PRELUDE = [[
    init_by_lua_block {
        cjson = require "cjson"
        kapture = require "resty.kapture"
        function options(more)
            local o = { base_url = "@URL@", token = "@TOKEN@", ca_file = "@CA@", retries = 0 }
            for k, v in pairs(more or {}) do o[k] = v end
            return o
        end
        function fault(specs) return "@URL@/fault/" .. specs end
        client = kapture.new(options())
        function show(tickets, info, err)
            if not tickets then
                ngx.say(cjson.encode { kind = err.kind, message = info })
            else
                local ids = {}
                for i, t in ipairs(tickets) do ids[i] = t.task_details.ticketId end
                ngx.say(cjson.encode { ids = ids, requests = info.requests, missing = info.missing })
            end
        end
    }
]]

local function prelude(more)
    return (PRELUDE:gsub("@(%u+)@", { URL = sandbox.https, TOKEN = TOKEN, CA = sandbox.ca })) .. (more or "")
end

local function location(path, phase, code)
    return ("location = %s { %s_by_lua_block { %s } }\n"):format(path, phase, code)
end

local function id(n) return sandbox.id(n) end

describe("resty.kapture", function()
    local server

    local function start(locations, o)
        o = o or {}
        o.http = prelude(o.http)
        o.server = locations
        server = nginx.start(o)
        return server
    end

    after_each(function()
        if not server then return end
        local log = server:log()
        server:stop()
        server = nil
        assert.is_nil(log:find(TOKEN, 1, true))
        assert.is_nil(log:find "exited on signal")
        assert.is_nil(log:find "%[alert%]", log)
    end)

    local function get(path)
        local body, status = server:get(path)
        assert.are.equal(200, status, body .. server:log())
        return json.decode(body)
    end

    it("fetches tickets in content, access, rewrite and timers", function()
        start(location("/content", "content", "show(client:get_ticket(ngx.var.arg_ids))")
            .. [[
            location = /access {
                access_by_lua_block { r = { client:get_ticket(ngx.var.arg_ids) } }
                content_by_lua_block { show(unpack(r)) }
            }
            location = /rewrite {
                rewrite_by_lua_block { r = { client:get_ticket(ngx.var.arg_ids) } }
                content_by_lua_block { show(unpack(r)) }
            }
            location = /timer { content_by_lua_block {
                local done = require("ngx.semaphore").new()
                local r
                ngx.timer.at(0, function() r = { client:get_ticket(ngx.var == nil or "713000000001,713000000002") }
                    done:post() end)
                done:wait(5)
                show(unpack(r))
            } }]])
        local ids = id(1) .. "," .. id(2)
        for _, phase in ipairs { "content", "access", "rewrite" } do
            assert.are.same({ id(1), id(2) }, get("/" .. phase .. "?ids=" .. ids).ids)
        end
    end)
end)
