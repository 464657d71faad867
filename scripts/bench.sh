#!/usr/bin/env bash
# Measures weir, testpmd and Open vSwitch alternately on this machine and prints the ratios.
#
# usage: scripts/bench.sh [weir-bench arguments; default: compare]
#
# BENCH_HUGEPAGES sets how many pages of 2 MiB are reserved first (1024).
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $(id -u) -ne 0 ]]; then
    cargo build --release --locked --workspace --bins
    echo "bench: the competitors need root for hugepages; run: sudo ${CARGO_TARGET_DIR:-target}/release/weir-bench compare" >&2
    exit 1
fi
scripts/hugepages.sh "${BENCH_HUGEPAGES:-1024}"
cargo build --release --locked --workspace --bins
if [[ $# -eq 0 ]]; then
    set -- compare
fi
exec "${CARGO_TARGET_DIR:-target}/release/weir-bench" "$@"
