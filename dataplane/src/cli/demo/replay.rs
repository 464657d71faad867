//! Part 1: captured frames go through, and every octet of what comes out is checked.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::Failure;
use super::captures::{self, Frame, WEB_VLAN};
use super::rig::{self, Rig, UPLINK, VNI, VTEP};
use super::tally::Tally;

/// Octets of outer Ethernet, IPv4, UDP and VXLAN headers (RFC 7348 § 5).
pub(super) const OUTER_OCTETS: usize = 14 + 20 + 8 + 8;

/// The VTEP whose part weir plays towards the capture from another implementation.
const FOREIGN_UPLINK: &str = r#"mac = "36:dc:85:1e:b3:40"
addresses = ["192.168.203.1/16"]
neighbours = [{ address = "192.168.202.1", mac = "00:16:3e:08:71:cf" }]
mtu = 1600"#;
const FOREIGN_VTEP: &str = "192.168.202.1";

/// What the three replays found.
#[derive(Debug, Serialize)]
pub(super) struct Replayed {
    /// From containers into the tunnel.
    pub encap: Way,
    /// The same frames back to the containers.
    pub decap: Way,
    /// Frames of another implementation.
    pub foreign: Way,
    /// The file with the encapsulated frames.
    pub file: String,
}

/// One replay.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    #[serde(flatten)]
    pub packets: Tally,
    /// Frames that were to come out.
    pub expected: usize,
    /// Of these, frames that came out as they should, octet for octet, headers apart that were put around them.
    pub exact: usize,
    /// Frames that came out.
    pub emitted: usize,
}

impl Way {
    fn new(packets: Tally, expected: &[Frame], emitted: &[Frame]) -> Self {
        Self { packets, expected: expected.len(), exact: common(expected, emitted), emitted: emitted.len() }
    }

    fn is_right(&self) -> bool {
        self.exact == self.expected && self.emitted == self.expected
    }
}

impl Replayed {
    /// What is not as it should be.
    pub(super) fn wrong(&self) -> Vec<String> {
        let ways = [("encap", &self.encap), ("decap", &self.decap), ("foreign", &self.foreign)];
        let bad = ways.into_iter().filter(|(_, way)| !way.is_right());
        bad.map(|(name, way)| {
            format!("{name}: {} frames expected, {} came out, {} of them right", way.expected, way.emitted, way.exact)
        })
        .collect()
    }
}

/// Frames that are in both lists, each as often as in the list where it is rarer.
fn common(expected: &[Frame], emitted: &[Frame]) -> usize {
    let mut left: BTreeMap<&Frame, usize> = BTreeMap::new();
    for frame in expected {
        *left.entry(frame).or_default() += 1;
    }
    let found = emitted.iter().filter(|frame| match left.get_mut(frame) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    });
    found.count()
}

/// Frames without their outer headers.
fn inner(frames: &[Frame]) -> Vec<Frame> {
    frames.iter().map(|frame| frame.get(OUTER_OCTETS..).unwrap_or_default().to_vec()).collect()
}

fn embedded(of: &[&[u8]]) -> Result<Vec<Frame>, Failure> {
    captures::frames(of).map_err(|error| Failure::running(format!("an embedded capture is broken: {error}")))
}

/// Runs the three replays; the encapsulated frames go to `out`.
pub(super) fn run(rig: &mut Rig, out: &Path) -> Result<Replayed, Failure> {
    let (web, rest) = (embedded(captures::WEB)?, embedded(captures::UNTAGGED)?);
    let files = [rig.write("web.pcap", &web)?, rig.write("rest.pcap", &rest)?];
    // RFC 7348 § 6.1: a tag of the container's side does not enter the tunnel.
    let all: Vec<Frame> = web.into_iter().chain(rest).map(captures::untagged).collect();
    let wire = rig.path("wire.pcap");
    let [first, second] = files.map(|file| format!("pcap:{}", file.display()));
    let to_wire = format!("pcap:,{}", wire.display());
    let packets = rig.replay(&tables(&[&first, &second], &to_wire, UPLINK, VTEP), all.len())?;
    // The driver writes through after every burst.
    let emitted = Rig::read(&wire)?;
    std::fs::copy(&wire, out).map_err(|error| rig::cannot("written", out, error))?;
    let encap = Way::new(packets, &all, &inner(&emitted));

    let back: Vec<Frame> = emitted.into_iter().map(captures::turned_round).collect();
    let from_wire = format!("pcap:{}", rig.write("back.pcap", &back)?.display());
    let decap = decapsulate(rig, "back", &from_wire, (UPLINK, VTEP), back.len(), &all)?;

    let foreign = embedded(captures::VXLAN)?;
    let from_wire = format!("pcap:{}", rig.write("vxlan.pcap", &foreign)?.display());
    // The capture has both directions; ours is the one towards the MAC address that weir takes over.
    let ours: Vec<Frame> = foreign.iter().filter(|frame| frame.starts_with(&[0x36, 0xdc])).cloned().collect();
    let foreign =
        decapsulate(rig, "foreign", &from_wire, (FOREIGN_UPLINK, FOREIGN_VTEP), foreign.len(), &inner(&ours))?;
    Ok(Replayed { encap, decap, foreign, file: out.display().to_string() })
}

/// Replays `packets` frames from the uplink; each of two containers is to get all of `expected`, the first one tagged.
fn decapsulate(
    rig: &mut Rig,
    name: &str,
    from_wire: &str,
    (uplink, vtep): (&str, &str),
    packets: usize,
    expected: &[Frame],
) -> Result<Way, Failure> {
    let files = [1, 2].map(|number| rig.path(&format!("{name}-{number}.pcap")));
    let [first, second] = files.each_ref().map(|file| format!("pcap:,{}", file.display()));
    let packets = rig.replay(&tables(&[&first, &second], from_wire, uplink, vtep), packets)?;
    let tagged = expected.iter().cloned().map(captures::tagged).collect();
    let [first, second] = [(&files[0], tagged), (&files[1], expected.to_vec())]
        .map(|(file, expected)| Ok(Way::new(Tally::default(), &expected, &Rig::read(file)?)));
    let (first, second): (Way, Way) = (first?, second?);
    Ok(Way {
        packets,
        expected: first.expected + second.expected,
        exact: first.exact + second.exact,
        emitted: first.emitted + second.emitted,
    })
}

/// Two containers, the first behind a VLAN tag, and an uplink around one network. Captures hold both ends of a conversation: to learn addresses from
/// them would place both behind one port, so nothing is learned and every destination is unknown.
fn tables(containers: &[&str; 2], wire: &str, uplink: &str, vtep: &str) -> String {
    let [first, second] = containers;
    format!(
        r#"
[[network]]
name = "blue"
vni = {VNI}
vteps = ["{vtep}"]
mac_learning = false

[[port]]
name = "container-1"
device = "{first}"
role = "container"
vlans = [{{ vlan = {WEB_VLAN}, network = "blue" }}]

[[port]]
name = "container-2"
device = "{second}"
role = "container"
network = "blue"

[[port]]
name = "uplink"
device = "{wire}"
role = "uplink"
{uplink}
"#
    )
}
