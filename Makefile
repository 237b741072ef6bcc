# Everything that is built, tested and measured. `make help` lists it; what is missing of Debian's packages is installed.

ARCH ?= $(shell uname -m)
DIST = target/dist
CARGO_DIR = $(or $(CARGO_TARGET_DIR),target)
MAX_RELEASE = 262144
MAX_INIT = 57344

TARGET.x86_64 = x86_64-unknown-linux-musl
TARGET.aarch64 = aarch64-unknown-linux-musl
TARGET.armv7 = armv7-unknown-linux-musleabihf
TARGET.riscv64 = riscv64gc-unknown-linux-musl
TARGET = $(or $(TARGET.$(ARCH)),$(error ARCH is one of x86_64 aarch64 armv7 riscv64, not "$(ARCH)"))

ifeq ($(ARCH),$(shell uname -m))
GROUPS = build
else
GROUPS = build cross-$(ARCH)
SUFFIX = -$(ARCH)
endif

HOST_CARGO = .ci/toolchain.sh host
BUILD = .ci/install.sh $(GROUPS) && .ci/toolchain.sh $(TARGET) build --quiet --release --locked
OUT = $(CARGO_DIR)/$(TARGET)/release
# $(call put,BUILT,NAME): by rename, so that a running test never sees half a file; not touched when it is the same
put = @mkdir -p $(DIST) && cp $(1) $(DIST)/.$(2) && .ci/cut-sections $(DIST)/.$(2) && \
	if cmp -s $(DIST)/.$(2) $(DIST)/$(2); then rm $(DIST)/.$(2); else mv $(DIST)/.$(2) $(DIST)/$(2); fi

# $(call test_env,FOLDER): the files under test, taken from there
test_env = LAUNCHER_BIN=$(1)/launcher LAUNCHER_PROBE=$(1)/probe LAUNCHER_INIT_ONLY=$(1)/launcher-init \
	$(foreach arch,aarch64 armv7 riscv64,LAUNCHER_$(shell echo $(arch) | tr a-z A-Z)=$(1)/launcher-$(arch)) LAUNCHER_DOCS=$(1)
TEST_ENV = $(call test_env,$(CURDIR)/$(DIST))

.PHONY: release init-only probe docs native aarch64 armv7 riscv64 all-builds test fuzz engines lint size bench compare run soak clean help
.NOTPARALLEL: # release and init-only come out of cargo under one name
.DEFAULT_GOAL = release

release: ## target/dist/launcher, the static file that is shipped (ARCH=aarch64|armv7|riscv64: launcher-ARCH)
	@$(BUILD) --bin launcher
	$(call put,$(OUT)/launcher,launcher$(SUFFIX))

init-only: ## target/dist/launcher-init: without the container part
	@$(BUILD) --bin launcher --no-default-features
	$(call put,$(OUT)/launcher,launcher-init$(SUFFIX))

probe: ## target/dist/probe: the program that tests run in a container
	@$(BUILD) --example probe
	$(call put,$(OUT)/examples/probe,probe$(SUFFIX))

# not a part of release, which needs no second compiler run and whose file has nothing of it
docs: ## target/dist/launcher.1, and completions for bash (launcher.bash), zsh (_launcher), fish (launcher.fish)
	@mkdir -p $(DIST)
	@$(HOST_CARGO) run --quiet --locked --example docs -- $(DIST)

native: release probe init-only docs

# Each into a folder of its own, so that cargo lets two of them run at once. Where the compiler or the libc of another machine cannot be had, the others go on: its tests tell that
# they are skipped, which CI takes for a failure.
aarch64 armv7 riscv64:
	@rm -f $(DIST)/launcher-$@ $(DIST)/probe-$@
	@if .ci/install.sh build cross-$@; then CARGO_TARGET_DIR=$(CARGO_DIR)/$@ $(MAKE) --no-print-directory release probe ARCH=$@; \
	else echo "launcher: without the build for $@, and without its tests" >&2; fi

all-builds: ## all of the above, for all machines, as many at once as there are processors
	@printf '%s\n' aarch64 armv7 riscv64 native | xargs -P "$$(nproc)" -n 1 $(MAKE) --no-print-directory

test: all-builds ## every test, on the shipped files (TESTS="--test cli" for some)
	@.ci/install.sh test
	@# in a folder that the ordinary user of the tests can reach, wherever the checkout is; and with no signal ignored, as
	@# nohup and shells' background jobs do it: launcher takes that for its caller's wish
	bin=$$(mktemp -d) && trap 'rm -rf "$$bin"' EXIT && chmod 755 "$$bin" && cp $(DIST)/* "$$bin" && \
	env --default-signal $(call test_env,$$bin) $(HOST_CARGO) test --locked --no-fail-fast $(TESTS)
	@if [ -x tests/bench/compare.py ]; then $(TEST_ENV) tests/bench/compare.py --behaviour --quiet --check README.md; fi
	@if [ -x tests/vm/run-all ]; then .ci/install.sh vm && $(TEST_ENV) tests/vm/run-all; fi
	@if [ -x tests/engines/run-all ]; then .ci/install.sh engines && $(TEST_ENV) tests/engines/run-all; fi

fuzz: ## libFuzzer on each parser for FUZZ_SECONDS (600); TARGETS="mounts" for some, see tests/fuzz/fuzz_targets
	@.ci/install.sh fuzz
	@tests/fuzz/run $(TARGETS)

engines: release probe ## of the tests: docker and podman with launcher as their init
	@.ci/install.sh engines
	@$(TEST_ENV) tests/engines/run-all

lint: ## format and clippy, all three feature sets
	@$(HOST_CARGO) clippy --version >/dev/null 2>&1 || .ci/install.sh lint
	$(HOST_CARGO) fmt --check
	$(HOST_CARGO) clippy --locked --all-targets -- -D warnings
	$(HOST_CARGO) clippy --locked --all-targets --no-default-features --features container -- -D warnings
	$(HOST_CARGO) clippy --locked --all-targets --no-default-features -- -D warnings

size: release init-only ## fails when a shipped file is too large or not a hardened static PIE
	@.ci/check-file $(DIST)/launcher $(MAX_RELEASE)
	@.ci/check-file $(DIST)/launcher-init $(MAX_INIT)

bench: release init-only probe ## times and memory beside tini, bubblewrap, crun, runc; the boot beside busybox
	@.ci/install.sh bench vm
	@$(TEST_ENV) python3 tests/bench/bench.py

compare: release probe ## what launcher does beside tini, dumb-init, catatonit: the README's table
	@.ci/install.sh bench
	@$(TEST_ENV) python3 tests/bench/compare.py --check README.md

run: release ## the demonstration
	@.ci/install.sh test
	@tests/demo.sh $(DIST)/launcher

soak: release probe ## a minute of signals and orphans, ten of starts and stops; looks for what is lost or stays
	@.ci/install.sh test
	@$(TEST_ENV) LAUNCHER_STORM_SECONDS=60 $(HOST_CARGO) test --locked --test storm -- --nocapture
	@$(TEST_ENV) tests/soak.sh $(DIST)/launcher

clean: ## removes target/
	@rm -rf target

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' Makefile | expand -t 12
