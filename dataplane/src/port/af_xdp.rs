//! `af-xdp:IFACE`: an existing kernel device through an XDP socket.

use super::Backend;
use super::eth::EthSpec;
use super::options::{Options, interface};
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "af-xdp",
    syntax: "af-xdp:IFACE[,start_queue=N]",
    help: "an existing kernel device through an XDP socket (needs CAP_NET_RAW and CAP_BPF)",
    parse,
};

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::with_first(text);
    let mut arguments = vec![format!("iface={}", interface(options.required("the interface's name")?)?)];
    if let Some(queue) = options.number("start_queue", 0, 1023)? {
        arguments.push(format!("start_queue={queue}"));
    }
    options.end("start_queue=N")?;
    Ok(Kind::Eth(EthSpec::virtual_device("net_af_xdp", arguments.join(","))))
}
