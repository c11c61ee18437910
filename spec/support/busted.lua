-- busted, run by whatever Lua runs this file.
--
-- Environment: KAPTURE_GC makes the collector as hasty as it can be, see gc.lua;
-- KAPTURE_UNSET names variables that were for this process only: what a spec
-- starts does not inherit them.
for name in (os.getenv "KAPTURE_UNSET" or ""):gmatch "[%w_]+" do require("kapture_host").unset(name) end
require "spec.support.gc" (os.getenv "KAPTURE_GC")
require "busted.runner" { standalone = false }
