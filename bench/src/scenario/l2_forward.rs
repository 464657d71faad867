//! From one container to two hundred others of the same network and host.

use super::{Input, Place, Scenario, receivers};
use crate::traffic::Shape;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "l2-forward",
    help: "container port to container port of one network, destinations in the MAC table, sources learned",
    input: Input::Loop(Shape::Inner),
    tables,
    out: Some("out"),
    astray: |way| way.all_through("in", "out"),
};

fn tables(place: &Place<'_>) -> String {
    format!(
        r#"
[[port]]
name = "in"
device = "pcap:{traffic},loop"
role = "container"
network = "blue"

[[port]]
name = "out"
device = "null"
role = "container"
network = "blue"

[[network]]
name = "blue"
vni = 100
{macs}"#,
        traffic = place.traffic.display(),
        macs = receivers(r#"port = "out""#),
    )
}
