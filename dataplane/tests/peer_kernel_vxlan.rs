//! weir against the kernel's VXLAN: a remote host with two networks of overlapping addresses, a container in each.
//!
//! ```text
//!  blue.far ─ vxlan 100 ┐                          ┌ eth0 ─ blue.near
//!                       remote ─ up0 ══ weir ══════┤
//!  red.far  ─ vxlan 200 ┘                          └ eth0 ─ red.near
//! ```
//!
//! tshark judges every frame that weir sends, checksums included.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]
#![allow(clippy::format_push_string, reason = "a configuration is put together section by section")]

mod common;

use common::capture::Capture;
use common::iperf::iperf;
use common::net::Netns;
use common::weir::{Weir, head, number};
use common::{Scratch, wait_for};

/// Which addresses the underlay has, and how large its packets are.
#[derive(Clone, Copy, Debug)]
struct Underlay {
    ours: &'static str,
    theirs: &'static str,
    prefix: u8,
    mtu: u16,
    inner_mtu: u16,
    udp_checksum: bool,
}

const V4: Underlay = Underlay {
    ours: "198.51.100.1",
    theirs: "198.51.100.2",
    prefix: 24,
    mtu: 1600,
    inner_mtu: 1500,
    udp_checksum: false,
};
const V6: Underlay = Underlay { ours: "2001:db8::1", theirs: "2001:db8::2", prefix: 64, udp_checksum: true, ..V4 };

const BLUE: (u32, u8) = (100, 0xaa);
const RED: (u32, u8) = (200, 0xbb);

/// What kernels send to groups of the underlay of their own accord is nobody's business here; the ICMP error of a peer whose
/// tunnel is not there yet has no host port to go to; a tap's queue may be full, and it is down while its MAC is changed.
const MAY_DROP: &[&str] = &["not_for_us", "host_absent", "tx_full", "port_down"];

/// A container and a station behind the tunnel, in one network.
#[derive(Debug)]
struct Pair {
    near: Netns,
    far: Netns,
}

/// All namespaces around weir.
#[derive(Debug)]
struct Scene {
    scratch: Scratch,
    underlay: Underlay,
    remote: Netns,
    blue: Pair,
    red: Pair,
}

impl Scene {
    fn new(underlay: Underlay) -> Self {
        let pair = |tag: &str| Pair { near: Netns::new(tag), far: Netns::new(&format!("{tag}-far")) };
        let (blue, red) = (pair("blue"), pair("red"));
        Self { scratch: Scratch::new(), underlay, remote: Netns::new("remote"), blue, red }
    }

    /// weir's configuration with these devices, `more` keys of the networks and the uplink, and further sections.
    fn config(&self, devices: [&str; 3], network: &str, uplink: &str) -> String {
        let Underlay { ours, theirs, prefix, mtu, inner_mtu, udp_checksum } = self.underlay;
        let [up, blue, red] = devices;
        let mut text = head(&self.scratch, 512, 16384);
        text += &format!("[vxlan]\nudp_checksum = {udp_checksum}\n\n");
        text += &format!(
            "[[port]]\nname = \"up0\"\ndevice = \"{up}\"\nrole = \"uplink\"\naddresses = [\"{ours}/{prefix}\"]\n\
             mtu = {mtu}\nmac = \"{WEIR_MAC}\"\n{uplink}\n\n"
        );
        for (name, vni, device) in [("blue", BLUE.0, blue), ("red", RED.0, red)] {
            text += &format!(
                "[[network]]\nname = \"{name}\"\nvni = {vni}\nmtu = {inner_mtu}\nvteps = [\"{theirs}\"]\n{network}\n\n\
                 [[port]]\nname = \"{name}\"\ndevice = \"{device}\"\nrole = \"container\"\nnetwork = \"{name}\"\n\n"
            );
        }
        text
    }

    /// Taps straight into the namespaces.
    fn taps(&self) -> [String; 3] {
        let tap = |device: &str, netns: &Netns| format!("tap:{device}@{}", netns.name());
        [tap("up0", &self.remote), tap("eth0", &self.blue.near), tap("eth0", &self.red.near)]
    }

