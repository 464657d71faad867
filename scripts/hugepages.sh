#!/usr/bin/env bash
# Makes sure that N hugepages of 2 MiB are reserved, in total, and that hugetlbfs is mounted. Never takes any away.
#
# usage: scripts/hugepages.sh N
set -euo pipefail

wanted=${1:?usage: scripts/hugepages.sh N}
pool=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
if [[ ! $wanted =~ ^[0-9]+$ ]]; then
    echo "hugepages: '$wanted' is not a number of pages" >&2
    exit 2
fi
if [[ ! -r $pool ]]; then
    echo "hugepages: this kernel has no hugepages of 2 MiB ($pool is missing)" >&2
    exit 1
fi

reserved=$(<"$pool")
if [[ $reserved -lt $wanted ]]; then
    if [[ ! -w $pool ]]; then
        echo "hugepages: $reserved of $wanted are reserved; run as root: $0 $wanted" >&2
        exit 1
    fi
    echo "$wanted" >"$pool"
    reserved=$(<"$pool")
    if [[ $reserved -lt $wanted ]]; then
        echo "hugepages: the kernel found $reserved of $wanted contiguous pages;" \
            "reserve them at boot with hugepages=$wanted on the kernel's command line" >&2
        exit 1
    fi
fi
if ! grep -qs ' hugetlbfs ' /proc/mounts; then
    mkdir -p /dev/hugepages
    mount -t hugetlbfs hugetlbfs /dev/hugepages
fi
