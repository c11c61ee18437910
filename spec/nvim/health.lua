-- :checkhealth kapture and :help kapture.
return function(T)
    local test, eq, has, hasnt, sandbox = T.test, T.eq, T.has, T.hasnt, T.sandbox

    local function check()
        vim.cmd "checkhealth kapture"
        local text = T.text()
        vim.cmd "bwipeout!"
        hasnt(text, sandbox.token)
        return text
    end

    test("says that all is well", function()
        local text = check()
        has(text, "kapture " .. require("kapture").version().kapture)
        has(text, vim.env.KAPTURE_NVIM_RTP .. "/lua/kapture.so")
        has(text, "built for the Lua of this Neovim: luajit")
        has(text, require("kapture").version().libcurl)
        has(text, require("kapture").version().tls)
        has(text, "resolve")
        has(text, "base_url: " .. sandbox.https)
        has(text, "token: present, from setup()")
        has(text, "reachable, and the token is accepted")
        hasnt(text, "ERROR")
        hasnt(text, "WARNING")
        vim.cmd "Kapture health"
        has(T.text(), "reachable")
    end)

    test("says what is wrong: account, token, network, the service", function()
        require("kapture.nvim").setup()
        local text = check()
        has(text, "no account")
        has(text, "no token")
        T.setup { token = "another-one" }
        text = check()
        has(text, "refuses the token: Invalid Auth Key")
        hasnt(text, "another-one")
        T.setup { base_url = sandbox.refused }
        has(check(), "network: ")
        T.setup { base_url = sandbox.unknownca }
        text = check()
        has(text, "tls: ")
        has(text, "private authority")
        has(text, "KAPTURE_CA_FILE")
        T.setup { base_url = sandbox.url "html" }
        has(check(), "answers HTTP 502")
        T.setup { timout = 1 }
        has(check(), "unknown option 'timout'")
    end)

    test("waits two seconds for a service that hangs, and no longer", function()
        T.setup { base_url = sandbox.url "hang,s=30" }
        local uv = vim.uv or vim.loop
        local began = uv.hrtime()
        local text = check()
        local seconds = (uv.hrtime() - began) / 1e9
        has(text, "no answer within 2 s")
        assert(seconds < 4, seconds) -- a machine may be loaded
    end)

    test("shows authority, proxy and verify, and no password", function()
        local text = check()
        has(text, "ca_file: " .. sandbox.ca .. ", from setup()")
        has(text, "proxy: none")
        has(text, "verify: certificates are checked")
        vim.env.https_proxy = "http://me:secret@localhost:1"
        T.setup { ca_file = "/nowhere.pem", verify = false }
        text = check()
        vim.env.https_proxy = nil
        has(text, "proxy: http://***@localhost:1, from $https_proxy")
        has(text, "ca_file: /nowhere.pem, from setup(), can't be read")
        has(text, "verify: false")
        hasnt(text, "secret")
    end)

    test("takes the environment", function()
        require("kapture.nvim").setup { ca_file = sandbox.ca }
        vim.env.KAPTURE_BASE_URL, vim.env.KAPTURE_TOKEN = sandbox.https, sandbox.token
        local text = check()
        vim.env.KAPTURE_BASE_URL, vim.env.KAPTURE_TOKEN = nil, nil
        has(text, "from $KAPTURE_BASE_URL")
        has(text, "from $KAPTURE_TOKEN")
        has(text, "the token is accepted")
    end)

    test("says how to build a module that is not there", function()
        local module, loader = package.loaded.kapture, package.loaders
        local rtp, cpath = vim.o.runtimepath, package.cpath
        package.loaded.kapture = nil
        vim.o.runtimepath, package.cpath = T.root .. "," .. vim.env.VIMRUNTIME, ""
        local there = vim.loop.fs_stat(T.root .. "/lua/kapture.so")
        local text
        if there then -- `make nvim` has been run here
            package.loaders = { loader[1] }
            package.preload.kapture = function() error "module 'kapture' not found" end
        end
        text = check()
        vim.cmd "Kapture! 713516551148"
        package.preload.kapture, package.loaders = nil, loader
        vim.o.runtimepath, package.cpath = rtp, cpath
        package.loaded.kapture = module
        has(text, "run `make nvim` in " .. T.root)
        eq(1, #T.notified)
        has(T.notified[1].message, "kapture: the C module is not built: run `make nvim` in " .. T.root)
    end)

    test("has a help page without dead links", function()
        local doc = vim.env.KAPTURE_NVIM_RTP .. "/doc"
        vim.cmd("helptags " .. doc)
        vim.o.modeline = true -- Neovim 0.10 knows a help page by it, and is without it as root
        vim.cmd "help kapture"
        eq("kapture.txt", vim.fn.expand "%:t")
        eq("help", vim.bo.filetype)
        local text = T.text()
        for tag in text:gmatch "|([^|%s]+)|" do
            assert(#vim.fn.taglist("^" .. vim.fn.escape(tag, "~.()[]*$\\") .. "$") > 0
                or pcall(vim.cmd, "help " .. tag), "no such tag: " .. tag)
        end
        for _, line in ipairs(T.lines()) do assert(vim.fn.strdisplaywidth(line) <= 79, line) end
        for _, name in ipairs(vim.fn.getcompletion("Kapture ", "cmdline")) do
            if not name:find "%d" then has(text, "*:Kapture-" .. name .. "*") end
        end
        vim.v.errmsg = ""
    end)
end