    /// Addresses, MTUs and the kernel's VXLAN, once the devices are there.
    fn set_up(&self) {
        let Underlay { ours, theirs, prefix, mtu, inner_mtu, .. } = self.underlay;
        self.remote.set_up("up0", REMOTE_MAC, mtu, &[&format!("{theirs}/{prefix}")]);
        let inner = ["10.0.0.1/24", "fd00::1/64"];
        self.blue.near.set_up("eth0", "02:00:00:00:00:a1", inner_mtu, &inner);
        self.red.near.set_up("eth0", "02:00:00:00:00:b1", inner_mtu, &inner);
        for (pair, vni, mac) in [(&self.blue, BLUE.0, "02:00:00:00:00:a2"), (&self.red, RED.0, "02:00:00:00:00:b2")] {
            // Red's peer leaves the outer checksum zero, blue's fills it in.
            let sums = match (vni == BLUE.0, ours.contains(':')) {
                (true, false) => "udpcsum",
                (false, false) => "noudpcsum",
                (true, true) => "noudp6zerocsumtx noudp6zerocsumrx",
                (false, true) => "udp6zerocsumtx noudp6zerocsumrx",
            };
            self.remote.ip(&format!(
                "link add vx{vni} type vxlan id {vni} local {theirs} remote {ours} dev up0 dstport 4789 {sums}"
            ));
            self.remote.ip(&format!("link set vx{vni} netns {} name vx0", pair.far.name()));
            pair.far.set_up("vx0", mac, inner_mtu, &["10.0.0.2/24", "fd00::2/64"]);
        }
    }

    /// Captures of all that weir sends.
    fn capture(&self) -> Vec<Capture> {
        let on = |netns, device| Capture::of_weir(&self.scratch, netns, device);
        vec![on(&self.remote, "up0"), on(&self.blue.near, "eth0"), on(&self.red.near, "eth0")]
    }

    /// ARP, ND, ping in several sizes and iperf3 both ways, in two networks with the same addresses; then the judgement.
    fn exercise(&self) {
        let captures = self.capture();
        for pair in [&self.blue, &self.red] {
            pair.near.ping_until("10.0.0.2", 20);
            pair.near.ping_until("fd00::2", 20);
        }
        let largest = u32::from(self.underlay.inner_mtu);
        for (pair, (_, pattern)) in [(&self.blue, BLUE), (&self.red, RED)] {
            for octets in [16, 56, 512, largest - 28] {
                pair.near.ping("10.0.0.2", 5, octets, pattern);
                pair.far.ping("10.0.0.1", 5, octets, pattern);
            }
            for octets in [16, largest - 48] {
                pair.near.ping("fd00::2", 5, octets, pattern);
                pair.far.ping("fd00::1", 5, octets, pattern);
            }
        }
        // The right one answered: each knows the other's address of its own network.
        let asked = |netns: &Netns, address: &str| netns.neighbour(address).to_lowercase();
        assert!(asked(&self.blue.near, "10.0.0.2").contains("02:00:00:00:00:a2"));
        assert!(asked(&self.red.near, "10.0.0.2").contains("02:00:00:00:00:b2"));
        assert!(asked(&self.blue.far, "fd00::1").contains("02:00:00:00:00:a1"));

        let Pair { near, far } = &self.blue;
        for arguments in ["-n 16M -w 256K", "-n 16M -w 256K -R"] {
            let moved = iperf(&self.scratch, near, far, "10.0.0.2", arguments);
            assert!(moved.octets > 8 << 20, "TCP {arguments}: {moved:?}");
        }
        let moved = iperf(&self.scratch, near, far, "fd00::2", "-n 4M -w 256K");
        assert!(moved.octets > 2 << 20, "TCP over IPv6: {moved:?}");
        let octets = self.underlay.inner_mtu - 100;
        for arguments in ["-u -b 40M -t 1", "-u -b 40M -t 1 -R"] {
            let moved = iperf(&self.scratch, near, far, "10.0.0.2", &format!("{arguments} -l {octets}"));
            assert!(moved.lost < moved.datagrams && moved.datagrams > 100, "UDP {arguments}: {moved:?}");
        }

        let captured: Vec<_> = captures.into_iter().map(Capture::stop).collect();
        let [up, blue, red] = captured.as_slice() else { panic!("three captures") };
        up.judge(1000);
        blue.judge(1000);
        red.judge(40);
        // No network's packets leak into the other.
        up.has_some("vxlan.vni == 100 && frame contains aa:aa:aa:aa:aa:aa:aa:aa");
        up.has_some("vxlan.vni == 200 && frame contains bb:bb:bb:bb:bb:bb:bb:bb");
        up.has_none("vxlan.vni == 200 && frame contains aa:aa:aa:aa:aa:aa:aa:aa");
        up.has_none("vxlan.vni == 100 && frame contains bb:bb:bb:bb:bb:bb:bb:bb");
        up.has_none("vxlan && vxlan.vni != 100 && vxlan.vni != 200");
        red.has_none("frame contains aa:aa:aa:aa:aa:aa:aa:aa || vxlan");
        blue.has_none("frame contains bb:bb:bb:bb:bb:bb:bb:bb || vxlan");
        // RFC 7348 § 5: "It is recommended that the UDP source port number be calculated using a hash of fields from the
        // inner packet": iperf3's connections differ, and so do their outer ports.
        let ports: std::collections::BTreeSet<String> =
            up.fields("vxlan.vni == 100 && tcp", "udp.srcport").into_iter().collect();
        assert!(ports.len() > 1, "all inner TCP flows have one outer source port: {ports:?}");
        if self.underlay.udp_checksum {
            up.has_none("vxlan && udp.checksum == 0");
        }
        // What does not fit is not cut: no fragment, no oversized frame.
        up.has_none(&format!("frame.len > {}", u32::from(self.underlay.mtu) + 14));
        up.has_none("ip.flags.mf == 1 || ip.frag_offset > 0");
    }
}

