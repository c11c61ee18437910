-- The process may end at any moment, with calls under way: it ends with its own
-- status, at once, never by a signal. EXIT_RUNS=300 for more of each.
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
local runs = tonumber(os.getenv "EXIT_RUNS") or 60

-- Runs a command, and says how that went: "fine", or how often it went otherwise.
local function again(command, status, share, seconds)
    local line = {
        "KAPTURE_BASE_URL=" .. quoted(sandbox.https),
        "EXIT_HTTP1=" .. quoted(sandbox.https1),
        "KAPTURE_TOKEN=" .. quoted(sandbox.token),
        "KAPTURE_CA_FILE=" .. quoted(sandbox.ca),
        "EXIT_MODULE=" .. quoted(build .. "/" .. abi .. "/kapture.so"),
        "EXIT_CALLS=" .. (slow and 16 or 200),
        "EXIT_SPAN_MS=" .. (slow and 1000 or 60),
        "EXIT_SECONDS=" .. (slow and 30 or seconds or 4),
        exiting, "again", math.ceil(runs * (share or 1)), status or 7, command, "2>&1",
    }
    return system.output(table.concat(line, " "))
end

local function ends(way, status, share, seconds)
    assert.equal("fine\n", again(tool .. " " .. exiting .. " " .. way, status, share, seconds))
end

describe("a process that ends while calls are under way", function()
    if abi == "5.4" or abi == "luajit" then
        it("by exit(3) #threads", function() ends "exit" end)
        it("by exit(3), its state closed #threads", function() ends "close" end)
        it("by a return from main #threads", function() ends("return", 7, 0.5) end)
        it("with several states, engines and threads #threads", function() ends("several", 7, 0.5) end)
        it("with blocking calls of other threads #threads", function() ends("blocking", 7, 0.5) end)
        it("and then waits for a thread in a blocking call #threads", function() ends("joined", 7, 0.1) end)
        it("and calls again when all is over #threads", function() ends("later", 7, 0.5) end)
        it("and closes the state in a handler of its own #threads", function() ends("first", 7, 0.5) end)
        it("by os.exit in a hook #threads", function() ends("hook", 7, 0.5) end)
        it("in a forked child, and the parent's calls go on", function() ends("child", 7, 0.2, 10) end)
        it("and had the module by dlopen, and unloaded it", function() ends("unloaded", 7, 0.5) end)
        it("by _exit or quick_exit", function() ends("at-once", 7, 0.3) end)
        it("by a signal", function() ends("signal", 143, 0.3) end)
        it("while a thread is stuck for longer than it waits", function() ends("stuck", 7, 0.02, 10) end)
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

    it("by an uncaught error in a luv loop", function()
        local quiet = "sh -c " .. quoted("exec " .. script .. "luv 2>/dev/null")
        assert.equal("fine\n", again(quiet, 255, 0.5))
    end)

    if abi == "luajit" then
        it("by Neovim's :qa!", function()
            local nvim = "env HOME=/nonexistent nvim --headless -u NONE -i NONE -n --cmd "
                .. quoted "lua arg = { 'nvim' } assert(loadfile 'spec/support/exiting.lua')('nvim')"
            assert.equal("fine\n", again(nvim, 0, 1, 6))
        end)
    end
end)
