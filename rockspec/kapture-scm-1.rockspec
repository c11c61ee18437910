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
    -- Not argparse: the module needs no other rock, the command says when it
    -- lacks this one, and a distribution's own, which LuaRocks does not see, will do.
}
external_dependencies = {
    -- By its library alone: Debian has the header in a directory that the
    -- compiler knows and LuaRocks does not.
    CURL = { library = "curl" },
}
build = {
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
