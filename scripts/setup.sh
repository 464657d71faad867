#!/usr/bin/env bash
# Installs the system packages that are missing; does nothing, in milliseconds, when none is.
#
# usage: scripts/setup.sh [build|lint|test|bench]
#
#   build   what compiling and `weir demo` need (default)
#   lint    build, and shellcheck
#   test    build, and the peers and judges of `make test`
#   bench   test, and Open vSwitch with DPDK, the competitor in `make bench`
#
# Packages are installed as root, by sudo if it works without a password or a terminal is there to ask for one, or else
# not at all: then one line says which command to run.
set -euo pipefail

build_packages=(libdpdk-dev pkg-config libclang-dev gcc libc6-dev)
test_packages=(dpdk-dev tshark iperf3 iproute2 ethtool python3-scapy iputils-ping tcpdump jq util-linux)
bench_packages=(openvswitch-switch-dpdk)
lint_packages=(shellcheck)

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

purpose=${1:-build}
case $purpose in
build) wanted=("${build_packages[@]}") ;;
lint) wanted=("${build_packages[@]}" "${lint_packages[@]}") ;;
test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
bench) wanted=("${build_packages[@]}" "${test_packages[@]}" "${bench_packages[@]}") ;;
*) fail "unknown purpose '$purpose': use build, lint, test or bench" ;;
esac

command -v cargo >/dev/null || fail "cargo is not installed: get Rust from https://rustup.rs, then run this again"

# Another distribution: its package names are documented; do not guess with a package manager we have not tried.
is_debian=no
if [[ -r /etc/os-release ]]; then
    # shellcheck source=/dev/null
    case "$(. /etc/os-release && printf '%s' "${ID:-}")" in
    debian) is_debian=yes ;;
    esac
fi
if [[ $is_debian = no ]]; then
    if pkg-config --atleast-version=22.11 libdpdk 2>/dev/null; then
        exit 0
    fi
    fail "libdpdk 22.11 or later was not found, and packages are only installed by this script on Debian:" \
        "see docs/install.md for the names on other distributions"
fi

# One call tells the state of all of them; a package that dpkg has never heard of is simply absent from the answer.
missing=()
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null | awk '$1 == "ii" { print $2 }' || true)
for package in "${wanted[@]}"; do
    grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
    exit 0
fi

# tshark asks whether non-root users may capture: the non-interactive answer, no, is the right one for us.
install="DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${missing[*]}"
if [[ $(id -u) -eq 0 ]]; then
    as_root=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
elif command -v sudo >/dev/null && [[ -t 0 && -t 2 ]]; then
    as_root=(sudo env)
else
    fail "packages are missing; run as root: apt-get update && $install"
fi

printf 'setup: installing %s\n' "${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive "$@" </dev/null >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        fail "'$*' failed; its last lines are above"
    }
}
# The password, if one is asked for, must be asked before stdin and stderr are redirected.
"${as_root[@]}" true
run apt-get -q update
run apt-get -q install -y --no-install-recommends "${missing[@]}"

for package in "${missing[@]}"; do
    if [[ $package = openvswitch-switch-dpdk ]]; then
        echo "setup: Debian starts Open vSwitch's daemons on installation; 'systemctl disable --now openvswitch-switch'" \
            "stops them. weir-bench starts its own." >&2
    fi
done
