-- The process may end at any moment, with calls under way: it ends with its own
-- status, at once, never by a signal. EXIT_RUNS=300 for more of each.
local nginx = require "spec.support.nginx"
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"
local quoted = system.quoted

local abi = os.getenv "ABI"
local build = os.getenv "BUILD" or "build"
local hosts = os.getenv "KAPTURE_HOSTS" or build .. "/" .. abi
local exiting = hosts .. "/hosts/exiting"
-- Under valgrind or a sanitizer: what each run is to have in front of it.
local tool = os.getenv "EXIT_TOOL" or ""
local slow = tool ~= "" or system.instrumented
-- Where the process does not wait for its threads, one exit in four crashes: so many
-- go well once in five thousand times.
local runs = tonumber(os.getenv "EXIT_RUNS") or 30
-- What half of the runs may take beyond their time. Where threads are not out of
-- libcurl, an exit waits 2 s for them: one that is to be at once has no need to.
local AT_ONCE = 1.9

-- Runs a command, and says how that went: "fine", or how often it went otherwise.
-- o.share of the runs, o.status (7), o.seconds instead of AT_ONCE, o.span: within
-- how many milliseconds after the start the process is to end.
local function again(command, o)
    o = o or {}
    local line = {
        "KAPTURE_BASE_URL=" .. quoted(sandbox.https),
        "EXIT_HTTP1=" .. quoted(sandbox.https1),
        "KAPTURE_TOKEN=" .. quoted(sandbox.token),
        "KAPTURE_CA_FILE=" .. quoted(sandbox.ca),
        "EXIT_MODULE=" .. quoted(build .. "/" .. abi .. "/kapture.so"),
        "EXIT_CALLS=" .. (slow and 16 or 200),
        "EXIT_SPAN_MS=" .. (slow and 1000 or o.span or 60),
        "EXIT_SECONDS=" .. (slow and 30 or o.seconds or AT_ONCE),
        exiting, "again", math.ceil(runs * (o.share or 1)), o.status or 7, command, "2>&1",
    }
    return system.output(table.concat(line, " "))
end

local function ends(way, o)
    assert.equal("fine\n", again(tool .. " " .. exiting .. " " .. way, o))
end

