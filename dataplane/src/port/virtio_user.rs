//! `virtio-user:PATH[,server][,queues=N][,queue_size=N]`: the guest's side of a vhost-user socket.

use super::Backend;
use super::eth::EthSpec;
use super::options::Options;
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "virtio-user",
    syntax: "virtio-user:PATH[,server][,queues=N][,queue_size=N][,mac=MAC]",
    help: "the guest's side of a vhost-user socket: weir as a container of another switch",
    parse,
};

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::with_first(text);
    let mut arguments = vec![format!("path={}", options.required("the socket's path")?)];
    if options.flag("server")? {
        arguments.push("server=1".to_owned());
    }
    if let Some(queues) = options.number("queues", 1, 8)? {
        arguments.push(format!("queues={queues}"));
    }
    if let Some(size) = options.number("queue_size", 64, 32_768)? {
        arguments.push(format!("queue_size={size}"));
    }
    if let Some(mac) = options.value::<overlay::num::MacAddr>("mac")? {
        arguments.push(format!("mac={mac}"));
    }
    options.end("server, queues=N, queue_size=N, mac=MAC")?;
    Ok(Kind::Eth(EthSpec { checksum: true, ..EthSpec::virtual_device("net_virtio_user", arguments.join(",")) }))
}
