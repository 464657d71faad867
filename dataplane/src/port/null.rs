//! `null[:rx][,copy][,size=OCTETS]`: a port that swallows, and with `rx` makes, frames of zeros.

use super::Backend;
use super::eth::EthSpec;
use super::options::Options;
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "null",
    syntax: "null[:rx][,copy][,size=OCTETS]",
    help: "swallows every frame; with rx also makes frames of zeros without end",
    parse,
};

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::keys(text);
    let mut arguments = Vec::new();
    if options.flag("copy")? {
        arguments.push("copy=1".to_owned());
    }
    if let Some(octets) = options.number("size", 14, 9018)? {
        arguments.push(format!("size={octets}"));
    }
    let sends_only = !options.flag("rx")?;
    if sends_only {
        arguments.push("no-rx=1".to_owned());
    }
    options.end("rx, copy, size=OCTETS")?;
    Ok(Kind::Eth(EthSpec { sends_only, ..EthSpec::virtual_device("net_null", arguments.join(",")) }))
}
