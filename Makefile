# Every target sets up what it needs: nothing has to be installed by hand on Debian 12 (docs/install.md).
# CARGO_TARGET_DIR is respected. The logic lives in scripts/.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help setup demo build test peers lint fmt loom fuzz bench soak docs bless clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## build, then show a packet's way and what every stage of it costs (no root, no NIC, no hugepages)
	@scripts/setup.sh build
	$(CARGO) build --release --locked -p dataplane --bin weir
	@"$(TARGET_DIR)/release/weir" demo

build: ## release build of weir and weir-bench
	@scripts/setup.sh build
	$(CARGO) build --release --locked --workspace --bins

setup: ## install the system packages that build and test need (Debian)
	@scripts/setup.sh test

test: ## unit, property and house-rules tests, loom, and the tests against real peers (these need root)
	@scripts/setup.sh test
	@scripts/test.sh

peers: ## only the tests against real peers; asks for sudo when not root
	@scripts/setup.sh test
	@scripts/peers.sh --sudo

lint: ## formatting, clippy, rustdoc, shell scripts, licences: warnings are errors
	@scripts/setup.sh lint
	@scripts/lint.sh

fmt: ## format the Rust code
	$(CARGO) fmt --all

loom: ## the shared types under every interleaving; weakened on purpose they must fail
	@scripts/setup.sh build
	@scripts/loom.sh

fuzz: ## fuzz every target for FUZZ_SECONDS (60) each; needs a nightly toolchain and cargo-fuzz
	@scripts/setup.sh build
	@scripts/fuzz.sh

bench: ## compare with testpmd and Open vSwitch on this machine; needs root for hugepages
	@scripts/setup.sh bench
	@scripts/bench.sh

soak: ## the long runs: SOAK_MINUTES (60) of tests that are repeated with new random seeds
	@scripts/setup.sh test
	@scripts/soak.sh

docs: ## API documentation of the workspace
	@scripts/setup.sh build
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --workspace

bless: ## rewrite the documentation pages that are generated from the code
	@scripts/setup.sh build
	WEIR_BLESS=1 $(CARGO) test --locked -p overlay -p dataplane --test house_rules

clean: ## remove what was built
	$(CARGO) clean
