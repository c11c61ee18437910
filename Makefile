# kapture for Lua. Needs GNU make, a C11 compiler, pkg-config, libcurl and one
# Lua: `make deps` gets them.
#
#   make demo              build it, fetch a ticket from the sandbox over HTTPS
#   make test              build every ABI and run the specs under each
#
#   make                   build/5.4/kapture.so; ABI=luajit, 5.1, 5.3, 5.5 for others
#   make static            build/<ABI>/libkapture.a, for hosts that link it in
#   make all               both, for every ABI whose headers are installed
#   make nvim              lua/kapture.so: makes this directory a Neovim plugin
#   make gnutls            build/gnutls/...: on libcurl's GnuTLS flavour
#   make install           for one ABI; uninstall, too; PREFIX, DESTDIR, LIBDIR
#   make sandbox           the stand-in for the service, until Ctrl-C
#   make gateway           examples/openresty before a sandbox, until Ctrl-C
#   make lint              every linter; lint-format, lint-lua, ... for one
#   make test-gnutls       the specs on that flavour, OpenResty's LuaJIT
#   make check-peers       behind Apache, Caddy and HAProxy, over a bad line
#   make check-platforms   on other releases of Debian, in chroots; as root
#   make check-arm64       built for arm64, emulated
#   make check-valgrind    the specs under valgrind
#   make check-asan        under AddressSanitizer and UBSan
#   make check-tsan        under ThreadSanitizer
#   make check-gc          all three with the collector at its hastiest
#   make bench             what it costs, against others: bench/results.md
#   make check-speed       decoding and a call need no more than is recorded
#   make soak              ten minutes of faults: 50 bad days, 100,000 calls, a
#                          million ids, in flat memory
#   make check-symbols     luaopen_kapture is all that is exported
#   make fuzz TIME=60       each fuzzer for so many seconds
#   make coverage          of csrc/, by lines and branches, by specs and fuzzers
#   make format            csrc/ as .clang-format has it
#   make doc               pages on the Lua interface, by LDoc: build/doc
#   make dist              build/kapture-<version>.tar.gz, of what is committed
#   make deps              the system packages behind demo and test
#   make clean
#
# Flags in the open: CC CFLAGS CPPFLAGS LDFLAGS LUA_INCDIR LUA_PC CURL_PC
# CURL_LIBS BUILD WERROR (-Werror: a warning fails). V=1 shows the commands.

ABI     ?= 5.4
CURL_PC ?= libcurl
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
BUILD   ?= build
CFLAGS  ?= -O2 -g
PKG_CONFIG ?= pkg-config
NM      ?= nm
OBJCOPY ?= objcopy
INSTALL ?= install

OS  := $(shell uname -s)
OUT := $(BUILD)/$(ABI)

.PHONY: default static all nvim probes hosts install uninstall clean
.PHONY: deps demo sandbox gateway test test-build gnutls test-gnutls check-valgrind check-asan check-gc \
        check-tsan soak check-symbols check-nvim check-peers \
        bench check-speed
.PHONY: lint lint-format lint-cppcheck lint-tidy lint-lua lint-parse lint-shell format
.PHONY: doc dist has-lua FORCE

default: $(OUT)/kapture.so ; @:
static: $(OUT)/libkapture.a ; @:

# --- One Lua ------------------------------------------------------------------

ABIS := 5.4 luajit 5.1 5.3 5.5
ifeq (,$(filter $(ABI),$(ABIS)))
$(error ABI=$(ABI) is not one of $(ABIS))
endif

LUA_5.5    := lua5.5
LUA_5.4    := lua5.4
LUA_5.3    := lua5.3
LUA_5.1    := lua5.1
LUA_luajit := luajit
LUA ?= $(LUA_$(ABI))

