#!/usr/bin/env bash
# What `make lint` runs after set-up. A tool that is not installed is named, and left out.
#
# usage: scripts/lint.sh
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    printf '== %s\n' "$*"
    "$@"
}

run cargo fmt --all -- --check
run cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
printf '== cargo doc, warnings are errors\n'
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --workspace --quiet

for script in scripts/*.sh bench/peers/*.sh .ci/run; do
    bash -n "$script"
done
if command -v shellcheck >/dev/null; then
    run shellcheck scripts/*.sh bench/peers/*.sh .ci/run
else
    echo "lint: shellcheck is not installed: the scripts' syntax was checked, their style was not (apt-get install shellcheck)"
fi
if command -v cargo-deny >/dev/null; then
    run cargo deny --locked check
else
    echo "lint: cargo-deny is not installed: licences and advisories were not checked (cargo install --locked cargo-deny)"
fi
echo "== make lint passed"
