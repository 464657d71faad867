#!/usr/bin/env bash
# DPDK's testpmd moves frames from a looping capture to a null port on one core: nothing can cost less.
#
# usage: testpmd.sh PCAP SECONDS MBUFS CPU [MODE]        MODE is io (default), macswap, …
# prints: cycles_per_packet, packets, waited_share (part of the time that others had its CPU)
# needs: dpdk-testpmd (Debian package dpdk-dev); hugepages and root, or NO_HUGE=1
set -euo pipefail

pcap=$1 seconds=$2 mbufs=$3 cpu=$4 mode=${5:-io}
main=0
[[ $cpu -eq 0 ]] && main=1
memory=(--in-memory)
[[ ${NO_HUGE:-0} -eq 1 ]] && memory=(--no-huge -m 512)

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
pid=
finish() {
    [[ -n $pid ]] && kill "$pid" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM INT
mkfifo "$work/orders"
dpdk-testpmd --lcores "0@$main,1@$cpu" "${memory[@]}" --no-pci --log-level=3 --file-prefix="weir-bench-pmd-$$" \
    --vdev "net_pcap0,rx_pcap=$pcap,infinite_rx=1" --vdev net_null0,no-rx=1 \
    -- -i --nb-cores=1 --total-num-mbufs="$mbufs" --mbuf-size=2176 --burst=32 --forward-mode="$mode" --auto-start \
    --record-core-cycles <"$work/orders" >"$work/out" 2>&1 &
pid=$!
exec 9>"$work/orders"
for _ in $(seq 100); do
    grep -q 'testpmd>' "$work/out" && break
    sleep 0.1
done
sleep 0.7 # warm-up; statistics are those since the last start
echo stop >&9
sleep 0.3
echo start >&9
before=$(waited "$pid" rte-worker- || echo 0)
sleep "$seconds"
after=$(waited "$pid" rte-worker- || echo 0)
echo stop >&9
sleep 0.5
echo quit >&9
exec 9>&-
wait "$pid" || {
    tail -n 20 "$work/out" >&2
    exit 1
}
pid=
sed -n 's/.*CPU cycles\/packet=\([0-9.]*\) .*packets=\([0-9]*\)).*/cycles_per_packet \1\npackets \2/p' "$work/out" | tail -n 2
share "$before" "$after" "$seconds"
