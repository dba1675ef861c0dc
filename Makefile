# Everyday commands. `make demo` needs a Rust toolchain, a C compiler, make and perl, nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help toolchain demo test packages imitations check format lint docs deny lean bench fuzz

# How long `make fuzz` runs each target.
SECONDS_EACH ?= 300
# The profile `make demo` builds: release, or dev for a quicker build.
HOIST_PROFILE ?= release

# Arguments for benches/fleet/bench.
BENCH ?=

help: ## show these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

toolchain:
	@.ci/toolchain

demo: toolchain ## build hoist, then raise five hosts on this machine, command them, and take them away
	@echo 'make demo: building hoist ($(HOIST_PROFILE)); the first time OpenSSL is built too, which takes some minutes'
	@built=$$(cargo build --quiet --locked --profile $(HOIST_PROFILE) --bin hoist \
	    --message-format json-render-diagnostics); \
	HOIST=$$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<<"$$built") examples/demo/demo

packages:
	@tests/packages

imitations: packages
	@tests/imitations

# Every test: in the library, the program, the documentation, and end to end.
test: toolchain packages imitations ## install what the tests need, then run all of them
	@if cargo nextest --version >/dev/null 2>&1; then \
	    set -x; cargo nextest run --locked --no-fail-fast; \
	else \
	    echo 'make test: cargo-nextest is not installed, so cargo test it is'; \
	    set -x; cargo test --locked --no-fail-fast --lib --bins --tests; \
	fi
	cargo test --locked --doc

check: format lint docs deny lean ## format, lints, documentation, licences and sources of crates

format:
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml

lint: toolchain
	cargo clippy --locked --all-targets -- -D warnings

docs: toolchain
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

deny:
	@.ci/deny

# The library alone, as another program embeds it.
lean: toolchain
	cargo clippy --locked --lib --no-default-features --features vendored-openssl -- -D warnings

bench: toolchain ## measure hoist against its peers (BENCH=--quick: in two minutes), then its own parts
	cargo build --locked --release --bin hoist
	cargo build --locked --release --manifest-path benches/fleet/Cargo.toml
	benches/fleet/bench $(BENCH) --hoist "$$(.ci/target-dir)/release/hoist"
	cargo bench --locked

fuzz: toolchain ## look for inputs that break a promise; SECONDS_EACH=300 is how long for each target
	fuzz/run $(SECONDS_EACH)
