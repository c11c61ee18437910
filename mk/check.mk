# What is checked beyond make test: other servers, other releases, and tools that
# look into a running module. Speed, fuzzers, coverage.

# The plugin alone, in a real Neovim; `make test` has it, too.
check-nvim: test-deps
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
	@spec/run 5.4 spec/peers/slurm.lua

# Debian's packages for developing with the two flavours exclude each other, but
# their headers are the same: the library is all that differs.
GNUTLS_LIBS  ?= -l:libcurl-gnutls.so.4
GNUTLS_BUILD := $(BUILD)/gnutls
GNUTLS       := BUILD='$(GNUTLS_BUILD)' CURL_LIBS='$(GNUTLS_LIBS)'
gnutls:
	+$(Q)$(MAKE) --no-print-directory $(GNUTLS) default static

GNUTLS_SPECS ?= $(wildcard spec/[a-n]*_spec.lua) , $(wildcard spec/[o-z]*_spec.lua)
test-gnutls: test-deps
	+$(Q)$(MAKE) --no-print-directory ABI=luajit $(GNUTLS) default static probes hosts
	@BUILD='$(GNUTLS_BUILD)' KAPTURE_HOSTS='$(GNUTLS_BUILD)/luajit' KAPTURE_TLS=GnuTLS \
	  spec/run luajit $(GNUTLS_SPECS)

# Everything under every Lua that the release has; PLATFORMS_RUN is another
# command, in a copy of this tree there. See tools/platforms.
PLATFORMS ?= bookworm trixie sid
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
# Not those that only start other programs: what these load, valgrind never sees,
# and a sanitizer's runtime is not in.
STARTERS := $(patsubst %,spec/%_spec.lua,cli completion examples exit gateway \
  harness nvim readme resty sandbox sandbox_faults sandbox_run ticket)
INSIDE   := $(filter-out $(STARTERS),$(wildcard spec/*_spec.lua))
VALGRIND_SPECS ?= $(filter-out spec/hosts_spec.lua,$(INSIDE))
# Two take half of the time: they run beside the others.
VALGRIND_LONG := spec/decode_spec.lua spec/fields_spec.lua
check-valgrind: test-deps
	+$(call each_abi,default probes hosts)
	@WRAP='$(VALGRIND)' spec/run $(VALGRIND_ABIS) $(filter $(VALGRIND_LONG),$(VALGRIND_SPECS)) , \
	  $(filter-out $(VALGRIND_LONG),$(VALGRIND_SPECS))

# Exits under ThreadSanitizer and valgrind, apart from the rest and from CI: both
# slow threads down, and the process's end waits for them.
check-exits: test-deps
	+$(Q)$(MAKE) --no-print-directory ABI=5.4 default probes hosts
	+$(Q)$(MAKE) --no-print-directory ABI=5.4 hosts BUILD=$(BUILD)/tsan $(TSAN)
	@KAPTURE_HOSTS=$(BUILD)/tsan/5.4 EXIT_TOOL='env TSAN_OPTIONS=exitcode=66' EXIT_RUNS=10 \
	  spec/run --tags=threads 5.4 spec/exit_spec.lua
	@EXIT_TOOL='$(VALGRIND)' EXIT_RUNS=4 spec/run --tags=threads 5.4 spec/exit_spec.lua

# The specs with the module under AddressSanitizer and UBSan.
ASAN := BUILD=$(BUILD)/asan CFLAGS='-O1 -g -fno-omit-frame-pointer \
  -fsanitize=address,undefined -fno-sanitize-recover=undefined' \
  LDFLAGS=-fsanitize=address,undefined
ASAN_ABIS ?= $(filter-out $(if $(shell command -v lua5.5),,5.5),5.4 luajit 5.3 5.1 5.5)
ASAN_SPECS ?= $(INSIDE)
check-asan: test-deps
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
check-tsan: test-deps
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
check-gc: test-deps
	+@for pace in $(GC_PACES); do echo "$$pace"; IFS=:; set -- $$pace; unset IFS; \
	  LEAKS=0 KAPTURE_GC=$$3 $(MAKE) --no-print-directory check-$$1 \
	  ASAN_ABIS=$$2 ASAN_SPECS='$(GC_SPECS)' VALGRIND_ABIS=$$2 \
	  VALGRIND_SPECS='$(GC_SPECS)' TSAN_ROUNDS=500 || exit 1; done

# The long forms of mixed_spec, chaos_spec and cli_random_spec, then 100,000 calls
# and a million ids in one process.
SOAK_CALLS ?= 100000
SOAK_IDS   ?= 1000000
soak: test-deps
	+$(Q)$(MAKE) --no-print-directory ABI=5.4 default probes
	@KAPTURE_MIXED_SEEDS=50 KAPTURE_MIXED_IDS=5000 KAPTURE_CHAOS_ROUNDS=300 \
	  KAPTURE_CLI_ROUNDS=1000 SPEC_TIMEOUT=3600 \
	  spec/run 5.4 spec/mixed_spec.lua spec/chaos_spec.lua spec/cli_random_spec.lua
	@LUA_PATH='./?.lua;;' LUA_CPATH='$(BUILD)/5.4/?.so;;' \
	  lua5.4 spec/soak/soak.lua $(SOAK_CALLS) $(SOAK_IDS)

# Speed: see bench/README.md.
bench:
	@tools/deps bench
	+$(Q)$(MAKE) --no-print-directory ABI=5.4 default static
	+$(Q)$(MAKE) --no-print-directory ABI=luajit default
	@bench/run

# Instructions, counted: the same on every run, and under load.
check-speed: test-deps
	@bench/decode/run --check
	@bench/call/run --check

check-symbols: $(OUT)/kapture.so $(OUT)/libkapture.a
	@for f in $^; do case $$f in *.so) dyn=-D;; *) dyn=;; esac; \
	  names=$$($(NM) $$dyn -g --defined-only $$f | awk 'NF == 3 {print $$3}'); \
	  test "$$names" = luaopen_kapture || \
	  { echo "$$f exports:" $$names >&2; exit 1; }; done

TIME ?= 60
fuzz:
	@tools/deps lint
	spec/fuzz/run $(TIME)

# Lines and branches of csrc/ that the specs and the fuzzers run.
coverage:
	@tools/deps lint
	TIME=$(TIME) spec/coverage
