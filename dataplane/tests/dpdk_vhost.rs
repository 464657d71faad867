//! vhost-user ports against virtio-user, in this process and in a real testpmd that is killed and restarted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, where a failed expectation is a failed test")]

mod dpdk_common;

use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dataplane::dpdk::vhost::{NoWorkers, Server, VhostConfig, VhostEvent};
use dataplane::dpdk::{Burst, Mempool, Quiesce, TscClock};
use dataplane::port::{OpenParams, Port, PortRx, PortSpec, PortTx};
use dpdk_common::{Folder, eal, pool, pool_of, wait_until};
use overlay::num::PortId;
use overlay::packet::checksum::verify_l4;
use overlay::packet::{Checksum, PacketBuf, layout};

/// The rounds of the one poller of a test.
#[derive(Default)]
struct Rounds(AtomicU64);

/// No round is going on.
const OFFLINE: u64 = u64::MAX;

impl Rounds {
    fn begin(&self, round: u64) {
        self.0.store(round, Ordering::SeqCst);
    }

    fn end(&self) {
        self.0.store(OFFLINE, Ordering::SeqCst);
    }
}

impl Quiesce for Rounds {
    fn synchronize(&self) {
        let seen = self.0.load(Ordering::SeqCst);
        while seen != OFFLINE && self.0.load(Ordering::SeqCst) == seen {
            std::thread::yield_now();
        }
    }
}

fn params(pool: &Mempool, quiesce: Arc<dyn Quiesce>) -> OpenParams {
    OpenParams { mtu: 9000, ..OpenParams::new(pool.clone(), quiesce, TscClock::new(1_000_000_000)) }
}

fn open(text: &str, id: u16, params: &OpenParams) -> (Port, Vec<PortRx>, Vec<PortTx>) {
    Port::open(&format!("p{id}"), PortId(id), &text.parse::<PortSpec>().unwrap(), params).unwrap()
}

fn octets(mbuf: &impl PacketBuf) -> Vec<u8> {
    let mut all = Vec::new();
    mbuf.for_each_segment(&mut |segment| all.extend_from_slice(segment));
    all
}

/// An Ethernet frame of a local experimental type (0x88b5) that carries a number.
fn frame(number: u64, octets: usize) -> Vec<u8> {
    let mut frame = vec![0x5a; octets];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5]);
    frame[14..22].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(octets: &[u8]) -> u64 {
    u64::from_be_bytes(octets[14..22].try_into().unwrap())
}

fn send(tx: &mut PortTx, pool: &Mempool, octets: &[u8]) -> bool {
    let mut burst = Burst::new();
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.append(octets, pool));
    burst.push(mbuf).unwrap();
    tx.tx(&mut burst) == 1
}

fn receive(rx: &mut PortRx) -> Burst {
    let mut burst = Burst::new();
    wait_until("a packet arrives", || rx.rx(&mut burst, 32) != 0);
    burst
}

#[test]
fn sockets_that_cannot_be_served_say_why() {
    let _hold = eal();
    let pool = pool("paths");
    let folder = Folder::new("paths");
    let register = |path: &str, queues| {
        let config = VhostConfig { client: false, queues };
        Server::register(std::path::Path::new(path), config, &pool, Arc::new(NoWorkers)).map(|(server, ..)| server)
    };
    let error = |path: &str| register(path, 1).map(|_| ()).unwrap_err().to_string();
    let long = error(&format!("/tmp/{}", "x".repeat(103)));
    assert!(long.contains("108 octets") && long.contains("1 to 107"), "{long}");
    assert!(error("/no/such/folder/a.sock").contains("create it"));
    std::fs::write(folder.file("plain"), "").unwrap();
    assert!(error(&folder.file("plain")).contains("not a socket"));
    let listener = UnixListener::bind(folder.file("busy")).unwrap();
    assert!(error(&folder.file("busy")).contains("in use"));
    // Its owner is gone: the socket file is stale, and is replaced.
    drop(listener);
    let server = register(&folder.file("busy"), 1).unwrap();
    let twice = error(&folder.file("busy"));
    assert!(twice.contains("in use"), "{twice}");
    assert!(!server.connected());
    assert!(register(&folder.file("many"), 129).is_err());
    drop(server);
    assert!(!std::path::Path::new(&folder.file("busy")).exists(), "the socket goes with its port");
    drop(register(&folder.file("busy"), 1).unwrap());
}

