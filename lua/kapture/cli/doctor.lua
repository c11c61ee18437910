--- `kapture doctor`: what is wrong with a setup, and what to do about it.

local kapture = require "kapture"
local config = require "kapture.cli.config"
local connection = require "kapture.cli.connection"
local exit = require "kapture.cli.exit"
local terminal = require "kapture.cli.terminal"

local M = {}

local advice = {
  auth = "ask for the token again: it is wrong, disabled or has expired",
  forbidden = "the token is known, but may not do this: ask the account's administrator",
  not_found = "no such service there: check subdomain or base_url",
  network = "check subdomain or base_url, the network, and proxy settings",
  timeout = "the network or a proxy swallows the connection, or timeout is too short",
  protocol = "something else than Kapture answers there: check subdomain or base_url, and proxy settings",
  rate_limited = "too many requests: set rate, or wait",
  server = "the service itself is in trouble: wait",
}

-- What each TLS library says of it in words of its own, and what that asks for.
local tls_advice = {
  { { "client's certificate", "certificate required", "alert bad certificate", "alert unknown ca",
      "alert handshake failure" },
    "the server wants a client's certificate that it knows: set cert and key" },
  { { "host name", "hostname", "subject name" },
    "the certificate is for another host: check the spelling of %s; or a proxy, or DNS, leads elsewhere" },
  { { "wrong version number", "unexpected tls packet", "packet length", "record header" },
    "what answers there does not speak TLS: check the port in base_url, and proxy settings" },
  { { "protocol version", "unsupported protocol", "protocol is not supported", "version too low" },
    "the server has no TLS 1.2, and an older one is not safe: the server, or the proxy before it, must be updated" },
  { { "expired", "not yet valid" },
    "its certificate is not valid today: check this machine's clock; if that is right, tell who runs the server" },
  { { "self-signed", "self signed", "issuer", "unknown ca", "not trusted" },
    "this machine does not know the authority of the certificate: if it is your organisation's own, give its file as "
      .. "ca_file ($KAPTURE_CA_FILE)" },
}

local function advice_on_tls(message, name)
  message = message:lower()
  for _, entry in ipairs(tls_advice) do
    for _, words in ipairs(entry[1]) do
      if message:find(words, 1, true) then
        return (entry[2]:gsub("%%s", name))
      end
    end
  end
  return "check ca_file, and this machine's clock"
end

local function file_exists(path)
  local file = path and io.open(path, "r")
  if file then
    file:close()
  end
  return file ~= nil
end

local function proxies()
  local names = {}
  for _, name in ipairs { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy" } do
    local value = os.getenv(name)
    if value and value ~= "" then
      names[#names + 1] = name
    end
  end
  return table.concat(names, ", ")
end

-- print() says nothing of a disk that is full.
local function line(text)
  local written, why = io.stdout:write(text .. "\n")
  if written then
    written, why = io.stdout:flush()
  end
  if not written then
    error({ output = why or "write error" }, 0)
  end
end

function M.run(args)
  local healthy = true
  local function say(ok, what, detail)
    healthy = healthy and ok
    line((ok and "ok    " or "WRONG ") .. what .. ": " .. terminal.plain(detail))
  end
  local v = kapture.version()
  say(true, "module", ("kapture %s for Lua %s"):format(v.kapture, v.abi))
  say(v.tls ~= nil, "libcurl", ("%s, %s, resolver %s, %s"):format(
    v.libcurl, v.tls or "no TLS: https will not work", v.resolver, v.http2 and "HTTP/2" or "no HTTP/2"))

  local path = args.config or config.default_path()
  local opts, why = connection.options(args)
  if not opts then
    say(false, "configuration", why)
    return exit.MISUSED
  end
  local profile = args.profile and (", profile " .. args.profile) or ""
  say(true, "configuration", file_exists(path) and path .. profile or ("none (%s)"):format(path or "no HOME"))
  local account = opts.base_url or opts.subdomain
  local shown = account and account:gsub("//[^/@]*@", "//***@")
  local is_label = opts.base_url or account and #account <= 63 and account:find "^%w[%w-]*$" and not account:find "%-$"
  if is_label or not account then
    say(account ~= nil, "account", opts.base_url and shown or account and ("https://%s.kapturecrm.com"):format(account)
      or "none: set KAPTURE_SUBDOMAIN, or subdomain in the configuration file")
  else
    local bare = account:gsub("^%s*%a+://", ""):gsub("^%s+", "")
    local name = bare:lower():match "^([%w-]+)%.kapturecrm%.com%f[^%w.-]" or bare:match "^([%w-]+)%s*$"
    say(false, "account", ("subdomain is '%s': %s"):format(shown,
      name and ("give only '%s'"):format(bare:sub(1, #name))
      or account:find("://", 1, true) and "that is an address: give it as base_url"
      or "one DNS label expected, the part before .kapturecrm.com"))
    return exit.FAILED
  end
  say(opts.token ~= nil, "token", opts.token and "present"
    or "none: set KAPTURE_TOKEN, or token in the configuration file")
  if opts.ca_file and not file_exists(opts.ca_file) then
    say(false, "ca_file", opts.ca_file .. " can't be read")
  end
  if opts.verify == false then
    say(false, "certificate", "not checked: anybody on the way can read the token")
  end
  local proxy = proxies()
  if opts.proxy or proxy ~= "" then
    say(true, "proxy", opts.proxy and "the option's" or "from " .. proxy)
  end

  -- An id that need not exist: any answer will do.
  local tickets, info, err = kapture.get_ticket("1", opts)
  if tickets then
    say(true, "service", ("answers in %.0f ms, and takes the token"):format(info.elapsed * 1000))
    return healthy and exit.OK or exit.FAILED
  end
  say(false, "service", err.kind .. ": " .. info)
  local named = opts.base_url and "base_url" or "subdomain"
  local help = err.kind == "tls" and advice_on_tls(info, named) or advice[err.kind]
  if err.kind == "network" and info:lower():find("resolve", 1, true) then
    help = "there is no host of that name: check the spelling of " .. named .. ", or this machine's DNS"
  end
  if help then
    line("      " .. help)
  end
  return exit.of(err)
end

return M
