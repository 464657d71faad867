//! Lists as tables: which columns, from which fields of the JSON.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

/// One table.
#[derive(Debug)]
pub(super) struct View {
    /// Where its list comes from.
    pub path: &'static str,
    columns: &'static [Column],
    /// What is said instead of an empty table.
    empty: &'static str,
    /// What the columns' units leave open.
    note: &'static str,
}

/// Heading, and how the cell is made from a row.
#[derive(Debug)]
enum Column {
    /// Words, at a JSON pointer.
    Text(&'static str, &'static str),
    /// A figure, at a JSON pointer.
    Number(&'static str, &'static str),
    /// Something else.
    Made(&'static str, fn(&Value) -> String),
}

use Column::{Made, Number, Text};

pub(super) static WORKERS: View = View {
    path: "/v1/workers",
    columns: &[
        Number("worker", "/worker"),
        Number("CPU", "/cpu"),
        Made("queues", |row| joined(row, "/queues", |q| format!("{}:{}", words(q, "/port"), words(q, "/queue")))),
        Number("rx", "/totals/rx"),
        Number("+ created", "/totals/created"),
        Number("+ taken over", "/totals/taken_over"),
        Number("= tx", "/totals/tx"),
        Number("+ punted", "/totals/punted"),
        Number("+ consumed", "/totals/consumed"),
        Number("+ dropped", "/dropped"),
        Number("+ handed over", "/totals/handed_over"),
        Number("+ held", "/totals/held"),
        Number("imbalance", "/imbalance"),
        Number("empty polls", "/empty_polls"),
        Number("blocked cycles", "/blocked_cycles"),
    ],
    empty: "no workers",
    note: "rx to imbalance: packets since start; the imbalance is 0, or weir has a bug. Blocked: TSC cycles held up by changes.",
};

pub(super) static PORTS: View = View {
    path: "/v1/ports",
    columns: &[
        Text("port", "/name"),
        Text("role", "/role"),
        Text("device", "/device"),
        Text("MAC", "/mac"),
        Number("MTU", "/mtu"),
        Made("link", |row| if row.pointer("/up") == Some(&Value::Bool(true)) { "up" } else { "down" }.into()),
        Made("rx workers", |row| joined(row, "/rx_workers", |worker| words(worker, ""))),
        Number("rx packets", "/counters/rx_packets"),
        Number("rx octets", "/counters/rx_octets"),
        Number("tx packets", "/counters/tx_packets"),
        Number("tx octets", "/counters/tx_octets"),
        Number("dropped", "/counters/dropped"),
        Number("tx dropped", "/counters/tx_dropped"),
    ],
    empty: "no ports: add a [[port]] to the configuration and apply it",
    note: "Octets without FCS. Dropped: packets that came in here; tx dropped: packets that could not leave here.",
};

pub(super) static NETWORKS: View = View {
    path: "/v1/networks",
    columns: &[
        Text("network", "/name"),
        Number("VNI", "/vni"),
        Made("ports", |row| joined(row, "/ports", member)),
        Made("VTEPs", |row| joined(row, "/vteps", |vtep| words(vtep, ""))),
        Number("MACs", "/macs"),
        Number("frames", "/counters/packets"),
        Number("octets", "/counters/octets"),
        Number("flooded frames", "/counters/flooded"),
        Number("suppressed ARP/ND", "/counters/suppressed"),
    ],
    empty: "no networks: add a [[network]] to the configuration and apply it",
    note: "PORT.VLAN is a tagged port. Suppressed: requests answered here instead of flooded.",
};

pub(super) static MACS: View = View {
    path: "/v1/macs",
    columns: &[
        Text("network", "/network"),
        Text("MAC", "/mac"),
        Made("behind", behind),
        Made("kind", kind),
        Made("seen", |row| if is_fixed(row) { "–".into() } else { format!("{} s ago", words(row, "/age_s")) }),
    ],
    empty: "no MAC addresses yet: they are learned from the traffic of containers",
    note: "",
};

pub(super) static NEIGHBOURS: View = View {
    path: "/v1/neighbours",
    columns: &[
        Text("uplink", "/port"),
        Text("address", "/address"),
        Text("MAC", "/mac"),
        Text("state", "/state"),
        Made("kind", kind),
        Made("heard", |row| match row.pointer("/heard_s").and_then(Value::as_u64) {
            Some(seconds) => format!("{seconds} s ago"),
            None => "–".into(),
        }),
    ],
    empty: "no next hops: no network has a remote VTEP, or no uplink leads to it",
    note: "",
};

pub(super) static TUNNELS: View = View {
    path: "/v1/tunnels",
    columns: &[
        Text("remote VTEP", "/remote"),
        Text("uplink", "/uplink"),
        Text("next hop", "/next_hop"),
        Number("max inner octets", "/max_inner_octets"),
        Made("networks", |row| joined(row, "/networks", |network| words(network, ""))),
        Number("tx packets", "/counters/tx_packets"),
        Number("tx inner octets", "/counters/tx_octets"),
        Number("rx packets", "/counters/rx_packets"),
        Number("rx inner octets", "/counters/rx_octets"),
    ],
    empty: "no tunnels: no network has a remote VTEP",
    note: "tx: encapsulated, rx: decapsulated. An uplink of – means that none leads there.",
};

impl View {
    /// The table.
    pub(super) fn render(&self, list: &Value) -> String {
        let rows = list.as_array().map(Vec::as_slice).unwrap_or_default();
        if rows.is_empty() {
            return self.empty.into();
        }
        let heads = self.columns.iter().map(|(Text(head, _) | Number(head, _) | Made(head, _))| *head);
        let mut table = plain(heads);
        for (column, spec) in table.column_iter_mut().zip(self.columns) {
            if matches!(spec, Number(..)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in rows {
            table.add_row(self.columns.iter().map(|column| match column {
                Text(_, at) | Number(_, at) => words(row, at),
                Made(_, make) => make(row),
            }));
        }
        if self.note.is_empty() { table.to_string() } else { format!("{table}\n\n{}", self.note) }
    }
}

/// An empty table in the style of all: no lines, one row a line, so that grep and awk work.
pub(super) fn plain<'a>(heads: impl Iterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heads);
    table
}

/// What is at a JSON pointer, as words; a dash where there is nothing.
pub(super) fn words(row: &Value, at: &str) -> String {
    match row.pointer(at) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => "–".into(),
        Some(other) => other.to_string(),
    }
}

fn joined(row: &Value, at: &str, each: impl Fn(&Value) -> String) -> String {
    let list = row.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() { "–".into() } else { list.iter().map(each).collect::<Vec<_>>().join(" ") }
}

/// A network's member: `["c1", 0]`.
fn member(pair: &Value) -> String {
    match pair.pointer("/1").and_then(Value::as_u64) {
        Some(vlan) if vlan > 0 => format!("{}.{vlan}", words(pair, "/0")),
        _ => words(pair, "/0"),
    }
}

fn behind(row: &Value) -> String {
    match (row.get("vtep"), row.get("vlan")) {
        (Some(_), _) => format!("VTEP {}", words(row, "/vtep")),
        (None, Some(_)) => format!("port {}.{}", words(row, "/port"), words(row, "/vlan")),
        (None, None) => format!("port {}", words(row, "/port")),
    }
}

fn is_fixed(row: &Value) -> bool {
    row.get("fixed") == Some(&Value::Bool(true))
}

fn kind(row: &Value) -> String {
    if is_fixed(row) { "static" } else { "learned" }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_becomes_a_table_with_its_units() {
        let row = json!({ "network": "blue", "mac": "02:00:00:00:00:01", "port": "c1", "vlan": 7, "fixed": false, "age_s": 3 });
        let text = MACS.render(&json!([row]));
        for part in ["network", "blue", "02:00:00:00:00:01", "port c1.7", "learned", "3 s ago"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(MACS.render(&json!([])), MACS.empty);
    }

    #[test]
    fn what_is_unknown_is_a_dash_and_not_a_zero() {
        let row = json!({ "remote": "198.51.100.2", "uplink": null, "next_hop": null, "networks": [] });
        let text = TUNNELS.render(&json!([row]));
        assert!(text.contains('–'), "{text}");
        assert!(!text.contains("null"), "{text}");
    }
}
