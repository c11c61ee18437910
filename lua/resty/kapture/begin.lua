-- What comes before a call: whether nginx lets it wait here, whether it may begin
-- at all, and its token.
local pump = require "resty.kapture.pump"

local get_phase = ngx.get_phase

local CAN_WAIT = {
    rewrite = true, server_rewrite = true, access = true, content = true, timer = true,
    ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}

local M = {}

--- The phase of nginx that this runs in. Raises where nobody may wait in it.
---@param name string the function that the user called
---@param level integer where, as for `error` in the caller
---@return string
function M.phase(name, level)
    local phase = get_phase()
    if not CAN_WAIT[phase] then
        error(("resty.kapture: %s waits for the service, which nginx allows in rewrite, access, content, "
            .. "ssl_certificate and timers, but not in %s_by_lua*: call it in one of those, from here with "
            .. "ngx.timer.at(0, ...)"):format(name, phase), level + 1)
    end
    return phase
end

--- Why nothing of this client may begin any more; nil: it may.
---@param client resty.kapture.Client
---@param phase string
---@return string|nil
function M.refusal(client, phase)
    if client.closed then return "the client is closed" end
    return pump.leaving(phase)
end

--- Calls the token function, which here may yield, and leaves in its place one
--- that does what it did, for the C module to judge.
---@param options table
function M.resolve_token(options)
    local ok, token = pcall(options.token)
    options.token = function()
        if not ok then error(token, 0) end
        return token
    end
end

return M
