//! `weir show graph`: the way of a packet.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use comfy_table::CellAlignment;
use serde_json::Value;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::{Asking, out};
use super::tables::plain;
use crate::control::picture;

/// The graph of stages: which way packets can take. Needs no running weir.
#[derive(Debug, Args)]
pub(super) struct GraphArgs {
    /// As a table, for Mermaid, or for Graphviz.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Add what a running weir counted at each stage since its start; as text and as JSON.
    #[arg(long)]
    live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Mermaid,
    Dot,
}

/// Packets and runs of a stage, all workers together.
type Counted = BTreeMap<String, (u64, u64)>;

impl GraphArgs {
    pub(super) fn run(&self, asking: &Asking) -> Result<(), Failure> {
        if self.live && self.format != Format::Text {
            return Err(Failure::bad_input("--live is shown as text or JSON only\n  help: leave --format out"));
        }
        let counted = if self.live { Some(count(asking)?) } else { None };
        if asking.json {
            return out::print_json(&as_json(counted.as_ref())?);
        }
        match self.format {
            Format::Text => out::print(&as_text(counted.as_ref())),
            Format::Mermaid => out::print(&picture::mermaid()),
            Format::Dot => out::print(&picture::dot()),
        }
    }
}

fn count(asking: &Asking) -> Result<Counted, Failure> {
    let reports = Client::new(&asking.socket).get("/v1/ledger?since=start")?;
    let reports = reports.as_array().map(Vec::as_slice).unwrap_or_default();
    // With several workers, the last report is of all together.
    let stages = reports.last().and_then(|all| all.get("stages")).and_then(Value::as_array);
    let figure = |stage: &Value, key: &str| stage.get(key).and_then(Value::as_u64).unwrap_or_default();
    let entry = |stage: &Value| {
        let name = stage.get("name").and_then(Value::as_str)?.to_owned();
        Some((name, (figure(stage, "packets"), figure(stage, "calls"))))
    };
    Ok(stages.map(Vec::as_slice).unwrap_or_default().iter().filter_map(entry).collect())
}

fn as_json(counted: Option<&Counted>) -> Result<Value, Failure> {
    let mut graph = serde_json::to_value(picture::picture()).map_err(Failure::running)?;
    let stages = graph.get_mut("stages").and_then(Value::as_array_mut);
    for stage in stages.map(Vec::as_mut_slice).unwrap_or_default() {
        let name = stage.get("name").and_then(Value::as_str).unwrap_or_default();
        let figures = counted.and_then(|counted| counted.get(name)).copied();
        if let (Some((packets, calls)), Some(stage)) = (figures, stage.as_object_mut()) {
            stage.insert("packets".into(), packets.into());
            stage.insert("calls".into(), calls.into());
        }
    }
    Ok(graph)
}

fn as_text(counted: Option<&Counted>) -> String {
    let graph = picture::picture();
    let heads = ["stage", "packets go to", "what it does", "packets", "calls"];
    let mut table = plain(heads.into_iter().take(if counted.is_some() { 5 } else { 3 }));
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for stage in &graph.stages {
        let mut row = vec![stage.name.to_owned(), stage.edges.join(" "), stage.help.to_owned()];
        if let Some(counted) = counted {
            let (packets, calls) = counted.get(stage.name).copied().unwrap_or_default();
            row.extend([packets.to_string(), calls.to_string()]);
        }
        table.add_row(row);
    }
    let [container, uplink, host] = graph.entries else { return table.to_string() };
    format!("{table}\nEntered at {container} (container ports), {uplink} (uplinks) and {host} (host ports).")
}
