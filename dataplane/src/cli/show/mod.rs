//! `weir show`: what a running weir knows.

mod drops;
mod graph;
mod ledger;
mod tables;

use clap::{Args, Subcommand};

use super::client::Client;
use super::failure::Failure;
use super::{Asking, out};
use tables::View;

/// Show what a running weir knows and counts.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  weir show ports
  weir show drops --all
  weir show ledger --watch --window 5
  weir show macs --json | jq '.[] | select(.network == \"blue\")'
  weir show graph --format dot | dot -Tsvg > graph.svg")]
pub(super) struct ShowArgs {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Workers: their queues, packets, and the terms of packet conservation.
    Workers,
    /// Ports: devices, links and counters.
    Ports,
    Ledger(ledger::LedgerArgs),
    /// Networks: members, VTEPs and counters.
    Networks,
    /// MAC addresses: learned and static, of all networks.
    Macs,
    /// Next hops on the underlay.
    Neighbours,
    /// Tunnels: the way to each remote VTEP, and counters.
    Tunnels,
    Drops(drops::DropsArgs),
    Graph(graph::GraphArgs),
}

impl ShowArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let view = match &self.what {
            What::Workers => &tables::WORKERS,
            What::Ports => &tables::PORTS,
            What::Networks => &tables::NETWORKS,
            What::Macs => &tables::MACS,
            What::Neighbours => &tables::NEIGHBOURS,
            What::Tunnels => &tables::TUNNELS,
            What::Ledger(args) => return args.run(&self.asking),
            What::Drops(args) => return args.run(&self.asking),
            What::Graph(args) => return args.run(&self.asking),
        };
        show(view, &self.asking)
    }
}

fn show(view: &View, asking: &Asking) -> Result<(), Failure> {
    let list = Client::new(&asking.socket).get(view.path)?;
    if asking.json { out::print_json(&list) } else { out::print(&view.render(&list)) }
}
