-- The `fields` option: what is built of a ticket, and its id, built or not.
local probe = require "kapture_decode"
local documents = require "spec.support.documents"

local decode, ticket, array_mt = probe.decode, probe.ticket, probe.array_mt

-- The same by hand: the part of a decoded value that a tree of names selects
-- (true: all below). nil: nothing.
local function part(value, tree)
    if tree == true then return value end
    if type(value) ~= "table" then return nil end
    local out = {}
    if getmetatable(value) == array_mt then
        for _, element in ipairs(value) do
            local p = part(element, tree)
            if p ~= nil then out[#out + 1] = p end
        end
        return setmetatable(out, array_mt)
    end
    for name, below in pairs(tree) do
        if value[name] ~= nil then out[name] = part(value[name], below) end
    end
    return out
end

local function tree_of(paths)
    local tree = {}
    for _, path in ipairs(paths) do
        local at, names = tree, {}
        -- The specs have no names with \1 and \2 in them.
        for name in (path:gsub("\\\\", "\1"):gsub("\\%.", "\2") .. "."):gmatch "([^.]*)%." do
            names[#names + 1] = (name:gsub("\1", "\\"):gsub("\2", "."))
        end
        for i, name in ipairs(names) do
            if at[name] == true then break end
            if i == #names then
                at[name] = true
            else
                at[name] = at[name] or {}
                at = at[name]
            end
        end
    end
    return tree
end

local function difference(a, b, path)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a ~= b and ("%s: %s and %s"):format(path, tostring(a), tostring(b)) or nil
    end
    if getmetatable(a) ~= getmetatable(b) then return path .. ": array and object" end
    for k in pairs(b) do
        if a[k] == nil then return ("%s.%s: missing"):format(path, tostring(k)) end
    end
    for k, v in pairs(a) do
        local where = difference(v, b[k], path .. "." .. tostring(k))
        if where then return where end
    end
end

local function selects(text, paths, expected)
    -- Alone, and as each of four: at first sight, at second, and guessed.
    for _, pad in ipairs { "", (" "):rep(300) } do
        local value = assert(decode(text .. pad, paths))
        local where = difference(value, assert(decode(expected)), "$")
        if where then error(where, 2) end
        local list = assert(probe.tickets(("[%s,%s,%s,%s%s]"):format(text, text, text, text, pad), paths))
        for i = 1, 4 do
            where = difference(list[i], assert(decode(expected)), "$" .. i)
            if where then error(where, 2) end
        end
    end
end

describe("fields", function()
    local text = [[{"history":{"list":[{"a":1,"b":{"c":[2,"x"],"d":"]}"}},{"b":{"c":{}}},{"a":3}],"n":"{[\"" },
        "task_details":{"ticketId":"12","status":"Pending","sla status":"in","a.b":1,"c\\d":2,"attachments":[]},
        "additional_info":{}}]]

    it("select everything below a path", function()
        selects(text, { "task_details.status" }, '{"task_details":{"status":"Pending"}}')
        selects(text, { "task_details.status", "additional_info" },
            '{"task_details":{"status":"Pending"},"additional_info":{}}')
        selects(text, { "history.n" }, '{"history":{"n":"{[\\""}}')
        selects(text, { "task_details.attachments" }, '{"task_details":{"attachments":[]}}')
        selects('{"x":[1],"history":{"list":[{"a":1,"b":null}],"n":"]}"},"y":{}}', { "history" },
            '{"history":{"list":[{"a":1,"b":null}],"n":"]}"}}')
    end)

    it("go through arrays, in each element", function()
        selects(text, { "history.list.a" }, '{"history":{"list":[{"a":1},{},{"a":3}]}}')
        selects(text, { "history.list.b.c" }, '{"history":{"list":[{"b":{"c":[2,"x"]}},{"b":{"c":{}}},{}]}}')
        selects('{"a":[[{"b":1,"c":2}],[],[{"b":3}]]}', { "a.b" }, '{"a":[[{"b":1}],[],[{"b":3}]]}')
        selects('{"a":[]}', { "a.b" }, '{"a":[]}')
    end)

    it("build what is on the way, where it is there", function()
        selects(text, { "task_details.nothing", "nothing.at.all" }, '{"task_details":{}}')
        selects('{"a":{"b":{}}}', { "a.b.c.d" }, '{"a":{"b":{}}}')
        selects("{}", { "a.b" }, "{}")
        selects('{"x":1}', { "a" }, "{}")
    end)

    it("leave out what is no table on the way to a path", function()
        selects('{"a":5,"b":1}', { "a.x", "b" }, '{"b":1}')
        selects('{"a":"text","b":1}', { "a.x", "b" }, '{"b":1}')
        selects('{"a":[1,{"x":2,"y":3},"three",null,{"x":4},[true,{"x":5}]]}', { "a.x" },
            '{"a":[{"x":2},{"x":4},[{"x":5}]]}')
    end)

    it("take the last of a name", function()
        selects('{"a":{"x":1},"a":{"x":2}}', { "a.x" }, '{"a":{"x":2}}')
        selects('{"a":{"x":1},"a":5}', { "a.x" }, "{}")
        selects('{"a":1,"b":2,"a":3}', { "a" }, '{"a":3}')
    end)

    it("of two paths take the shorter, in either order", function()
        local value = '{"a":{"b":1,"c":{"d":2}},"e":0}'
        selects(value, { "a", "a.b" }, '{"a":{"b":1,"c":{"d":2}}}')
        selects(value, { "a.b", "a" }, '{"a":{"b":1,"c":{"d":2}}}')
        selects(value, { "a.c.d", "a.c", "a.b" }, '{"a":{"b":1,"c":{"d":2}}}')
        selects(value, { "a.b", "a.b" }, '{"a":{"b":1}}')
    end)

    it("have names with dots and backslashes", function()
        selects(text, { "task_details.a\\.b" }, '{"task_details":{"a.b":1}}')
        selects(text, { "task_details.c\\\\d" }, '{"task_details":{"c\\\\d":2}}')
        selects(text, { "task_details.c\\d" }, '{"task_details":{"c\\\\d":2}}')
        selects(text, { "task_details.sla status" }, '{"task_details":{"sla status":"in"}}')
        selects('{"a\\u002eb":1,"\\u0061":{"\\n":2}}', { "a\\.b", "a.\n" }, '{"a.b":1,"a":{"\\n":2}}')
        selects('{"\\u0000":1,"":2}', { "\0" }, '{"\\u0000":1}')
    end)

    it("have no empty names", function()
        for _, path in ipairs { "", ".", "a.", ".a", "a..b", "a.b.", "a\\..." } do
            assert.has_error(function() probe.fields { path } end, ("empty name in path '%s'"):format(path))
        end
    end)

    it("may be many", function()
        local paths, members, expected = {}, {}, {}
        for i = 1, 700 do
            paths[i] = ("task_details.field%d"):format(i * 2)
            members[i] = ('"field%d":%d'):format(i, i)
            if i % 2 == 0 then expected[#expected + 1] = members[i] end
        end
        selects('{"task_details":{' .. table.concat(members, ",") .. "}}", paths,
            '{"task_details":{' .. table.concat(expected, ",") .. "}}")
    end)

    it("leave a ticket that is none as it is", function()
        for _, value in ipairs { "1", "null", '"x"', "true", "1.5" } do
            selects(value, { "a" }, value)
        end
    end)

    it("skip by brackets alone, but these must match", function()
        assert.are.same({ a = 1 }, (decode('{"a":1,"x":{nonsense:[1 2 3],,},"y":tru}', { "a" })))
        for _, bad in ipairs {
            '{"a":1,"x":{]}', '{"a":1,"x":[}]}', '{"a":1,"x":[[]}', '{"a":1,"x":"}', '{"a":1,"x":}', '{"a":1,"x":,}',
            '{"a":1,"x"}', '{"a":1,"x":1', '{"a":1,"x":[{"\\"}]}', '{"a":1 "x":1}', '{"a":1,"x":1 2}',
            '{"x":["' .. ("\\\\"):rep(40) .. '\\"]}',
        } do
            assert.is_nil((decode(bad, { "a" })), bad)
            assert.is_nil((decode(bad .. (" "):rep(300), { "a" })), bad)
        end
    end)

    it("keep the bound on nesting", function()
        local function nested(n) return '{"a":1,"x":' .. ("["):rep(n) .. ("]"):rep(n) .. "}" end
        assert.are.same({ a = 1 }, (decode(nested(999), { "a" })))
        assert.are.equal("depth", (select(3, decode(nested(1000), { "a" }))))
        assert.are.equal("depth", (select(3, decode(('{"x":'):rep(100000), { "a" }))))
        assert.are.equal("depth", (select(3, decode(('{"a":'):rep(100000), { "a" }))))
        assert.are.equal("depth", (select(3, decode(('{"a":'):rep(100000), { "a.a.a" }))))
    end)

    it("select what one would by hand, from random records", function()
        local lists = {
            { "task_details" }, { "id", "date" }, { "a.a", "task_details.id", "a\\.b" },
            { "a.b.c", "status.status", "creatorName.date", "task_details.ticketId" },
            { "sla status", "lastConvesationTime.id", "A", "x\\\\y.a", "task_details.a" }, { "nothing" },
        }
        for seed = 1, 150 do
            local text_ = documents.records(seed, seed % 12 + 1)
            local whole, ids = assert(probe.tickets(text_))
            for i, paths in ipairs(lists) do
                local tree = tree_of(paths)
                for _, slice in ipairs { 1, 3, 1000 } do
                    local some, some_ids = assert(probe.tickets(text_, paths, slice))
                    for j, value in ipairs(whole) do
                        local where = difference(some[j], part(value, tree), "$" .. j)
                        if where then error(("seed %d, list %d, slice %d: %s"):format(seed, i, slice, where)) end
                        assert.are.equal(ids[j], some_ids[j])
                    end
                end
            end
        end
    end)
end)

describe("a ticket's id", function()
    local function has_id(id, text)
        local lists = {
            false, { "task_details" }, { "task_details.ticketId" }, { "task_details.status" }, { "history" },
        }
        for _, paths in ipairs(lists) do
            for _, pad in ipairs { "", (" "):rep(300) } do
                local value, got = ticket(text .. pad, paths or nil)
                assert.is_truthy(value, text)
                assert.are.equal(id, got, text)
                -- After others of its kind, and one with another id.
                local other = '{"task_details":{"ticketId":"999","status":"x"},"history":{}}'
                local all = ("[%s,%s,%s,%s,%s%s]"):format(text, other, text, other, text, pad)
                local list, ids = assert(probe.tickets(all, paths or nil))
                assert.are.equal(5, #list)
                for i = 1, 5, 2 do
                    assert.are.equal(id or false, ids[i], text)
                end
                assert.are.equal("999", ids[2])
                assert.are.equal("999", ids[4])
            end
        end
    end

    it("is its task_details.ticketId", function()
        has_id("713516551148", '{"task_details":{"ticketId":"713516551148"}}')
        has_id("7", '{"history":{"ticketId":"5"},"task_details":{"status":"x","ticketId":"7","n":3},"ticketId":"9"}')
        has_id("a-b_C", '{"task_details" : { "ticketId" : "a-b_C" } }')
        has_id(("x"):rep(64), '{"task_details":{"ticketId":"' .. ("x"):rep(64) .. '"}}')
        has_id("713", '{"task_details":{"ticketId":"7\\u0031\\u0033"}}')
        has_id("713", '{"task\\u005fdetails":{"ticket\\u0049d":"713"}}')
        has_id("a\0b", '{"task_details":{"ticketId":"a\\u0000b"}}')
    end)

    it("is a number's digits", function()
        has_id("713516551148", '{"task_details":{"ticketId":713516551148}}')
        has_id("0", '{"task_details":{"ticketId":0}}')
        has_id("9007199254740993", '{"task_details":{"ticketId":9007199254740993}}')
        has_id("123456789012345678901234567890", '{"task_details":{"ticketId":123456789012345678901234567890}}')
    end)

    it("is an integer's digits, however it is written", function()
        for text, digits in pairs {
            ["713516551148.0"] = "713516551148", ["7.13516551148e11"] = "713516551148", ["1e3"] = "1000",
            ["1E+3"] = "1000", ["12.50e1"] = "125", ["1200e-2"] = "12", ["0.00e5"] = "0", ["0.5e1"] = "5",
            ["1e63"] = "1" .. ("0"):rep(63), [("9"):rep(64) .. ".0"] = ("9"):rep(64),
            ["0." .. ("0"):rep(70) .. "1e71"] = "1",
        } do
            has_id(digits, '{"task_details":{"ticketId":' .. text .. "}}")
        end
    end)

    it("is none where it is of no use", function()
        for _, value in ipairs {
            '""', "null", "true", "{}", "[]", '{"ticketId":"1"}', '["1"]', "-1", "-0", "1.5", "1e64", "1e-1",
            "12.5e0", "1e99999999999999999999", "1e-99999999999999999999", "0.1",
            '"' .. ("x"):rep(65) .. '"', ("9"):rep(65),
        } do
            has_id(nil, '{"task_details":{"ticketId":' .. value .. "}}")
        end
        for _, value in ipairs { "null", "1", '"713"', "[]", '[{"ticketId":"1"}]', "{}", '{"x":{"ticketId":"1"}}' } do
            has_id(nil, '{"task_details":' .. value .. "}")
        end
        has_id(nil, '{"ticketId":"1"}')
        has_id(nil, '{"x":{"task_details":{"ticketId":"1"}}}')
        has_id(nil, '[{"task_details":{"ticketId":"1"}}]')
        has_id(nil, "{}")
    end)

    it("is the last of a name", function()
        has_id("2", '{"task_details":{"ticketId":"1","ticketId":"2"}}')
        has_id("2", '{"task_details":{"ticketId":"1"},"task_details":{"ticketId":"2"}}')
        has_id(nil, '{"task_details":{"ticketId":"1"},"task_details":{}}')
        has_id(nil, '{"task_details":{"ticketId":"1"},"task_details":null}')
        has_id(nil, '{"task_details":{"ticketId":"1","ticketId":null}}')
    end)
end)
