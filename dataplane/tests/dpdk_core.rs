//! Mbufs, bursts, pools, rings and lcores against a running EAL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, where a failed expectation is a failed test")]

mod dpdk_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataplane::dpdk::{BURST_MAX, Burst, Mbuf, Mempool, ring};
use dpdk_common::{eal, pool, pool_of};
use overlay::num::PortId;
use overlay::packet::{Meta, PacketBuf, VecBuf};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn octets(mbuf: &Mbuf) -> Vec<u8> {
    let mut all = Vec::new();
    mbuf.for_each_segment(&mut |segment| all.extend_from_slice(segment));
    all
}

fn filled(pool: &Mempool, octets: &[u8]) -> Mbuf {
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.append(octets, pool));
    mbuf
}

/// What can be done to a packet buffer.
#[derive(Clone, Debug)]
enum Step {
    Prepend8([u8; 8]),
    Prepend50,
    Trim(usize),
    Truncate(usize),
    Write(usize, Vec<u8>),
    Head(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<[u8; 8]>().prop_map(Step::Prepend8),
        Just(Step::Prepend50),
        (0..300_usize).prop_map(Step::Trim),
        (0..3000_usize).prop_map(Step::Truncate),
        (0..3000_usize, proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, octets)| Step::Write(at, octets)),
        (0..400_usize, any::<u8>()).prop_map(|(at, octet)| Step::Head(at, octet)),
    ]
}

fn apply(buffer: &mut impl PacketBuf, step: &Step) -> bool {
    match step {
        Step::Prepend8(octets) => buffer.prepend::<8>().map(|head| *head = *octets).is_some(),
        Step::Prepend50 => buffer.prepend::<50>().map(|head| *head = [0x5a; 50]).is_some(),
        Step::Trim(octets) => buffer.trim_front(*octets),
        Step::Truncate(octets) => buffer.truncate(*octets),
        Step::Write(at, octets) => buffer.write_at(*at, octets),
        Step::Head(at, octet) => buffer.head_mut().get_mut(*at).map(|place| *place = *octet).is_some(),
    }
}

