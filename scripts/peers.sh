#!/usr/bin/env bash
# Runs the tests against real peers (the kernel's VXLAN, testpmd, tshark): dataplane/tests/peer_*.rs.
#
# usage: scripts/peers.sh [--sudo] [NAME]
#
#   --sudo   when not root, run the built tests by sudo (it may ask for a password)
#   NAME     only the test binaries whose name contains NAME
#
# They need root: they make network namespaces and tap devices. Their tests are marked #[ignore] so that a plain
# `cargo test` works for everybody. Without root and --sudo, one line says how many did not run; in CI that is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

use_sudo=no
if [[ ${1:-} = --sudo ]]; then
    use_sudo=yes
    shift
fi
name=${1:-}

shopt -s nullglob
files=(dataplane/tests/peer_*"$name"*.rs)
if [[ ${#files[@]} -eq 0 ]]; then
    echo "peers: no dataplane/tests/peer_*$name*.rs found" >&2
    exit 1
fi
count=$(cat "${files[@]}" | grep -Ec '^[[:space:]]*#\[test\]' || true)

not_run() {
    echo "peers: $count peer tests were NOT run ($1); run them with: make peers" >&2
    if [[ ${CI:-} = true ]]; then
        echo "peers: CI=true, so this is an error" >&2
        exit 1
    fi
    exit 0
}

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    [[ $use_sudo = yes ]] || not_run "they need root"
    as_root=(sudo)
fi
# A container's root may lack what a namespace needs.
"${as_root[@]}" unshare --net --mount true 2>/dev/null || not_run "no network namespaces may be made here"
"${as_root[@]}" test -c /dev/net/tun || not_run "/dev/net/tun is missing: modprobe tun"

# Built as the user, run as root: no file of root's appears in the target folder.
selection=()
for file in "${files[@]}"; do
    selection+=(--test "$(basename "$file" .rs)")
done
mapfile -t binaries < <(
    cargo test --locked -p dataplane "${selection[@]}" --no-run --quiet --message-format=json-render-diagnostics |
        jq -r 'select(.reason == "compiler-artifact" and .profile.test and .executable != null) | .executable'
)
if [[ ${#binaries[@]} -ne ${#files[@]} ]]; then
    echo "peers: ${#files[@]} test files, but ${#binaries[@]} test binaries were built; see cargo's message above" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
for binary in "${binaries[@]}"; do
    printf -- '-- %s\n' "$(basename "$binary" | sed 's/-[0-9a-f]*$//')"
    # One at a time: each starts its own EAL, peers and pollers, and there may be two cores.
    (cd dataplane && "${as_root[@]}" "$binary" --include-ignored --test-threads=1 </dev/null) 2>&1 | tee "$log"
    ran=$(sed -nE 's/^test result: ok\. ([0-9]+) passed.*/\1/p' "$log")
    passed=$((passed + ${ran:-0}))
done
if [[ $passed -lt $count ]]; then
    echo "peers: $count tests are in the sources, but only $passed ran" >&2
    exit 1
fi
echo "peers: $passed tests passed against real peers"
