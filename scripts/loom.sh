#!/usr/bin/env bash
# Runs every tests/loom_*.rs under loom twice: as shipped, where it must pass, and with the orderings that
# `cfg(weir_weaken)` weakens (Release to Relaxed), where it must fail. A model that passes both proves nothing.
#
# usage: scripts/loom.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# RUSTFLAGS replaces the flags of .cargo/config.toml, so the baseline is repeated here.
baseline=""
if [[ $(uname -m) = x86_64 ]]; then
    baseline="-C target-cpu=x86-64-v2"
fi
# Other flags mean other artifacts: a folder of its own keeps the ordinary build warm.
export RUSTFLAGS="$baseline --cfg weir_loom"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/loom

log=$(mktemp)
trap 'rm -f "$log"' EXIT

weakened() { RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/rustc-weakened.sh" "$@"; }

found=0
for file in */tests/loom_*.rs; do
    [[ -e $file ]] || continue
    found=$((found + 1))
    package=${file%%/*}
    test=$(basename "$file" .rs)

    cargo test --locked --quiet -p "$package" --test "$test" 2>&1 | tee "$log"
    if ! grep -Eq '^test result: ok\. [1-9]' "$log"; then
        echo "loom: $file ran no test under --cfg weir_loom" >&2
        exit 1
    fi

    # It must compile: only a model that runs and fails shows that loom sees the ordering.
    weakened cargo test --locked --quiet -p "$package" --test "$test" --no-run
    if weakened cargo test --locked --quiet -p "$package" --test "$test" >"$log" 2>&1; then
        echo "loom: $file passes although cfg(weir_weaken) weakened its orderings: the model does not see them" >&2
        exit 1
    fi
    if ! grep -q '^test result: FAILED' "$log"; then
        tail -n 30 "$log" >&2
        echo "loom: $file, weakened, did not fail as a test; its last lines are above" >&2
        exit 1
    fi
    echo "loom: $file passes as shipped and fails weakened, as it must"
done
if [[ $found -eq 0 ]]; then
    echo "loom: no */tests/loom_*.rs found" >&2
    exit 1
fi
