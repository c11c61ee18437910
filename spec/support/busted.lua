-- busted, run by whatever Lua runs this file.
require "busted.runner" { standalone = false }
