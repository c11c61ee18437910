-- library/kapture.lua, which an editor reads, says what the module has: not
-- less, not more, compared with the module itself and with its tables. #once
local kapture = require "kapture"
local system = require "spec.support.system"

local read = system.read

local meta = read "library/kapture.lua"

local function sorted(set)
    local list = {}
    for name in pairs(set) do
        list[#list + 1] = name
    end
    table.sort(list)
    return list
end

-- The fields of a class: their names, and each one's type.
local function fields_of(class)
    local block = assert(meta:match("%-%-%-@class " .. class:gsub("%.", "%%.") .. "\n(.-)\n[^-]"), class)
    local fields = {}
    for name, rest in block:gmatch "%-%-%-@field ([%w_]+) ([^\n]+)" do
        fields[name] = rest
    end
    return fields
end

local function functions_of(name)
    local set = {}
    for method in meta:gmatch("\nfunction " .. name .. "[.:]([%w_]+)%(") do
        set[method] = true
    end
    return set
end

-- What a user may call: names that begin with _ are the module's own.
local function methods_of(object)
    local set = {}
    local index = debug.getmetatable(object).__index
    assert.equal("table", type(index))
    for name, value in pairs(index) do
        if type(value) == "function" and name:sub(1, 1) ~= "_" then
            set[name] = true
        end
    end
    return set
end

describe("doc/reference.md #once", function()
  local page = read "doc/reference.md"

  local function speaks_of(form, set)
    for name in pairs(set) do
      assert.is_truthy(page:find(form:format(name), 1, true), form:format(name))
    end
  end

  it("speaks of all that there is", function()
    local client = kapture.new { base_url = "http://127.0.0.1:9", token = "none", proxy = "" }
    speaks_of("kapture.%s", kapture)
    speaks_of("`%s`", kapture.version())
    speaks_of("client:%s(", methods_of(client))
    speaks_of("request:%s(", methods_of(client:submit "no id"))
    speaks_of("iterator:%s(", methods_of(client:tickets "no id"))
    client:close()
    for _, class in ipairs { "Info", "Error", "Failed", "Event", "Options" } do
      speaks_of("`%s`", fields_of("kapture." .. class))
    end
    local ticket = require "kapture.ticket"
    speaks_of("%s(", ticket)
  end)
end)

describe("the types of #once", function()
    it("the module", function()
        local functions, others = {}, {}
        for name, value in pairs(kapture) do
            (type(value) == "function" and functions or others)[name] = true
        end
        assert.same(sorted(functions), sorted(functions_of "kapture"))
        assert.same(sorted(others), sorted(fields_of "kapture"))
        assert.same(sorted(kapture.version()), sorted(fields_of "kapture.Version"))
    end)

    it("a client, a request, an iterator", function()
        local client = kapture.new { base_url = "http://127.0.0.1:9", token = "none", proxy = "" }
        assert.same(sorted(methods_of(client)), sorted(functions_of "Client"))
        assert.same(sorted(methods_of(client:submit "no id")), sorted(functions_of "Request"))
        assert.same(sorted(methods_of(client:tickets "no id")), sorted(functions_of "Iterator"))
        client:close()
    end)

    it("options and kinds of failure, made from their tables", function()
        assert.equal("0\n", system.output "lua5.4 tools/types.lua --check 2>&1; echo $?")
        for _, class in ipairs { "Options", "Error" } do
            assert.is_truthy(next(fields_of("kapture." .. class)))
        end
    end)

    it("every option, which the module has", function()
        local n = 0
        for name in pairs(fields_of "kapture.Options") do
            n = n + 1
            local ok, message = pcall(kapture.new, { [name] = coroutine.create(function() end) })
            assert.is_false(ok)
            assert.truthy(message:find("option '" .. name .. "'", 1, true), message)
        end
        assert.is_true(n > 30)
    end)

    it("defaults, as they are", function()
        local expected = {
            timeout = "30", connect_timeout = "10", deadline = "120", retries = "2", backoff = "0.5",
            max_backoff = "20",
            batch_size = "50", concurrency = "4", isolate = "true", compression = "true", verify = "true",
            partial = "false",
            max_response_bytes = "64 MiB",
        }
        local types = read "library/kapture.lua"
        for name, default in pairs(expected) do
            assert.equal(default, types:match("\n%-%-%-@field " .. name .. " [^\n]*%(([^()]*)%)\n"), name)
        end
    end)

    it("info, errors and events", function()
        local tickets, info = kapture.get_ticket("404000000001,5", {
            base_url = require("spec.support.sandbox").https,
            token = require("spec.support.sandbox").token,
            ca_file = require("spec.support.sandbox").ca,
            partial = true,
            hook = function(event)
                for name in pairs(event) do
                    assert.is_truthy(fields_of("kapture.Event")[name], name)
                end
            end,
        })
        assert.equal(1, #tickets)
        assert.same(sorted(info), sorted(fields_of "kapture.Info"))
        local _, _, err = kapture.get_ticket("5", {
            base_url = require("spec.support.sandbox").url "status,code=429,retry=0",
            token = require("spec.support.sandbox").token,
            ca_file = require("spec.support.sandbox").ca,
            retries = 0,
        })
        local documented = fields_of "kapture.Error"
        for name in pairs(err) do
            assert.is_truthy(documented[name], name)
            documented[name] = nil
        end
        documented.retry_after, documented.body, documented.status = nil, nil, nil -- where there are any
        assert.same({}, documented)
        for name in pairs(err.failed[1]) do
            assert.is_truthy(fields_of("kapture.Failed")[name], name)
        end
    end)

    it("all that the Lua files speak of", function()
        local known = { ["kapture"] = true }
        local files = { meta }
        local pipe = io.popen "find lua -name '*.lua'"
        for path in pipe:lines() do
            files[#files + 1] = read(path)
        end
        pipe:close()
        for _, text in ipairs(files) do
            for _, what in ipairs { "class", "alias" } do
                for name in text:gmatch("%-%-%-@" .. what .. " ([%w_.]+)") do
                    known[name] = true
                end
            end
        end
        for _, text in ipairs(files) do
            for line in text:gmatch "%-%-%-@%l+ [^\n]+" do
                if not line:find "^%-%-%-@meta" then
                    for word in line:gmatch "%f[%w.]kapture%.[%w_.]+" do
                        local name = word:gsub("%.+$", "")
                        assert.is_truthy(known[name] or name:find "^kapture%.new"
                or kapture[name:match "^kapture%.(.*)"], line)
                    end
                end
            end
        end
    end)
end)
