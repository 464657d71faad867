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
        let mut text = String::from("flowchart LR\n");
        for entry in entries {
            text.push_str(&format!("    rx([rx]) --> {entry}\n"));
        }
        for spec in specs {
            for edge in spec.edges.iter().filter(|edge| **edge != "drop") {
                text.push_str(&format!("    {} --> {edge}\n", spec.name));
            }
        }
        let dropping: Vec<_> = specs.iter().filter(|spec| spec.edges.contains(&"drop")).map(|spec| spec.name).collect();
        text.push_str(&format!("    {} -.-> drop([drop])\n", dropping.join(" & ")));
        text
    }

    /// The graph of `specs` in the DOT language.
    pub fn dot(specs: &[Self], entries: &[&str]) -> String {
        let mut text = String::from("digraph weir {\n    rankdir=LR;\n");
        for entry in entries {
            text.push_str(&format!("    \"rx\" -> \"{entry}\";\n"));
        }
        for spec in specs {
            for edge in spec.edges {
                let style = if *edge == "drop" { " [style=dotted]" } else { "" };
                text.push_str(&format!("    \"{}\" -> \"{edge}\"{style};\n", spec.name));
            }
        }
        text.push_str("}\n");
        text
    }
}