describe("a process that ends while calls are under way", function()
    if abi == "5.4" or abi == "luajit" then
        it("by exit(3) #threads", function() ends "exit" end)
        it("by exit(3), its state closed #threads", function() ends "close" end)
        it("by a return from main #threads", function() ends("return", { share = 0.5 }) end)
        it("by two threads at once #threads", function() ends "two" end)
        it("with several states, engines and threads #threads", function() ends "several" end)
        it("with blocking calls of other threads #threads", function() ends("blocking", { share = 0.5 }) end)
        it("and then waits for a thread in a blocking call #threads", function()
            -- which is held for a second, for it might exit as well
            ends("joined", { share = 0.2, seconds = 3 })
        end)
        it("and calls again when all is over #threads", function() ends("later", { share = 0.5 }) end)
        it("and closes the state in a handler of its own #threads", function() ends("first", { share = 0.5 }) end)
        it("by os.exit in the middle of a call #threads", function() ends "within" end)
        it("by os.exit in a finalizer #threads", function() ends("finalizer", { share = 0.3 }) end)
        it("while a thread is slow, not stuck #threads", function()
            ends("slow", { share = 0.1, seconds = 10 })
        end)
        it("while names are not resolved #threads", function() ends("names", { share = 0.5 }) end)
        it("while a thread requires the module for the first time", function()
            ends("require", { share = 3, span = 15 })
        end)
        it("while a thread forks", function() ends("forking", { span = 100 }) end)
        it("in a forked child, and the parent's calls go on", function()
            ends("child", { share = 0.3, seconds = 10 })
        end)
        it("and forked while a thread had a lock that the fork wanted", function()
            ends("held", { share = 0.2, seconds = 10 })
        end)
        it("and had the module by dlopen, and unloaded it", function() ends("unloaded", { share = 0.5 }) end)
        it("with two copies of the module", function() ends("copies", { share = 0.5 }) end)
        it("by exit(3) in a signal's handler, within libcurl", function()
            ends("handler", { share = 0.3 })
        end)
        it("by _exit or quick_exit", function() ends("at-once", { share = 0.3 }) end)
        it("by a signal", function() ends("signal", { share = 0.3, status = 143 }) end)
        it("while a thread is stuck for longer than it waits #threads", function()
            ends("stuck", { share = 0.3, seconds = 10 })
        end)
    end

    -- The interpreters load the module: under a sanitizer they can't on their own.
    if slow then return end

    local lua = abi == "luajit" and "luajit" or "lua" .. abi
    local script = lua .. " spec/support/exiting.lua "

    it("by os.exit", function() assert.equal("fine\n", again(script .. "exit")) end)

    it("by os.exit, its state closed", function()
        -- 5.1 knows no such argument, and does the same
        assert.equal("fine\n", again(script .. "close"))
    end)

    -- nobody packages luv for 5.5 yet: see luv_spec
    if _VERSION < "Lua 5.5" or pcall(require, "luv") then it("by an uncaught error in a luv loop", function()
        local quiet = "sh -c " .. quoted("exec " .. script .. "luv 2>/dev/null")
        assert.equal("fine\n", again(quiet, { status = 255, share = 0.5 }))
    end) end

    if abi == "luajit" then
        it("by Neovim's :qa!", function()
            local nvim = "env HOME=/nonexistent nvim --headless -u NONE -i NONE -n --cmd "
                .. quoted "lua arg = { 'nvim' } assert(loadfile 'spec/support/exiting.lua')('nvim')"
            assert.equal("fine\n", again(nvim, { status = 0, seconds = 4 }))
        end)

        -- Each worker of these has 200 calls in flight when nginx is told to stop.
        it("by nginx, told to stop", function()
            local count = math.ceil(runs / 6)
            for round = 1, count do
                local server = nginx.start {
                    workers = 4,
                    http = ([[
                        init_worker_by_lua_block {
                            local kapture = require "resty.kapture"
                            local client = kapture.new {
                                base_url = %q, token = %q, ca_file = %q, retries = 0, concurrency = 200,
                            }
                            for i = 1, 200 do
                                ngx.timer.at(0, function()
                                    while not ngx.worker.exiting() do
                                        if client:get_ticket "713000000001" then count = (count or 0) + 1 end
                                    end
                                end)
                            end
                        }
                    ]]):format(round % 4 < 2 and sandbox.https or sandbox.https1, sandbox.token, sandbox.ca),
                    server = "location = /count { content_by_lua_block { ngx.print(count or 0) } }",
                }
                local busy = nginx.eventually(function() return (tonumber((server:get "/count")) or 0) > 0 end, 20)
                local workers = server:workers()
                server:signal(round % 2 == 1 and "TERM" or "QUIT")
                local looks, computed = {}, {}
                local ended = nginx.eventually(function()
                    local alive = false
                    for _, worker in ipairs(workers) do
                        local computes = nginx.computes(worker)
                        if computes ~= nil then
                            alive = true
                            looks[worker] = (looks[worker] or 0) + 1
                            computed[worker] = (computed[worker] or 0) + (computes and 1 or 0)
                        end
                    end
                    return not alive
                end, 10)
                local log = server:log()
                server:stop()
                assert.is_true(busy, log)
                assert.is_true(ended, log)
                if round % 2 == 1 then
                    -- Whom it has told so, nginx kills a second and a half later. What a
                    -- worker does until then takes a tenth of a second of a processor, for
                    -- which it may wait for longer on a busy machine. That alone excuses it.
                    log = log:gsub("[^\n]*%[alert%] %S+ worker process (%d+) exited on signal 9\n?", function(worker)
                        local n = looks[worker] or 0
                        if (computed[worker] or 0) >= n / 2 then return "" end
                    end)
                end
                assert.is_nil(log:find "exited on signal", log)
                assert.is_nil(log:find "%[alert%]", log)
            end
        end)
    end
end)
