//! From one container to two hundred others behind a remote VTEP.

use super::{Input, Place, Scenario, receivers};
use crate::traffic::Shape;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "vxlan-encap",
    help: "container port to uplink: destination's VTEP from the MAC table, next hop from the neighbour table, VXLAN",
    input: Input::Loop(Shape::Inner),
    tables,
    out: Some("up"),
    astray: |way| {
        let mut wrong = way.all_through("in", "up");
        if way.encapsulated != way.rx {
            wrong.push(format!("{} of {} packets were encapsulated", way.encapsulated, way.rx));
        }
        wrong
    },
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
name = "up"
device = "null"
role = "uplink"
mac = "02:aa:00:00:00:01"
addresses = ["198.51.100.1/24"]
neighbours = [{{ address = "198.51.100.2", mac = "02:aa:00:00:00:02" }}]
mtu = 1600

[[network]]
name = "blue"
vni = 100
vteps = ["198.51.100.2"]
{macs}"#,
        traffic = place.traffic.display(),
        macs = receivers(r#"vtep = "198.51.100.2""#),
    )
}