#[test]
fn hundreds_of_ports_fit_into_a_process() {
    let _hold = eal();
    let pool = pool("hundreds");
    let folder = Folder::new("hundreds");
    let params = params(&pool, Arc::new(NoWorkers));
    let mut ports: Vec<_> =
        (0..300).map(|id| open(&format!("vhost-user:{}", folder.file(&format!("{id}.sock"))), id, &params)).collect();
    let mut burst = Burst::new();
    for (port, rx, tx) in &mut ports {
        assert!(!port.link_up());
        assert_eq!(rx[0].rx(&mut burst, 32), 0);
        assert!(!send(&mut tx[0], &pool, &frame(0, 60)), "nobody is there to send to");
    }
    for (port, rx, tx) in ports {
        port.close(rx, tx).unwrap();
    }
    assert_eq!(pool.in_use(), 0);
}

/// A UDP over IPv4 frame whose checksum field holds the pseudo header's sum only.
fn open_checksum_frame(payload: usize) -> Vec<u8> {
    use overlay::wire::checksum::{Sum, checksum};
    let udp_octets = 8 + payload as u16;
    let mut frame = vec![0; 14 + 20];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17]);
    frame[16..18].copy_from_slice(&(20 + udp_octets).to_be_bytes());
    frame[26..34].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    let sum = checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend([0x12, 0x34, 0, 9]);
    frame.extend(udp_octets.to_be_bytes());
    let pseudo = Sum::pseudo_v4([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 17, udp_octets).folded();
    frame.extend(pseudo.to_be_bytes());
    frame.extend((0..payload).map(|i| i as u8));
    frame
}

fn send_partial(tx: &mut PortTx, pool: &Mempool, octets: &[u8]) {
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.append(octets, pool));
    let meta = mbuf.meta_mut();
    (meta.checksum, meta.checksum_start, meta.checksum_offset) = (Checksum::Partial, 34, 6);
    let mut burst = Burst::new();
    burst.push(mbuf).unwrap();
    assert_eq!(tx.tx(&mut burst), 1);
}

