# What lua5.*.dh-lua.conf have in common.
PKG_NAME     = kapture
PKG_VERSION  = $(shell sed -n 's/.*KAPTURE_VERSION "\(.*\)"/\1/p' csrc/kapture.h)
LUA_HEADER   = csrc/kapture.h
LUA_SOURCES  = $(filter-out $(LUA_LEFT_OUT),$(wildcard lua/kapture/*.lua \
                 lua/kapture/*/*.lua lua/resty/*.lua lua/resty/*/*.lua))
LUA_SOURCES_MANGLER = sed s?^lua/??
LUA_TEST     = debian/tests/smoke.lua

# Upstream's own flags; see ALL_CFLAGS and MODULE in its Makefile.
CLIB_OBJS    = $(patsubst %.c,%.lo,$(wildcard csrc/*/*.c))
CLIB_CFLAGS  = -Icsrc -std=c11 -fvisibility=hidden -pthread -D_GNU_SOURCE \
               $(shell $(PKG_CONFIG) --cflags libcurl)
CLIB_LDFLAGS = $(shell $(PKG_CONFIG) --libs libcurl) -lm -pthread -Wl,-z,nodelete
CLIB_LDFLAGS_STATIC = $(shell $(PKG_CONFIG) --libs libcurl) -lm -pthread
PKG_LIBS_PRIVATE    = $(CLIB_LDFLAGS_STATIC)
