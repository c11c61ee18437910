-- What README prints is what runs.
local read = require("spec.support.system").read

describe("README.md", function()
    local text = read "README.md"

    it("shows examples/demo.lua as it is", function()
        local first = text:match "```lua\n(.-)```"
        assert.are.equal(read "examples/demo.lua", first)
    end)

    it("shows an example of twelve lines with its failure branch", function()
        local demo = read "examples/demo.lua"
        local _, lines = demo:gsub("\n", "\n")
        assert.are.equal(12, lines)
        assert.is_truthy(demo:find("if not tickets then", 1, true))
    end)

    it("names only make targets that there are", function()
        local makefile = "\n" .. read "Makefile" .. read "mk/install.mk" .. read "mk/check.mk" .. read "mk/lint.mk"
        for target in text:gsub("luarocks make", ""):gmatch "make ([%l-]+)" do
            assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), target)
        end
    end)

    it("links only to files that there are", function()
        for target in text:gmatch "%]%(([^)]+)%)" do
            if not target:find "^https:" then read(target) end
        end
    end)
end)
