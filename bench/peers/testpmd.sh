#!/usr/bin/env bash
# DPDK's testpmd moves frames from a looping capture to a null port on one core: nothing can cost less.
#
# usage: testpmd.sh PCAP SECONDS MBUFS CPU [MODE]        MODE is io (default), macswap, …
# prints: cycles_per_packet, packets
# needs: dpdk-testpmd (Debian package dpdk); hugepages and root, or NO_HUGE=1
set -euo pipefail

pcap=$1 seconds=$2 mbufs=$3 cpu=$4 mode=${5:-io}
main=0
[[ $cpu -eq 0 ]] && main=1
memory=(--in-memory)
[[ ${NO_HUGE:-0} -eq 1 ]] && memory=(--no-huge -m 512)

out=$(mktemp)
trap 'rm -f "$out"' EXIT
orders() {
    sleep 1 # warm-up: statistics are those since "start", so start twice
    echo stop
    echo start
    sleep "$seconds"
    echo stop
    sleep 0.3
    echo quit
}
orders | dpdk-testpmd --lcores "0@$main,1@$cpu" "${memory[@]}" --no-pci --log-level=3 --file-prefix="weir-bench-pmd-$$" \
    --vdev "net_pcap0,rx_pcap=$pcap,infinite_rx=1" --vdev net_null0,no-rx=1 \
    -- -i --nb-cores=1 --total-num-mbufs="$mbufs" --mbuf-size=2176 --burst=32 --forward-mode="$mode" --auto-start \
    --record-core-cycles >"$out" 2>&1 || {
    tail -n 20 "$out" >&2
    exit 1
}
sed -n 's/.*CPU cycles\/packet=\([0-9.]*\) (total cycles=[0-9]* \/ total RX packets=\([0-9]*\)).*/cycles_per_packet \1\npackets \2/p;
        s/.*CPU cycles\/packet=\([0-9.]*\) (busy cycles=[0-9]* \/ total [io RX]*packets=\([0-9]*\)).*/cycles_per_packet \1\npackets \2/p' "$out" | tail -n 2
