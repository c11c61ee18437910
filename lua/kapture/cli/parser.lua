--- The parser of the command line, made from the table of its options.

local argparse = require "argparse"
local options = require "kapture.cli.options"

local M = {}

-- The command that the sandbox runs for has options of its own: they are not ours.
local function mark_command(argv)
    local takes_value = {}
    local at
    for i, word in ipairs(argv) do
        if not at and word == "sandbox" then
            at = i + 1
        elseif not at and not word:find "^-" then
            return argv
        end
    end
    for _, c in ipairs(options.commands) do
        for _, o in ipairs(c.name == "sandbox" and options.of(c) or {}) do
            takes_value[o.long] = o.takes_value
        end
    end
    while at and argv[at] and argv[at]:find "^-" do
        if argv[at] == "--" then
            return argv
        end
        at = at + (takes_value[argv[at]] and 2 or 1)
    end
    if not at or not argv[at] then
        return argv
    end
    local marked = { (table.unpack or unpack)(argv) } -- luacheck: ignore 113
    table.insert(marked, at, "--")
    return marked
end

-- argparse's own names of targets are fine, but for flags that say no.
local function add(command, o)
    local names = (o.short and o.short .. " " or "") .. o.long
    if not o.takes_value then
        command:flag(names, o.doc):target(o.name)
        return
    end
    local option = command:option(names, o.doc):argname(o.argname):target(o.name)
    if o.choices then
        option:choices(o.complete)
    end
    if o.many then
        option:count "*"
    end
end

-- argparse prints the help without a look at whether that can be written.
local function add_help(parser, show)
    parser:add_help(false)
    parser:flag("-h --help", "Show this help message and exit."):action(function()
        show(parser:get_help())
    end)
end

local function new(version, show)
    local parser = argparse("kapture", "Tickets from Kapture CRM.")
        :epilog "The token comes from $KAPTURE_TOKEN or the configuration file, never from an argument. See kapture(1)."
    add_help(parser, show)
    parser:flag("--version", "Print the versions and exit."):action(version)
    parser:require_command(true)
    parser:command_target "command"
    for _, c in ipairs(options.commands) do
        local command = parser:command(c.name, c.doc)
        add_help(command, show)
        local lines = { "Examples:" }
        for _, example in ipairs(c.examples) do
            lines[#lines + 1] = ("   %s\n      %s"):format(example[1], example[2])
        end
        command:epilog(table.concat(lines, "\n"))
        if c.takes_ids then
            command:argument("ids", "Ticket ids, also separated by commas; - reads standard input, a line each.")
                :args "*"
        end
        if c.name == "sandbox" then
            command:argument("argv",
                "After --: a command that it runs for, with KAPTURE_BASE_URL, _TOKEN and _CA_FILE set.")
                :args "*"
        end
        for i, o in ipairs(options.of(c)) do
            if i > 1 then -- --help is there
                add(command, o)
            end
        end
    end
    return parser
end

--- The arguments, by name; or false and what is wrong with them.
---@param argv string[]
---@param version fun() prints the versions, and ends
---@param show fun(text: string) prints that, and ends
---@return boolean, table|string
function M.parse(argv, version, show)
    return new(version, show):pparse(mark_command(argv))
end

return M
