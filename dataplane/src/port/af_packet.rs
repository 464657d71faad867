//! `af-packet:IFACE[,framesz=OCTETS][,framecnt=N]`: an existing kernel device through a packet socket.
//!
//! Frames lie in slots of framesz octets, by default as large as the MTU needs; what is longer would be cut without a
//! word. The kernel reassembles IP fragments before weir sees them, and the
//! host's own frames on the device are received too.

use super::Backend;
use super::eth::{EthSpec, Slots};
use super::options::{Options, interface};
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "af-packet",
    syntax: "af-packet:IFACE[,framesz=OCTETS][,framecnt=N]",
    help: "an existing kernel device (veth, NIC) through a packet socket (needs CAP_NET_RAW)",
    parse,
};

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::with_first(text);
    let mut arguments = vec![format!("iface={}", interface(options.required("the interface's name")?)?)];
    let octets = options.number("framesz", 2048, 63 * 1024)?.map(|octets| octets as u16);
    if let Some(octets) = octets.filter(|octets| !octets.is_multiple_of(Slots::UNIT_OCTETS)) {
        return Err(format!("framesz={octets}: a multiple of {} is needed", Slots::UNIT_OCTETS));
    }
    if let Some(count) = options.number("framecnt", 32, 65_536)? {
        if !count.is_multiple_of(4) {
            return Err(format!("framecnt={count}: a multiple of 4 is needed"));
        }
        arguments.push(format!("framecnt={count}"));
    }
    options.end("framesz=OCTETS, framecnt=N")?;
    let slots = Some(Slots { octets });
    Ok(Kind::Eth(EthSpec { slots, ..EthSpec::virtual_device("net_af_packet", arguments.join(",")) }))
}
