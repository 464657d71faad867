//! iperf3 between two namespaces.

use serde_json::Value;

use super::net::Netns;
use super::{Scratch, unique, wait_for};

/// What one run moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    /// Octets of payload that had arrived when the sender was done: with TCP, some are still on their way.
    pub(crate) octets: u64,
    /// UDP: datagrams sent.
    pub(crate) datagrams: u64,
    /// UDP: datagrams that did not arrive.
    pub(crate) lost: u64,
}

/// Runs a server in `to` and a client in `from` with these further arguments (`-R` turns the direction round).
#[track_caller]
pub(crate) fn iperf(scratch: &Scratch, from: &Netns, to: &Netns, address: &str, arguments: &str) -> Moved {
    let port = 5201.to_string();
    let log = scratch.path(&format!("iperf-{}.log", unique()));
    let mut server = to.start(["iperf3", "-s", "-1", "-p", &port, "-B", address], &log);
    wait_for("iperf3's server", 10, || {
        let sockets = to.run(["ss", "-Hltn"]).ok();
        sockets.contains(&format!(":{port} ")).then_some(())
    });
    let line = ["timeout", "30", "iperf3", "-J", "-p", &port, "-c", address];
    let said = from.run(line.into_iter().chain(arguments.split_whitespace()));
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_default();
    let end = answer.get("end").unwrap_or(&Value::Null);
    assert!(
        said.status.success() && answer.get("error").is_none(),
        "{} failed\n{}\n{}\n{}",
        said.command,
        said.out,
        said.err,
        server.tail()
    );
    server.wait(10);
    let number = |path: &str| end.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    if arguments.contains("-u") {
        let (datagrams, lost) = (number("/sum/packets"), number("/sum/lost_packets"));
        Moved { octets: number("/sum/bytes"), datagrams, lost }
    } else {
        Moved { octets: number("/sum_received/bytes"), datagrams: 0, lost: 0 }
    }
}