const WEIR_MAC: &str = "02:00:00:00:ee:01";
const REMOTE_MAC: &str = "02:00:00:00:ee:02";

fn over_taps(underlay: Underlay) {
    let scene = Scene::new(underlay);
    let taps = scene.taps();
    let weir = Weir::start(&scene.scratch, &scene.config(taps.each_ref().map(String::as_str), "", ""));
    scene.set_up();
    scene.exercise();
    let tunnel = weir.find("tunnels", "remote", underlay.theirs);
    assert!(number(&tunnel, "/counters/tx_packets") > 1000 && number(&tunnel, "/counters/rx_packets") > 1000);
    weir.stop(MAY_DROP);
}

#[test]
#[ignore = "needs root: run `make peers`"]
fn over_an_ipv4_underlay() {
    over_taps(V4);
}

#[test]
#[ignore = "needs root: run `make peers`"]
fn over_an_ipv6_underlay() {
    over_taps(V6);
}

#[test]
#[ignore = "needs root: run `make peers`"]
fn jumbo_frames_in_chained_buffers() {
    over_taps(Underlay { mtu: 9100, inner_mtu: 9000, ..V4 });
}

#[test]
#[ignore = "needs root: run `make peers`"]
fn jumbo_frames_over_ipv6_with_checksums() {
    over_taps(Underlay { mtu: 9100, inner_mtu: 9000, ..V6 });
}

