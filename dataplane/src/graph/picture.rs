//! The picture of a graph, made from its registry.

use super::{Graph, Spec};

impl<C> Graph<C> {
    /// The registry this graph was made from.
    pub fn specs(&self) -> &'static [Spec<C>] {
        self.specs
    }
}

impl<C> Spec<C> {
    /// The graph of `specs` as a Mermaid flowchart, entered at `rx`.
    pub fn mermaid(specs: &[Self], entries: &[&str]) -> String {
        let mut lines = vec!["flowchart LR".to_owned()];
        lines.extend(entries.iter().map(|entry| format!("    rx([rx]) --> {entry}")));
        for spec in specs {
            let onward = spec.edges.iter().filter(|edge| **edge != "drop");
            lines.extend(onward.map(|edge| format!("    {} --> {edge}", spec.name)));
        }
        let dropping: Vec<_> = specs.iter().filter(|spec| spec.edges.contains(&"drop")).map(|spec| spec.name).collect();
        lines.push(format!("    {} -.-> drop([drop])\n", dropping.join(" & ")));
        lines.join("\n")
    }

    /// The graph of `specs` in the DOT language.
    pub fn dot(specs: &[Self], entries: &[&str]) -> String {
        let mut lines = vec!["digraph weir {".to_owned(), "    rankdir=LR;".to_owned()];
        lines.extend(entries.iter().map(|entry| format!("    \"rx\" -> \"{entry}\";")));
        for spec in specs {
            for edge in spec.edges {
                let style = if *edge == "drop" { " [style=dotted]" } else { "" };
                lines.push(format!("    \"{}\" -> \"{edge}\"{style};", spec.name));
            }
        }
        lines.push("}\n".to_owned());
        lines.join("\n")
    }
}
