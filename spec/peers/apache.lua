local chunk = assert(loadfile("spec/peers/servers.lua", "t", _ENV))
if setfenv then setfenv(chunk, getfenv(1)) end -- 5.1: busted's names are in there
chunk "apache"
