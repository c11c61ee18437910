# kapture for Lua. Needs GNU make, a C11 compiler, pkg-config, libcurl and the
# headers of one Lua: `make deps` gets them.
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
#   make lint              every linter; lint-house, lint-format, ... for one
#   make test-gnutls       the specs on that flavour, OpenResty's LuaJIT
#   make check-peers       behind Apache, Caddy and HAProxy, over a bad line
#   make check-platforms   on other releases of Debian, in chroots; as root
#   make check-arm64       built for arm64, emulated
#   make check-valgrind    the specs under valgrind
#   make check-asan        under AddressSanitizer and UBSan
#   make check-tsan        under ThreadSanitizer
#   make check-exits       the end of the process, under both
#   make check-gc          all three with the collector at its hastiest
#   make bench             what it costs, against others: bench/results.md
#   make check-speed       decoding and a call need no more than is recorded
#   make soak              a quarter of an hour of faults: 50 bad days, 100,000
#                          calls, a million ids, in flat memory; 1,000 runs of
#                          the command at random
#   make check-symbols     luaopen_kapture is all that is exported
#   make simulate RUNS=5000 pace, bad ids and outages, against models of services
#   make fuzz TIME=60       each fuzzer for so many seconds
#   make coverage          of csrc/, by lines and branches, by specs and fuzzers
#   make format            csrc/ as .clang-format has it
#   make doc               README, doc/ and the types as a website: build/doc
#   make dist              build/kapture-<version>.tar.gz, of the tag of that version
#   make release           and the rockspec for it, once RELEASE_URL says where it
#                          will be
#   make deps              the system packages that a build needs (ABI: for which
#                          Lua); the other targets get what they need themselves
#   make clean
#   make help              this list
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

.PHONY: default static all nvim probes hosts install uninstall clean deps test-deps demo \
        sandbox gateway test test-build gnutls test-gnutls check-valgrind \
        check-asan check-exits check-gc check-tsan soak check-symbols check-nvim \
        check-peers bench check-speed lint lint-deps lint-house lint-format lint-cppcheck lint-tidy \
        lint-lua lint-parse lint-shell format doc dist release rock install-rock copy-modules help has-lua FORCE fuzz \
        coverage check-platforms check-arm64

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

# The headers that each needs are noted under a name with OUT in it: the next make
# may be given BUILD in another form, a full path say.
DEPS := -MMD -MP -MT
$(OUT)/obj/%.o: csrc/%.c $(OUT)/flags
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(DEPS) '$$(OUT)/obj/$*.o' -c -o $@ $<

# Changes when the compiler or a flag does, and everything is built again.
FLAGS = $(subst ','\'',$(CC) $(ALL_CFLAGS) $(DEPS) $(ALL_LDFLAGS) $(CURL_LIBS))
$(OUT)/flags: FORCE
	@test -n '$(LUA_INCDIR)$(LUA_PC)' || { echo "No headers of $(if $(filter luajit,$(ABI)),LuaJIT,Lua $(ABI)):" \
	  "run 'make deps ABI=$(ABI)', or set LUA_INCDIR." >&2; exit 1; }
	@test -n '$(CURL_LIBS)' || { echo "No $(CURL_PC):" \
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

# --- Simulations: what decides, alone, against models of services ---------------

# What decides, alone against models: no network, no Lua, no clock. policy/ is
# built here where no Lua header is looked for, which is the proof that it needs none.
.PHONY: simulate
SIMULATE = $(CC) $(CFLAGS) $(CPPFLAGS) -std=c11 -D_GNU_SOURCE -Wall -Wextra -Icsrc \
  $(CURL_CFLAGS) $(LDFLAGS) -o $@
simulate: $(BUILD)/simulations/pace $(BUILD)/simulations/isolate
	$(BUILD)/simulations/pace $(RUNS)
	$(BUILD)/simulations/isolate $(RUNS)
$(BUILD)/simulations/pace: spec/simulations/pace.c csrc/net/pace.c csrc/net/pace.h
	$(say) HOST $@
	$(Q)mkdir -p $(@D)
	$(Q)$(SIMULATE) spec/simulations/pace.c csrc/net/pace.c -lm
$(BUILD)/simulations/isolate: spec/simulations/isolate.c spec/simulations/support.c \
    spec/simulations/support.h $(wildcard csrc/policy/*.[ch]) csrc/base/failure.c
	$(say) HOST $@
	$(Q)mkdir -p $(@D)
	$(Q)$(SIMULATE) $(filter %.c,$^) -lm

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

# --- Trying and testing -------------------------------------------------------

deps:
	@ABI=$(ABI) tools/deps build
test-deps:
	@tools/deps test

help:
	@awk '!/^#/ { exit } { sub(/^# ?/, ""); print }' $(firstword $(MAKEFILE_LIST))

demo:
	@ABI=$(ABI) tools/deps demo
	+@$(MAKE) --no-print-directory default
	@echo 'The title of ticket 713516551148, by examples/demo.lua, from a stand-in for the service:'
	@LUA_CPATH='$(OUT)/?.so' sandbox/with $(LUA) examples/demo.lua

sandbox:
	@tools/deps demo
	@sandbox/run

gateway:
	@ABI=luajit tools/deps demo
	+@$(MAKE) --no-print-directory ABI=luajit
	@sandbox/with examples/openresty/run

test: test-build
	@spec/run

test-build: test-deps
	+$(call each_abi,default static probes hosts check-symbols)

# --- Pages and releases -------------------------------------------------------

doc:
	@tools/deps doc
	@rm -rf $(BUILD)/doc
	@tools/site/make $(BUILD)/doc
	@echo $(BUILD)/doc/index.html

dist:
	@BUILD='$(BUILD)' tools/release dist

release: dist
	@BUILD='$(BUILD)' tools/release rockspec '$(RELEASE_URL)'

clean:
	rm -rf $(BUILD) lua/kapture.so

include mk/install.mk mk/check.mk mk/lint.mk
