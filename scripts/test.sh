#!/usr/bin/env bash
# Everything `make test` runs after set-up, with the time each part took.
#
# usage: scripts/test.sh
#
# CI=true turns everything that would be left out elsewhere into an error.
set -euo pipefail
cd "$(dirname "$0")/.."

summary=()
part() { # part NAME COMMAND...: stops the run when the command fails
    local name=$1 started=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@"
    summary+=("$(printf '%5d s  %s' $((SECONDS - started)) "$name")")
}

part "unit, property and house-rules tests" cargo test --locked --workspace --quiet
part "loom: every interleaving of the shared types" scripts/loom.sh
part "real peers" scripts/peers.sh

printf '\n== make test passed\n'
printf '%s\n' "${summary[@]}"
