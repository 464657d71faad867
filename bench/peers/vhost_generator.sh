#!/usr/bin/env bash
# testpmd as both containers of a switch with two vhost-user ports. It takes orders on stdin: "start tx_first 16" puts
# 512 frames on their way in each direction, which then go round for ever; "stop", "quit".
#
# usage: vhost_generator.sh SOCKET_A SOCKET_B CPU
# needs: dpdk-testpmd (Debian package dpdk-dev), root and hugepages
set -euo pipefail

socket_a=$1 socket_b=$2 cpu=$3
# virtio_user maps at most 8 memory regions, hence single-file segments. Frames of 60 octets: 64 with FCS.
exec dpdk-testpmd --lcores "0@$cpu,1@$cpu" --in-memory --no-pci --log-level=3 --file-prefix="weir-bench-gen-$$" \
    -m 256 --single-file-segments \
    --vdev "net_virtio_user0,path=$socket_a,queue_size=1024,mac=02:00:00:00:0a:01" \
    --vdev "net_virtio_user1,path=$socket_b,queue_size=1024,mac=02:00:00:00:0b:01" \
    -- -i --nb-cores=1 --total-num-mbufs=32768 --rxd=1024 --txd=1024 --txpkts=60 --txonly-multi-flow \
    --eth-peer=0,02:00:00:00:0b:01 --eth-peer=1,02:00:00:00:0a:01 --forward-mode=io