/// The same over packet sockets on veth devices, jumbo frames included; the peers' offloads are off.
#[test]
#[ignore = "needs root: run `make peers`"]
fn over_packet_sockets_and_veth() {
    let scene = Scene::new(Underlay { mtu: 9100, inner_mtu: 9000, ..V4 });
    let dataplane = Netns::new("weir");
    // weir's own namespace has nothing to say on these devices.
    dataplane.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
    let cables = [("up0", &scene.remote, "up0"), ("blue", &scene.blue.near, "eth0"), ("red", &scene.red.near, "eth0")];
    for (ours, peer, theirs) in cables {
        let (weir, peer_name) = (dataplane.name(), peer.name());
        dataplane.ip(&format!("link add {ours} netns {weir} type veth peer name {theirs} netns {peer_name}"));
        for (netns, device) in [(&dataplane, ours), (peer, theirs)] {
            netns.ip(&format!("link set {device} mtu 9100 up"));
            netns.run(["ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]).ok();
        }
    }
    let devices = ["up0", "blue", "red"].map(|name| format!("af-packet:{name}"));
    let config = scene.config(devices.each_ref().map(String::as_str), "", "");
    let weir = Weir::start_in(&scene.scratch, Some(&dataplane), &config);
    scene.set_up();
    scene.exercise();
    weir.stop(MAY_DROP);
}

/// ARP and ND for known bindings are answered here and never leave; addresses age, and move when their station does.
#[test]
#[ignore = "needs root: run `make peers`"]
fn bindings_are_answered_and_addresses_age_and_move() {
    let scene = Scene::new(V4);
    let taps = scene.taps();
    let bindings = "mac_ageing_s = 2\nbindings = [{ address = \"10.0.0.9\", mac = \"02:00:00:00:00:09\" }, \
                    { address = \"fd00::9\", mac = \"02:00:00:00:00:09\" }]";
    let moved = Netns::new("moved");
    let mut config = scene.config(taps.each_ref().map(String::as_str), bindings, "");
    config += &format!(
        "[[port]]\nname = \"other\"\ndevice = \"tap:eth0@{}\"\nrole = \"container\"\nnetwork = \"blue\"\n",
        moved.name()
    );
    let weir = Weir::start(&scene.scratch, &config);
    scene.set_up();
    let up = Capture::of_weir(&scene.scratch, &scene.remote, "up0");
    let near = &scene.blue.near;
    near.ping_until("10.0.0.2", 20);

    for address in ["10.0.0.9", "fd00::9"] {
        // Nobody is there; the kernel knows the binding's address all the same.
        assert!(!near.try_ping(address, 1, 16, 0).status.success());
        let known = near.neighbour(address);
        assert!(known.contains("02:00:00:00:00:09"), "{address}: {known:?}");
    }
    let blue = weir.find("networks", "name", "blue");
    assert!(number(&blue, "/counters/suppressed") >= 2, "{blue:#}");

    // Learned, then forgotten: nobody talks for longer than mac_ageing_s.
    let behind = |mac: &str| {
        let macs = weir.show("macs");
        let list = macs.as_array().unwrap().clone();
        let found = list.into_iter().find(|one| one["mac"] == mac && one["network"] == "blue");
        found.map(|one| (one["port"].as_str().map(str::to_owned), one["vtep"].as_str().map(str::to_owned)))
    };
    near.ping_until("10.0.0.2", 5);
    assert_eq!(behind("02:00:00:00:00:a1"), Some((Some("blue".into()), None)));
    assert_eq!(behind("02:00:00:00:00:a2"), Some((None, Some(V4.theirs.into()))));
    near.ip("link set eth0 down");
    wait_for("the container's address to age", 20, || behind("02:00:00:00:00:a1").is_none().then_some(()));

    // The station comes up at another port of the network.
    near.ip("link set eth0 up");
    near.ip("addr flush dev eth0");
    near.ip("addr add 10.0.0.1/24 dev eth0");
    near.ping_until("10.0.0.2", 10);
    assert_eq!(behind("02:00:00:00:00:a1"), Some((Some("blue".into()), None)));
    near.ip("link set eth0 down");
    moved.set_up("eth0", "02:00:00:00:00:a1", V4.inner_mtu, &["10.0.0.1/24"]);
    moved.ping_until("10.0.0.2", 10);
    assert_eq!(behind("02:00:00:00:00:a1"), Some((Some("other".into()), None)), "it moved");
    moved.ping("10.0.0.2", 5, 56, BLUE.1);
    // What is flooded to the port whose interface is down does not wait there to come out stale.
    assert!(weir.dropped("port_down") > 0, "{:?}", weir.drops());

    let up = up.stop();
    up.judge(10);
    up.has_none("arp.dst.proto_ipv4 == 10.0.0.9 || icmpv6.nd.ns.target_address == fd00::9");
    weir.stop(&[MAY_DROP, &["same_port"]].concat());
}

/// A container whose frames carry an 802.1Q tag, spoken by scapy, since the kernel's VLAN devices may be missing.
#[test]
#[ignore = "needs root: run `make peers`"]
fn a_tagged_container() {
    let scene = Scene::new(V4);
    let taps = scene.taps();
    let trunk = Netns::new("trunk");
    let mut config = scene.config(taps.each_ref().map(String::as_str), "", "");
    config += &format!(
        "[[port]]\nname = \"trunk\"\ndevice = \"tap:eth0@{}\"\nrole = \"container\"\n\
         vlans = [{{ vlan = 10, network = \"blue\" }}, {{ vlan = 20, network = \"red\" }}]\n",
        trunk.name()
    );
    // Its kernel has nothing to say: what it says has no tag, and an untagged frame has no network here.
    trunk.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
    let weir = Weir::start(&scene.scratch, &config);
    scene.set_up();
    trunk.set_up("eth0", "02:00:00:00:00:c1", V4.inner_mtu, &[]);
    scene.blue.near.ping_until("10.0.0.2", 20);
    scene.red.near.ping_until("10.0.0.2", 20);
    let captures =
        [Capture::of_weir(&scene.scratch, &scene.remote, "up0"), Capture::of_weir(&scene.scratch, &trunk, "eth0")];

    let script = r#"
import sys
from scapy.all import ARP, Dot1Q, Ether, ICMP, IP, Raw, conf, srp1
conf.verb = 0
conf.iface = "eth0"
mac = "02:00:00:00:00:c1"
for vlan, far, near in ((10, "02:00:00:00:00:a2", "02:00:00:00:00:a1"), (20, "02:00:00:00:00:b2", "02:00:00:00:00:b1")):
    for address, owner in (("10.0.0.2", far), ("10.0.0.1", near)):
        ask = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=vlan) / ARP(op=1, hwsrc=mac, psrc="10.0.0.7", pdst=address)
        answer = srp1(ask, timeout=5, retry=2)
        assert answer is not None, f"VLAN {vlan}: no answer to ARP for {address}"
        assert answer[Dot1Q].vlan == vlan, answer.show(dump=True)
        assert answer[ARP].hwsrc == owner, answer.show(dump=True)
        ping = Ether(src=mac, dst=owner) / Dot1Q(vlan=vlan, prio=5) / IP(src="10.0.0.7", dst=address) / ICMP(id=vlan) / Raw(b"x" * 1400)
        answer = srp1(ping, timeout=5, retry=2)
        assert answer is not None, f"VLAN {vlan}: no echo reply from {address}"
        assert answer[Dot1Q].vlan == vlan and answer[ICMP].type == 0 and answer[ICMP].id == vlan, answer.show(dump=True)
"#;
    trunk.run(["/usr/bin/python3", "-c", script]).ok();

    let [up, tagged] = captures.map(Capture::stop);
    up.judge(4);
    tagged.judge(8);
    // RFC 7348 § 6.1: "a VTEP SHOULD NOT include an inner VLAN tag on tunnel packets unless configured otherwise".
    up.has_none("vlan");
    tagged.has_none("!vlan");
    tagged.has_none("vlan.id != 10 && vlan.id != 20");
    weir.stop(MAY_DROP);
}

/// What is for the underlay address but neither a tunnel nor weir's to answer reaches the host's own stack, and back.
#[test]
#[ignore = "needs root: run `make peers`"]
fn the_hosts_own_stack_behind_the_uplink() {
    let scene = Scene::new(V4);
    let taps = scene.taps();
    let host = Netns::new("host");
    let mut config = scene.config(taps.each_ref().map(String::as_str), "", "host = \"h0\"");
    config += &format!("[[port]]\nname = \"h0\"\ndevice = \"tap:h0@{}\"\nrole = \"host\"\nmtu = 1600\n", host.name());
    config += "[host]\nrate_limit_pps = 0\n";
    let weir = Weir::start(&scene.scratch, &config);
    scene.set_up();
    // The stack has the uplink's addresses, as if it owned the device.
    host.set_up("h0", WEIR_MAC, V4.mtu, &["198.51.100.1/24"]);
    let captures =
        [Capture::of_weir(&scene.scratch, &scene.remote, "up0"), Capture::of_weir(&scene.scratch, &host, "h0")];

    scene.remote.ping_until("198.51.100.1", 20);
    host.ping_until("198.51.100.2", 20);
    for arguments in ["-n 4M -w 256K", "-n 4M -w 256K -R"] {
        let moved = iperf(&scene.scratch, &scene.remote, &host, "198.51.100.1", arguments);
        assert!(moved.octets > 2 << 20, "{arguments}: {moved:?}");
    }
    let moved = iperf(&scene.scratch, &scene.remote, &host, "198.51.100.1", "-u -b 10M -t 1 -l 1400");
    assert!(moved.lost < moved.datagrams, "{moved:?}");
    // Tunnels go on beside it.
    scene.blue.near.ping_until("10.0.0.2", 20);
    scene.blue.near.ping("10.0.0.2", 5, 1000, BLUE.1);

    let [up, punted] = captures.map(Capture::stop);
    up.judge(1000);
    punted.judge(1000);
    punted.has_none("vxlan");
    weir.stop(MAY_DROP);
}
