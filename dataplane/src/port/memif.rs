//! `memif:PATH[,client][,id=N]`: shared memory with another process.

use super::Backend;
use super::eth::EthSpec;
use super::options::Options;
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "memif",
    syntax: "memif:PATH[,client][,id=N]",
    help: "shared memory with another process that speaks memif (VPP, DPDK); the endpoint serves unless client",
    parse,
};

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::with_first(text);
    let path = options.required("the socket's path")?;
    let role = if options.flag("client")? { "client" } else { "server" };
    let id = options.number("id", 0, u64::from(u32::MAX))?.unwrap_or(0);
    options.end("client, id=N")?;
    let arguments = format!("role={role},id={id},socket={path},socket-abstract=no");
    Ok(Kind::Eth(EthSpec::virtual_device("net_memif", arguments)))
}
