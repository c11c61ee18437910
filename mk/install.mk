# make install, uninstall: where each Lua, pkg-config and shells look.

VERSION := $(shell sed -n 's/.*KAPTURE_VERSION "\(.*\)"/\1/p' csrc/kapture.h)
LUA_FILES := $(patsubst lua/%,%,$(wildcard lua/kapture/*.lua \
               lua/kapture/*/*.lua lua/resty/*.lua lua/resty/*/*.lua))
LUA_SUBDIRS := $(sort $(patsubst %/,%,$(dir $(LUA_FILES))))
BINDIR = $(PREFIX)/bin
ADIR  = $(LIBDIR)/kapture/$(ABI)
PCDIR = $(LIBDIR)/pkgconfig
# Where the command looks for it: see lua/kapture/cli/sandbox.lua.
SANDBOXDIR = $(PREFIX)/share/kapture/sandbox
TYPESDIR   = $(PREFIX)/share/kapture/library
PAGES := man/man1/kapture.1 bash-completion/completions/kapture \
         zsh/site-functions/_kapture fish/vendor_completions.d/kapture.fish

# What `require` finds.
install-modules: default
	$(INSTALL) -d '$(DESTDIR)$(CMODDIR)'
	$(INSTALL) -m 644 $(OUT)/kapture.so '$(DESTDIR)$(CMODDIR)/kapture.so'
	for d in $(LUA_SUBDIRS); do \
	  $(INSTALL) -d "$(DESTDIR)$(LMODDIR)/$$d" && \
	  $(INSTALL) -m 644 lua/$$d/*.lua "$(DESTDIR)$(LMODDIR)/$$d" || exit 1; done

install: install-modules static
	$(INSTALL) -d '$(DESTDIR)$(ADIR)' '$(DESTDIR)$(PREFIX)/include' \
	  '$(DESTDIR)$(PCDIR)' '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 644 $(OUT)/libkapture.a '$(DESTDIR)$(ADIR)/libkapture.a'
	$(INSTALL) -m 644 csrc/kapture.h '$(DESTDIR)$(PREFIX)/include/kapture.h'
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	  -e 's|@ABI@|$(ABI)|' -e 's|@VERSION@|$(VERSION)|' \
	  -e 's|@CURL_LIBS@|$(CURL_LIBS)|' kapture.pc.in > $(OUT)/kapture.pc
	$(INSTALL) -m 644 $(OUT)/kapture.pc '$(DESTDIR)$(PCDIR)/kapture.pc'
	sed -e '1s|.*|#!/usr/bin/env $(LUA)|' -e 's|^  local lua_dir = .*|  local lua_dir = "$(LMODDIR)"|' \
	  -e 's|^  local so_dir = .*|  local so_dir = "$(CMODDIR)"|' -e '/^  local abi = /d' \
	  -e '/^local function directory/,/^$$/d' -e '/^local function checkout/,/^$$/d' bin/kapture > $(OUT)/kapture
	$(INSTALL) -m 755 $(OUT)/kapture '$(DESTDIR)$(BINDIR)/kapture'
	$(INSTALL) -d '$(DESTDIR)$(SANDBOXDIR)/lua' '$(DESTDIR)$(TYPESDIR)' \
	  $(foreach f,$(PAGES),'$(DESTDIR)$(PREFIX)/share/$(dir $(f))')
	$(INSTALL) -m 644 library/kapture.lua '$(DESTDIR)$(TYPESDIR)/kapture.lua'
	$(INSTALL) -m 644 doc/kapture.1 '$(DESTDIR)$(PREFIX)/share/man/man1/kapture.1'
	$(INSTALL) -m 644 completion/kapture.bash '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/kapture'
	$(INSTALL) -m 644 completion/_kapture '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kapture'
	$(INSTALL) -m 644 completion/kapture.fish '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kapture.fish'
	$(INSTALL) -m 644 $(wildcard sandbox/*.*) '$(DESTDIR)$(SANDBOXDIR)'
	$(INSTALL) -m 755 sandbox/run sandbox/with '$(DESTDIR)$(SANDBOXDIR)'
	$(INSTALL) -m 644 sandbox/lua/*.lua '$(DESTDIR)$(SANDBOXDIR)/lua'

# The command and what is with it, the header and kapture.pc go with the last ABI.
uninstall:
	rm -f '$(DESTDIR)$(CMODDIR)/kapture.so' '$(DESTDIR)$(ADIR)/libkapture.a'
	for f in $(LUA_FILES); do rm -f "$(DESTDIR)$(LMODDIR)/$$f"; done
	for d in $(foreach d,$(LUA_SUBDIRS),'$(DESTDIR)$(LMODDIR)/$(d)') \
	  '$(DESTDIR)$(LMODDIR)/kapture' '$(DESTDIR)$(ADIR)'; do \
	  test ! -d "$$d" || rmdir "$$d" 2>/dev/null || true; done
	if test ! -d '$(DESTDIR)$(LIBDIR)/kapture' || \
	   rmdir '$(DESTDIR)$(LIBDIR)/kapture' 2>/dev/null; then \
	  rm -f '$(DESTDIR)$(PREFIX)/include/kapture.h' \
	    '$(DESTDIR)$(PCDIR)/kapture.pc' '$(DESTDIR)$(BINDIR)/kapture'; \
	  for f in $(PAGES); do rm -f '$(DESTDIR)$(PREFIX)/share/'"$$f"; done; \
	  rm -rf '$(DESTDIR)$(SANDBOXDIR)' '$(DESTDIR)$(TYPESDIR)'; \
	  rmdir '$(DESTDIR)$(PREFIX)/share/kapture' 2>/dev/null || true; fi

# For LuaRocks, which says where the headers are and where the files belong, but
# not which Lua that is. Nothing is left in the checkout.
ROCK_ABI = $(or $(if $(wildcard $(LUA_INCDIR)/luajit.h),luajit),$(shell \
  echo $$(($$(echo LUA_VERSION_NUM | $(CC) -E -P -I'$(LUA_INCDIR)' -include lua.h - | \
  tail -n 1))) | sed 's/50/5./'))
ROCK = $(MAKE) --no-print-directory ABI='$(ROCK_ABI)' BUILD='$(BUILD)/rock'
rock:
	+@$(ROCK) default
install-rock:
	+@$(ROCK) install-modules
	@rm -rf '$(BUILD)/rock'
	@rmdir '$(BUILD)' 2>/dev/null || true
