//! Ten million frames of garbage through a running weir: nothing breaks, nothing is lost from the books, and every check
//! that parses or decapsulates finds what it is there for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]
#![allow(clippy::format_push_string, reason = "a configuration is put together section by section")]

mod common;
mod garbage;

use std::time::Instant;

use common::capture::Captured;
use common::files::{Random, write_pcap};
use common::weir::{Weir, head};
use common::{Scratch, soak};
use garbage::{aimed, from_container, from_underlay, mutate};
use overlay::reason::{DropReason, Origin};

/// Different frames for each side; weir replays them in a random order.
const DIFFERENT: usize = 100_000;

#[test]
#[ignore = "needs root: run `make peers`"]
fn ten_million_mutated_frames() {
    let scratch = Scratch::new();
    let mut random = Random(0x0077_6569_7221);
    let reasons: Vec<DropReason> = DropReason::ALL
        .iter()
        .copied()
        .filter(|reason| matches!(reason.origin(), Origin::Parse | Origin::Decap))
        .collect();
    let (mut uplink, mut access) = (Vec::new(), Vec::new());
    // Half of the frames have one fault each, aimed at one check.
    for round in 0..DIFFERENT {
        let reason = reasons[round % reasons.len()];
        let (outside, frame) =
            aimed(reason, &mut random).unwrap_or_else(|| panic!("no frame is made for drop reason {reason}"));
        if outside { uplink.push(frame) } else { access.push(frame) }
    }
    // The others are right, or damaged at random.
    while uplink.len() < DIFFERENT {
        let frame = from_underlay(&mut random);
        uplink.push(if random.below(8) == 0 { frame } else { mutate(frame, &mut random) });
    }
    while access.len() < DIFFERENT {
        let frame = if random.below(8) == 0 { from_underlay(&mut random) } else { from_container(&mut random) };
        access.push(if random.below(8) == 0 { frame } else { mutate(frame, &mut random) });
    }
    write_pcap(&scratch.path("uplink.pcap"), uplink.iter().map(Vec::as_slice));
    write_pcap(&scratch.path("access.pcap"), access.iter().map(Vec::as_slice));

    let mut config = head(&scratch, 256, 32768);
    // Small buffers: long headers do not fit one, long frames are chained.
    config = config.replace("[pool]\n", "[pool]\ndata_octets = 512\n");
    config += "[vxlan]\naccept_zero_checksum_ipv6 = false\nudp_checksum = true\n\n[host]\nrate_limit_pps = 0\n\n";
    config += &format!(
        "[[port]]\nname = \"up0\"\ndevice = \"source:frames={up},rate_pps=0,seed=1\"\nrole = \"uplink\"\n\
         addresses = [\"198.51.100.1/24\", \"2001:db8::1/64\"]\nmac = \"02:00:00:00:ee:01\"\nmtu = 2000\n\
         neighbours = [{{ address = \"198.51.100.2\", mac = \"02:00:00:00:ee:02\" }}, \
         {{ address = \"2001:db8::2\", mac = \"02:00:00:00:ee:02\" }}]\n\n\
         [[network]]\nname = \"blue\"\nvni = {blue}\nvteps = [\"198.51.100.2\", \"2001:db8::2\"]\n\
         bindings = [{{ address = \"10.0.0.2\", mac = \"02:00:00:00:00:02\" }}]\n\n\
         [[network]]\nname = \"red\"\nvni = {red}\nvteps = [\"198.51.100.2\", \"2001:db8::2\"]\n\n\
         [[port]]\nname = \"c1\"\ndevice = \"source:frames={access},rate_pps=0,seed=2\"\nrole = \"container\"\n\
         network = \"blue\"\nvlans = [{{ vlan = 10, network = \"red\" }}]\n\n\
         [[port]]\nname = \"c2\"\ndevice = \"null\"\nrole = \"container\"\nnetwork = \"blue\"\n\n\
         [[network]]\nname = \"green\"\nvni = 77\nvteps = [\"203.0.113.2\", \"2001:db8:1::2\"]\n\n\
         [[port]]\nname = \"c3\"\ndevice = \"source:frames={access},rate_pps=5000,seed=3\"\nrole = \"container\"\n\
         network = \"green\"\n\n\
         [[port]]\nname = \"up1\"\ndevice = \"pcap:,{wire}\"\nrole = \"uplink\"\n\
         addresses = [\"203.0.113.1/24\", \"2001:db8:1::1/64\"]\nmac = \"02:00:00:00:ee:03\"\nmtu = 2000\n\
         neighbours = [{{ address = \"203.0.113.2\", mac = \"02:00:00:00:ee:04\" }}, \
         {{ address = \"2001:db8:1::2\", mac = \"02:00:00:00:ee:04\" }}]\n",
        wire = scratch.text("wire.pcap"),
        up = scratch.text("uplink.pcap"),
        access = scratch.text("access.pcap"),
        blue = garbage::BLUE,
        red = garbage::RED,
    );
    // The last two ports: garbage from a container, slowly, into tunnels of its own that end in a file.
    let weir = Weir::start(&scratch, &config);

    let wanted = soak(10_000_000);
    let until = Instant::now() + std::time::Duration::from_secs(soak(60));
    while weir.received() < wanted {
        assert!(Instant::now() < until, "only {} frames were received\n{}", weir.received(), weir.tail());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    weir.assert_balanced();
    assert!(weir.counter("up0", "rx_packets") > wanted / 5 && weir.counter("c1", "rx_packets") > wanted / 5);
    // It still forwards: the good ones among the garbage.
    assert!(weir.counter("c2", "tx_packets") > wanted / 1000);

    let drops = weir.drops();
    let count =
        |reason: DropReason| drops.iter().find(|(name, _)| name == reason.name()).map_or(0, |(_, count)| *count);
    let seldom: Vec<_> =
        reasons.iter().map(|reason| (reason.name(), count(*reason))).filter(|(_, n)| *n < 1000).collect();
    assert!(seldom.is_empty(), "not hit a thousand times: {seldom:?}\n{drops:?}");

    let any: Vec<&str> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    weir.stop(&any);

    // What is inside a tunnel is garbage as it came, and not weir's to mend. What weir puts around it is right: lengths,
    // IPv4 header checksums, and UDP checksums over the garbage. Of the first 20,000 frames.
    let wire = Captured::from_file(&scratch.path("wire.pcap")).first(20_000);
    assert!(wire.verdict(2000).is_err(), "there is no garbage in the tunnels");
    let wire = wire.outside();
    wire.judge(2000);
    wire.verified("ip", 500);
    wire.verified("udp", 2000);
    wire.has_some("ipv6 && udp.dstport == 4789");
}