#[test]
fn open_checksums_cross_both_ways_and_can_be_finished() {
    let _hold = eal();
    let pool = pool_of("sums", 8191, 2048);
    let folder = Folder::new("sums");
    let rounds = Arc::new(Rounds::default());
    rounds.end();
    let params = params(&pool, rounds.clone());
    let socket = folder.file("s.sock");
    let (host, mut hrx, mut htx) = open(&format!("vhost-user:{socket}"), 1, &params);
    let (guest, mut grx, mut gtx) = open(&format!("virtio-user:{socket}"), 2, &params);
    wait_until("the guest connects", || host.link_up());
    let connected = std::iter::from_fn(|| host.next_event()).any(|e| matches!(e, VhostEvent::Connected { .. }));
    assert!(connected);
    assert!(gtx[0].caps().checksum && htx[0].caps().partial_checksum_ok);
    let level = pool.in_use();
    for payload in [1, 18, 1000, 8000] {
        let sent = open_checksum_frame(payload);
        for direction in 0..2 {
            let (tx, rx) = if direction == 0 { (&mut gtx[0], &mut hrx[0]) } else { (&mut htx[0], &mut grx[0]) };
            send_partial(tx, &pool, &sent);
            let mut burst = receive(rx);
            let mbuf = &mut burst.as_mut_slice()[0];
            assert_eq!(octets(mbuf), sent, "payload {payload}, direction {direction}");
            let meta = *mbuf.meta();
            assert_eq!((meta.checksum, meta.checksum_start, meta.checksum_offset), (Checksum::Partial, 34, 6));
            let ethernet = layout::ethernet(mbuf.head()).unwrap();
            let ip = layout::ip_of(mbuf.head(), &ethernet, mbuf.packet_octets()).unwrap().unwrap();
            assert!(!verify_l4(mbuf, &ip));
            overlay::packet::checksum::finish_partial(mbuf).unwrap();
            assert!(verify_l4(mbuf, &ip), "payload {payload}, direction {direction}");
        }
    }
    // What nobody says anything of stays unknown.
    assert!(send(&mut gtx[0], &pool, &frame(1, 60)));
    let burst = receive(&mut hrx[0]);
    assert_eq!(
        (burst.as_slice()[0].meta().checksum, burst.as_slice()[0].meta().ingress),
        (Checksum::Unknown, PortId(1))
    );
    drop(burst);
    assert!(pool.in_use() <= level + 8, "virtio keeps sent packets until it needs their places");
    guest.close(grx, gtx).unwrap();
    wait_until("the guest is gone", || !host.link_up());
    assert!(!htx[0].caps().partial_checksum_ok, "a guest that is gone takes nothing");
    host.close(hrx, htx).unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn several_queue_pairs_are_served_by_fewer_handles() {
    let _hold = eal();
    let pool = pool_of("queues", 16383, 2048);
    let folder = Folder::new("queues");
    let rounds = Arc::new(Rounds::default());
    rounds.end();
    let params = params(&pool, rounds);
    let socket = folder.file("s.sock");
    let (host, mut hrx, mut htx) = open(&format!("vhost-user:{socket},queues=3"), 1, &params);
    assert_eq!((hrx.len(), htx.len()), (3, 3));
    let guest_params = OpenParams { rx_queues: 4, tx_queues: 4, ..params.clone() };
    let (guest, mut grx, mut gtx) = open(&format!("virtio-user:{socket},queues=4"), 2, &guest_params);
    wait_until("the guest connects", || host.link_up());
    // Pair q is read by handle q mod 3.
    for (queue, tx) in gtx.iter_mut().enumerate() {
        assert!(send(tx, &pool, &frame(queue as u64, 60)));
        let burst = receive(&mut hrx[queue % 3]);
        assert_eq!(number(&octets(&burst.as_slice()[0])), queue as u64);
    }
    for (queue, tx) in htx.iter_mut().enumerate() {
        wait_until("the pair is on", || send(tx, &pool, &frame(queue as u64, 60)));
        let burst = receive(&mut grx[queue]);
        assert_eq!(number(&octets(&burst.as_slice()[0])), queue as u64);
    }
    guest.close(grx, gtx).unwrap();
    host.close(hrx, htx).unwrap();
    assert_eq!(pool.in_use(), 0);
}

/// A testpmd that sends back what it gets; killed with -9 when dropped.
struct Peer(Child);

impl Peer {
    fn start(devices: &[String], name: &str) -> Self {
        let mut command = Command::new("dpdk-testpmd");
        command.args(["--lcores", "0@(0-1),1@(0-1)", "--no-huge", "-m", "128", "--no-pci", "--no-telemetry"]);
        command.arg(format!("--file-prefix=weir-peer-{name}-{}", std::process::id()));
        for (index, device) in devices.iter().enumerate() {
            command.arg(format!("--vdev=net_virtio_user{index},{device}"));
        }
        command.args(["--", "--auto-start", "--forward-mode=io", "--port-topology=loop", "--total-num-mbufs=4096"]);
        command.args([
            "--mbuf-size=10240",
            "--max-pkt-len=9018",
            "--no-mlockall",
            "--no-flush-rx",
            "--disable-link-check",
        ]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self(child)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A port whose peer sends everything back.
struct Echo {
    port: Port,
    rx: Vec<PortRx>,
    tx: Vec<PortTx>,
    greeted: bool,
    rounds: u64,
    sent: u64,
    back: u64,
}

/// Sent until it comes back once: a peer that is starting may lose packets.
const GREETING: u64 = u64::MAX;

impl Echo {
    fn new((port, rx, tx): (Port, Vec<PortRx>, Vec<PortTx>)) -> Self {
        Self { port, rx, tx, greeted: false, rounds: 0, sent: 0, back: 0 }
    }

    /// One round: takes what came back, sends one more if all came back.
    fn round(&mut self, pool: &Mempool) {
        let mut burst = Burst::new();
        self.rx[0].rx(&mut burst, 32);
        for mbuf in burst.as_slice() {
            let all = octets(mbuf);
            match all.get(12..14) {
                Some(&[0x88, 0xb5]) if number(&all) == GREETING => self.greeted = true,
                Some(&[0x88, 0xb5]) => {
                    assert_eq!(number(&all), self.back, "lost, repeated or out of order");
                    assert!(all[22..].iter().all(|&octet| octet == 0x5a));
                    self.back += 1;
                }
                _ => {}
            }
        }
        self.rounds += 1;
        let size = if self.sent.is_multiple_of(5) { 9014 } else { 60 };
        if !self.tx[0].connected() {
        } else if !self.greeted {
            if self.rounds.is_multiple_of(1000) {
                send(&mut self.tx[0], pool, &frame(GREETING, 60));
            }
        } else if self.sent == self.back && send(&mut self.tx[0], pool, &frame(self.sent, size)) {
            self.sent += 1;
        }
    }

    /// The peer died: what was under way is lost.
    fn forgive(&mut self) {
        (self.greeted, self.sent, self.back) = (false, 0, 0);
    }
}

#[test]
fn a_peer_that_is_killed_costs_its_own_port_only_and_comes_back() {
    let _hold = eal();
    let pool = pool_of("killed", 8191, 2048);
    let folder = Folder::new("killed");
    let rounds = Arc::new(Rounds::default());
    let params = params(&pool, rounds.clone());
    // Weir serves the victim's socket and connects to the bystander's.
    let (victim, bystander) = (folder.file("victim.sock"), folder.file("bystander.sock"));
    let mut victim_echo = Echo::new(open(&format!("vhost-user:{victim}"), 1, &params));
    let mut bystander_echo = Echo::new(open(&format!("vhost-user:{bystander},client"), 2, &params));
    let quiet = pool.in_use();
    let _bystander = Peer::start(&[format!("path={bystander},server=1")], "b");
    let mut round = 0;
    let mut poll_until = |what: &str, victim: &mut Echo, bystander: &mut Echo, done: &dyn Fn(&Echo, &Echo) -> bool| {
        wait_until(what, || {
            for _ in 0..200 {
                rounds.begin(round);
                round += 1;
                victim.round(&pool);
                bystander.round(&pool);
            }
            rounds.end();
            done(victim, bystander)
        });
    };
    poll_until("the bystander answers", &mut victim_echo, &mut bystander_echo, &|_, b| b.back > 20);
    for life in 0..6 {
        let before = bystander_echo.back;
        let peer = Peer::start(&[format!("path={victim}")], "v");
        poll_until("the victim answers", &mut victim_echo, &mut bystander_echo, &|v, b| v.back > 50 && b.back > before);
        assert!(victim_echo.port.link_up());
        // In the middle of traffic, on another thread, so that the poller goes on all the while.
        let killer = std::thread::spawn(move || drop(peer));
        poll_until("the victim's end is seen", &mut victim_echo, &mut bystander_echo, &|v, _| !v.port.link_up());
        killer.join().unwrap();
        victim_echo.forgive();
        let events: Vec<_> = std::iter::from_fn(|| victim_echo.port.next_event()).collect();
        let count = |wanted: fn(&VhostEvent) -> bool| events.iter().filter(|event| wanted(event)).count();
        assert_eq!(count(|event| matches!(event, VhostEvent::Connected { .. })), 1, "life {life}: {events:?}");
        assert_eq!(count(|event| matches!(event, VhostEvent::Disconnected { .. })), 1, "life {life}: {events:?}");
        assert_eq!(pool.in_use(), quiet, "life {life}: no packet is left with a peer that died");
    }
    let before = bystander_echo.back;
    poll_until("the bystander still answers", &mut victim_echo, &mut bystander_echo, &|_, b| b.back > before + 20);
    // A port is closed while its peer sends.
    let Echo { port, rx, tx, .. } = bystander_echo;
    port.close(rx, tx).unwrap();
    let Echo { port, rx, tx, .. } = victim_echo;
    port.close(rx, tx).unwrap();
    assert_eq!(pool.in_use(), 0);
    std::thread::sleep(Duration::from_millis(10));
}
