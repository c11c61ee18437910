-- Run by host: prints, for answers of 1, 50 and 100 tickets, the bytes of the
-- answer, of the tables it becomes, what Lua had above these at most, what a
-- call without decoding has anyway, and what the module had from malloc.
local kapture = require "kapture"
local cjson = require "cjson"

local opts = { ca_file = os.getenv "BENCH_CA", token = os.getenv "BENCH_TOKEN", compression = false }

local function ids(count)
    local list = {}
    for i = 1, count do list[i] = 713516551147 + i end
    return list
end

-- Twice: what finalizers hold goes with the second.
local function collect()
    collectgarbage()
    collectgarbage()
end

-- Bytes of what f returns, and above that: nothing is collected meanwhile, so
-- every block that f leaves behind counts.
local function measure(f)
    collect()
    collectgarbage "stop"
    local before = lua_now()
    reset()
    local kept = { f() }
    local most, c = lua_peak(), c_peak()
    collect()
    local result = lua_now() - before
    assert(kept[1])
    collectgarbage "restart"
    return result, most - before - result, c
end

for _, size in ipairs { { "one", 1 }, { "fifty", 50 }, { "hundred", 100 } } do
    local name, count = table.unpack(size)
    opts.base_url = os.getenv "BENCH_H1" .. "/" .. name .. "/0"
    local client = kapture.new(opts)
    local asked = ids(count)
    opts.batch_size = 100
    local function call(more) return assert(client:get_ticket(asked, more)) end
    local all = { batch_size = 100 }
    local few = { batch_size = 100, fields = { "task_details.ticketId" } }
    call(all)
    call(few)
    local result, above, c = measure(function() return (call(all)) end)
    local few_result, few_above = measure(function() return (call(few)) end)
    local file = assert(io.open(os.getenv "BENCH_DIR" .. "/" .. name .. ".json"))
    local bytes = #file:read "*a"
    collect()
    local cjson_result, cjson_above = measure(function()
        file:seek "set"
        return cjson.decode(file:read(bytes))
    end)
    file:close()
    print(name, bytes, result, above, c, few_result, few_above, cjson_result, cjson_above)
    client:close()
end
