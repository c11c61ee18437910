# make install, uninstall: where each Lua, pkg-config and shells look.

VERSION := $(shell sed -n 's/.*KAPTURE_VERSION "\(.*\)"/\1/p' csrc/kapture.h)
LUA_FILES := $(patsubst lua/%,%,$(wildcard lua/kapture/*.lua \
               lua/kapture/*/*.lua lua/resty/*.lua lua/resty/*/*.lua))
LUA_SUBDIRS := $(sort $(patsubst %/,%,$(dir $(LUA_FILES))))
BINDIR = $(PREFIX)/bin
# Where the project is at home. A placeholder: see CONTRIBUTING.md, "A release".
URL ?= https://git.example.com/kapture
# An ABI's own: the archive, and its kapture.pc and command, of which those of the
# ABI that was installed last are in place. What is here says which ABIs are.
ADIR  = $(LIBDIR)/kapture/$(ABI)
PCDIR = $(LIBDIR)/pkgconfig
# Where the command looks for it: see lua/kapture/cli/sandbox.lua.
SANDBOXDIR = $(PREFIX)/share/kapture/sandbox
TYPESDIR   = $(PREFIX)/share/kapture/library
PAGES := man/man1/kapture.1 bash-completion/completions/kapture \
         zsh/site-functions/_kapture fish/vendor_completions.d/kapture.fish

# What `require` finds; copy-modules takes what is built, with whatever flags.
define COPY_MODULES
$(INSTALL) -d '$(DESTDIR)$(CMODDIR)'
$(INSTALL) -m 644 $(OUT)/kapture.so '$(DESTDIR)$(CMODDIR)/kapture.so'
for d in $(LUA_SUBDIRS); do \
  $(INSTALL) -d "$(DESTDIR)$(LMODDIR)/$$d" && \
  $(INSTALL) -m 644 lua/$$d/*.lua "$(DESTDIR)$(LMODDIR)/$$d" || exit 1; done
endef
install-modules: default
	$(COPY_MODULES)
copy-modules:
	$(COPY_MODULES)

install: install-modules static
	$(INSTALL) -d '$(DESTDIR)$(ADIR)' '$(DESTDIR)$(PREFIX)/include' \
	  '$(DESTDIR)$(PCDIR)' '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 644 $(OUT)/libkapture.a '$(DESTDIR)$(ADIR)/libkapture.a'
	$(INSTALL) -m 644 csrc/kapture.h '$(DESTDIR)$(PREFIX)/include/kapture.h'
	up=$$(printf %s '$(patsubst $(PREFIX)/%,%,$(PCDIR))' | sed 's|[^/][^/]*|..|g'); \
	case '$(PCDIR)' in '$(PREFIX)'/*) prefix="\$${pcfiledir}/$$up" ;; *) prefix='$(PREFIX)' ;; esac; \
	sed -e "s|@PREFIX@|$$prefix|" -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
	  -e 's|@ABI@|$(ABI)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@URL@|$(URL)|' \
	  -e 's|@CURL_LIBS@|$(CURL_LIBS)|' -e 's|@CURL_PC@|$(CURL_PC)|' kapture.pc.in > $(OUT)/kapture.pc
	$(INSTALL) -m 644 $(OUT)/kapture.pc '$(DESTDIR)$(ADIR)/kapture.pc'
	$(INSTALL) -m 644 $(OUT)/kapture.pc '$(DESTDIR)$(PCDIR)/kapture.pc'
	sed -e '1s|.*|#!/usr/bin/env $(LUA)|' -e 's|^ *local lua_dir = .*|    local lua_dir = "$(LMODDIR)"|' \
	  -e 's|^ *local so_dir = .*|    local so_dir = "$(CMODDIR)"|' -e '/^ *local abi = /d' \
	  -e '/^local function directory/,/^$$/d' -e '/^local function checkout/,/^$$/d' bin/kapture > $(OUT)/kapture
	$(INSTALL) -m 755 $(OUT)/kapture '$(DESTDIR)$(ADIR)/kapture'
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

# LuaJIT and 5.1 share their directories: the modules go with the second of them.
TWIN_luajit := 5.1
TWIN_5.1    := luajit
TWIN = $(or $(TWIN_$(ABI)),none)
# In /usr/local these are everybody's, even when they are empty.
FHS := $(if $(filter /usr /usr/local,$(PREFIX)),bin include lib share share/man)
# Removes a directory of ours where it is empty, then those above it.
define PRUNE
prune() { d=$$1; \
  while case "$$d" in '$(DESTDIR)$(PREFIX)'/?*|'$(DESTDIR)$(LMODDIR)'/?*) ;; *) false ;; esac; do \
    case " $(FHS) " in *" $${d#'$(DESTDIR)$(PREFIX)'/} "*) return ;; esac; \
    test ! -d "$$d" || rmdir "$$d" 2>/dev/null || return 0; d=$${d%/*}; done; }
endef

# The command and what is with it, the header and kapture.pc go with the last ABI;
# before that, they become those of one that stays.
uninstall:
	rm -rf '$(DESTDIR)$(ADIR)'
	$(PRUNE); \
	grep -qsF '"$(CMODDIR)"' '$(DESTDIR)$(LIBDIR)/kapture/$(TWIN)/kapture' || { \
	  rm -f '$(DESTDIR)$(CMODDIR)/kapture.so'; prune '$(DESTDIR)$(CMODDIR)'; \
	  for f in $(LUA_FILES); do \
	    rm -f "$(DESTDIR)$(LMODDIR)/$$f"; prune "$(DESTDIR)$(LMODDIR)/$${f%/*}"; done; }
	$(PRUNE); \
	for one in '$(DESTDIR)$(LIBDIR)'/kapture/*/kapture; do \
	  test ! -f "$$one" || { \
	    cp "$$one" '$(DESTDIR)$(BINDIR)/kapture' && \
	    cp "$${one%/*}/kapture.pc" '$(DESTDIR)$(PCDIR)/kapture.pc'; exit; }; done; \
	rm -f '$(DESTDIR)$(PREFIX)/include/kapture.h' \
	  '$(DESTDIR)$(PCDIR)/kapture.pc' '$(DESTDIR)$(BINDIR)/kapture'; \
	rm -rf '$(DESTDIR)$(SANDBOXDIR)' '$(DESTDIR)$(TYPESDIR)'; \
	for f in $(PAGES); do \
	  rm -f '$(DESTDIR)$(PREFIX)/share/'"$$f"; prune '$(DESTDIR)$(PREFIX)/share/'"$${f%/*}"; done; \
	for d in '$(PREFIX)/share/kapture' '$(LIBDIR)/kapture' '$(PCDIR)' '$(PREFIX)/include' '$(BINDIR)'; do \
	  prune "$(DESTDIR)$$d"; done

# For LuaRocks, which says where the headers are and where the files belong, but
# not which Lua that is. It gives the compiler's flags to the first alone. Nothing
# is left in the checkout.
ROCK_ABI = $(or $(if $(wildcard $(LUA_INCDIR)/luajit.h),luajit),$(shell \
  echo $$(($$(echo LUA_VERSION_NUM | $(CC) -E -P -I'$(LUA_INCDIR)' -include lua.h - | \
  tail -n 1))) | sed 's/50/5./'))
ROCK = $(MAKE) --no-print-directory ABI='$(ROCK_ABI)' BUILD='$(BUILD)/rock'
rock:
	+@$(ROCK) default
install-rock:
	+@$(ROCK) copy-modules
	@rm -rf '$(BUILD)/rock'
	@rmdir '$(BUILD)' 2>/dev/null || true
