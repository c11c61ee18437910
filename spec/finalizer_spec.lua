-- Finalizers run wherever Lua's collector may, so in the middle of this
-- module's functions as well, and may do there what everybody may: close the
-- client, step it, fetch. Such points are tried one after the other, in a
-- process of its own: one in fifteen, or with KAPTURE_HAUNT=1 (make check-asan,
-- where a slip is sure to be seen) all of them.
local ask = require "spec.support.ask"

local stride = tonumber(os.getenv "KAPTURE_HAUNT") or 15

local function haunt(work, action)
    local program = "math.randomseed(%d) print(require 'spec.support.haunting' (%q, %q, %d))"
    local output, status = ask.child(program:format(os.time(), work, action,
        work:find "many" and 5 * stride or stride),
        { KAPTURE_SANDBOX_READY = os.getenv "KAPTURE_SANDBOX_READY" })
    assert.are.equal(0, status, output)
    assert.is_true(tonumber(output) > 10, output)
end

describe("a finalizer at any point of", function()
    for _, work in ipairs { "nothing to send", "get_ticket", "get_ticket with options", "get_ticket with a bad id",
                            "get_ticket with retries", "get_ticket with a wrong token", "submit, wait", "submit, step",
                            "submit, result", "tickets", "tickets with many bad ids", "tickets that come after all" } do
        for _, action in ipairs { "close", "step", "fetch", "submit", "iterate", "result", "cancel" } do
            it(work .. " may " .. action, function() haunt(work, action) end)
        end
    end
end)
