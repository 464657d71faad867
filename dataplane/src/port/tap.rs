//! `tap:NAME[@NETNS][,mac=MAC]`: a kernel network device, in a network namespace if one is named.

use overlay::num::MacAddr;

use super::Backend;
use super::options::{Options, interface};
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "tap",
    syntax: "tap:NAME[@NETNS][,mac=MAC]",
    help: "a kernel tap device, straight into a network namespace if one is named (needs CAP_NET_ADMIN)",
    parse,
};

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::with_first(text);
    let first = options.required("the device's name")?;
    let (name, netns) = match first.split_once('@') {
        Some((_, "")) => return Err("the namespace's name after @ is missing".into()),
        Some((name, netns)) => (name, Some(netns.to_owned())),
        None => (first, None),
    };
    let mac: Option<MacAddr> = options.value("mac")?;
    options.end("mac=MAC")?;
    Ok(Kind::Tap { name: interface(name)?.to_owned(), netns, mac })
}
