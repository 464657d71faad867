/*
 * What a Rust program cannot call: DPDK's inline functions, its macros and its thread-local variables.
 *
 * Functions that are called per burst or less often. Nothing here is called per packet: the packet path reads an mbuf
 * at the offsets below.
 */
#ifndef WEIR_SHIM_H
#define WEIR_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_vhost.h>

/*
 * Layout of an mbuf. Offsets instead of a generated struct: between releases the fields move into and out of anonymous
 * unions, which changes a generated struct's paths but not what these constants mean.
 */
enum {
	WEIR_MBUF_SIZE = sizeof(struct rte_mbuf),
	WEIR_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	WEIR_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	WEIR_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),
	WEIR_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	WEIR_MBUF_PORT = offsetof(struct rte_mbuf, port),
	WEIR_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	WEIR_MBUF_PACKET_TYPE = offsetof(struct rte_mbuf, packet_type),
	WEIR_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	WEIR_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	WEIR_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	WEIR_MBUF_POOL = offsetof(struct rte_mbuf, pool),
	WEIR_MBUF_NEXT = offsetof(struct rte_mbuf, next),
	WEIR_MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload),
	WEIR_MBUF_HEADROOM = RTE_PKTMBUF_HEADROOM,
	/* Bit positions inside tx_offload. */
	WEIR_MBUF_L2_LEN_SHIFT = RTE_MBUF_L2_LEN_OFS,
	WEIR_MBUF_L3_LEN_SHIFT = RTE_MBUF_L3_LEN_OFS,
	/* Limits of this build of DPDK. */
	WEIR_MAX_ETHPORTS = RTE_MAX_ETHPORTS,
	WEIR_MAX_LCORE = RTE_MAX_LCORE,
	WEIR_MAX_QUEUES_PER_PORT = RTE_MAX_QUEUES_PER_PORT,
	WEIR_MEMPOOL_CACHE_MAX = RTE_MEMPOOL_CACHE_MAX_SIZE,
	WEIR_MEMZONE_NAME = RTE_MEMZONE_NAMESIZE,
};

/* Offload flags of an mbuf (macros with casts, which bindgen does not evaluate). */
static const uint64_t WEIR_RX_L4_CKSUM_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t WEIR_RX_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t WEIR_RX_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const uint64_t WEIR_RX_L4_CKSUM_NONE = RTE_MBUF_F_RX_L4_CKSUM_NONE;
static const uint64_t WEIR_TX_IPV4 = RTE_MBUF_F_TX_IPV4;
static const uint64_t WEIR_TX_IPV6 = RTE_MBUF_F_TX_IPV6;
static const uint64_t WEIR_TX_TCP_CKSUM = RTE_MBUF_F_TX_TCP_CKSUM;
static const uint64_t WEIR_TX_UDP_CKSUM = RTE_MBUF_F_TX_UDP_CKSUM;
static const uint64_t WEIR_TX_OFFLOAD_MASK = RTE_MBUF_F_TX_OFFLOAD_MASK;

/* Offload capabilities of an Ethernet device. */
static const uint64_t WEIR_ETH_RX_TCP_CKSUM = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t WEIR_ETH_RX_UDP_CKSUM = RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t WEIR_ETH_RX_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t WEIR_ETH_RX_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t WEIR_ETH_TX_TCP_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t WEIR_ETH_TX_UDP_CKSUM = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
static const uint64_t WEIR_ETH_TX_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t WEIR_ETH_TX_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t WEIR_ETH_TX_MBUF_FAST_FREE = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;

/* Flags of a vhost-user socket. */
static const uint64_t WEIR_VHOST_USER_CLIENT = RTE_VHOST_USER_CLIENT;
static const uint64_t WEIR_VHOST_USER_NET_COMPLIANT_OL_FLAGS = RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;

/* Flags of a ring. */
static const uint32_t WEIR_RING_F_SP_ENQ = RING_F_SP_ENQ;
static const uint32_t WEIR_RING_F_SC_DEQ = RING_F_SC_DEQ;

/* Thread-local variables. */
int weir_errno(void);
unsigned int weir_lcore_id(void);

/* Writes the CPUs that an lcore may run on to `cpus`, at most `room` of them; returns how many there are. */
unsigned int weir_lcore_cpus(unsigned int lcore, unsigned int *cpus, unsigned int room);

/* mbufs and pools. */
struct rte_mbuf *weir_pktmbuf_alloc(struct rte_mempool *pool);
int weir_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
void weir_pktmbuf_free(struct rte_mbuf *mbuf);
int weir_pktmbuf_check(const struct rte_mbuf *mbuf, const char **reason);
unsigned int weir_mempool_populated(const struct rte_mempool *pool);

/* Whether the link is up: 1, 0, or -1 when the device does not say. */
int weir_eth_link_up(uint16_t port);

/* Rings with one producer and one consumer; both return how many were moved. */
unsigned int weir_ring_sp_enqueue_burst(struct rte_ring *ring, struct rte_mbuf *const *mbufs, unsigned int count);
unsigned int weir_ring_sc_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int count);
unsigned int weir_ring_count(const struct rte_ring *ring);

/*
 * Sends EAL's log to `write`, one call a message, on the thread that logs. Levels and types are DPDK's. Call it before
 * rte_eal_init. Returns 0, or -1 with errno set.
 */
typedef void (*weir_log_write)(uint32_t level, uint32_t type, const char *text, size_t octets);
int weir_log_bridge(weir_log_write write);

#endif
