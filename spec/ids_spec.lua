-- The ids of a call: what they may be, what goes on the wire, what is refused.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local abi = os.getenv "ABI"
local integers = abi >= "5.3" and abi ~= "luajit"

local function sent(ids)
    local got = ask(ids)
    assert.is_nil(got.err and got.err.message)
    assert.are.equal(1, #got.log)
    return got.log[1].ids
end

-- A call that must send nothing: it would go to a port where nobody listens.
local function refused(ids)
    local tickets, message, err = kapture.get_ticket(ids, { base_url = sandbox.refused, token = "x", retries = 0 })
    assert.is_nil(tickets)
    assert.are.equal(message, err.message)
    assert.are.equal("invalid_ids", err.kind)
    assert.are.equal(0, err.attempts)
    assert.is_false(err.retryable)
    assert.is_nil(err.status)
    return err
end

describe("ids", function()
    it("are a string of one", function() assert.are.equal("713516551148", sent "713516551148") end)

    it("are a string of several, blanks around them ignored", function()
        assert.are.equal("1,2,3", sent " 1, 2\t,\r\n3 ")
    end)

    it("are an integer", function()
        assert.are.equal("713516551148", sent(713516551148))
        assert.are.equal("0", sent(0))
        assert.are.equal("9007199254740991", sent(9007199254740991))
    end)

    it("are a float with an integral value", function()
        assert.are.equal("7", sent(7.0))
        assert.are.equal("713516551148", sent(713516551148 + 0.0))
        assert.are.equal("0", sent(-0.0))
    end)

    it("are nothing with a character that can't be seen, and it is named", function()
        for value, shown in pairs {
            ["\239\187\191713516551148"] = "'<U+FEFF>713516551148' is not an id: U+FEFF is a byte order mark",
            ["1,\239\187\1912"] = "'<U+FEFF>2' is not an id: U+FEFF is a byte order mark",
            ["7\226\128\1398"] = "'7<U+200B>8' is not an id: it holds a character that is invisible",
            ["\194\1607"] = "'<U+00A0>7' is not an id: it holds a character that is invisible",
            ["\227\128\1287"] = "'<U+3000>7' is not an id: it holds a character that is invisible",
            ["\195\169"] = "'\195\169' is not an id (1 to 64 of",
            ["\239\187"] = "'\239\187' is not an id (1 to 64 of",
            ["a\0b\tc"] = "'a?b?c' is not an id (1 to 64 of",
        } do
            assert.is_truthy(refused(value).message:find(shown, 1, true), refused(value).message)
            assert.is_truthy(refused({ "1", value }).message:find(shown, 1, true))
            local found
            for _, _, err in kapture.tickets({ value }, { base_url = sandbox.refused, token = "x", retries = 0 }) do
                found = found or err.message:find(shown, 1, true)
            end
            assert.is_truthy(found)
        end
    end)

    it("are cut where they are long, and not in the middle of a character", function()
        for n = 70, 80 do
            local err = refused(("\226\130\172"):rep(n) .. "\239\187\191")
            local shown = err.message:match "'(.-)'"
            assert.is_true(#shown < 80 and #shown > 70)
            assert.equal("...", (shown:gsub("\226\130\172", "")))
            err = refused(("\239\187\191"):rep(n))
            assert.equal("...", (err.message:match "'(.-)'":gsub("<U%+FEFF>", "")))
        end
        assert.is_truthy(refused(("a"):rep(79)).message:find("'" .. ("a"):rep(79) .. "'", 1, true))
        assert.is_truthy(refused(("a"):rep(80)).message:find("'" .. ("a"):rep(76) .. "...'", 1, true))
    end)

    it("are no float that may have lost digits, and that is what it says", function()
        for _, n in ipairs { 2 ^ 53, 2 ^ 53 + 2, 1e18, 2 ^ 62 } do
            for _, ids in ipairs { n, { n }, { "1", n } } do
                local _, message, err = kapture.get_ticket(ids, { base_url = sandbox.refused, token = "x" })
                assert.are.equal("invalid_ids", err.kind)
                assert.is_truthy(message:find("'%d+' is a number too large to be exact"), message)
                assert.are.equal(("%.0f"):format(n), err.ids[1])
            end
            for _, _, err in kapture.tickets({ n }, { base_url = sandbox.refused, token = "x" }) do
                assert.are.equal("invalid_ids", err.kind)
            end
        end
        assert.are.equal("9007199254740991", sent(2 ^ 53 - 1))
    end)

    if integers then
        it("are integers of 64 bits", function()
            assert.are.equal("9007199254740992,9223372036854775807", sent { 9007199254740992, math.maxinteger })
        end)
    end

    if abi == "luajit" then
        local ffi = require "ffi"
        local signed, unsigned = ffi.typeof "int64_t", ffi.typeof "uint64_t"
        local large = signed(9007199254740992) + 1
        local largest = unsigned(0) - 1

        it("are 64-bit integers of LuaJIT's", function()
            assert.are.equal("9007199254740993", sent(large))
            assert.are.equal("18446744073709551615,9007199254740993,0,7",
                sent { largest, large, unsigned(0), signed(7) })
            local seen = {}
            local list, i = { large, unsigned(5) }, 0
            for _, source in ipairs { { large, unsigned(5) }, function() i = i + 1 return list[i] end } do
                for id, ticket in kapture.tickets(source, ask.opts()) do
                    seen[#seen + 1] = id .. (ticket and "" or "?")
                end
            end
            assert.are.equal("9007199254740993,5,9007199254740993,5", table.concat(seen, ","))
            for id in kapture.tickets(large, ask.opts()) do assert.are.equal("9007199254740993", id) end
            local client = kapture.new(ask.opts())
            assert.are.equal(1, #client:submit(large):wait(20))
            client:close()
        end)

        it("are refused where such a one is negative", function()
            for _, ids in ipairs { signed(-5), { signed(-5) } } do
                assert.is_truthy(refused(ids).message:find("'-5LL' is not an id", 1, true))
            end
            for _, _, err in kapture.tickets(signed(-5), { base_url = sandbox.refused, token = "x" }) do
                assert.are.equal("invalid_ids", err.kind)
            end
        end)

        it("are no other cdata", function()
            local strange = ffi.metatype("struct { int a; }", { __tostring = function() error "no" end })
            local others = { ffi.new "int[2]", ffi.new("int", 3), ffi.new "void *", strange(), ffi.typeof "int" }
            for _, value in ipairs(others) do
                assert.has_error(function() kapture.get_ticket(value) end,
                    "bad argument #1 to 'get_ticket' (string, integer or table of ids expected, got cdata)")
                assert.has_error(function() kapture.tickets(value) end)
                assert.is_truthy(refused { value }.message:find "is not an id")
            end
        end)
    end

    if integers then
        it("are an integer of any size", function()
            assert.are.equal("9223372036854775807", sent(math.maxinteger))
            assert.are.equal("9007199254740993", sent(math.tointeger(2 ^ 53) + 1))
        end)
    end

    it("are an array of such", function()
        assert.are.equal("1,2,3,4,5", sent { "1", 2, 3.0, "4, 5" })
    end)

    it("go on the wire once", function()
        assert.are.equal("2,1,3", sent "2,1,2,3,1")
        assert.are.equal("2,1", sent { 2, "1", "2", 1.0 })
        assert.are.equal("2", sent { "2", 2, 2.0 })
    end)

    it("are told apart by their text: 07 is not 7", function()
        assert.are.equal("07,7", sent { "07", 7 })
    end)

    it("are of A-Z a-z 0-9 _ -, up to 64 of them", function()
        local all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        assert.are.equal(64, #all)
        assert.are.equal(all, sent(all))
        assert.are.equal("-,_", sent "-,_")
        local err = refused(all .. "x")
        assert.is_truthy(err.message:find(all:sub(1, 40), 1, true))
    end)

    it("are refused with the offending value", function()
        for _, bad in ipairs { "1;2", "a b", "1.5", "x/y", "é", "1'", '"', "%31", "$" } do
            local err = refused(bad)
            assert.is_truthy(err.message:find("'" .. bad .. "'", 1, true), err.message)
            assert.are.same({ bad }, { err.ids[1], err.ids[2] })
        end
        assert.is_truthy(refused("1,,2").message:find "''")
        assert.is_truthy(refused("1,").message:find "''")
        assert.is_truthy(refused(",").message:find "''")
        assert.is_truthy(refused("good,b@d,2").message:find "'b@d'")
    end)

    it("are refused without what a terminal would obey", function()
        for c = 0, 31 do
            local err = refused("a" .. string.char(c) .. "b")
            assert.is_nil(err.message:find "%c")
            assert.is_nil(err.ids[1]:find "%c")
        end
        assert.is_nil(refused("a\127b").message:find "%c")
    end)

    it("are refused where a number is no integer, negative or not known to be one", function()
        for _, bad in ipairs { -1, -0.5, 1.5, 1e300, math.huge, -math.huge, 0 / 0, 2 ^ 60, 18446744073709551616 } do
            refused(bad)
            refused { "1", bad }
        end
        if integers then refused(math.mininteger) end
        assert.is_truthy(refused(-1).message:find("'-1'", 1, true))
        assert.is_truthy(refused(1.5).message:find("'1.5'", 1, true))
    end)

    it("are refused with the number as it was written", function()
        for text, bad in pairs {
            ["1.1"] = 1.1, ["-0.1"] = -0.1, ["713516551148.25"] = 713516551148.25,
            ["-713516551148123"] = -713516551148123, ["-9007199254740991"] = -9007199254740991,
            ["1e+300"] = 1e300,
        } do
            assert.are.equal(text, refused(bad).ids[1])
        end
        if integers then
            assert.are.equal("-9223372036854775808", refused(math.mininteger).ids[1])
        end
    end)

    it("are refused where an array holds something else, by its place", function()
        for _, bad in ipairs { true, false, {}, print, io.stdout, coroutine.create(function() end) } do
            local err = refused { "1", "2", bad, "4" }
            assert.is_truthy(err.message:find("ids[3]", 1, true), err.message)
        end
        assert.is_truthy(refused({ "1", "x y" }).message:find "'x y'")
        refused { "1", "" }
        refused { "1", " " }
        refused { { "1" } }
    end)

    it("may be a script's arguments, which begin before 1", function()
        sent { [0] = "script.lua", [-1] = "lua", "1", "2" }
    end)

    it("are refused where an array has a hole", function()
        local err = refused { "1", nil, "3" }
        assert.is_truthy(err.message:find("ids[2]", 1, true), err.message)
        refused { nil, "2" }
        refused { "1", nil, nil, nil, nil, nil, nil, nil, "9" }
        refused { [5] = "5" }
        refused { [0] = "0" }
        refused { "1", [1.5] = "2" }
    end)

    it("are missing in the service's own words where there are none", function()
        for _, none in ipairs { "", "   ", "\t\r\n", {}, { a = 1 } } do
            assert.are.equal("ticket_ids are missing.", refused(none).message)
            assert.are.equal(0, #refused(none).ids)
        end
    end)

    it("are taken raw: no metamethod of an array is called", function()
        local function never() error "called" end
        local ids = setmetatable({ "5" }, { __index = never, __len = never, __pairs = never, __tostring = never })
        assert.are.equal("5", sent(ids))
    end)

    it("stay as they are in the caller's array", function()
        local ids = { " 1 ", 2.0, "3" }
        sent(ids)
        assert.are.same({ " 1 ", 2.0, "3" }, ids)
        if integers then assert.are.equal("float", math.type(ids[2])) end
    end)

    it("of a wrong type are the caller's mistake", function()
        for _, bad in ipairs { true, false, print, io.stdout, coroutine.create(function() end) } do
            local ok, why = pcall(kapture.get_ticket, bad, {})
            assert.is_false(ok)
            assert.is_truthy(why:find("bad argument #1 to 'get_ticket'", 1, true), why)
        end
        local ok, why = pcall(kapture.get_ticket)
        assert.is_false(ok)
        assert.is_truthy(why:find "bad argument #1 to 'get_ticket' %(.*expected, got n", why)
        local client = kapture.new()
        assert.has_error(function() client:get_ticket(nil) end)
        assert.has_error(function() client:get_ticket(function() return "1" end) end)
    end)

    it("are looked at after the options", function()
        assert.has_error(function() kapture.get_ticket("b@d", { nonsense = true }) end)
        local _, _, err = kapture.get_ticket("b@d", { base_url = "http://example.com", token = "x" })
        assert.are.equal("config", err.kind)
        local _, _, empty = kapture.get_ticket("", { base_url = sandbox.https, token = "" })
        assert.are.equal("config", empty.kind)
    end)

    it("come by the hundred in one string", function()
        local list = sandbox.ids(120)
        local got = ask(table.concat(list, " , "), { fields = { "task_details.ticketId" } })
        assert.are.equal(table.concat(list, ","), ask.ids_of(got.tickets))
    end)

    it("that are long and bad are shown in part", function()
        local err = refused(("x"):rep(100000) .. "!")
        assert.is_true(#err.message < 300)
        refused((","):rep(100000))
    end)
end)
