//! Pins the fields of an mbuf that weir reads: a DPDK that moves one of them fails here, not in a packet.

use dpdk_sys as dpdk;

/// The layout that the packet path was written and measured with: DPDK 22.11 to 25.11 on 64 bit, little endian.
#[test]
fn fields_of_the_first_cache_line_stay_where_they_are() {
    assert_eq!(dpdk::WEIR_MBUF_BUF_ADDR, 0);
    assert_eq!(dpdk::WEIR_MBUF_DATA_OFF, 16);
    assert_eq!(dpdk::WEIR_MBUF_REFCNT, 18);
    assert_eq!(dpdk::WEIR_MBUF_NB_SEGS, 20);
    assert_eq!(dpdk::WEIR_MBUF_PORT, 22);
    assert_eq!(dpdk::WEIR_MBUF_OL_FLAGS, 24);
    assert_eq!(dpdk::WEIR_MBUF_PACKET_TYPE, 32);
    assert_eq!(dpdk::WEIR_MBUF_PKT_LEN, 36);
    assert_eq!(dpdk::WEIR_MBUF_DATA_LEN, 40);
    assert_eq!(dpdk::WEIR_MBUF_BUF_LEN, 54);
    assert_eq!(dpdk::WEIR_MBUF_POOL, 56);
}

#[test]
fn fields_of_the_second_cache_line_stay_where_they_are() {
    // With RTE_IOVA_AS_PA off (a build option of DPDK), `next` lies in the first line.
    assert!(matches!(dpdk::WEIR_MBUF_NEXT, 64 | 8), "next at {}", dpdk::WEIR_MBUF_NEXT);
    assert_eq!(dpdk::WEIR_MBUF_TX_OFFLOAD, 72);
    assert_eq!(dpdk::WEIR_MBUF_L2_LEN_SHIFT, 0);
    assert_eq!(dpdk::WEIR_MBUF_L3_LEN_SHIFT, 7);
}

#[test]
fn an_mbuf_is_two_cache_lines_so_that_the_private_area_starts_a_third() {
    assert_eq!(dpdk::WEIR_MBUF_SIZE, 128);
    assert_eq!(dpdk::WEIR_MBUF_HEADROOM, 128);
}

#[test]
fn the_fast_path_table_has_one_entry_a_port_of_two_cache_lines() {
    assert_eq!(size_of::<dpdk::rte_eth_fp_ops>(), 128);
    assert_eq!(align_of::<dpdk::rte_eth_fp_ops>(), 64);
}

#[test]
fn the_release_is_at_least_the_oldest_that_is_supported() {
    let mut parts = dpdk::DPDK_VERSION.split('.').map(|part| part.parse::<u32>().unwrap());
    let found = (parts.next().unwrap(), parts.next().unwrap());
    assert!(found >= (22, 11), "{}", dpdk::DPDK_VERSION);
    assert_eq!(cfg!(dpdk_ge_2303), found >= (23, 3));
    assert_eq!(cfg!(dpdk_ge_2311), found >= (23, 11));
}
