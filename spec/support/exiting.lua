-- A script that ends its process while calls are under way: exiting.lua WAY. See
-- spec/hosts/exiting.c, which runs it again and again, for EXIT_MS and EXIT_RUN.
local way = ...
local vim = rawget(_G, "vim") -- in Neovim
local host = require "kapture_host"
local stop = host.now() + tonumber(os.getenv "EXIT_MS") / 1000
local run = tonumber(os.getenv "EXIT_RUN")
local calls = tonumber(os.getenv "EXIT_CALLS") or 200
local options = {
    ca_file = os.getenv "KAPTURE_CA_FILE",
    base_url = run % 2 == 1 and os.getenv "EXIT_HTTP1" or nil,
    concurrency = calls,
    retries = 0,
}

local function id(i) return ("713%09d"):format(i) end

-- As many calls as there were, for as long as it takes.
local function flood(client)
    local function go() client:get_ticket(id(1), nil, go) end
    for _ = 1, calls do go() end
end

if way == "luv" then
    local uv = require "luv"
    flood(require("kapture.luv").new(options))
    local timer = uv.new_timer()
    timer:start(math.max(0, math.floor((stop - host.now()) * 1000)), 0, function() error "uncaught" end)
    uv.run()
elseif way == "nvim" then
    flood(require("kapture.nvim").new(options))
    vim.defer_fn(function() vim.cmd "qa!" end, math.max(0, math.floor((stop - host.now()) * 1000)))
else
    local client = require("kapture").new(options)
    for i = 1, calls do client:submit(id(i)) end
    while host.now() < stop do
        local _, ended = client:step(math.min(stop - host.now(), 0.005))
        for _ = 1, #ended do client:submit(id(1)) end
    end
    os.exit(7, way == "close")
end
