# SPDX-License-Identifier: GPL-2.0-or-later
#
# The verbs of the README. Each works as the only command in a fresh clone: what is missing is
# installed by ./configure --install-deps (as root or with sudo; INSTALL_DEPS=no leaves that out).
BUILD ?= build
INSTALL_DEPS ?= yes
CONFIGURE_FLAGS = $(if $(filter yes,$(INSTALL_DEPS)),--install-deps)

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	./configure $(CONFIGURE_FLAGS) --builddir=$(BUILD)

# Live migration of a running guest between two processes, watched in the terminal.
demo: all
	python3 scripts/demo.py --builddir $(BUILD)

# All test suites; ends in "N passed, N failed, N skipped".
check:
	./configure $(CONFIGURE_FLAGS) --deps-only --for=check
	$(MAKE) $(BUILD)/build.ninja
	python3 scripts/check.py --builddir $(BUILD)

# godwit against stock QEMU; table, JSON and chart in bench/results/.
bench:
	./configure $(CONFIGURE_FLAGS) --deps-only --for=check
	$(MAKE) all
	python3 bench/run.py --builddir $(BUILD) $(BENCH_FLAGS)

# Postcopy many times over, an hour or more; parts of it: SOAK_FLAGS='--only "move sim" --runs 2'.
soak: all
	./configure $(CONFIGURE_FLAGS) --deps-only --for=check
	python3 scripts/soak.py --builddir $(BUILD) $(SOAK_FLAGS)

# A short run of every fuzz target; FUZZ_SECONDS=3600 for a long one.
FUZZ_SECONDS ?= 20
fuzz:
	./configure $(CONFIGURE_FLAGS) --deps-only --for=fuzz
	python3 scripts/fuzz.py --seconds $(FUZZ_SECONDS)

lint: all
	./configure $(CONFIGURE_FLAGS) --deps-only --for=lint
	python3 scripts/lint.py --builddir $(BUILD) --cppcheck

docs: all
	./configure $(CONFIGURE_FLAGS) --deps-only --for=docs
	python3 scripts/make-docs.py --builddir $(BUILD)

install: all
	meson install -C $(BUILD)

clean:
	rm -rf build build-*

.PHONY: all demo check bench soak fuzz lint docs install clean
