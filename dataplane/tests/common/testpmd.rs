//! DPDK's testpmd as a container: virtio_user is the guest's side of a vhost-user socket.

use std::path::PathBuf;

use super::process::Running;
use super::{Scratch, unique};

/// One socket of a testpmd.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) socket: PathBuf,
    /// It listens, and weir connects.
    pub(crate) server: bool,
    pub(crate) queues: u16,
    pub(crate) mac: String,
}

/// A running testpmd.
#[derive(Debug)]
pub(crate) struct Testpmd(Running);

impl Testpmd {
    /// Starts it with a port for each guest; each port sends back what it gets, with the MAC addresses swapped.
    ///
    /// Without hugepages, since virtio_user shares its memory with weir and can map few regions; on CPU 0, since weir's
    /// worker is on CPU 1.
    #[track_caller]
    pub(crate) fn start(scratch: &Scratch, guests: &[Guest]) -> Self {
        let number = unique();
        let mut line: Vec<String> = ["dpdk-testpmd", "--no-huge", "--no-pci", "--no-telemetry", "--lcores", "0@0,1@0"]
            .map(str::to_owned)
            .to_vec();
        line.extend(["-m".into(), "256".into()]);
        line.push(format!("--file-prefix=weir-peer-{}-{number}", std::process::id()));
        let mut queues = 1;
        for (index, guest) in guests.iter().enumerate() {
            if guest.server {
                // virtio_user does not remove the socket of one that was killed.
                let _ = std::fs::remove_file(&guest.socket);
            }
            line.push("--vdev".into());
            line.push(format!(
                "net_virtio_user{index},path={},queues={},queue_size=256,mac={}{}",
                guest.socket.display(),
                guest.queues,
                guest.mac,
                if guest.server { ",server=1" } else { "" }
            ));
            queues = queues.max(guest.queues);
        }
        line.push("--".into());
        line.extend(
            ["--forward-mode=macswap", "--port-topology=loop", "--auto-start", "--nb-cores=1"].map(str::to_owned),
        );
        line.push(format!("--rxq={queues}"));
        line.push(format!("--txq={queues}"));
        line.extend(["--rxd=256".into(), "--txd=256".into()]);
        // Descriptors of all queues, and what is under way.
        line.push(format!("--total-num-mbufs={}", guests.len() * usize::from(queues) * 512 + 2048));
        let log = scratch.path(&format!("testpmd-{number}.log"));
        Self(Running::start(line, &log))
    }

    /// Fails when it has ended by itself.
    #[track_caller]
    pub(crate) fn assert_runs(&mut self) {
        assert!(self.0.ended().is_none(), "testpmd ended\n{}", self.0.tail());
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        self.0.tail()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.0.kill();
    }
}
