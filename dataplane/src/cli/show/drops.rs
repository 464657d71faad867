//! `weir show drops`: every packet that was dropped has a reason.

use clap::Args;
use comfy_table::CellAlignment;
use serde_json::Value;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::{Asking, out};
use super::tables::{plain, words};

/// Drops by reason, with what each means.
#[derive(Debug, Args)]
pub(super) struct DropsArgs {
    /// Show reasons that never occurred, too (JSON always has them).
    #[arg(short, long)]
    all: bool,
}

impl DropsArgs {
    pub(super) fn run(&self, asking: &Asking) -> Result<(), Failure> {
        let list = Client::new(&asking.socket).get("/v1/drops")?;
        if asking.json { out::print_json(&list) } else { out::print(&self.render(&list)) }
    }

    fn render(&self, list: &Value) -> String {
        let reasons = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let packets = |row: &Value| row.get("packets").and_then(Value::as_u64).unwrap_or_default();
        let total: u64 = reasons.iter().map(packets).sum();
        if total == 0 && !self.all {
            return "no packet was dropped (--all lists every reason there is)".into();
        }
        let mut table = plain(["reason", "where", "packets", "meaning"].into_iter());
        if let Some(column) = table.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in reasons.iter().filter(|row| self.all || packets(row) > 0) {
            table.add_row([words(row, "/reason"), words(row, "/origin"), words(row, "/packets"), words(row, "/help")]);
        }
        format!("{table}\n{total} packets dropped since start")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reasons_without_packets_are_shown_when_asked_for() {
        let row =
            |reason: &str, packets: u64| json!({ "reason": reason, "origin": "parse", "packets": packets, "help": "" });
        let list = json!([row("vlan_unknown", 3), row("loop", 0)]);
        let some = DropsArgs { all: false }.render(&list);
        assert!(some.contains("vlan_unknown") && !some.contains("loop") && some.contains("3 packets"), "{some}");
        assert!(DropsArgs { all: true }.render(&list).contains("loop"));
        assert!(DropsArgs { all: false }.render(&json!([row("loop", 0)])).starts_with("no packet"));
    }
}
