//! The graph of stages, as the registry has it: the same in every running weir.

use serde::Serialize;

use crate::worker::{ENTRIES, STAGES, Spec};

/// A stage.
#[derive(Clone, Debug, Serialize)]
pub struct StagePicture {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Its part of the framework view: `io` or `task`.
    pub kind: crate::ledger::RowKind,
    /// The stages its packets go to.
    pub edges: &'static [&'static str],
}

/// The graph.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// The stages that received packets enter: from container ports, from uplinks, from host ports.
    pub entries: &'static [&'static str],
    /// All stages, in running order.
    pub stages: Vec<StagePicture>,
}

/// The graph as data.
pub fn picture() -> Picture {
    let stages = STAGES.iter();
    let stages =
        stages.map(|spec| StagePicture { name: spec.name, help: spec.help, kind: spec.kind, edges: spec.edges });
    Picture { entries: ENTRIES, stages: stages.collect() }
}

/// The graph as a Mermaid flowchart.
pub fn mermaid() -> String {
    Spec::mermaid(STAGES, ENTRIES)
}

/// The graph in the DOT language.
pub fn dot() -> String {
    Spec::dot(STAGES, ENTRIES)
}
