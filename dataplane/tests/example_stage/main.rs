//! The worked example of docs/add-a-stage.md: the page shows this code, the engine takes it, and its tests pass.

mod ttl_filter;

use std::path::Path;

use dataplane::dpdk::Burst;
use dataplane::graph::{Graph, Out, Process, RowKind, Spec};
use dataplane::stage::Cx;

/// What differs between the page, where the stage lies in `dataplane/src/stage` and has a reason of its own, and here.
const SUBSTITUTIONS: &[(&str, &str)] =
    &[("use super::Cx;", "use dataplane::stage::Cx;"), ("crate::", "dataplane::"), ("TtlExpired", "Loop")];

#[test]
fn the_page_shows_the_code_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../docs/add-a-stage.md")).unwrap();
    let code = std::fs::read_to_string(root.join("tests/example_stage/ttl_filter.rs")).unwrap();
    let shown = page.split("\n```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let substituted = SUBSTITUTIONS.iter().fold(shown.to_owned(), |text, (from, to)| text.replace(from, to));
    for (line, (page, code)) in (1..).zip(substituted.lines().zip(code.lines())) {
        assert_eq!(page, code, "docs/add-a-stage.md and ttl_filter.rs differ in line {line} of the code");
    }
    assert_eq!(substituted.lines().count(), code.lines().count(), "one of the two is longer");
}

fn ends(_: &mut Cx, burst: &mut Burst, _: &mut Out<'_>) {
    burst.free_all();
}

const fn end(name: &'static str) -> Spec<Cx> {
    Spec { name, help: "an end", kind: RowKind::Io, edges: &[], process: Process::Own(ends) }
}

/// The example between what it needs.
static REGISTRY: &[Spec<Cx>] = &[ttl_filter::SPEC, end("bridge"), end("drop"), end("tx")];

#[test]
fn the_engine_takes_the_stage_and_everything_else_follows() {
    let graph = Graph::new(REGISTRY).unwrap();
    assert_eq!(graph.stage("ttl-filter"), Some(0));
    assert!(Spec::rows(REGISTRY).iter().any(|row| row.name == "ttl-filter"), "it has a ledger row");
    let picture = Spec::mermaid(REGISTRY, &["ttl-filter"]);
    assert!(picture.contains("    ttl-filter --> bridge\n"), "{picture}");
}
