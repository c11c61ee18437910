-- A busted output handler: a mark a test, what failed in full at the end, and
-- the totals into the file that KAPTURE_REPORT names, for spec/run to add up.
-- What failed is also added to the file that KAPTURE_FAILED names, for whoever
-- runs many and looks at the end.
return function(options)
    local busted = require "busted"
    local handler = require "busted.outputHandlers.base"()
    local marks = { success = ".", pending = "p", failure = "F", error = "E" }
    local slow = {}

    local function mark(status)
        io.write(marks[status] or "?")
        io.flush()
    end

    function handler.testEnd(element, _, status)
        if element.duration and element.duration > 3 then
            slow[#slow + 1] = ("%6.1f s  %s"):format(element.duration, handler.getFullName(element))
        end
        mark(status)
        return nil, true
    end

    function handler.outside(element)
        if element.descriptor ~= "it" then mark "error" end
        return nil, true
    end

    local function tell(text)
        print(text)
        local path = os.getenv "KAPTURE_FAILED"
        if not path then return end
        local file = assert(io.open(path, "a"))
        file:write(os.getenv "ABI" or "?", text, "\n")
        file:close()
    end

    local function show(list, title)
        for _, item in ipairs(list) do
            local message = item.message
            if message == nil then
                message = ""
            elseif type(message) ~= "string" then
                message = require("pl.pretty").write(message)
            end
            local trace = item.element.trace or item.trace or {}
            tell(("\n%s: %s (%s:%s)\n%s"):format(title, item.name, trace.short_src or "?",
                trace.currentline or "?", message))
            if options.verbose and item.trace and item.trace.traceback then print(item.trace.traceback) end
        end
    end

    function handler.suiteEnd(suite)
        print()
        show(handler.pendings, "pending")
        show(handler.failures, "failed")
        show(handler.errors, "error")
        if #slow > 0 then print("\nslow:\n" .. table.concat(slow, "\n")) end
        local passed, failed = handler.successesCount, handler.failuresCount + handler.errorsCount
        print(("%d passed, %d failed, %d pending in %.1f s"):format(
            passed, failed, handler.pendingsCount, suite.duration or 0))
        local path = os.getenv "KAPTURE_REPORT"
        if path then
            local file = assert(io.open(path, "w"))
            file:write(("%d %d %d\n"):format(passed, failed, handler.pendingsCount))
            file:close()
        end
        return nil, true
    end

    busted.subscribe({ "suite", "end" }, handler.suiteEnd)
    busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
    busted.subscribe({ "error" }, handler.outside)
    busted.subscribe({ "failure" }, handler.outside)
    return handler
end
