-- Hosts that are not ordinary: the programs in spec/hosts, built by
-- `make hosts`, and the example, each run against the sandbox.
local sandbox = require "spec.support.sandbox"
local quoted = require("spec.support.system").quoted

local abi = os.getenv "ABI"
local build = os.getenv "KAPTURE_HOSTS" or "build/" .. abi

local function command(program, ...)
    local words = {
        "KAPTURE_BASE_URL=" .. quoted(sandbox.https),
        "KAPTURE_TOKEN=" .. quoted(sandbox.token),
        "KAPTURE_CA_FILE=" .. quoted(sandbox.ca),
        "timeout 120",
        os.getenv "WRAP" or "",
        program,
    }
    for _, argument in ipairs { ... } do words[#words + 1] = quoted(argument) end
    return table.concat(words, " ")
end

-- What it printed, and its exit status: 5.1's pipes don't tell.
local function run(line)
    local pipe = assert(io.popen("(" .. line .. ") 2>&1; echo status=$?"))
    local out = pipe:read "*a"
    pipe:close()
    local text, status = out:match "^(.*)status=(%d+)\n$"
    return text, tonumber(status)
end

local function fine(name, ...)
    local text, status = run(command(build .. "/hosts/" .. name, ...))
    assert.equal("fine\n", text)
    assert.equal(0, status)
end

describe("a host", function()
    it("has several states", function()
        fine "states"
    end)

    it("has a state a thread, eight at once #threads", function()
        fine "threads"
    end)

    it("forks, and both go on", function()
        fine("fork", sandbox.url("delay,ms=700", { on = "https1" }))
    end)

    if not os.getenv "WRAP" and (abi == "5.4" or abi == "5.1") then
        it("forks, and neither does what valgrind minds", function()
            local text, status = run(command("valgrind -q --error-exitcode=99 --leak-check=full "
                .. "--show-leak-kinds=definite --errors-for-leak-kinds=definite "
                .. "--suppressions=spec/support/valgrind.supp " .. build .. "/hosts/fork",
                sandbox.url("delay,ms=2000", { on = "https1" })))
            assert.equal("fine\n", text)
            assert.equal(0, status)
        end)
    end

    it("closes a state with calls in flight", function()
        fine("closing", sandbox.url "hang,s=30")
    end)

    it("uses libcurl itself", function()
        fine "owncurl"
    end)

    it("loads, unloads and loads the module again", function()
        fine("reload", build .. "/kapture.so", sandbox.url "delay,ms=100")
    end)

    it("keeps its signals", function()
        fine("signals", sandbox.url("reset", { on = "https1" }))
    end)

    it("closes a client, and its secrets are gone", function()
        -- The token must be in no variable of that process, not even its own.
        local text, status = run(command("env -u KAPTURE_TOKEN " .. build .. "/hosts/secrets",
            sandbox.token:reverse(), sandbox.https, sandbox.url "hang,s=30", sandbox.url "echo-token"))
        assert.equal("fine\n", text)
        assert.equal(0, status)
    end)

    for _, language in ipairs { "de_DE", "tr_TR" } do it("writes a decimal comma: " .. language, function()
        local dir, locale = os.tmpname(), language .. ".UTF-8"
        os.remove(dir)
        local made, status = run("mkdir " .. quoted(dir)
            .. (" && localedef -i %s -f UTF-8 "):format(language) .. quoted(dir .. "/" .. locale))
        finally(function() run("rm -rf " .. quoted(dir)) end)
        assert.equal(0, status, made)
        local key = sandbox.key()
        local url = sandbox.url("field,name=half,value=1.5", { key = key })
        local text
        text, status = run("LOCPATH=" .. quoted(dir) .. " "
            .. command(build .. "/hosts/locale", locale, url))
        assert.equal("fine\n", text)
        assert.equal(0, status)
        local sent = sandbox.requests(key)
        assert.equal(1, #sent)
        assert.equal("1.5", sent[1].fields.assigned)
        assert.equal("3", sent[1].fields.disposed)
    end) end
end)

-- MEMORY_STEP=1 tries every allocation; the specs leave some out.
describe("out of memory, a call succeeds or raises, and nothing is lost:", function()
    local step = os.getenv "MEMORY_STEP" or "9"

    local function sweep(whose)
        local name = build .. "/hosts/memory"
        local text, status = run(command(name, whose, step, sandbox.http,
            sandbox.url("badid,id=713000000002", { on = "http" })))
        assert.truthy(text:find("fine\n", 1, true), text)
        assert.equal(0, status)
    end

    it("Lua's #memory", function() sweep "lua" end)

    it("this module's #memory", function() sweep "kapture" end)

    it("libcurl's #memory", function() sweep "libcurl" end)
end)

describe("the embedding example", function()
    local function embed(script, input)
        return run("printf " .. quoted(input) .. " | "
            .. command(build .. "/embed", script))
    end

    it("filters tickets from its own loop", function()
        local text, status = embed("examples/embed/filter.lua",
            "713516551148\\n713000000002\\n404000000001")
        assert.equal("713516551148\tTEST 1\n", text)
        assert.equal(0, status)
    end)

    it("survives a script's errors", function()
        local script = os.tmpname()
        finally(function() os.remove(script) end)
        local file = assert(io.open(script, "w"))
        file:write [[
            function want(id) return id ~= "713000000003" or error "no want" end
            function ticket(t)
                local id = t.task_details.ticketId
                if id == "713000000001" then error { "not even a string" } end
                if id == "713000000002" then error "oh" end
                print(id)
            end
        ]]
        file:close()
        local text, status = embed(script,
            "713000000001\\n713000000002\\nno id\\n713000000003\\n713000000004\\n")
        assert.equal(0, status)
        assert.truthy(text:find("script: table:", 1, true), text)
        assert.truthy(text:find("oh\n", 1, true), text)
        assert.truthy(text:find("no want\n", 1, true), text)
        assert.truthy(text:find("not fetched: 'no id' is not an id", 1, true), text)
        assert.truthy(text:find("\n?713000000004\n"), text)
    end)

    it("says what is wrong with a script, and ends", function()
        local text, status = embed("/nonexistent.lua", "")
        assert.equal(1, status)
        assert.truthy(text:find "nonexistent", text)
    end)
end)
