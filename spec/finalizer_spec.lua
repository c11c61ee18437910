-- Finalizers run wherever Lua's collector may, so in the middle of this
-- module's functions as well, and may do there what everybody may: close the
-- client, step it, fetch. Each such point is tried, one after the other, in a
-- process of its own. A slip is sure to be seen under make check-asan.
local ask = require "spec.support.ask"

local function haunt(work, action)
    local output, status = ask.child(
        ("print(require 'spec.support.haunting' (%q, %q))"):format(work, action),
        { KAPTURE_SANDBOX_READY = os.getenv "KAPTURE_SANDBOX_READY" })
    assert.are.equal(0, status, output)
    assert.is_true(tonumber(output) > 10, output)
end

describe("a finalizer at any point of", function()
    for _, work in ipairs { "nothing to send" } do
        for _, action in ipairs { "close", "step" } do
            it(work .. " may " .. action, function() haunt(work, action) end)
        end
    end
end)
