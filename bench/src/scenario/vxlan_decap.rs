//! From a remote VTEP to two hundred containers here.

use super::{Input, Place, Scenario, receivers};
use crate::traffic::Shape;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "vxlan-decap",
    help: "uplink to container port: VXLAN checked and taken off, destinations in the MAC table, sources learned",
    input: Input::Loop(Shape::Vxlan),
    tables,
    out: Some("out"),
    astray: |way| {
        let mut wrong = way.all_through("up", "out");
        if way.decapsulated != way.rx {
            wrong.push(format!("{} of {} packets were decapsulated", way.decapsulated, way.rx));
        }
        wrong
    },
};

fn tables(place: &Place<'_>) -> String {
    format!(
        r#"
[[port]]
name = "up"
device = "pcap:{traffic},loop"
role = "uplink"
mac = "02:aa:00:00:00:01"
addresses = ["198.51.100.1/24"]
neighbours = [{{ address = "198.51.100.2", mac = "02:aa:00:00:00:02" }}]
mtu = 1600

[[port]]
name = "out"
device = "null"
role = "container"
network = "blue"

[[network]]
name = "blue"
vni = 100
vteps = ["198.51.100.2"]
{macs}"#,
        traffic = place.traffic.display(),
        macs = receivers(r#"port = "out""#),
    )
}
