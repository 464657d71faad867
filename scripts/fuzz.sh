#!/usr/bin/env bash
# Fuzzes each target of overlay/fuzz for a while, from its corpus. A crash stops the run and leaves its input in
# overlay/fuzz/artifacts; docs/testing.md says how it becomes a test.
#
# usage: scripts/fuzz.sh [TARGET]...
#
# FUZZ_SECONDS sets the time for each target (60).
set -euo pipefail
cd "$(dirname "$0")/../overlay"

if ! command -v cargo-fuzz >/dev/null; then
    echo "fuzz: cargo-fuzz is not installed: cargo install --locked cargo-fuzz" >&2
    exit 1
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzz: libFuzzer needs a nightly compiler: rustup toolchain install nightly --profile minimal" >&2
    exit 1
fi
if [[ $# -eq 0 ]]; then
    mapfile -t targets < <(cargo +nightly fuzz list)
    set -- "${targets[@]}"
fi
for target in "$@"; do
    printf '== %s\n' "$target"
    cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -timeout=5
done
