//! Ports over a running EAL: device texts, files, rings, taps, sources and faults.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, where a failed expectation is a failed test")]

mod dpdk_common;

use std::sync::Arc;
use std::time::Duration;

use dataplane::dpdk::vhost::NoWorkers;
use dataplane::dpdk::{BURST_MAX, Burst, Mempool, TscClock, rdtsc, tsc};
use dataplane::port::{BACKENDS, OpenParams, Port, PortRx, PortSpec, PortTx};
use dpdk_common::{Folder, Netns, eal, pool, pool_of, run, wait_until};
use overlay::num::{Nanos, PortId};
use overlay::packet::{Checksum, PacketBuf};

fn params(pool: &Mempool) -> OpenParams {
    OpenParams::new(pool.clone(), Arc::new(NoWorkers), TscClock::new(1_000_000_000))
}

fn open(text: &str, params: &OpenParams) -> (Port, Vec<PortRx>, Vec<PortTx>) {
    let spec: PortSpec = text.parse().unwrap();
    assert_eq!(spec.to_string(), text);
    Port::open("p", PortId(7), &spec, params).unwrap()
}

fn write_pcap(path: &str, frames: &[Vec<u8>]) {
    let mut writer = pcap_file::pcap::PcapWriter::new(std::fs::File::create(path).unwrap()).unwrap();
    for frame in frames {
        writer.write_packet(&pcap_file::pcap::PcapPacket::new(Duration::ZERO, frame.len() as u32, frame)).unwrap();
    }
}

fn read_pcap(path: &str) -> Vec<Vec<u8>> {
    let mut reader = pcap_file::pcap::PcapReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    frames
}

fn frame(number: usize, octets: usize) -> Vec<u8> {
    let mut frame = vec![0; octets];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 8]);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame[14..22].copy_from_slice(&(number as u64).to_be_bytes());
    frame
}

fn octets(mbuf: &impl PacketBuf) -> Vec<u8> {
    let mut all = Vec::new();
    mbuf.for_each_segment(&mut |segment| all.extend_from_slice(segment));
    all
}

