#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "shim.h"

int weir_errno(void)
{
	return rte_errno;
}

unsigned int weir_lcore_id(void)
{
	return rte_lcore_id();
}

unsigned int weir_lcore_cpus(unsigned int lcore, unsigned int *cpus, unsigned int room)
{
	rte_cpuset_t set = rte_lcore_cpuset(lcore);
	unsigned int cpu, count = 0;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (count < room)
			cpus[count] = cpu;
		count++;
	}
	return count;
}

struct rte_mbuf *weir_pktmbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

int weir_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

void weir_pktmbuf_free(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
}

int weir_pktmbuf_check(const struct rte_mbuf *mbuf, const char **reason)
{
	return rte_mbuf_check(mbuf, 1, reason);
}

unsigned int weir_mempool_populated(const struct rte_mempool *pool)
{
	return pool->populated_size;
}

int weir_eth_link_up(uint16_t port)
{
	struct rte_eth_link link = { 0 };

	if (rte_eth_link_get_nowait(port, &link) != 0)
		return -1;
	return link.link_status == RTE_ETH_LINK_UP;
}

unsigned int weir_ring_sp_enqueue_burst(struct rte_ring *ring, struct rte_mbuf *const *mbufs, unsigned int count)
{
	return rte_ring_sp_enqueue_burst(ring, (void *const *)mbufs, count, NULL);
}

unsigned int weir_ring_sc_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_ring_sc_dequeue_burst(ring, (void **)mbufs, count, NULL);
}

unsigned int weir_ring_count(const struct rte_ring *ring)
{
	return rte_ring_count(ring);
}

static weir_log_write log_write;

static ssize_t log_cookie_write(void *cookie, const char *text, size_t octets)
{
	(void)cookie;
	log_write((uint32_t)rte_log_cur_msg_loglevel(), (uint32_t)rte_log_cur_msg_logtype(), text, octets);
	return (ssize_t)octets;
}

int weir_log_bridge(weir_log_write write)
{
	cookie_io_functions_t functions = { .write = log_cookie_write };
	FILE *stream;

	log_write = write;
	stream = fopencookie(NULL, "w", functions);
	if (stream == NULL)
		return -1;
	/* EAL flushes after every message, so a full buffer gives one write a message. */
	setvbuf(stream, NULL, _IOFBF, 4096);
	return rte_openlog_stream(stream);
}
