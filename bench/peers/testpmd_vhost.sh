#!/usr/bin/env bash
# DPDK's testpmd moves frames between two vhost-user ports on one core, with the same containers that weir gets.
#
# usage: testpmd_vhost.sh SECONDS MBUFS CPU GENERATOR_CPU [MODE]
# prints: cycles_per_packet, packets, waited_share, and testpmd's lines of receive bursts
# needs: dpdk-testpmd (Debian package dpdk-dev), root, hugepages, two CPUs
set -euo pipefail

seconds=$1 mbufs=$2 cpu=$3 other=$4 mode=${5:-io}
here=$(cd "$(dirname "$0")" && pwd)
# Nanoseconds that a thread of process $1 whose name begins with $2 has waited for its CPU: others' time, not its own.
waited() {
    local task
    for task in /proc/"$1"/task/*; do
        if [[ $(<"$task/comm") == "$2"* ]]; then
            cut -d ' ' -f 2 "$task/schedstat"
            return
        fi
    done
    echo 0
}
share() { awk -v before="$1" -v after="$2" -v seconds="$3" 'BEGIN { printf "waited_share %.4f\n", (after - before) / 1e9 / seconds }'; }

work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM INT
mkfifo "$work/switch.in" "$work/gen.in"

# Without flushing: a restart would throw away the frames that go round.
dpdk-testpmd --lcores "0@$other,1@$cpu" --in-memory --no-pci --log-level=3 --file-prefix="weir-bench-vpmd-$$" \
    --vdev "net_vhost0,iface=$work/a" --vdev "net_vhost1,iface=$work/b" \
    -- -i --nb-cores=1 --total-num-mbufs="$mbufs" --mbuf-size=2176 --burst=32 --forward-mode="$mode" --no-flush-rx \
    --record-core-cycles --record-burst-stats <"$work/switch.in" >"$work/switch" 2>&1 &
pids+=($!)
exec 8>"$work/switch.in"
for _ in $(seq 100); do
    [[ -S $work/a && -S $work/b ]] && break
    sleep 0.1
done
bash "$here/vhost_generator.sh" "$work/a" "$work/b" "$other" <"$work/gen.in" >"$work/gen" 2>&1 &
pids+=($!)
exec 9>"$work/gen.in"
for _ in $(seq 100); do
    grep -q 'testpmd>' "$work/gen" && break
    sleep 0.1
done
sleep 1
echo start >&8
sleep 0.2
echo 'start tx_first 16' >&9
sleep 1 # warm-up
echo stop >&8
sleep 0.3
echo start >&8
before=$(waited "${pids[0]}" rte-worker- || echo 0)
sleep "$seconds"
after=$(waited "${pids[0]}" rte-worker- || echo 0)
echo stop >&8
sleep 0.5
echo 'stop' >&9
echo 'quit' >&9
echo quit >&8
exec 8>&- 9>&-
for _ in $(seq 50); do
    kill -0 "${pids[0]}" 2>/dev/null || break
    sleep 0.1
done
# Only what followed the second start counts.
awk '/start packet forwarding|packet forwarding - ports/ { text = "" } { text = text $0 "\n" } END { printf "%s", text }' \
    "$work/switch" >"$work/last"
sed -n 's/.*CPU cycles\/packet=\([0-9.]*\) .*packets=\([0-9]*\)).*/cycles_per_packet \1\npackets \2/p' "$work/last" | tail -n 2
grep 'RX-bursts' "$work/last" || true
share "$before" "$after" "$seconds"
