#!/usr/bin/env bash
# Compiles with the orderings that `cfg(weir_weaken)` weakens. As cargo's RUSTC_WORKSPACE_WRAPPER it reaches weir's own
# crates only, so that the dependencies are not built a second time.
#
# usage: RUSTC_WORKSPACE_WRAPPER=scripts/rustc-weakened.sh cargo test …
set -euo pipefail
exec "$@" --cfg weir_weaken
