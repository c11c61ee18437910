--- `:checkhealth kapture`

local M = {}

-- vim.health got its short names in Neovim 0.10; before, there was report_*.
local health = vim.health or require "health"
local start = health.start or health.report_start
local ok = health.ok or health.report_ok
local info = health.info or health.report_info
local warn = health.warn or health.report_warn
local fail = health.error or health.report_error

local WAIT = 2 -- seconds for the service to answer: the editor stands meanwhile

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

-- A url without what is nobody's business in it.
local function shown(url)
    return (tostring(url):gsub("//[^/@]*@", "//***@"))
end

-- Says where they come from; of a token, nothing else is ever shown.
local function check_credentials(nvim)
    start "kapture: account"
    local where, url = nvim.source_of("base_url", "KAPTURE_BASE_URL")
    local named, subdomain = nvim.source_of("subdomain", "KAPTURE_SUBDOMAIN")
    if where then
        ok(("base_url: %s, from %s"):format(shown(url), where))
    elseif named then
        ok(("subdomain: %s, from %s"):format(tostring(subdomain), named))
    else
        fail "no account: set $KAPTURE_SUBDOMAIN, or give setup() a subdomain"
    end
    local from = nvim.source_of("token", "KAPTURE_TOKEN")
    if from then
        ok("token: present, from " .. from)
    else
        fail "no token: set $KAPTURE_TOKEN, or give setup() a token (a function that asks your keyring, say)"
    end
    return nvim.absent() == nil
end

-- The first of these variables that is set, as libcurl looks for them.
local function first_set(names)
    for _, name in ipairs(names) do
        local value = vim.env[name]
        if value and value ~= "" then return "$" .. name, value end
    end
end

local function check_connection(nvim)
    start "kapture: connection"
    local where, file = nvim.source_of("ca_file", "KAPTURE_CA_FILE")
    if not where then
        info "ca_file: the system's authorities"
    elseif vim.fn.filereadable(tostring(file)) == 1 then
        ok(("ca_file: %s, from %s"):format(tostring(file), where))
    else
        fail(("ca_file: %s, from %s, can't be read"):format(tostring(file), where))
    end
    if nvim.options.ca_path then info("ca_path: " .. tostring(nvim.options.ca_path)) end
    local proxy = nvim.options.proxy
    local from = proxy and "setup()"
    if not from then from, proxy = first_set { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" } end
    if not from then
        info "proxy: none"
    else
        info(("proxy: %s, from %s"):format(proxy == "" and "none" or shown(proxy), from))
    end
    if nvim.options.verify == false then
        warn "verify: false: whoever is asked, gets the token"
    else
        ok "verify: certificates are checked"
    end
end

local ADVICE_ON_TLS = "if the service or a proxy before it has a certificate of a private authority, name that "
    .. "authority's file: setup { ca_file = \"...\" }, or $KAPTURE_CA_FILE"

local function check_service(module, options)
    start "kapture: service"
    local made, client = pcall(module.new, options)
    if not made then
        return fail("setup(): " .. tostring(client))
    end
    -- An id that need not exist: any answer will do.
    local began = (vim.uv or vim.loop).hrtime()
    local submitted, request = pcall(client.submit, client, "1", { retries = 0, deadline = WAIT })
    if not submitted then
        client:close()
        return fail("setup(): " .. tostring(request))
    end
    local tickets, message, err = request:wait(WAIT)
    local ms = ((vim.uv or vim.loop).hrtime() - began) / 1e6
    client:close()
    if tickets then
        ok(("reachable, and the token is accepted (%.0f ms)"):format(ms))
    elseif not err or err.kind == "timeout" then
        fail(("no answer within %d s: is the address right, and is there a proxy to go by?"):format(WAIT))
    elseif err.kind == "auth" or err.kind == "forbidden" then
        fail(("reachable, but it refuses the token: %s"):format(message))
    elseif err.status then
        warn(("reachable, but it answers HTTP %d: %s: %s"):format(err.status, err.kind, message))
    elseif err.kind == "tls" then
        fail(("%s: %s"):format(err.kind, message), { ADVICE_ON_TLS })
    else
        fail(("%s: %s"):format(err.kind, message))
    end
end

function M.check()
    local module = check_module()
    local nvim = require "kapture.nvim"
    local complete = check_credentials(nvim)
    check_connection(nvim)
    if nvim.cut then
        start "kapture: the latest message that was cut"
        info(nvim.cut)
    end
    if not module then return end
    if complete then
        check_service(module, nvim.options)
    else
        start "kapture: service"
        info "not asked: account or token missing"
    end
end

return M
