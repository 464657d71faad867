//! Between two containers over vhost-user, both directions at once.

use super::{Input, Place, Scenario};
use crate::peer::vhost::{GUEST_MACS, SOCKETS};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "vhost-forward",
    help: "between two vhost-user container ports of one network, both directions, testpmd as both containers",
    input: Input::Vhost,
    tables,
    out: None,
    astray: |way| {
        let mut wrong = Vec::new();
        let (a, b) = (way.port("a"), way.port("b"));
        if a.rx_packets != b.tx_packets || b.rx_packets != a.tx_packets {
            wrong.push(format!(
                "a received {} and b sent {}; b received {} and a sent {}",
                a.rx_packets, b.tx_packets, b.rx_packets, a.tx_packets
            ));
        }
        if a.rx_packets == 0 || b.rx_packets == 0 {
            wrong.push("one direction was silent".into());
        }
        wrong
    },
};

fn tables(place: &Place<'_>) -> String {
    let [a, b] = SOCKETS.map(|name| place.folder.join(name));
    let [mac_a, mac_b] = GUEST_MACS;
    format!(
        r#"
[[port]]
name = "a"
device = "vhost-user:{a}"
role = "container"
network = "blue"

[[port]]
name = "b"
device = "vhost-user:{b}"
role = "container"
network = "blue"

[[network]]
name = "blue"
vni = 100
macs = [{{ mac = "{mac_a}", port = "a" }}, {{ mac = "{mac_b}", port = "b" }}]
"#,
        a = a.display(),
        b = b.display(),
    )
}
