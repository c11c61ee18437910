--- `:checkhealth kapture`

local M = {}

-- vim.health got its short names in Neovim 0.10; before, there was report_*.
local health = vim.health or require "health"
local start = health.start or health.report_start
local ok = health.ok or health.report_ok
local info = health.info or health.report_info
local warn = health.warn or health.report_warn
local fail = health.error or health.report_error

local WAIT = 8 -- seconds for the service to answer

local function check_module()
    start "kapture: the C module"
    local nvim = require "kapture.nvim"
    local module, message = nvim.module()
    if not module then
        local loaded, why = pcall(require, "kapture")
        fail(message)
        if not loaded and not tostring(why):find("module 'kapture' not found", 1, true) then
            info(vim.trim(tostring(why)))
        end
        return nil
    end
    local version = module.version()
    local path = vim.api.nvim_get_runtime_file("lua/kapture.so", false)[1]
    ok(("kapture %s, from %s"):format(version.kapture, path or "package.cpath"))
    if version.abi == "luajit" or (version.abi == "5.1" and not jit) then
        ok("built for the Lua of this Neovim: " .. version.abi)
    else
        warn(("built for Lua %s, while this Neovim has %s: run `make nvim`"):format(
            version.abi, jit and jit.version or _VERSION))
    end
    local http2 = version.http2 and "HTTP/2" or "no HTTP/2"
    info(("libcurl %s, %s, %s"):format(version.libcurl, version.tls or "no TLS", http2))
    if not version.tls then fail "this libcurl has no TLS: https will not work" end
    if version.resolver == "blocking" then
        warn "this libcurl has a blocking resolver: ending a call may wait for a slow name server"
    else
        ok("names are resolved in the background: " .. version.resolver)
    end
    return module
end

local function source_of(options, option, variable)
    local value = options[option]
    if value ~= nil then return type(value) == "function" and "a function" or "setup()", value end
    local env = vim.env[variable]
    if env and env ~= "" then return "$" .. variable, env end
end

-- Says where they come from; of a token, nothing else is ever shown.
local function check_credentials(options)
    start "kapture: account"
    local complete = true
    local where, url = source_of(options, "base_url", "KAPTURE_BASE_URL")
    local named, subdomain = source_of(options, "subdomain", "KAPTURE_SUBDOMAIN")
    if where then
        ok(("base_url: %s, from %s"):format(tostring(url):gsub("//[^/@]*@", "//***@"), where))
    elseif named then
        ok(("subdomain: %s, from %s"):format(tostring(subdomain), named))
    else
        complete = false
        fail "no account: set $KAPTURE_SUBDOMAIN, or give setup() a subdomain"
    end
    local from = source_of(options, "token", "KAPTURE_TOKEN")
    if from then
        ok("token: present, from " .. from)
    else
        complete = false
        fail "no token: set $KAPTURE_TOKEN, or give setup() a token (a function that asks your keyring, say)"
    end
    return complete
end

local function check_service(module, options)
    start "kapture: service"
    local made, client = pcall(module.new, options)
    if not made then
        return fail("setup(): " .. tostring(client))
    end
    -- An id that need not exist: any answer will do.
    local request = client:submit("1", { retries = 0, deadline = WAIT, fields = { "task_details.ticketId" } })
    local began = (vim.uv or vim.loop).hrtime()
    local tickets, message, err = request:wait(WAIT + 1)
    local ms = ((vim.uv or vim.loop).hrtime() - began) / 1e6
    client:close()
    if tickets then
        ok(("reachable, and the token is accepted (%.0f ms)"):format(ms))
    elseif not err then
        fail(("no answer within %d s"):format(WAIT))
    elseif err.kind == "auth" or err.kind == "forbidden" then
        fail(("reachable, but it refuses the token: %s"):format(message))
    elseif err.status then
        warn(("reachable, but it answers HTTP %d: %s: %s"):format(err.status, err.kind, message))
    else
        fail(("%s: %s"):format(err.kind, message))
    end
end

function M.check()
    local module = check_module()
    local options = require("kapture.nvim").options
    local complete = check_credentials(options)
    if not module then return end
    if complete then
        check_service(module, options)
    else
        start "kapture: service"
        info "not asked: account or token missing"
    end
end

return M
