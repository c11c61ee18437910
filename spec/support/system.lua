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

-- A port that nobody listened on a moment ago, below those that outgoing
-- connections are given: none of those takes it before its server does.
function system.free_port(host)
    local random = assert(io.open("/dev/urandom", "rb"))
    for _ = 1, 100 do
        local high, low = random:read(2):byte(1, 2)
        local port = 10240 + (high * 256 + low) % 20000
        local probe = require("socket").bind(host or "127.0.0.1", port)
        if probe then
            probe:close()
            random:close()
            return port
        end
    end
    error "no free port from 10240 to 30239"
end

-- Whether valgrind or ThreadSanitizer is at work: milliseconds are not ours then.
-- (AddressSanitizer costs little enough.)
system.instrumented = os.getenv "WRAP" ~= nil or os.getenv "KAPTURE_TSAN" ~= nil

return system
