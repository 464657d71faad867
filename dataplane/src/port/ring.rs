//! `ring`: what is sent comes back: a loop for tests.

use super::Backend;
use super::eth::EthSpec;
use super::options::Options;
use super::spec::Kind;

pub(super) const BACKEND: Backend =
    Backend { name: "ring", syntax: "ring[:NAME]", help: "what is sent is received again: for tests", parse };

fn parse(text: &str) -> Result<Kind, String> {
    let options = Options::with_first(text);
    // The name tells two rings apart for the reader only; each port is a ring of its own.
    options.end("")?;
    Ok(Kind::Eth(EthSpec::virtual_device("net_ring", "")))
}
