#!/usr/bin/env bash
# Open vSwitch with DPDK on the same devices: one polling core, its own network and mount namespace, its own database.
#
# usage: ovs.sh forward|vxlan|decap PCAP SECONDS CPU
# prints: cycles_per_packet, packets, waited_share (part of the time that others had its CPU)
# needs: root, 1 GiB of free hugepages, Debian package openvswitch-switch-dpdk, two CPUs
set -euo pipefail

if [[ ${OVS_IN_NAMESPACE:-0} -ne 1 ]]; then
    exec unshare --net --mount env OVS_IN_NAMESPACE=1 bash "$0" "$@"
fi
case_=$1 pcap=$2 seconds=$3 cpu=$4
main=0
[[ $cpu -eq 0 ]] && main=1

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

run=$(mktemp -d)
export OVS_RUNDIR=$run OVS_LOGDIR=$run OVS_DBDIR=$run
finish() {
    local file pid
    for file in "$run"/ovs-vswitchd*.pid "$run"/ovsdb-server.pid; do
        [[ -f $file ]] || continue
        pid=$(<"$file")
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    done
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 143' TERM INT

vsctl() { ovs-vsctl --timeout=20 --db="unix:$run/db.sock" "$@"; }
appctl() { ovs-appctl -t "$(echo "$run"/ovs-vswitchd*.ctl)" "$@"; }

ovsdb-tool create "$run/conf.db" /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server "$run/conf.db" --remote="punix:$run/db.sock" --pidfile --detach --log-file >/dev/null 2>&1
vsctl --no-wait init
# 512 MiB make its pool settle at 131,072 buffers: it halves its first wish until it fits.
vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true other_config:dpdk-socket-mem=512 \
    other_config:dpdk-lcore-mask="$(printf '0x%x' $((1 << main)))" \
    other_config:pmd-cpu-mask="$(printf '0x%x' $((1 << cpu)))" \
    other_config:dpdk-extra="--in-memory --no-pci --file-prefix=weir-bench-ovs-$$"
/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk "unix:$run/db.sock" --pidfile --detach --log-file >/dev/null 2>&1

# An underlay bridge with our VTEP address, an overlay bridge with the containers; both switch by rules only.
for bridge in underlay overlay; do
    vsctl add-br "$bridge" -- set bridge "$bridge" datapath_type=netdev fail-mode=secure
done
vsctl set bridge underlay other_config:hwaddr=02:aa:00:00:00:01
null() { vsctl add-port "$1" "$2" -- set Interface "$2" ofport_request=2 type=dpdk "options:dpdk-devargs=net_null_$2,size=64,no-rx=1"; }
null underlay uplink
null overlay container
vsctl add-port overlay tunnel -- set Interface tunnel ofport_request=3 type=vxlan options:remote_ip=198.51.100.2 options:key=100
ip link set lo up
ip address add 198.51.100.1/24 dev underlay
ip link set underlay up
sleep 0.5
appctl tnl/neigh/set underlay 198.51.100.2 02:aa:00:00:00:02 >/dev/null

flow() { ovs-ofctl add-flow "$run/$1.mgmt" "$2"; }
input=overlay
flow underlay "priority=1,actions=output:2"
case $case_ in
forward) flow overlay "in_port=1,actions=output:2" ;;
vxlan) flow overlay "in_port=1,actions=output:3" ;;
decap)
    flow underlay "priority=10,in_port=1,actions=LOCAL"
    flow overlay "in_port=3,actions=output:2"
    input=underlay
    ;;
*)
    echo "unknown case $case_: forward, vxlan or decap" >&2
    exit 2
    ;;
esac
# Traffic last: a flow that is learned before the rules stand would be a different one.
vsctl add-port "$input" source -- set Interface source ofport_request=1 type=dpdk \
    "options:dpdk-devargs=net_pcap_source,rx_pcap=$pcap,infinite_rx=1"
sleep 1.5
appctl dpif-netdev/pmd-stats-clear >/dev/null
pid=$(<"$(echo "$run"/ovs-vswitchd*.pid)")
before=$(waited "$pid" pmd-c || echo 0)
sleep "$seconds"
after=$(waited "$pid" pmd-c || echo 0)
stats=$(appctl dpif-netdev/pmd-stats-show | sed -n '/pmd thread/,/main thread/p')
# What came in must have gone out by the right port: a rule that drops would look fast.
out=container
[[ $case_ = vxlan ]] && out=uplink
sent=$(appctl dpctl/show --statistics |
    awk -v name="$out" '$1 == "port" { here = $3 == name } here && $1 == "TX" { sub("packets:", "", $2); print $2 }')
if [[ ${sent:-0} -lt 1000 ]]; then
    echo "Open vSwitch sent ${sent:-no} packets on its port '$out' in case $case_" >&2
    exit 1
fi
sed -n 's/.*avg cycles per packet: \([0-9.]*\).*/cycles_per_packet \1/p; s/.*packets received: \([0-9]*\).*/packets \1/p' <<<"$stats"
share "$before" "$after" "$seconds"
