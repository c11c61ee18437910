# make lint, and each linter by itself.

C_FILES   = $(shell find csrc spec examples bench -name "*.[ch]")
LUA_DIRS := $(wildcard lua library plugin sandbox spec examples bench bin tools rockspec)

LINTS := lint-house lint-format lint-cppcheck lint-tidy lint-lua lint-parse lint-shell
$(LINTS): lint-deps
lint-deps:
	@tools/deps lint

lint: $(LINTS)

# Layers, circles and names of csrc/.
lint-house: $(OBJS)
	tools/house $(OUT)/obj

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
