//! `af-packet:IFACE[,framesz=OCTETS][,framecnt=N]`: an existing kernel device through a packet socket.
//!
//! Frames longer than framesz are cut without a word, the kernel reassembles IP fragments before weir sees them, and the
//! host's own frames on the device are received too.

use super::Backend;
use super::eth::EthSpec;
use super::options::{Options, interface};
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "af-packet",
    syntax: "af-packet:IFACE[,framesz=OCTETS][,framecnt=N]",
    help: "an existing kernel device (veth, NIC) through a packet socket (needs CAP_NET_RAW)",
    parse,
};

/// Octets of a block; a frame must fit one.
const BLOCK_OCTETS: u64 = 65_536;

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::with_first(text);
    let mut arguments = vec![format!("iface={}", interface(options.required("the interface's name")?)?)];
    if let Some(octets) = options.number("framesz", 128, BLOCK_OCTETS)? {
        if !octets.is_power_of_two() {
            return Err(format!("framesz={octets}: a power of two is needed, since frames share blocks"));
        }
        arguments.push(format!("framesz={octets},blocksz={BLOCK_OCTETS}"));
    }
    if let Some(count) = options.number("framecnt", 32, 65_536)? {
        arguments.push(format!("framecnt={count}"));
    }
    options.end("framesz=OCTETS, framecnt=N")?;
    Ok(Kind::Eth(EthSpec::virtual_device("net_af_packet", arguments.join(","))))
}