# What pkg-config calls it on Debian, Arch and FreeBSD; Fedora's and Homebrew's
# "lua" is whichever is newest there.
LUA_PCS_5.5    := lua5.5 lua55 lua-5.5 'lua >= 5.5 lua < 5.6'
LUA_PCS_5.4    := lua5.4 lua54 lua-5.4 'lua >= 5.4 lua < 5.5'
LUA_PCS_5.3    := lua5.3 lua53 lua-5.3 'lua >= 5.3 lua < 5.4'
LUA_PCS_5.1    := lua5.1 lua51 lua-5.1 'lua >= 5.1 lua < 5.2'
LUA_PCS_luajit := luajit
ifndef LUA_PC
LUA_PC := $(shell for pc in $(LUA_PCS_$(ABI)); do \
            $(PKG_CONFIG) --exists "$$pc" 2>/dev/null && echo "$${pc%% *}" && break; done)
endif

# LuaJIT has the 5.1 ABI and looks in the same directories: there, one build
# serves both.
LUA_V   := $(ABI:luajit=5.1)
CMODDIR ?= $(LIBDIR)/lua/$(LUA_V)
LMODDIR ?= $(PREFIX)/share/lua/$(LUA_V)

# --- Flags --------------------------------------------------------------------

# -isystem keeps our warnings out of other people's headers.
pc_cflags = $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(1)))
ifdef LUA_INCDIR
LUA_CFLAGS := -isystem $(LUA_INCDIR)
else ifneq ($(LUA_PC),)
LUA_CFLAGS := $(call pc_cflags,$(LUA_PC))
endif
CURL_CFLAGS := $(call pc_cflags,$(CURL_PC) 2>/dev/null)
CURL_LIBS   := $(shell $(PKG_CONFIG) --libs $(CURL_PC) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
        -Wmissing-prototypes $(WERROR)
HARDEN := -fstack-protector-strong
ifeq ($(OS),Linux)
HARDEN += -fstack-clash-protection
endif
# Not at -O0, where glibc warns of it, and not under the sanitizers, which miss
# what it intercepts.
ifeq (,$(filter -O0 -fsanitize%,$(CFLAGS)))
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

ALL_CFLAGS = -std=c11 -Icsrc $(WARN) -fPIC -fvisibility=hidden -pthread $(HARDEN) \
             -D_GNU_SOURCE $(LUA_CFLAGS) $(CURL_CFLAGS) $(CPPFLAGS) $(CFLAGS)

# A module leaves Lua's own symbols to the program that loads it.
ifeq ($(OS),Darwin)
MODULE := -bundle -undefined dynamic_lookup
else
# nodelete: lua_close unloads C modules, and a resolver thread may be in our
# code or libcurl's even then.
MODULE := -shared -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete
endif
ALL_LDFLAGS = $(MODULE) -pthread $(LDFLAGS)

ifeq ($(V),1)
say = @:
else
Q   := @
say = $(if $(findstring s,$(firstword -$(MAKEFLAGS))),@:,@printf '  %-4s  %s\n')
endif

# --- The module ---------------------------------------------------------------

SRCS := $(wildcard csrc/*/*.c)
OBJS := $(SRCS:csrc/%.c=$(OUT)/obj/%.o)

$(OUT)/kapture.so: $(OBJS)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $(OBJS) $(CURL_LIBS) -lm

# One object whose only global name is luaopen_kapture, so that no other of ours
# can meet one of the host's. Without an ELF objcopy they stay, with our prefix.
$(OUT)/libkapture.a: $(OBJS)
	$(say) AR $@
	$(Q)rm -f $@
ifeq ($(OS),Darwin)
	$(Q)$(AR) rcs $@ $(OBJS)
else
	$(Q)$(CC) -r -nostdlib -o $(OUT)/libkapture.o $(OBJS)
	$(Q)$(OBJCOPY) --localize-hidden $(OUT)/libkapture.o
	$(Q)$(AR) rcs $@ $(OUT)/libkapture.o
endif

$(OUT)/obj/%.o: csrc/%.c $(OUT)/flags
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Changes when the compiler or a flag does, and everything is built again.
FLAGS = $(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(CURL_LIBS))
$(OUT)/flags: FORCE
	@test -n '$(LUA_INCDIR)$(LUA_PC)' || { echo "No headers of Lua $(ABI):" \
	  "run 'make deps', or set LUA_INCDIR." >&2; exit 1; }
	@$(PKG_CONFIG) --exists $(CURL_PC) || { echo "No $(CURL_PC):" \
	  "run 'make deps', or set CURL_PC." >&2; exit 1; }
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@
FORCE:

-include $(OBJS:.o=.d)

# $(call each_abi,TARGETS): makes them for every ABI that this machine has. A
# rule that uses it starts with + to hand down make's -j.
each_abi = @for abi in $(ABIS); do \
  if $(MAKE) -s --no-print-directory ABI=$$abi has-lua 2>/dev/null; \
  then $(MAKE) --no-print-directory ABI=$$abi $(1) || exit 1; \
  else echo "  $$abi: no headers installed, left out"; fi; done

has-lua:
	@test -n '$(LUA_PC)'

all:
	+$(call each_abi,default static)

# The decoder alone, for its specs and benchmarks: decode(text [, fields]).
PROBE_OBJS := $(patsubst csrc/%.c,$(OUT)/obj/%.o,\
                $(wildcard csrc/json/*.c) csrc/config/fields.c)
$(OUT)/kapture_decode.so: spec/support/kapture_decode.c $(PROBE_OBJS) $(OUT)/flags
	$(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(PROBE_OBJS) -lm

# What decoding is measured against: see bench/decode/floor.c.
$(OUT)/kapture_floor.so: bench/decode/floor.c $(OUT)/flags
	$(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

# Others need nothing of ours: kapture_host is a host's poll(2) and clock.
$(OUT)/kapture_host.so: spec/support/kapture_host.c $(OUT)/flags
	$(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

# A C file in spec/support is a module for the specs.
probes: $(patsubst spec/support/%.c,$(OUT)/%.so,$(wildcard spec/support/*.c))

# --- Hosts: programs with Lua and this inside ---------------------------------

# Each file in spec/hosts is one, linked with libkapture.a; so is the example.
LUA_LIBS  = $(shell $(PKG_CONFIG) --libs $(LUA_PC) 2>/dev/null)
HOSTS    := $(patsubst spec/hosts/%.c,$(OUT)/hosts/%,$(wildcard spec/hosts/*.c))
HOST_LIBS = $(OUT)/libkapture.a $(LUA_LIBS) $(CURL_LIBS) -lm -ldl
host_cc   = $(CC) $(ALL_CFLAGS) -pthread $(LDFLAGS)
hosts: $(HOSTS) $(OUT)/embed
$(OUT)/hosts/%: spec/hosts/%.c spec/hosts/host.h $(OUT)/libkapture.a
	$(say) HOST $@
	$(Q)mkdir -p $(@D)
	$(Q)$(host_cc) $(HOST_FLAGS) -o $@ $< $(HOST_LIBS)
# What the module asks malloc for comes to this one's own.
$(OUT)/hosts/memory: HOST_FLAGS := -Wl,--wrap=malloc,--wrap=calloc \
  -Wl,--wrap=realloc,--wrap=strdup,--wrap=free
# Blocks that it frees are looked at first.
$(OUT)/hosts/secrets: HOST_FLAGS := -Wl,--wrap=realloc,--wrap=free
$(OUT)/embed: examples/embed/host.c $(OUT)/libkapture.a
	$(say) HOST $@
	$(Q)$(host_cc) -o $@ $< $(HOST_LIBS)

# A bad line between two network namespaces.
$(OUT)/link: spec/peers/link.c $(OUT)/flags
	$(say) CC $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $<

# Neovim's loader finds lua/kapture.so on the runtimepath. Moved into place: a
# Neovim that has the old one mapped keeps it.
nvim:
	+$(Q)$(MAKE) --no-print-directory ABI=luajit
	$(Q)mkdir -p lua
	$(Q)cp $(BUILD)/luajit/kapture.so lua/.kapture.so
	$(Q)mv -f lua/.kapture.so lua/kapture.so
	$(Q)if command -v nvim >/dev/null; then nvim -es -u NONE -i NONE -c 'helptags doc' -c q; fi

# --- Installation -------------------------------------------------------------

VERSION := $(shell sed -n 's/.*KAPTURE_VERSION "\(.*\)"/\1/p' csrc/kapture.h)
LUA_FILES := $(patsubst lua/%,%,$(wildcard lua/kapture/*.lua \
               lua/kapture/*/*.lua lua/resty/*.lua))
LUA_SUBDIRS := $(sort $(patsubst %/,%,$(dir $(LUA_FILES))))
BINDIR = $(PREFIX)/bin
ADIR  = $(LIBDIR)/kapture/$(ABI)
PCDIR = $(LIBDIR)/pkgconfig
# Where the command looks for it: see lua/kapture/cli/sandbox.lua.
SANDBOXDIR = $(PREFIX)/share/kapture/sandbox
TYPESDIR   = $(PREFIX)/share/kapture/library
PAGES := man/man1/kapture.1 bash-completion/completions/kapture \
         zsh/site-functions/_kapture fish/vendor_completions.d/kapture.fish

install: default static
	$(INSTALL) -d '$(DESTDIR)$(CMODDIR)' '$(DESTDIR)$(ADIR)' \
	  '$(DESTDIR)$(PREFIX)/include' '$(DESTDIR)$(PCDIR)' '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 644 $(OUT)/kapture.so '$(DESTDIR)$(CMODDIR)/kapture.so'
	$(INSTALL) -m 644 $(OUT)/libkapture.a '$(DESTDIR)$(ADIR)/libkapture.a'
	$(INSTALL) -m 644 csrc/kapture.h '$(DESTDIR)$(PREFIX)/include/kapture.h'
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	  -e 's|@ABI@|$(ABI)|' -e 's|@VERSION@|$(VERSION)|' \
	  -e 's|@CURL_LIBS@|$(CURL_LIBS)|' kapture.pc.in > $(OUT)/kapture.pc
	$(INSTALL) -m 644 $(OUT)/kapture.pc '$(DESTDIR)$(PCDIR)/kapture.pc'
	for d in $(LUA_SUBDIRS); do \
	  $(INSTALL) -d "$(DESTDIR)$(LMODDIR)/$$d" && \
	  $(INSTALL) -m 644 lua/$$d/*.lua "$(DESTDIR)$(LMODDIR)/$$d" || exit 1; done
	sed -e '1s|.*|#!/usr/bin/env $(LUA)|' -e 's|^local lua_dir = .*|local lua_dir = "$(LMODDIR)"|' \
	  -e '/^local abi = /d' -e 's|^local so_dir = .*|local so_dir = "$(CMODDIR)"|' bin/kapture > $(OUT)/kapture
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

# --- Trying and testing -------------------------------------------------------

deps:
	@tools/deps test

demo:
	@tools/deps demo
	+@$(MAKE) --no-print-directory default
	@LUA_CPATH='$(OUT)/?.so' sandbox/with $(LUA) examples/demo.lua

sandbox:
	@tools/deps demo
	@sandbox/run

gateway: deps
	+@$(MAKE) --no-print-directory ABI=luajit
	@sandbox/with examples/openresty/run

test: test-build
	@spec/run

test-build: deps
	+$(call each_abi,default static probes hosts check-symbols)

# The plugin alone, in a real Neovim; `make test` has it, too.
check-nvim: deps
	+$(Q)$(MAKE) --no-print-directory ABI=luajit default probes
	@spec/run luajit spec/nvim_spec.lua

# What only a network can do, with real servers at its other end. Takes root, for
# network namespaces. Most of the time is spent waiting: four at a time.
PEERS_ABIS ?= 5.4 luajit
check-peers:
	@tools/deps peers
	+@for abi in $(PEERS_ABIS); do \
	  $(MAKE) --no-print-directory ABI=$$abi default probes $(BUILD)/$$abi/link || exit 1; done
	@JOBS=4 spec/run $(PEERS_ABIS) spec/peers/wan.lua , spec/peers/apache.lua , \
	  spec/peers/caddy.lua , spec/peers/haproxy.lua

# Debian's packages for developing with the two flavours exclude each other, but
# their headers are the same: the library is all that differs.
GNUTLS_LIBS  ?= -l:libcurl-gnutls.so.4
GNUTLS_BUILD := $(BUILD)/gnutls
GNUTLS       := BUILD='$(GNUTLS_BUILD)' CURL_LIBS='$(GNUTLS_LIBS)'
gnutls:
	+$(Q)$(MAKE) --no-print-directory $(GNUTLS) default static

GNUTLS_SPECS ?= $(wildcard spec/[a-n]*_spec.lua) , $(wildcard spec/[o-z]*_spec.lua)
test-gnutls: deps
	+$(Q)$(MAKE) --no-print-directory ABI=luajit $(GNUTLS) default static probes hosts
	@BUILD='$(GNUTLS_BUILD)' KAPTURE_HOSTS='$(GNUTLS_BUILD)/luajit' KAPTURE_TLS=GnuTLS \
	  spec/run luajit $(GNUTLS_SPECS)

# Everything under every Lua that the release has; PLATFORMS_RUN is another
# command, in a copy of this tree there. See tools/platforms.
PLATFORMS ?= bookworm trixie sid
.PHONY: check-platforms check-arm64
check-platforms:
	@tools/deps platforms
	@tools/platforms $(if $(PLATFORMS_RUN),-c '$(PLATFORMS_RUN)') $(PLATFORMS)

check-arm64:
	@tools/deps arm64
	@tools/arm64 $(ARM64_SPECS)

# The interpreter under valgrind: an error, or a block that is lost for good,
# fails the run.
VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full \
            --show-leak-kinds=definite --errors-for-leak-kinds=definite \
            --suppressions=spec/support/valgrind.supp
VALGRIND_ABIS ?= 5.4
# Not those that only start other programs: what these load, valgrind never sees.
VALGRIND_SPECS ?= $(filter-out $(addprefix spec/,$(addsuffix _spec.lua,cli \
  completion examples gateway harness hosts nvim readme resty sandbox sandbox_faults sandbox_run \
  ticket)),$(wildcard spec/*_spec.lua))
# Two take half of the time: they run beside the others.
VALGRIND_LONG := spec/decode_spec.lua spec/fields_spec.lua
check-valgrind: deps
	+$(call each_abi,default probes hosts)
	@WRAP='$(VALGRIND)' spec/run $(VALGRIND_ABIS) $(filter $(VALGRIND_LONG),$(VALGRIND_SPECS)) , \
	  $(filter-out $(VALGRIND_LONG),$(VALGRIND_SPECS))

# The specs with the module under AddressSanitizer and UBSan. Not those that only
# start programs other than a Lua: what loads the module there has no runtime.
ASAN := BUILD=$(BUILD)/asan CFLAGS='-O1 -g -fno-omit-frame-pointer \
  -fsanitize=address,undefined -fno-sanitize-recover=undefined' \
  LDFLAGS=-fsanitize=address,undefined
ASAN_ABIS ?= $(filter-out $(if $(shell command -v lua5.5),,5.5),5.4 luajit 5.3 5.1 5.5)
ASAN_SPECS ?= $(filter-out $(addprefix spec/,$(addsuffix _spec.lua,cli \
  completion examples gateway harness nvim readme resty sandbox sandbox_faults sandbox_run \
  ticket)),$(wildcard spec/*_spec.lua))
check-asan: deps
	+@for abi in $(ASAN_ABIS); do \
	  $(MAKE) --no-print-directory ABI=$$abi $(ASAN) default probes hosts && \
	  CC=gcc spec/sanitized libasan.so $(BUILD)/asan $$abi $(ASAN_SPECS) || exit 1; done

# The engine's thread and all who have to do with it, under ThreadSanitizer. Last,
# the control: without its locks the engine has races, and they are found.
TSAN := CFLAGS='-O1 -g -fsanitize=thread' LDFLAGS=-fsanitize=thread
TSAN_LIB = $(shell gcc -print-file-name=libtsan.so.2)
TSAN_ROUNDS ?= 3000
TSAN_SPECS ?= $(patsubst %,spec/%_spec.lua,async luv cqueues socket_select fairness rate) , \
  $(patsubst %,spec/%_spec.lua,chaos stress tickets hook batch deadline isolate retry)
check-tsan: deps
	+$(Q)$(MAKE) --no-print-directory ABI=5.4 default probes hosts BUILD=$(BUILD)/tsan $(TSAN)
	@KAPTURE_HOSTS=$(BUILD)/tsan/5.4 spec/run --tags=threads 5.4 spec/hosts_spec.lua
	@CC=gcc LEAKS=0 KAPTURE_TSAN=1 KAPTURE_STRESS_ROUNDS=$(TSAN_ROUNDS) spec/sanitized libtsan.so.2 \
	  $(BUILD)/tsan 5.4 $(TSAN_SPECS)
	+$(Q)$(MAKE) --no-print-directory ABI=5.4 default probes BUILD=$(BUILD)/tsan-control \
	  CPPFLAGS='-include $(CURDIR)/spec/support/nolocks.h' $(TSAN)
	@BUILD=$(BUILD)/tsan-control SPEC_TIMEOUT=120 KAPTURE_STRESS_ROUNDS=300 KAPTURE_STRESS_SEED=1 \
	  WRAP='env LD_PRELOAD=$(TSAN_LIB) TSAN_OPTIONS=exitcode=66' \
	  spec/run 5.4 spec/stress_spec.lua 2>&1 | \
	  grep 'ThreadSanitizer: data race' >/dev/null || \
	  { echo "ThreadSanitizer missed the races of an engine without locks" >&2; exit 1; }
	@echo "and the races of an engine without locks are found"

# All three with the collector at its hastiest: see spec/support/gc.lua. A pace
# is tool:ABI:setting; the last two know one ABI.
GC_PACES ?= asan:5.4:generational asan:5.4:step asan:5.4:hook=2000 asan:luajit:step \
  asan:luajit:hook=2000 asan:5.3:step asan:5.1:step tsan:5.4:generational tsan:5.4:step \
  valgrind:5.4:step valgrind:5.4:hook=2000
GC_SPECS ?= $(patsubst %,spec/%_spec.lua,async decode fields ids isolate partial \
  response result retry)
check-gc: deps
	+@for pace in $(GC_PACES); do echo "$$pace"; IFS=:; set -- $$pace; unset IFS; \
	  LEAKS=0 KAPTURE_GC=$$3 $(MAKE) --no-print-directory check-$$1 \
	  ASAN_ABIS=$$2 ASAN_SPECS='$(GC_SPECS)' VALGRIND_ABIS=$$2 \
	  VALGRIND_SPECS='$(GC_SPECS)' TSAN_ROUNDS=500 || exit 1; done

# The long forms of mixed_spec and chaos_spec, then 100,000 calls and a million ids
# in one process.
SOAK_CALLS ?= 100000
SOAK_IDS   ?= 1000000
soak: deps
	+$(Q)$(MAKE) --no-print-directory ABI=5.4 default probes
	@KAPTURE_MIXED_SEEDS=50 KAPTURE_MIXED_IDS=5000 KAPTURE_CHAOS_ROUNDS=300 \
	  SPEC_TIMEOUT=3600 spec/run 5.4 spec/mixed_spec.lua spec/chaos_spec.lua
	@LUA_PATH='./?.lua;;' LUA_CPATH='$(BUILD)/5.4/?.so;;' \
	  lua5.4 spec/soak/soak.lua $(SOAK_CALLS) $(SOAK_IDS)

# --- Speed: see bench/README.md ------------------------------------------------

bench:
	@tools/deps bench
	+$(Q)$(MAKE) --no-print-directory ABI=5.4 default static
	+$(Q)$(MAKE) --no-print-directory ABI=luajit default
	@bench/run

# Instructions, counted: the same on every run, and under load.
check-speed: deps
	@bench/decode/run --check
	@bench/call/run --check

check-symbols: $(OUT)/kapture.so $(OUT)/libkapture.a
	@for f in $^; do case $$f in *.so) dyn=-D;; *) dyn=;; esac; \
	  names=$$($(NM) $$dyn -g --defined-only $$f | awk 'NF == 3 {print $$3}'); \
	  test "$$names" = luaopen_kapture || \
	  { echo "$$f exports:" $$names >&2; exit 1; }; done

# --- Pages and releases -------------------------------------------------------

doc:
	@rm -rf $(BUILD)/doc && mkdir -p $(BUILD)/doc/source
	@$(LUA) tools/ldoc.lua $(BUILD)/doc/source library/kapture.lua lua/kapture/ticket.lua \
	  lua/kapture/luv.lua lua/kapture/cqueues.lua lua/resty/kapture.lua
	@cd $(BUILD)/doc/source && ldoc -q -d .. .
	@echo $(BUILD)/doc/index.html

dist:
	@mkdir -p $(BUILD)
	git archive --prefix=kapture-$(VERSION)/ -o $(BUILD)/kapture-$(VERSION).tar.gz HEAD
	@echo $(BUILD)/kapture-$(VERSION).tar.gz

# --- Linters ------------------------------------------------------------------

C_FILES   = $(shell find csrc spec examples bench -name "*.[ch]")
LUA_DIRS := $(wildcard lua library plugin sandbox spec examples bench bin tools rockspec)

lint: lint-format lint-cppcheck lint-tidy lint-lua lint-parse lint-shell

lint-format:
	clang-format --dry-run --Werror $(C_FILES)
format:
	clang-format -i $(C_FILES)

lint-cppcheck:
	cppcheck -q --std=c11 --enable=warning,performance,portability \
	  --library=posix --library=lua --library=libcurl \
	  --library=tools/cppcheck.cfg --inline-suppr --error-exitcode=1 -Icsrc csrc

lint-tidy:
	printf "%s\n" $(SRCS) | xargs -n 1 -P 2 -I{} \
	  clang-tidy --quiet {} -- $(ALL_CFLAGS)

lint-lua:
	luacheck -q $(LUA_DIRS)

# Each Lua that is here can read every file, whichever it is for: 5.5 refuses
# what others take. Only what measures is of 5.3 and later.
lint-parse:
	@for lua in $(foreach abi,$(ABIS),$(LUA_$(abi))); do \
	  command -v $$lua >/dev/null || continue; \
	  case $$lua in *5.[3-9]) all='^';; *) all='^(?!bench/|spec/soak/)';; esac; \
	  { find $(LUA_DIRS) -name '*.lua' -o -name '*.rockspec'; \
	    grep -rlE '^#!.*lua' $(LUA_DIRS); } | sort -u | grep -P "$$all" | \
	  $$lua -e 'for name in io.lines() do assert(loadfile(name)) end' || exit 1; \
	  echo "$$lua reads all of it"; done

lint-shell:
	shellcheck -S warning $$(grep -rlE --exclude='*.lua' '^#!.*[ /](ba|da)?sh' .ci tools sandbox spec examples bench)

clean:
	rm -rf $(BUILD) lua/kapture.so

# --- Fuzzing -------------------------------------------------------------------

.PHONY: fuzz
TIME ?= 60
fuzz:
	spec/fuzz/run $(TIME)

# Lines and branches of csrc/ that the specs and the fuzzers run.
.PHONY: coverage
coverage:
	@tools/deps lint
	TIME=$(TIME) spec/coverage
