-- Runs in Neovim: one file of tests, named by $KAPTURE_NVIM_TEST, and a line of
-- results for each, to $KAPTURE_NVIM_REPORT. See spec/nvim_spec.lua.
local root = vim.env.KAPTURE_NVIM_ROOT
package.path = root .. "/?.lua;" .. package.path
package.cpath = vim.env.KAPTURE_NVIM_BUILD .. "/luajit/?.so;" .. package.cpath

local report = assert(io.open(vim.env.KAPTURE_NVIM_REPORT, "w"))
local sandbox = require "spec.support.sandbox"

local T = { sandbox = sandbox, root = root, notified = {} }

vim.notify = function(message, level, opts)
    table.insert(T.notified, { message = message, level = level, title = opts and opts.title })
end

--- Waits until f is true, with Neovim's loop going.
function T.wait(f, what, seconds)
    if not vim.wait((seconds or 15) * 1000, f, 5) then
        error("waited in vain for " .. (what or "it") .. "\n" .. table.concat(T.lines(), "\n"), 2)
    end
end

function T.lines(buf) return vim.api.nvim_buf_get_lines(buf or 0, 0, -1, false) end

function T.text(buf) return table.concat(T.lines(buf), "\n") end

--- The lines of a page that is in no buffer yet, and its marks in one list.
function T.unfolded(page)
    local lines, marks = {}, {}
    for _, block in ipairs(page.blocks) do
        T.eq(#lines, block.before)
        vim.list_extend(lines, vim.split(block.text, "\n", { plain = true }))
        T.eq(#lines, block.before + block.count)
        vim.list_extend(marks, block.marks)
    end
    T.eq(#lines, page.count)
    return lines, marks
end

function T.eq(expected, got)
    if not vim.deep_equal(expected, got) then
        error(("expected %s, got %s"):format(vim.inspect(expected), vim.inspect(got)), 2)
    end
end

function T.has(text, part)
    if not text:find(part, 1, true) then error(("%q is not in:\n%s"):format(part, text), 2) end
end

function T.hasnt(text, part)
    if text:find(part, 1, true) then error(("%q is in:\n%s"):format(part, text), 2) end
end

function T.setup(more)
    require("kapture.nvim").setup(vim.tbl_extend("force", {
        base_url = sandbox.https, token = sandbox.token, ca_file = sandbox.ca, retries = 0,
    }, more or {}))
end

local tests = {}
function T.test(name, f) tests[#tests + 1] = { name, f } end

local function fresh()
    pcall(vim.cmd, "silent! tabonly! | silent! only! | silent! %bwipeout!")
    vim.v.errmsg = ""
    T.notified = {}
    T.setup()
end

local loaded, e = pcall(function() dofile(vim.env.KAPTURE_NVIM_TEST)(T) end)
if not loaded then tests = { { "loads", function() error(e, 0) end } } end
for _, test in ipairs(tests) do
    local ok, why = xpcall(function()
        fresh()
        test[2]()
        if vim.v.errmsg ~= "" then error("v:errmsg: " .. vim.v.errmsg, 0) end
    end, debug.traceback)
    report:write(("%s\t%s\t%s\n"):format(ok and "ok" or "no", test[1], ok and "" or tostring(why):gsub("\n", "\1")))
    report:flush()
end
report:write "end\n"
report:close()
vim.cmd "qa!"
