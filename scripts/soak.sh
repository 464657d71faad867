#!/usr/bin/env bash
# The long runs: property tests with many more cases and fresh seeds, and the tests against real peers, over and over.
#
# usage: scripts/soak.sh
#
# SOAK_MINUTES sets the least time (60); a round that has begun is finished. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${SOAK_MINUTES:-60}
round=0
while [[ $SECONDS -lt $((minutes * 60)) ]]; do
    round=$((round + 1))
    printf '\n== soak: round %d, minute %d of %d\n' "$round" $((SECONDS / 60)) "$minutes"
    # Ignored tests of overlay are the ones too long for `make test`.
    PROPTEST_CASES=${PROPTEST_CASES:-20000} cargo test --locked --release --quiet -p overlay -- --include-ignored
    cargo test --locked --quiet -p dataplane --lib
    WEIR_SOAK=1 scripts/peers.sh
done
printf '\n== soak: %d rounds in %d minutes, no failure\n' "$round" $((SECONDS / 60))
