-- One code base for Lua 5.1 to 5.5 and LuaJIT: what all of them have.
std = "min"
max_line_length = 120
unused_args = false -- a callback's signature says what it is given
read_globals = { math = { fields = { "tointeger" } }, table = { fields = { "unpack" } } } -- where there are
exclude_files = { "build/**" }

files["lua/resty"] = { std = "+ngx_lua" }
files["lua/kapture/nvim.lua"] = { std = "luajit", globals = { "vim" } }
files["lua/kapture/nvim"] = { std = "luajit", globals = { "vim" } }
files["lua/kapture/health.lua"] = { std = "luajit", globals = { "vim" } }
files["plugin"] = { globals = { "vim" } }
files["sandbox"] = { std = "luajit+ngx_lua" }
files["bench"] = { std = "lua54" }
files["bench/memory"] = { read_globals = { "reset", "lua_now", "lua_peak", "c_peak" } }
files["examples/openresty"] = { std = "luajit+ngx_lua" }
files["examples/embed"] = { globals = { "want", "ticket" } }
files["examples/nvim"] = { std = "luajit", globals = { "vim" } }
files["tools/pictures.lua"] = { std = "luajit", globals = { "vim" } }
files["tools/site"] = { std = "lua54", globals = { "Link", "Image" } } -- pandoc's
files["spec"] = { std = "max+busted" }
files["spec/nvim"] = { std = "luajit", globals = { "vim" } }
files["library"] = { ignore = { "212", "241" } } -- functions without bodies
files["rockspec"] = { std = "rockspec" }
