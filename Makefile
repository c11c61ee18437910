# kapture for Lua
#
#   make [ABI=5.4|luajit|5.1|5.3]   build/<ABI>/kapture.so (5.4 by default)
#   make all                        every ABI whose headers are installed
#   make demo | test | sandbox      see README.md
#
# Flags in the open: CC CFLAGS CPPFLAGS LDFLAGS PREFIX DESTDIR LUA_INCDIR CURL_PC

ABI     ?= 5.4
CURL_PC ?= libcurl
PREFIX  ?= /usr/local
DESTDIR ?=
PKG_CONFIG ?= pkg-config
BUILD   ?= build/$(ABI)

ABIS := 5.4 luajit 5.1 5.3
LUA_PC_5.4    := lua5.4
LUA_PC_5.3    := lua5.3
LUA_PC_5.1    := lua5.1
LUA_PC_luajit := luajit
LUA_5.4    := lua5.4
LUA_5.3    := lua5.3
LUA_5.1    := lua5.1
LUA_luajit := luajit
LUA_PC := $(LUA_PC_$(ABI))
ifeq ($(LUA_PC),)
$(error ABI=$(ABI) is not one of $(ABIS))
endif

ifdef LUA_INCDIR
LUA_CFLAGS := -isystem $(LUA_INCDIR)
else
LUA_CFLAGS = $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(LUA_PC)))
endif
CURL_CFLAGS = $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(CURL_PC)))
CURL_LIBS   = $(shell $(PKG_CONFIG) --libs $(CURL_PC))

CFLAGS ?= -O2 -g
WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
HARDEN = -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2
ifneq (,$(findstring -fsanitize,$(CFLAGS)))
HARDEN = -fstack-protector-strong
endif
ALL_CFLAGS = -std=c11 $(WARN) -fPIC -fvisibility=hidden -pthread $(HARDEN) \
             -D_GNU_SOURCE $(LUA_CFLAGS) $(CURL_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -shared -pthread -Wl,-z,relro,-z,now,-z,nodelete $(LDFLAGS)

SRCS := $(wildcard csrc/*.c)
OBJS := $(SRCS:csrc/%.c=$(BUILD)/obj/%.o)

.PHONY: default all clean
default: $(BUILD)/kapture.so

$(BUILD)/kapture.so: $(OBJS)
	$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $(OBJS) $(CURL_LIBS)

$(BUILD)/obj/%.o: csrc/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Rebuild when compiler or flags change.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(CURL_LIBS)' | cmp -s - $@ || \
	 echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(CURL_LIBS)' > $@
FORCE:

all:
	@for abi in $(ABIS); do \
	  case $$abi in 5.*) pc=lua$$abi;; *) pc=$$abi;; esac; \
	  if $(PKG_CONFIG) --exists $$pc; then $(MAKE) --no-print-directory ABI=$$abi || exit 1; \
	  else echo "$$abi: $$pc not installed, left out"; fi; \
	done

# The decoder alone, for its specs and benchmarks: decode(text [, fields]).
PROBE_OBJS := $(patsubst csrc/%.c,$(BUILD)/obj/%.o,$(wildcard csrc/decode*.c) csrc/fields.c)
$(BUILD)/kapture_decode.so: spec/support/kapture_decode.c $(PROBE_OBJS) $(BUILD)/flags
	$(CC) $(ALL_CFLAGS) -Icsrc $(ALL_LDFLAGS) -o $@ $< $(PROBE_OBJS)

.PHONY: sandbox
sandbox:
	@sandbox/run

clean:
	rm -rf build lua/kapture.so

-include $(wildcard $(BUILD)/obj/*.d)