#[test]
fn an_mbuf_behaves_as_its_in_memory_twin() {
    let _hold = eal();
    // A small room, so that most packets are chains.
    let pool = pool_of("twin", 1023, 256);
    let mut runner = TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
    let strategy = (proptest::collection::vec(any::<u8>(), 0..2500), proptest::collection::vec(step(), 0..24));
    runner
        .run(&strategy, |(data, steps)| {
            let mut mbuf = filled(&pool, &data);
            let mut segments = Vec::new();
            mbuf.for_each_segment(&mut |segment| segments.push(segment.to_vec()));
            let views: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
            let mut twin = VecBuf::with_headroom(128, &views);
            for step in &steps {
                prop_assert_eq!(apply(&mut mbuf, step), apply(&mut twin, step), "{:?}", step);
                prop_assert_eq!(mbuf.packet_octets(), twin.packet_octets());
                prop_assert_eq!(mbuf.head(), twin.head());
                prop_assert_eq!(octets(&mbuf), twin.octets());
                prop_assert_eq!(mbuf.check(), Ok(()));
            }
            mbuf.free();
            prop_assert_eq!(pool.in_use(), 0);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_copy_is_deep_and_takes_the_metadata_along() {
    let _hold = eal();
    let pool = pool_of("copy", 255, 512);
    let data: Vec<u8> = (0..1500_u16).map(|i| i as u8).collect();
    let mut first = filled(&pool, &data);
    first.set_meta(Meta { flow_hash: 7, vrf: 3, ..Meta::received(PortId(5)) });
    let mut copy = first.copy(&pool).unwrap();
    assert_eq!((octets(&copy), copy.meta().flow_hash, copy.meta().ingress), (data.clone(), 7, PortId(5)));
    copy.head_mut()[0] = 0xff;
    copy.meta_mut().flow_hash = 8;
    assert_eq!((first.head()[0], first.meta().flow_hash), (0, 7));
    first.free();
    assert_eq!(octets(&copy)[1..], data[1..]);
    copy.free();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_empty_pool_says_so_and_loses_nothing() {
    let _hold = eal();
    let pool = pool_of("empty", 63, 128);
    let mut held = Burst::new();
    assert!(pool.alloc_bulk(&mut held, 63));
    assert!(pool.alloc().is_none());
    let mut more = Burst::new();
    assert!(!pool.alloc_bulk(&mut more, 1));
    assert!(more.is_empty());
    // A chain that cannot be completed keeps what it got, and frees it.
    let mut last = held.pop().unwrap();
    assert!(!last.append(&[1; 600], &pool));
    assert_eq!((last.packet_octets(), last.segments()), (128, 1));
    assert!(last.copy(&pool).is_none());
    last.free();
    drop(held);
    assert_eq!((pool.in_use(), pool.available()), (0, pool.capacity()));
}

fn numbered(pool: &Mempool, count: usize) -> Burst {
    let mut burst = Burst::new();
    for number in 0..count {
        burst.push(filled(pool, &[number as u8])).unwrap();
    }
    burst
}

fn numbers(burst: &Burst) -> Vec<u8> {
    burst.as_slice().iter().map(|mbuf| mbuf.head()[0]).collect()
}

#[test]
fn a_burst_keeps_order_and_loses_nothing() {
    let _hold = eal();
    let pool = pool("burst");
    let mut burst = numbered(&pool, BURST_MAX);
    let spare = filled(&pool, &[99]);
    let Err(spare) = burst.push(spare) else { panic!("a full burst took a packet") };
    spare.free();

    let mut front = burst.take_front(10);
    assert_eq!(numbers(&front), (0..10).collect::<Vec<u8>>());
    assert_eq!(numbers(&burst), (10..64).collect::<Vec<u8>>());
    assert_eq!(burst.append(&mut front), 10);
    assert!(front.is_empty());
    assert_eq!(burst.append(&mut front), 0);
    assert_eq!(
        burst.pop().map(|last| {
            let n = last.head()[0];
            last.free();
            n
        }),
        Some(9)
    );

    let mut next = [0_u8; BURST_MAX];
    next.iter_mut().enumerate().for_each(|(at, edge)| *edge = (at % 3) as u8);
    let before = numbers(&burst);
    let mut other = Burst::new();
    assert_eq!(burst.extract(&next, 1, &mut other), other.len());
    let (moved, kept): (Vec<_>, Vec<_>) = before.iter().enumerate().partition(|(at, _)| at % 3 == 1);
    assert_eq!(numbers(&other), moved.into_iter().map(|(_, n)| *n).collect::<Vec<_>>());
    assert_eq!(numbers(&burst), kept.into_iter().map(|(_, n)| *n).collect::<Vec<_>>());

    let expected = numbers(&burst);
    let mut bursts = [Burst::new(), Burst::new()];
    burst.drain_each(|at, mbuf| bursts[at % 2].push(mbuf).unwrap());
    assert!(burst.is_empty());
    let [even, odd] = &bursts;
    assert_eq!(numbers(even), expected.iter().copied().step_by(2).collect::<Vec<_>>());
    assert_eq!(numbers(odd), expected.iter().copied().skip(1).step_by(2).collect::<Vec<_>>());

    let [even, odd] = bursts;
    let mut taken = even.into_iter();
    taken.next().unwrap().free();
    drop((taken, odd, other));
    assert_eq!(pool.in_use(), 0);
}

/// Handed over in the ring test.
const PACKETS: u64 = 20_000;

#[test]
fn a_ring_between_two_lcores_keeps_order_and_frees_what_is_left() {
    let hold = eal();
    let pool = pool("ring");
    let (mut producer, mut consumer) = ring::spsc("test_ring", 100).unwrap();
    assert!(ring::spsc("test_ring", 100).map(|_| ()).unwrap_err().to_string().contains("test_ring"));
    let [one, two] = hold.eal.lcores().try_into().unwrap();
    let sum = Arc::new(AtomicU64::new(0));
    let sender = {
        let pool = pool.clone();
        move || {
            let mut sent = 0_u64;
            let mut burst = Burst::new();
            while sent < PACKETS {
                if burst.room() != 0
                    && let Some(mut mbuf) = pool.alloc()
                {
                    assert!(mbuf.append(&sent.to_be_bytes(), &pool));
                    sent += 1;
                    burst.push(mbuf).unwrap();
                }
                if burst.len() >= 32 || sent == PACKETS {
                    producer.push(&mut burst);
                }
                std::thread::yield_now();
            }
            while !burst.is_empty() {
                producer.push(&mut burst);
                std::thread::yield_now();
            }
        }
    };
    let receiver = {
        let sum = Arc::clone(&sum);
        move || {
            let mut expected = 0_u64;
            let mut burst = Burst::new();
            // The last hundred stay in the ring.
            while expected < PACKETS - 100 {
                consumer.pop(&mut burst, ((PACKETS - 100 - expected) as usize).min(BURST_MAX));
                for mbuf in burst.as_slice() {
                    assert_eq!(mbuf.head(), expected.to_be_bytes());
                    expected += 1;
                }
                burst.free_all();
                std::thread::yield_now();
            }
            sum.store(expected, Ordering::Relaxed);
        }
    };
    let tasks =
        [hold.eal.launch(one.id, Box::new(sender)).unwrap(), hold.eal.launch(two.id, Box::new(receiver)).unwrap()];
    for task in tasks {
        task.wait().unwrap();
    }
    assert_eq!(sum.load(Ordering::Relaxed), PACKETS - 100);
    assert_eq!(pool.in_use(), 0, "dropping both ends frees what was in the ring");
}

#[test]
fn lcores_run_where_they_should_and_report_a_panic() {
    let hold = eal();
    let lcores = hold.eal.lcores();
    assert_eq!(lcores.len(), dataplane::dpdk::eal::allowed_cpus().len());
    for lcore in &lcores {
        assert_eq!(lcore.cpus.len(), 1, "{lcore:?}");
        let seen = Arc::new(AtomicU64::new(u64::MAX));
        let (inside, id) = (Arc::clone(&seen), lcore.id);
        let task = hold.eal.launch(
            id,
            Box::new(move || {
                assert_eq!(dataplane::dpdk::lcore::current(), Some(id));
                inside.store(u64::from(dataplane::dpdk::eal::allowed_cpus()[0]), Ordering::Relaxed);
            }),
        );
        task.unwrap().wait().unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), u64::from(lcore.cpus[0]));
    }
    let error = hold.eal.launch(lcores[0].id, Box::new(|| panic!("on purpose"))).unwrap().wait().unwrap_err();
    assert!(error.to_string().contains("on purpose"), "{error}");
    assert!(hold.eal.launch(77, Box::new(|| ())).is_err());
}

#[test]
fn pools_refuse_what_cannot_be_with_the_remedy() {
    use dataplane::dpdk::mempool::PoolConfig;
    let _hold = eal();
    let make = |config: PoolConfig| Mempool::create(&config).map(|_| ()).unwrap_err().to_string();
    let huge = make(PoolConfig { name: "huge".into(), mbufs: 4_000_000, ..PoolConfig::default() });
    assert!(huge.contains("MiB"), "{huge}");
    let cache = make(PoolConfig { cache: 513, ..PoolConfig::default() });
    assert!(cache.contains("at most 512"), "{cache}");
    let name = make(PoolConfig { name: "x".repeat(26), ..PoolConfig::default() });
    assert!(name.contains("25"), "{name}");
    let _first = pool("same");
    let again = make(PoolConfig { name: "same".into(), mbufs: 255, cache: 0, ..PoolConfig::default() });
    assert!(again.contains("exists already"), "{again}");
}
