--- Descriptors and display width, from the C module: see csrc/api/command.c.

---@class kapture.cli.system
---@field open fun(path: string): integer|nil, string|nil, integer|nil
---@field file fun(file: string|integer): string|nil, string|nil
---@field is_terminal fun(fd: integer): boolean
---@field read fun(fd: integer, seconds: number|nil): string|false|nil, string|nil
---@field writer fun(fd: integer): fun(text: string|nil): boolean|integer|nil, string|nil
---@field fit fun(text: string, columns: number): integer, integer
---@field ticket_id fun(line: string): string|nil

require "kapture"

return debug.getregistry()["kapture.command"] --[[@as kapture.cli.system]]
