-- bin/kapture, run in a shell by the interpreter that runs the specs.
local sandbox = require "spec.support.sandbox"

local command = {}

do -- the interpreter
    local i = 0
    while arg and arg[i - 1] do
        i = i - 1
    end
    command.lua = arg and arg[i] or "lua"
end

-- Where it goes and who it is, as words for env.
function command.env(opts)
    local env = "KAPTURE_BASE_URL='%s' KAPTURE_TOKEN='%s' KAPTURE_CA_FILE='%s' HOME=%s XDG_CONFIG_HOME='%s'"
    return env:format(
        opts.base_url or sandbox.https,
        opts.token or sandbox.token,
        sandbox.ca,
        opts.home or "/nonexistent",
        opts.config_home or "/nonexistent"
    )
end

-- Its output, its stderr, its exit code. With `terminal` its stderr is one, and
-- what comes there goes to that file.
function command.run(words, opts)
    opts = opts or {}
    local line = ("%s bin/kapture %s"):format(command.lua, words)
    if opts.terminal then
        local sink = opts.whole and "" or " >/dev/null"
        line = ("script -qec '%s COLUMNS=%d %s%s' %s </dev/null"):format(opts.term or "TERM=xterm", opts.columns, line,
            sink, opts.terminal)
    end
    local errors = os.tmpname()
    local pipe = io.popen(
        ("%s env %s %s %s 2>%s; echo \"exit $?\""):format(
            opts.input and ("printf '" .. opts.input .. "' |") or "",
            command.env(opts),
            opts.before or "",
            line,
            errors
        )
    )
    local out = pipe:read "*a"
    pipe:close()
    local file = io.open(errors)
    local err = file:read "*a"
    file:close()
    os.remove(errors)
    local text, code = out:match "^(.-)exit (%d+)\n$"
    return text, err, tonumber(code)
end

return command
