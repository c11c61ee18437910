-- What specs and their support want of the system: files, commands, ports.
local system = {}

-- A file's bytes; nil where there is none.
function system.read(path)
    local file = io.open(path, "rb")
    if not file then return nil end
    local text = file:read "*a"
    file:close()
    return text
end

function system.write(path, text)
    local file = assert(io.open(path, "wb"))
    assert(file:write(text))
    assert(file:close())
end

-- What a shell's command prints.
function system.output(command)
    local pipe = assert(io.popen(command, "r"))
    local text = pipe:read "*a"
    pipe:close()
    return text
end

-- One word for a shell.
function system.quoted(s)
    return "'" .. tostring(s):gsub("'", "'\\''") .. "'"
end

-- A port that nobody listens on, a moment ago.
function system.free_port(host)
    local probe = assert(require("socket").bind(host or "127.0.0.1", 0))
    local _, port = probe:getsockname()
    probe:close()
    return tonumber(port)
end

-- Whether valgrind or ThreadSanitizer is at work: milliseconds are not ours then.
-- (AddressSanitizer costs little enough.)
system.instrumented = os.getenv "WRAP" ~= nil or os.getenv "KAPTURE_TSAN" ~= nil

return system
