rockspec_format = "3.0"
package = "kapture"
version = "scm-1"
source = {
    -- A checkout: `luarocks make rockspec/kapture-scm-1.rockspec` in it.
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
    "lua >= 5.1, < 5.5",
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
        ["kapture.cli.sandbox"] = "lua/kapture/cli/sandbox.lua",
        ["kapture.cli.source"] = "lua/kapture/cli/source.lua",
        ["kapture.cli.terminal"] = "lua/kapture/cli/terminal.lua",
        ["kapture.cli.where"] = "lua/kapture/cli/where.lua",
        ["kapture.cqueues"] = "lua/kapture/cqueues.lua",
        ["kapture.health"] = "lua/kapture/health.lua",
        ["kapture.luv"] = "lua/kapture/luv.lua",
        ["kapture.nvim"] = "lua/kapture/nvim.lua",
        ["kapture.nvim.render"] = "lua/kapture/nvim/render.lua",
        ["kapture.nvim.view"] = "lua/kapture/nvim/view.lua",
        ["kapture.ticket"] = "lua/kapture/ticket.lua",
        ["resty.kapture"] = "lua/resty/kapture.lua",
        kapture = {
            sources = {
                "csrc/arrival.c",
                "csrc/attempt.c",
                "csrc/call.c",
                "csrc/chunk.c",
                "csrc/client.c",
                "csrc/decode.c",
                "csrc/decode_aside.c",
                "csrc/decode_member.c",
                "csrc/decode_number.c",
                "csrc/decode_scalar.c",
                "csrc/decode_text.c",
                "csrc/defaults.c",
                "csrc/driver.c",
                "csrc/engine.c",
                "csrc/envelope.c",
                "csrc/error.c",
                "csrc/event.c",
                "csrc/fields.c",
                "csrc/handles.c",
                "csrc/ids.c",
                "csrc/idset.c",
                "csrc/isolate.c",
                "csrc/kind.c",
                "csrc/message.c",
                "csrc/module.c",
                "csrc/notify.c",
                "csrc/options.c",
                "csrc/options_plain.c",
                "csrc/options_tables.c",
                "csrc/peer.c",
                "csrc/queue.c",
                "csrc/request.c",
                "csrc/response.c",
                "csrc/result.c",
                "csrc/settings.c",
                "csrc/source.c",
                "csrc/target.c",
                "csrc/tickets.c",
                "csrc/transfer.c",
                "csrc/transfer_failure.c",
                "csrc/transfer_setup.c",
                "csrc/work.c",
            },
            defines = { "_GNU_SOURCE" },
            libraries = { "curl", "pthread", "m" },
            incdirs = { "$(CURL_INCDIR)" },
            libdirs = { "$(CURL_LIBDIR)" },
        },
    },
    install = { bin = { "bin/kapture" } },
    copy_directories = { "sandbox" }, -- for `kapture sandbox`
}
