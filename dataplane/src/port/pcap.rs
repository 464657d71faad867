//! `pcap:IN[,OUT][,loop]`: frames from a capture file, frames to another.
//!
//! With `loop` the file is held in mbufs and replayed for ever, and every receive call returns all that it asked for.

use super::Backend;
use super::eth::EthSpec;
use super::options::Options;
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "pcap",
    syntax: "pcap:[IN][,OUT][,loop]",
    help: "frames from a capture file, once or in a loop, and to another; without OUT they are discarded",
    parse,
};

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::with_first(text);
    let input = options.first();
    let output = options.positional(&["loop"]);
    let repeat = options.flag("loop")?;
    options.end("loop")?;
    let mut arguments = Vec::new();
    if input.is_empty() {
        if repeat {
            return Err("loop needs a file to read from".into());
        }
    } else {
        if !std::path::Path::new(input).is_file() {
            return Err(format!("there is no file {input:?} to read frames from"));
        }
        arguments.push(format!("rx_pcap={input}"));
    }
    if let Some(output) = output {
        arguments.push(format!("tx_pcap={output}"));
    }
    if arguments.is_empty() {
        return Err("a file to read from or to write to is missing".into());
    }
    if repeat {
        arguments.push("infinite_rx=1".into());
    }
    Ok(Kind::Eth(EthSpec::virtual_device("net_pcap", arguments.join(","))))
}
