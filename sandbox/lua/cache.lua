-- A cache bounded in bytes, least recently used out first: two generations,
-- and when the young one is full it becomes the old one.
local M = {}
M.__index = M

function M.new(bytes)
    return setmetatable({ limit = bytes / 2, size = 0, young = {}, old = {} }, M)
end

function M:get(key)
    local entry = self.young[key]
    if not entry then
        entry = self.old[key]
        if not entry then return nil end
        self:set(key, entry.value, entry.bytes)
    end
    return entry.value
end

function M:set(key, value, bytes)
    if self.size > self.limit then
        self.old, self.young, self.size = self.young, {}, 0
    end
    self.young[key] = { value = value, bytes = bytes }
    self.size = self.size + bytes
end

return M
