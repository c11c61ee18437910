-- Charts, drawn by gnuplot: bench/<name>.svg.
local bench = require "bench"
local chart = {}

function chart.draw(name, height, script)
    local file = bench.dir .. "/" .. name .. ".gp"
    bench.write(file, ([[set terminal svg size 760,%d font "sans-serif,13" background "white"
set output "bench/%s.svg"
set border 3 lc rgb "#888888"
set tics nomirror scale 0.5
]]):format(height, name) .. script)
    bench.capture("gnuplot " .. file .. " 2>&1")
    -- nothing in it that differs from run to run without need
    local svg = assert(io.open("bench/" .. name .. ".svg"))
    local text = svg:read "*a":gsub("<title>.-</title>", "", 1):gsub("[ \t]+\n", "\n")
    svg:close()
    bench.write("bench/" .. name .. ".svg", text)
end

-- Rows of numbers as gnuplot takes them.
function chart.lines(list) return "$data << EOD\n" .. table.concat(list, "\n") .. "\nEOD\n" end

-- Bars that lie: label and value, ours in colour.
function chart.bars(name, title, list, format)
    local text = {}
    for i, item in ipairs(list) do
        local shown = (item[2] < 0.05 and "%.3f" or format):format(item[2])
        local ours = item[1]:find "^kapture" and 1 or 0
        text[i] = ('%d "%s" %.4f "%s" %d'):format(#list - i, item[1], item[2], shown, ours)
    end
    chart.draw(name, 70 + 32 * #list, chart.lines(text) .. ([[
set label 1 "%s" at character 2, screen 0.92 left font "sans-serif,14"
set tmargin 3
set rmargin 8
set style fill solid
set yrange [-0.6:%g]
set xrange [0:*]
unset key
set grid x lc rgb "#dddddd"
set lmargin 34
plot $data using ($3/2):1:($3/2):(0.36):ytic(2) with boxxyerror lc rgb "#b0b0b0", \
     $data using ($3/2):($5 == 1 ? $1 : 1/0):($3/2):(0.36) with boxxyerror lc rgb "#1f6fb4", \
     $data using 3:1:4 with labels left offset 0.5,0 tc rgb "#333333"
]]):format(title, #list - 0.4))
end

return chart
