//! Ten million frames of garbage through a running weir: nothing breaks, nothing is lost from the books, and every check
//! that parses or decapsulates finds what it is there for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]
#![allow(clippy::format_push_string, reason = "a configuration is put together section by section")]

mod common;
mod garbage;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::capture::Captured;
use common::files::{Random, append_frame};
use common::weir::{Weir, head};
use common::{Scratch, soak};
use garbage::{IS_RIGHT, Lot, aimed, from_container, from_underlay, mutate};
use overlay::reason::{DropReason, Origin};
use pcap_file::pcap::PcapWriter;

/// Frames of a round for each of the two ports, all made for it.
const ROUND: u64 = 250_000;

/// The same every time, or another one every time under `make soak`; `WEIR_SEED` gives one back that was printed.
fn seed() -> u64 {
    if let Ok(seed) = std::env::var("WEIR_SEED") {
        return seed.parse().unwrap_or_else(|error| panic!("WEIR_SEED={seed}: {error}"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    if std::env::var_os("WEIR_SOAK").is_some() { now } else { 0x0077_6569_7221 }
}

/// What a round consists of.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    uplink: u64,
    access: u64,
    /// Of both, those with damage.
    wrong: u64,
}

/// Writes the frames of one round. Of ten, one has a single fault, aimed at one check, each check in turn; the others are
/// damaged at random, or, one of sixteen, right.
fn make(random: &mut Random, reasons: &[DropReason], uplink: &Path, access: &Path) -> Made {
    let mut files = [uplink, access].map(|path| PcapWriter::new(BufWriter::new(File::create(path).unwrap())).unwrap());
    let mut made = Made::default();
    let mut turn = 0;
    while made.uplink < ROUND || made.access < ROUND {
        let (outside, frame) = if random.below(10) == 0 {
            let reason = reasons[turn % reasons.len()];
            turn += 1;
            made.wrong += 1;
            aimed(reason, random).unwrap_or_else(|| panic!("no frame is made for drop reason {reason}"))
        } else {
            let outside = made.uplink < made.access;
            let lot = if random.below(16) == 0 { Lot::Right } else { Lot::Damaged };
            let frame =
                if outside || random.below(8) == 0 { from_underlay(random, lot) } else { from_container(random, lot) };
            if lot == Lot::Right {
                (outside, frame)
            } else {
                made.wrong += 1;
                (outside, mutate(frame, random))
            }
        };
        let (count, file) = if outside { (&mut made.uplink, &mut files[0]) } else { (&mut made.access, &mut files[1]) };
        *count += 1;
        append_frame(file, &frame);
    }
    made
}

/// The configuration of a round: what the ports read, and what they write.
fn config(head: &str, uplink: &str, access: &str, other: &str) -> String {
    let mut config = head.to_owned();
    config += "[vxlan]\naccept_zero_checksum_ipv6 = false\nudp_checksum = true\n\n[host]\nrate_limit_pps = 0\n\n";
    config += &format!(
        "[[port]]\nname = \"up0\"\ndevice = \"{uplink}\"\nrole = \"uplink\"\n\
         addresses = [\"198.51.100.1/24\", \"2001:db8::1/64\"]\nmac = \"02:00:00:00:ee:01\"\nmtu = 2000\n\
         neighbours = [{{ address = \"198.51.100.2\", mac = \"02:00:00:00:ee:02\" }}, \
         {{ address = \"2001:db8::2\", mac = \"02:00:00:00:ee:02\" }}]\n\n\
         [[network]]\nname = \"blue\"\nvni = {blue}\nvteps = [\"198.51.100.2\", \"2001:db8::2\"]\n\
         bindings = [{{ address = \"10.0.0.2\", mac = \"02:00:00:00:00:02\" }}]\n\n\
         [[network]]\nname = \"red\"\nvni = {red}\nvteps = [\"198.51.100.2\", \"2001:db8::2\"]\n\n\
         [[port]]\nname = \"c1\"\ndevice = \"{access}\"\nrole = \"container\"\n\
         network = \"blue\"\nvlans = [{{ vlan = 10, network = \"red\" }}]\n\n\
         [[port]]\nname = \"c2\"\ndevice = \"{other}\"\nrole = \"container\"\nnetwork = \"blue\"\n",
        blue = garbage::BLUE,
        red = garbage::RED,
    );
    config
}

#[test]
#[ignore = "needs root: run `make peers`"]
fn ten_million_mutated_frames() {
    let scratch = Scratch::new();
    let seed = seed();
    eprintln!("WEIR_SEED={seed} makes these frames again");
    let mut random = Random(seed);
    let reasons: Vec<DropReason> = DropReason::ALL
        .iter()
        .copied()
        .filter(|reason| matches!(reason.origin(), Origin::Parse | Origin::Decap))
        .collect();
    // Small buffers: long headers do not fit one, long frames are chained.
    let head = head(&scratch, 256, 32768).replace("[pool]\n", "[pool]\ndata_octets = 512\n");
    let files = |round: u64| [scratch.path(&format!("up{round}.pcap")), scratch.path(&format!("c{round}.pcap"))];
    let make = |random: &mut Random, round| {
        let [uplink, access] = files(round);
        make(random, &reasons, &uplink, &access)
    };

    let started = Instant::now();
    let wanted = soak(10_000_000);
    let mut made = make(&mut random, 0);
    let [uplink, access] = files(0).map(|path| format!("pcap:{}", path.display()));
    // What goes out in the first round is written to files.
    let out = |name: &str| scratch.text(&format!("{name}-out.pcap"));
    let weir = Weir::start(
        &scratch,
        &config(
            &head,
            &format!("{uplink},{}", out("up0")),
            &format!("{access},{}", out("c1")),
            &format!("pcap:,{}", out("c2")),
        ),
    );
    let (mut round, mut sent, mut wrong) = (0, 0, 0);
    loop {
        sent += made.uplink + made.access;
        wrong += made.wrong;
        // While weir is at it, the next ones are made.
        let next = (wrong < wanted).then(|| make(&mut random, round + 1));
        let until = Instant::now() + Duration::from_mins(1);
        while weir.received() < sent {
            assert!(Instant::now() < until, "{} of {sent} frames were received\n{}", weir.received(), weir.tail());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(weir.received(), sent, "round {round}");
        weir.assert_balanced();
        if round == 0 {
            // It still forwards: the good ones among the garbage.
            let forwarded = weir.counter("c2", "tx_packets");
            assert!(forwarded > sent / 1000, "{forwarded} frames of {sent} were forwarded");
        }
        for file in files(round) {
            std::fs::remove_file(file).unwrap();
        }
        let Some(next) = next else { break };
        made = next;
        round += 1;
        let [uplink, access] = files(round).map(|path| format!("pcap:{}", path.display()));
        weir.apply(&config(&head, &uplink, &access, "null"));
    }
    eprintln!("{sent} frames made, {wrong} of them wrong, in {} rounds and {:?}", round + 1, started.elapsed());

    let drops = weir.drops();
    let count =
        |reason: DropReason| drops.iter().find(|(name, _)| name == reason.name()).map_or(0, |(_, count)| *count);
    let seldom: Vec<_> =
        reasons.iter().map(|reason| (reason.name(), count(*reason))).filter(|(_, n)| *n < 1000).collect();
    assert!(seldom.is_empty(), "not hit a thousand times: {seldom:?}\n{drops:?}");

    let any: Vec<&str> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    weir.stop(&any);
    judge(&scratch);
}

/// What weir wrote in the first round: all frames to the underlay, but for what they carry, its answers to containers, and
/// whatever came in right, with all that it carries. The rest is garbage that goes out as it came in; no judge lets that pass.
#[track_caller]
fn judge(scratch: &Scratch) {
    let up = Captured::from_file(&scratch.path("up0-out.pcap")).first(100_000).outer_only();
    up.has_none("eth.src != 02:00:00:00:ee:01");
    up.judge_sums(50_000, &[("ip", 20_000), ("udp", 50_000)]);
    up.judge_those("ipv6 && udp.dstport == 4789", 10_000, &[("udp", 10_000)]);
    // Answers to ARP for its own address and to solicitations.
    up.judge_those("arp.opcode == 2", 100, &[]);
    up.judge_those("icmpv6.type == 136", 100, &[("icmpv6", 100)]);
    // Answers on behalf of the station that is bound; no frame of the test's own has its address.
    let c1 = Captured::from_file(&scratch.path("c1-out.pcap"));
    c1.judge_those("arp.opcode == 2 && eth.src == 02:00:00:00:00:02", 100, &[]);
    let sums = [("ip", 500), ("udp", 100), ("tcp", 100), ("icmp", 100), ("icmpv6", 100)];
    for name in ["up0-out.pcap", "c1-out.pcap", "c2-out.pcap"] {
        Captured::from_file(&scratch.path(name)).first(200_000).judge_those(IS_RIGHT, 1000, &sums);
    }
}
