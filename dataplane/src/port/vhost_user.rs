//! `vhost-user:PATH[,client][,queues=N]`: a container's or VM's port over librte_vhost.

use std::path::PathBuf;

use super::Backend;
use super::options::Options;
use super::spec::Kind;

pub(super) const BACKEND: Backend = Backend {
    name: "vhost-user",
    syntax: "vhost-user:PATH[,client][,queues=N]",
    help: "a container or VM over a vhost-user socket that weir serves (or, client, connects to)",
    parse,
};

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::with_first(text);
    let path = PathBuf::from(options.required("the socket's path")?);
    let client = options.flag("client")?;
    let queues = options.number("queues", 1, 128)?.map(|queues| queues as u16);
    options.end("client, queues=N")?;
    Ok(Kind::VhostUser { path, client, queues })
}
