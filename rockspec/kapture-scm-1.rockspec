rockspec_format = "3.0"
package = "kapture"
version = "scm-1"
source = {
    -- A checkout: `luarocks make rockspec/kapture-scm-1.rockspec` in it. That of
    -- a release, with the url of its tarball, is made by `make release`.
    url = ".",
}
description = {
    summary = "Tickets from Kapture CRM as plain Lua tables, natively with libcurl",
    detailed = [[
        One call fetches any number of tickets over HTTPS: batches, retries,
        one deadline, kept connections, exact integers. Blocking, or driven by
        any event loop through one descriptor.
    ]],
    license = "MIT",
    labels = { "http", "curl", "crm", "api", "neovim", "openresty" },
}
dependencies = {
    "lua >= 5.1, < 5.6, ~= 5.2", -- those that are tested; LuaJIT counts as 5.1
    "argparse", -- for the command
}
external_dependencies = {
    -- By its library alone: Debian has the header in a directory that the
    -- compiler knows and LuaRocks does not.
    CURL = { library = "curl" },
}
build = {
    type = "builtin",
    modules = {
        ["kapture.cli"] = "lua/kapture/cli.lua",
        ["kapture.cli.config"] = "lua/kapture/cli/config.lua",
        ["kapture.cli.connection"] = "lua/kapture/cli/connection.lua",
        ["kapture.cli.doctor"] = "lua/kapture/cli/doctor.lua",
        ["kapture.cli.exit"] = "lua/kapture/cli/exit.lua",
        ["kapture.cli.get"] = "lua/kapture/cli/get.lua",
        ["kapture.cli.json"] = "lua/kapture/cli/json.lua",
        ["kapture.cli.options"] = "lua/kapture/cli/options.lua",
        ["kapture.cli.output"] = "lua/kapture/cli/output.lua",
        ["kapture.cli.parser"] = "lua/kapture/cli/parser.lua",
        ["kapture.cli.project"] = "lua/kapture/cli/project.lua",
        ["kapture.cli.roles"] = "lua/kapture/cli/roles.lua",
        ["kapture.cli.sandbox"] = "lua/kapture/cli/sandbox.lua",
        ["kapture.cli.shell"] = "lua/kapture/cli/shell.lua",
        ["kapture.cli.source"] = "lua/kapture/cli/source.lua",
        ["kapture.cli.streams"] = "lua/kapture/cli/streams.lua",
        ["kapture.cli.system"] = "lua/kapture/cli/system.lua",
        ["kapture.cli.terminal"] = "lua/kapture/cli/terminal.lua",
        ["kapture.cli.where"] = "lua/kapture/cli/where.lua",
        ["kapture.cqueues"] = "lua/kapture/cqueues.lua",
        ["kapture.health"] = "lua/kapture/health.lua",
        ["kapture.luv"] = "lua/kapture/luv.lua",
        ["kapture.nvim"] = "lua/kapture/nvim.lua",
        ["kapture.nvim.client"] = "lua/kapture/nvim/client.lua",
        ["kapture.nvim.render"] = "lua/kapture/nvim/render.lua",
        ["kapture.nvim.slices"] = "lua/kapture/nvim/slices.lua",
        ["kapture.nvim.view"] = "lua/kapture/nvim/view.lua",
        ["kapture.ticket"] = "lua/kapture/ticket.lua",
        ["resty.kapture"] = "lua/resty/kapture.lua",
        kapture = {
            sources = {
                "csrc/api/client.c",
                "csrc/api/command.c",
                "csrc/api/iterator.c",
                "csrc/api/module.c",
                "csrc/api/request.c",
                "csrc/api/shared.c",
                "csrc/api/socket.c",
                "csrc/base/failure.c",
                "csrc/base/secret.c",
                "csrc/config/fields.c",
                "csrc/config/message.c",
                "csrc/config/settings.c",
                "csrc/config/target.c",
                "csrc/json/decode.c",
                "csrc/json/member.c",
                "csrc/json/number.c",
                "csrc/json/raw.c",
                "csrc/json/scalar.c",
                "csrc/json/scan.c",
                "csrc/json/session.c",
                "csrc/json/suspend.c",
                "csrc/lua/answer.c",
                "csrc/lua/client.c",
                "csrc/lua/drive.c",
                "csrc/lua/envelope.c",
                "csrc/lua/error.c",
                "csrc/lua/hook.c",
                "csrc/lua/ids.c",
                "csrc/lua/object.c",
                "csrc/lua/options.c",
                "csrc/lua/options_plain.c",
                "csrc/lua/options_tables.c",
                "csrc/lua/refusal.c",
                "csrc/lua/request.c",
                "csrc/lua/response.c",
                "csrc/lua/result.c",
                "csrc/lua/source.c",
                "csrc/lua/start.c",
                "csrc/lua/value.c",
                "csrc/net/driver.c",
                "csrc/net/ending.c",
                "csrc/net/engine.c",
                "csrc/net/handles.c",
                "csrc/net/lane.c",
                "csrc/net/pace.c",
                "csrc/net/retry_after.c",
                "csrc/net/scheduler.c",
                "csrc/net/sockets.c",
                "csrc/net/transfer.c",
                "csrc/net/transfer_failure.c",
                "csrc/net/transfer_setup.c",
                "csrc/net/wakeup.c",
                "csrc/policy/batch.c",
                "csrc/policy/breaker.c",
                "csrc/policy/call.c",
                "csrc/policy/event.c",
                "csrc/policy/idset.c",
                "csrc/policy/isolate.c",
                "csrc/policy/retry.c",
            },
            defines = { "_GNU_SOURCE" },
            libraries = { "curl", "pthread", "m" },
            incdirs = { "csrc", "$(CURL_INCDIR)" },
            libdirs = { "$(CURL_LIBDIR)" },
        },
    -- By the Makefile, so that a rock is built as everything else is: hidden
    -- symbols, no unloading, in a directory of its own. See mk/install.mk.
    type = "make",
    build_target = "rock",
    build_variables = {
        CFLAGS = "$(CFLAGS)",
        LUA_INCDIR = "$(LUA_INCDIR)",
        CURL_CFLAGS = "-I$(CURL_INCDIR)",
        CURL_LIBS = "-L$(CURL_LIBDIR) -lcurl",
    },
    install_target = "install-rock",
    install_variables = {
        LUA_INCDIR = "$(LUA_INCDIR)",
        CMODDIR = "$(LIBDIR)",
        LMODDIR = "$(LUADIR)",
    },
    install = { bin = { "bin/kapture" } },
    copy_directories = { "sandbox" }, -- for `kapture sandbox`
}