#[test]
fn device_texts_that_are_wrong_say_why_and_what_would_be_right() {
    for (text, part) in [
        ("", "known are"),
        ("vhost", "known are"),
        ("vhost-user:", "path is missing"),
        ("vhost-user:/x,queues=0", "1 to 128"),
        ("vhost-user:/x,server", "unknown option \"server\""),
        ("tap:", "name is missing"),
        ("tap:a@", "namespace"),
        ("tap:abcdefghijklmnop", "1 to 15"),
        ("tap:a,mac=2:0", "MAC address"),
        ("af-packet:eth0,framesz=3000", "multiple of 1024"),
        ("af-packet:eth0,framecnt=33", "multiple of 4"),
        ("pcap:/no/such/file", "no file"),
        ("pcap:,loop", "loop"),
        ("null:size=3", "14 to 9018"),
        ("source:rate_pps=x", "rate_pps=x"),
        ("source:frames=a,size=64", "excludes"),
        ("source:seq=2", "payload"),
        ("fault:loss=2;null", "0 to 1"),
        ("fault:loss=1", "after ;"),
        ("fault:;fault:;null", "cannot wrap"),
        ("0000:8a:00", "known are"),
    ] {
        let error = text.parse::<PortSpec>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    for text in [
        "vhost-user:/run/a.sock,client,queues=4",
        "tap:t0@ns,mac=02:00:00:00:00:01",
        "net_null0",
        "0000:8a:00.0",
        "8a:00.0,x=1",
    ] {
        text.parse::<PortSpec>().unwrap();
    }
    assert!(BACKENDS.iter().all(|backend| !backend.syntax.is_empty() && !backend.help.is_empty()));
}

#[test]
fn a_device_that_is_not_there_is_an_error_with_the_ports_name() {
    let _hold = eal();
    let pool = pool("absent");
    for text in ["0000:ff:1f.7", "af-packet:nosuchdev0", "net_nosuchdriver0", "tap:x@nosuchns"] {
        let spec: PortSpec = text.parse().unwrap();
        let error = Port::open("uplink", PortId(1), &spec, &params(&pool)).unwrap_err().to_string();
        assert!(error.contains("\"uplink\""), "{text}: {error}");
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn frames_go_from_one_capture_file_to_another_jumbo_frames_too() {
    let _hold = eal();
    let pool = pool("pcap");
    let folder = Folder::new("pcap");
    let (input, output) = (folder.file("in.pcap"), folder.file("out.pcap"));
    let frames: Vec<Vec<u8>> = (0..200).map(|n| frame(n, if n % 10 == 0 { 9014 } else { 60 + n })).collect();
    write_pcap(&input, &frames);
    let params = OpenParams { mtu: 9000, ..params(&pool) };
    let (port, mut rx, mut tx) = open(&format!("pcap:{input},{output}"), &params);
    let mut burst = Burst::new();
    let mut received = 0;
    while received < frames.len() {
        let count = rx[0].rx(&mut burst, 32);
        assert!(count != 0, "the file ended after {received}");
        for mbuf in burst.as_slice() {
            assert_eq!(octets(mbuf), frames[received]);
            assert_eq!(mbuf.meta().ingress, PortId(7));
            received += 1;
        }
        assert_eq!(tx[0].tx(&mut burst), count);
    }
    assert_eq!(rx[0].rx(&mut burst, 32), 0);
    let stats = port.link_stats();
    assert_eq!((stats.rx_packets, stats.tx_packets), (200, 200));
    port.close(rx, tx).unwrap();
    assert_eq!(read_pcap(&output), frames);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_looped_capture_file_never_ends_and_null_swallows() {
    let _hold = eal();
    let pool = pool("loop");
    let folder = Folder::new("loop");
    write_pcap(&folder.file("in.pcap"), &(0..16).map(|n| frame(n, 60)).collect::<Vec<_>>());
    let (input, mut rx, itx) = open(&format!("pcap:{},loop", folder.file("in.pcap")), &params(&pool));
    let (output, nrx, mut tx) = open("null", &params(&pool));
    assert!(nrx.is_empty(), "null without rx makes no frames, so there is nothing to poll");
    let level = pool.in_use();
    let mut burst = Burst::new();
    for _ in 0..100 {
        assert_eq!(rx[0].rx(&mut burst, 32), 32);
        assert_eq!(tx[0].tx(&mut burst), 32);
    }
    assert_eq!(pool.in_use(), level);
    input.close(rx, itx).unwrap();
    output.close(nrx, tx).unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_ring_port_gives_back_what_was_sent_and_cannot_be_closed_under_a_worker() {
    let _hold = eal();
    let pool = pool("ringport");
    let (port, mut rx, mut tx) = open("ring", &params(&pool));
    let (source, mut made, _) = open("source:rate_pps=0,burst=32,flows=4", &params(&pool));
    let mut burst = Burst::new();
    made[0].generate(rdtsc());
    assert_eq!(made[0].rx(&mut burst, 64), 32);
    let sent: Vec<Vec<u8>> = burst.as_slice().iter().map(octets).collect();
    assert_eq!(tx[0].tx(&mut burst), 32);
    assert_eq!(rx[0].rx(&mut burst, 64), 32);
    assert_eq!(burst.as_slice().iter().map(octets).collect::<Vec<_>>(), sent);
    drop(burst);
    // A handle that stays with a worker keeps the device from being stopped under it.
    let kept = rx.pop().unwrap();
    let error = port.close(rx, tx).unwrap_err().to_string();
    assert!(error.contains("still holds one of its queues"), "{error}");
    drop((kept, made));
    source.close(vec![], vec![]).unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_source_keeps_its_pace_and_numbers_its_packets() {
    let _hold = eal();
    let pool = pool("source");
    // A clock of 1 GHz makes ticks nanoseconds; 1 Mpps is a packet every 1,000.
    let (port, mut rx, tx) = open("source:rate_pps=1000000,burst=8,seq=42,size=100,flows=3", &params(&pool));
    let mut burst = Burst::new();
    let mut sequence = 0_u64;
    let mut now = 1_000_000;
    for _ in 0..1000 {
        now += 2_500;
        rx[0].generate(now);
        rx[0].rx(&mut burst, BURST_MAX);
        for mbuf in burst.as_slice() {
            let all = octets(mbuf);
            assert_eq!((all.len(), &all[42..50]), (100, &sequence.to_be_bytes()[..]));
            assert_eq!(u16::from_be_bytes([all[34], all[35]]), 1024 + (sequence % 3) as u16);
            sequence += 1;
        }
        burst.free_all();
    }
    // The first is due when the clock starts: 1 + 999 · 2.5.
    assert_eq!(sequence, 2498);
    let counters = rx[0].source_counters().unwrap();
    assert_eq!((counters.made, counters.held, counters.missed), (2498, 0, 0));
    // Nobody polls for a while: most of what was due is given up, by count.
    now += 10_000_000;
    rx[0].generate(now);
    let counters = rx[0].source_counters().unwrap();
    assert_eq!(counters.held, 8);
    assert!(counters.missed >= 9_800, "{counters:?}");
    port.close(rx, tx).unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn generated_frames_have_right_checksums() {
    let _hold = eal();
    let pool = pool("sums");
    let (port, mut rx, tx) = open("source:size=61,flows=7", &params(&pool));
    let mut burst = Burst::new();
    rx[0].generate(1);
    assert_eq!(rx[0].rx(&mut burst, 7), 7);
    for mbuf in burst.as_slice() {
        let ethernet = overlay::packet::layout::ethernet(mbuf.head()).unwrap();
        let ip = overlay::packet::layout::ip_of(mbuf.head(), &ethernet, mbuf.packet_octets()).unwrap().unwrap();
        assert!(overlay::packet::checksum::verify_l4(mbuf, &ip));
        assert_eq!(overlay::wire::checksum::checksum(&mbuf.head()[14..34]), 0);
        assert_ne!(&mbuf.head()[40..42], &[0, 0]);
        assert_eq!(mbuf.meta().checksum, Checksum::Unknown);
    }
    drop(burst);
    port.close(rx, tx).unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn faults_are_counted_and_every_packet_is_accounted_for() {
    let _hold = eal();
    let pool = pool("fault");
    let device = "fault:loss=0.1,duplicate=0.2,reorder=0.1,delay_us=5,dir=rx,seed=3;source:rate_pps=0,burst=32,seq=42";
    let (port, mut rx, tx) = open(device, &params(&pool));
    let (mut given, mut late) = (0_u64, 0);
    let mut highest = 0;
    let mut burst = Burst::new();
    for _ in 0..400 {
        rx[0].generate(0);
        given += rx[0].rx(&mut burst, 32) as u64;
        for mbuf in burst.as_slice() {
            let number = u64::from_be_bytes(octets(mbuf)[42..50].try_into().unwrap());
            late += u64::from(number < highest);
            highest = highest.max(number);
        }
        burst.free_all();
    }
    let faults = rx[0].fault_counters().unwrap();
    let made = rx[0].source_counters().unwrap();
    assert_eq!(faults.taken, made.made - made.held);
    assert_eq!(faults.taken + faults.duplicated, given + faults.lost + faults.held, "{faults:?}");
    for (count, probability) in [(faults.lost, 0.1), (faults.duplicated, 0.18), (faults.reordered, 0.08)] {
        let share = count as f64 / faults.taken as f64;
        assert!((share - probability).abs() < 0.03, "{share} is far from {probability}: {faults:?}");
    }
    assert!(late != 0, "reordering must be seen from outside");
    assert_eq!(pool.in_use() as u64, faults.held + made.held);
    port.close(rx, tx).unwrap();
    assert_eq!(pool.in_use(), 0, "what was held is freed with the handle");
}

#[test]
fn faults_on_transmit_lose_and_hold_and_close_their_books() {
    let _hold = eal();
    let pool = pool("faulttx");
    let folder = Folder::new("faulttx");
    let output = folder.file("out.pcap");
    let (port, rx, mut tx) =
        open(&format!("fault:loss=0.5,duplicate=0.5,dir=tx,seed=9;pcap:,{output}"), &params(&pool));
    let mut burst = Burst::new();
    for number in 0..640 {
        let mut mbuf = pool.alloc().unwrap();
        assert!(mbuf.append(&frame(number, 60), &pool));
        burst.push(mbuf).unwrap();
        if burst.len() == 64 {
            assert_eq!(tx[0].tx(&mut burst), 64);
        }
    }
    tx[0].tx(&mut burst);
    let faults = tx[0].fault_counters().unwrap();
    assert_eq!((faults.taken, faults.held), (640, 0));
    port.close(rx, tx).unwrap();
    assert_eq!(read_pcap(&output).len() as u64, 640 + faults.duplicated - faults.lost);
    assert!(faults.lost > 200 && faults.duplicated > 100, "{faults:?}");
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_tap_lives_in_another_namespace_and_carries_jumbo_frames() {
    let _hold = eal();
    let pool = pool_of("tap", 8191, 2048);
    let namespace = Netns::new("weir-tap");
    let netns = namespace.0.clone();
    let params = OpenParams { mtu: 9000, ..params(&pool) };
    let (port, mut rx, mut tx) = open(&format!("tap:wt0@{netns},mac=02:00:00:00:77:01"), &params);
    assert!(!std::path::Path::new("/sys/class/net/wt0").exists(), "the device must not be in our namespace");
    run(&format!(
        "ip -n {netns} addr add 192.0.2.1/24 dev wt0 && ip -n {netns} link show dev wt0 | grep -q 'mtu 9000' && \
         ip -n {netns} neigh add 192.0.2.2 lladdr 02:00:00:00:77:02 dev wt0"
    ));
    wait_until("the link comes up", || port.link_up());
    assert_eq!((port.mtu(), port.mac()), (Some(9000), None));
    assert_eq!(port.peer_mac().unwrap().to_string(), "02:00:00:00:77:01");
    // The namespace's kernel sends a jumbo ping; it is turned round by hand and must be taken as an answer.
    let ping = std::thread::spawn({
        let netns = netns.clone();
        move || run(&format!("ip netns exec {netns} ping -c 3 -i 0.2 -W 3 -s 8900 -M do 192.0.2.2"))
    });
    let mut burst = Burst::new();
    let mut chained = 0;
    while !ping.is_finished() {
        rx[0].rx(&mut burst, 32);
        let mut answers = Burst::new();
        burst.drain_each(|_, mut mbuf| {
            let head = mbuf.head();
            if head.get(12..14) != Some(&[8, 0]) || head.get(23) != Some(&1) || head.get(34) != Some(&8) {
                return mbuf.free();
            }
            chained += usize::from(mbuf.segments() > 1);
            let head = mbuf.head_mut();
            for (a, b) in (0..6).zip(6..12).chain((26..30).zip(30..34)) {
                head.swap(a, b);
            }
            // Echo request (8) becomes reply (0): the checksum grows by 0x0800.
            head[34] = 0;
            let sum = u32::from(u16::from_be_bytes([head[36], head[37]])) + 0x0800;
            let sum = (sum & 0xffff) + (sum >> 16);
            head[36..38].copy_from_slice(&(sum as u16).to_be_bytes());
            answers.push(mbuf).unwrap();
        });
        tx[0].tx(&mut answers);
        assert!(answers.is_empty());
        std::thread::sleep(Duration::from_micros(100));
    }
    let output = ping.join().unwrap();
    assert!(output.contains("3 received"), "{output}");
    assert!(chained >= 3, "8,942 octets do not fit one mbuf of 2,048");
    port.close(rx, tx).unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_tap_refuses_a_frame_longer_than_its_mtu_instead_of_cutting_it() {
    let _hold = eal();
    let pool = pool_of("tap-long", 1023, 2048);
    let namespace = Netns::new("weir-long");
    let netns = namespace.0.clone();
    let (port, mut rx, tx) = open(&format!("tap:wl0@{netns},mac=02:00:00:00:78:01"), &params(&pool));
    // By hand the kernel's side is given frames that the port has no room for.
    run(&format!(
        "ip -n {netns} link set wl0 mtu 9000 && ip -n {netns} addr add 192.0.2.1/24 dev wl0 && \
         ip -n {netns} neigh add 192.0.2.2 lladdr 02:00:00:00:78:02 dev wl0"
    ));
    wait_until("the link comes up", || port.link_up());
    let send = |size: u32| {
        run(&format!("ip netns exec {netns} ping -c 1 -W 0.1 -s {size} -M do 192.0.2.2 || true"));
    };
    let mut lengths = Vec::new();
    let mut burst = Burst::new();
    let mut receive = |until: &dyn Fn(&[usize]) -> bool| {
        wait_until("the tap is read", || {
            rx[0].rx(&mut burst, 32);
            burst.drain_each(|_, mbuf| {
                // Pings only: the kernel also sends router solicitations.
                if mbuf.head().get(12..14) == Some(&[8, 0]) {
                    lengths.push(mbuf.head().len());
                }
                mbuf.free();
            });
            until(&lengths)
        });
    };
    send(8900);
    receive(&|_| port.link_stats().rx_errors == 1);
    send(56);
    receive(&|lengths| !lengths.is_empty());
    assert_eq!(lengths, [98], "the long frame is an error of the port, whole or not at all");
    assert_eq!(port.link_stats().rx_errors, 1);
    port.close(rx, tx).unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_packet_socket_carries_jumbo_frames_over_a_veth_pair() {
    let _hold = eal();
    let pool = pool("afp");
    let peer = Netns::new("weir-afp");
    let (ours, theirs) = (format!("wa{}", std::process::id() % 100_000), &peer.0);
    run(&format!(
        "ip link add {ours} mtu 9000 type veth peer name wb0 mtu 9000 netns {theirs} && \
         ip netns exec {theirs} ethtool -K wb0 tx off tso off gso off gro off && \
         ip netns exec {theirs} sysctl -qw net.ipv6.conf.wb0.disable_ipv6=1 && \
         sysctl -qw net.ipv6.conf.{ours}.disable_ipv6=1 && ip link set {ours} up && ip -n {theirs} link set wb0 up"
    ));
    let params = OpenParams { mtu: 9000, ..params(&pool) };
    let (near, mut rx, mut tx) = open(&format!("af-packet:{ours},framecnt=64"), &params);
    let far_device = format!("tap:wc0@{theirs}");
    let (far, mut far_rx, mut far_tx) = open(&far_device, &params);
    // The far end is a tap bridged to the veth, so that both directions can be watched from here.
    run(&format!(
        "ip -n {theirs} link add br0 mtu 9000 type bridge && ip -n {theirs} link set br0 up && \
         ip netns exec {theirs} sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && \
         ip -n {theirs} link set wc0 master br0 && ip -n {theirs} link set wb0 master br0"
    ));
    let mut burst = Burst::new();
    for (size, direction) in [(60, 0), (60, 1), (9014, 0), (9014, 1)] {
        let sent = frame(size + direction, size);
        let (tx, rx) = if direction == 0 { (&mut tx[0], &mut far_rx[0]) } else { (&mut far_tx[0], &mut rx[0]) };
        let mut rounds = 0;
        wait_until("the frame arrives", || {
            // A bridge port forwards only some time after it was added.
            if rounds % 100 == 0 {
                let mut one = Burst::new();
                let mut mbuf = pool.alloc().unwrap();
                assert!(mbuf.append(&sent, &pool));
                one.push(mbuf).unwrap();
                tx.tx(&mut one);
            }
            rounds += 1;
            rx.rx(&mut burst, 32);
            let arrived = burst.as_slice().iter().any(|mbuf| octets(mbuf) == sent);
            burst.free_all();
            arrived
        });
    }
    near.close(rx, tx).unwrap();
    far.close(far_rx, far_tx).unwrap();
    run(&format!("ip link del {ours}"));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn the_clock_agrees_with_the_kernels() {
    let clock = tsc::calibrate(Duration::from_millis(100));
    let (tick, time) = tsc::both_clocks();
    std::thread::sleep(Duration::from_millis(200));
    let (later_tick, later) = tsc::both_clocks();
    let (ours, theirs) = (clock.to_nanos(later_tick - tick), later.since(time));
    assert!(ours.0.abs_diff(theirs.0) < theirs.0 / 1000, "{ours:?} {theirs:?}");
    assert!(theirs >= Nanos::from_millis(200));
    assert!(tsc::core_cycles_per_tsc() > 0.1);
}
