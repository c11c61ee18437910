-- What the benches share: running things, counting, and keeping what was found
-- for bench/report. Lua 5.4, from the top of the checkout.
local bench = { dir = "build/bench" }

function bench.capture(command)
    local pipe = assert(io.popen(command))
    local out = pipe:read "*a"
    assert(pipe:close(), command .. "\n" .. out)
    return out
end

function bench.quote(word)
    return "'" .. tostring(word):gsub("'", [['\'']]) .. "'"
end

function bench.write(name, text)
    local file = assert(io.open(name, "w"))
    assert(file:write(text))
    assert(file:close())
end

-- A list of words as a command.
function bench.command(words)
    local quoted = {}
    for i, word in ipairs(words) do quoted[i] = bench.quote(word) end
    return table.concat(quoted, " ")
end

-- A list of values in order, so that its middle and ends can be told.
function bench.spread(list)
    local sorted = table.move(list, 1, #list, 1, {})
    table.sort(sorted)
    local half = #sorted // 2
    local middle = #sorted % 2 == 1 and sorted[half + 1] or (sorted[half] + sorted[half + 1]) / 2
    return { median = middle, low = sorted[1], high = sorted[#sorted] }
end

-- In turns, so that what else the machine does meets all of them: how[name]()
-- is called `rounds` times for each name in `order`; the values by name.
function bench.alternate(rounds, order, how)
    local got = {}
    for _, name in ipairs(order) do got[name] = {} end
    for round = 1, rounds do
        for i = 1, #order do
            -- every other round backwards: none is always first
            local name = order[round % 2 == 1 and i or #order + 1 - i]
            got[name][round] = how[name]()
        end
    end
    return got
end

-- a[i] / b[i], round by round.
function bench.ratios(a, b)
    local ratios = {}
    for i = 1, #a do ratios[i] = a[i] / b[i] end
    return bench.spread(ratios)
end

os.execute("mkdir -p " .. bench.dir .. "/data")

local preload

-- The instructions of a command (a list of words), all its threads, with an
-- environment that is the same everywhere. `options`: callgrind's.
function bench.instructions(words, environment, options)
    if not preload then
        preload = bench.dir .. "/clock.so"
        bench.capture("${CC:-cc} -O -shared -fPIC -o " .. preload .. " bench/lib/clock.c")
    end
    local out = bench.capture(("env -i PATH=\"$PATH\" LD_PRELOAD=%s %s valgrind --tool=callgrind "
        .. "--callgrind-out-file=/dev/null %s %s 2>&1"):format(preload, environment or "", options or "",
        bench.command(words)))
    return assert(tonumber(out:match "Collected : (%d+)"), out)
end

-- The instructions of one of n things: words(n) does n of them, and what
-- begins and ends a program is in both of two runs.
function bench.each(few, many, words, environment, options)
    local function count(n) return bench.instructions(words(n), environment, options) end
    return (count(many) - count(few)) / (many - few)
end

-- A file that bench/report reads: keep(key, value [, low, high]).
function bench.keeper(topic)
    local file = assert(io.open(("%s/data/%s.tsv"):format(bench.dir, topic), "w"))
    file:setvbuf "line"
    return function(key, value, low, high)
        if type(value) == "table" then value, low, high = value.median, value.low, value.high end
        file:write(table.concat({ key, value, low or value, high or value }, "\t"), "\n")
    end
end

return bench
