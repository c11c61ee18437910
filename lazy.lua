-- What lazy.nvim adds to a user's spec of this plugin, so that a url and `opts`
-- will do. `main` has the `setup` that gets them. Nothing else of the plugin is
-- loaded until it is used, so nothing is gained by loading it later: that would
-- only keep its help, :checkhealth and kapture:// from being there.
return { "kapture", main = "kapture.nvim", build = "make nvim", lazy = false }
