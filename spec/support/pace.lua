-- How hasty the collector is, in each Lua's words: its pause and its step
-- multiplier in per cent. Returns what they were.
return function(pause, stepmul)
    if _VERSION >= "Lua 5.5" then
        -- luacheck: push ignore 143
        return collectgarbage("param", "pause", pause), collectgarbage("param", "stepmul", stepmul)
        -- luacheck: pop
    end
    return collectgarbage("setpause", pause), collectgarbage("setstepmul", stepmul)
end
