//! The diff: what it says, and that making its changes leads where it should.

use proptest::prelude::*;

use super::super::model::*;
use super::*;

fn config(text: &str) -> Config {
    Config::parse(text, "t.toml").unwrap_or_else(|errors| panic!("{errors}\n--- in ---\n{text}"))
}

const BASE: &str = r#"
    [pool]
    mbufs = 65536
    [[port]]
    name = "up0"
    device = "tap:u0"
    role = "uplink"
    addresses = ["198.51.100.1/24", "2001:db8::1/64"]
    mtu = 1600
    [[network]]
    name = "blue"
    vni = 100
    vteps = ["198.51.100.2"]
    [[network]]
    name = "red"
    vni = 200
    [[port]]
    name = "c1"
    device = "tap:c1"
    role = "container"
    network = "blue"
"#;

fn lines(from: &str, to: &str) -> String {
    diff(&config(from), &config(to)).to_string()
}

#[test]
fn nothing_changed_is_said_so() {
    assert_eq!(lines(BASE, BASE), "nothing to change");
    // Order in the file, comments and spelled-out defaults are no changes.
    let spelled = BASE.replace("mbufs = 65536", "mbufs = 65_536 # the default") + "mtu = 1500\nisolated = false\n";
    assert_eq!(lines(BASE, &spelled), "nothing to change");
}

#[test]
fn only_what_changed_is_touched() {
    let to = BASE.replace("network = \"blue\"", "network = \"red\"\nisolated = true");
    assert_eq!(lines(BASE, &to), r#"~ port c1: isolated false → true, network "blue" → "red""#);
    let to = BASE.replace("tap:c1", "vhost-user:/run/c1.sock");
    assert_eq!(lines(BASE, &to), r#"± port c1: device "tap:c1" → "vhost-user:/run/c1.sock""#);
    let to = BASE.replace("vteps = [\"198.51.100.2\"]", "vteps = [\"198.51.100.3\"]\nmac_ageing_s = 60");
    assert_eq!(
        lines(BASE, &to),
        "~ network blue: mac_ageing_s 300 → 60\n+ network blue vtep 198.51.100.3\n- network blue vtep 198.51.100.2"
    );
}

#[test]
fn new_things_are_made_before_old_ones_go() {
    let to = BASE
        .replace("name = \"red\"\n    vni = 200", "name = \"green\"\n    vni = 300")
        .replace("name = \"c1\"\n    device = \"tap:c1\"", "name = \"c2\"\n    device = \"tap:c2\"")
        .replace("network = \"blue\"", "network = \"green\"");
    assert_eq!(lines(BASE, &to), "+ network green vni 300\n+ port c2 container tap:c2\n- port c1\n- network red");
}

#[test]
fn what_two_cannot_hold_is_broken_first() {
    let to = BASE.replace("name = \"c1\"", "name = \"c9\"").replace("name = \"red\"", "name = \"pink\"");
    assert_eq!(lines(BASE, &to), "- port c1\n- network red\n+ network pink vni 200\n+ port c9 container tap:c1");
    // Two ports swap their devices: both are closed before either is opened.
    let swapped = BASE.replace("tap:c1", "tap:x").replace("tap:u0", "tap:c1").replace("tap:x", "tap:u0");
    let shown = lines(BASE, &swapped);
    let signs: String = shown.lines().filter_map(|line| line.chars().next()).collect();
    assert_eq!(signs, "--++", "{shown}");
}

#[test]
fn what_is_read_at_start_only_makes_apply_refuse() {
    let to = BASE.replace("mbufs = 65536", "mbufs = 32768\n[workers]\ncores = [0]\nburst = 16\n[limits]\nports = 9");
    let plan = diff(&config(BASE), &config(&to));
    assert_eq!(
        plan.to_string(),
        "! workers.cores [1] → [0] (restart)\n! pool.mbufs 65536 → 32768 (restart)\n! limits.ports 256 → 9 (restart)\n\
         ~ workers: burst 32 → 16"
    );
    let refusal = plan.refusal().unwrap();
    assert!(refusal.contains("workers.cores, pool.mbufs, limits.ports"), "{refusal}");
    assert_eq!(diff(&config(BASE), &config(BASE)).refusal(), None);
}

#[test]
fn a_plan_is_json() {
    let to = BASE.replace("network = \"blue\"", "network = \"red\"");
    let json = serde_json::to_value(diff(&config(BASE), &config(&to))).unwrap();
    assert_eq!(json.pointer("/changes/0/key").unwrap(), &serde_json::json!({ "kind": "port", "port": "c1" }));
    assert_eq!(json.pointer("/changes/0/op").unwrap(), "update");
    assert_eq!(json.pointer("/changes/0/source").unwrap(), "file");
    assert_eq!(json.pointer("/changes/0/value/network").unwrap(), "red");
    assert_eq!(
        json.pointer("/changes/0/fields").unwrap(),
        &serde_json::json!([{ "field": "network", "from": "blue", "to": "red" }])
    );
}

fn name(text: &str) -> Name {
    Name::new_checked(text).unwrap()
}

fn mac() -> impl Strategy<Value = MacAddr> {
    (0_u8..4).prop_map(|n| MacAddr([2, 0, 0, 0, 0, n]))
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (2_u8..6).prop_map(|n| IpAddr::from([198, 51, 100, n])),
        (2_u16..6).prop_map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])),
    ]
}

fn network() -> impl Strategy<Value = Network> {
    let place = prop_oneof![
        ip().prop_map(|vtep| MacPlace::Vtep { vtep }),
        (0_u8..3).prop_map(|n| MacPlace::Port { port: name(&format!("p{n}")), vlan: None }),
    ];
    (
        (1_u32..5, 0_u32..2, any::<bool>()),
        prop::collection::btree_set(ip(), 0..4),
        prop::collection::btree_map(mac(), place, 0..4),
        prop::collection::btree_map(ip(), mac(), 0..4),
    )
        .prop_map(|((vni, storm, learning), vteps, macs, bindings)| {
            let settings = NetworkSettings {
                storm_limit_pps: storm,
                mac_learning: learning,
                ..NetworkSettings::new(overlay::num::Vni::from_low_bits(vni))
            };
            Network { vteps, macs, bindings, ..Network::empty(name("x"), settings) }
        })
}

fn port() -> impl Strategy<Value = Port> {
    let role = prop_oneof![
        Just(Role::Host),
        (0_u8..3).prop_map(|n| Role::Uplink(Uplink {
            addresses: vec![format!("198.51.10{n}.1/24").parse().unwrap()],
            ..Uplink::default()
        })),
        (0_u8..3, any::<bool>()).prop_map(|(n, isolated)| Role::Container(Container {
            network: Some(name(&format!("n{n}"))),
            isolated,
            ..Container::default()
        })),
    ];
    let fault =
        prop::option::of(prop::sample::select(vec![0.0, 0.5]).prop_map(|loss| Fault { loss, ..Fault::default() }));
    (0_u8..5, role, 1_u16..3, fault, prop::collection::btree_map(ip(), mac(), 0..3)).prop_map(
        |(device, role, queues, fault, neighbours)| Port {
            name: name("x"),
            settings: PortSettings {
                device: format!("tap:d{device}"),
                role,
                mtu: 1500,
                mac: None,
                rx_queues: queues,
                tx_queues: 1,
                queue_workers: None,
                fault,
            },
            neighbours,
        },
    )
}

/// Arbitrary in all that is live; devices and VNIs may clash, which the diff must survive too.
fn any_config() -> impl Strategy<Value = Config> {
    let names = |letter: char| (0_u8..4).prop_map(move |n| name(&format!("{letter}{n}")));
    (
        prop::collection::btree_map(names('p'), port(), 0..4),
        prop::collection::btree_map(names('n'), network(), 0..4),
        (1_u16..3, 1_u32..3, 1_u8..3, 0_u32..2),
    )
        .prop_map(|(mut ports, mut networks, (burst, sample_one_in, ttl, rate_limit_pps))| {
            for (name, port) in &mut ports {
                port.name = name.clone();
            }
            for (name, network) in &mut networks {
                network.name = name.clone();
            }
            Config {
                workers: Workers { burst, ..Workers::default() },
                ledger: Ledger { sample_one_in, ..Ledger::default() },
                vxlan: Vxlan { ttl, ..Vxlan::default() },
                host: Host { rate_limit_pps },
                ports,
                networks,
                ..Config::default()
            }
        })
}

proptest! {
    #[test]
    fn the_changes_lead_from_one_to_the_other(a in any_config(), b in any_config()) {
        let plan = diff(&a, &b);
        prop_assert_eq!(plan.apply_to(&a), b.clone(), "{}", plan);
        prop_assert_eq!(plan.is_empty(), a == b);
    }

    #[test]
    fn nothing_to_nothing_is_empty(a in any_config()) {
        prop_assert!(diff(&a, &a).is_empty());
    }

    #[test]
    fn a_device_is_never_opened_while_another_port_of_the_old_state_holds_it(a in any_config(), b in any_config()) {
        let mut now = a.clone();
        for change in &diff(&a, &b).changes {
            if let (Key::Port { port }, Op::Add(Item::Port(new)) | Op::Replace(Item::Port(new))) = (&change.key, &change.op) {
                let holder = now.ports.values().find(|p| p.name != *port && p.settings.device == new.device);
                // Where the new state itself has the device twice (the checks refuse that), nothing can be right.
                let clash = b.ports.values().filter(|p| p.settings.device == new.device).count() > 1;
                prop_assert!(holder.is_none() || clash, "{} while {:?} holds the device", change, holder);
            }
            change.apply(&mut now);
        }
    }

    #[test]
    fn untouched_ports_are_not_in_the_plan(a in any_config(), b in any_config()) {
        for change in &diff(&a, &b).changes {
            if let Key::Port { port } = &change.key {
                prop_assert_ne!(a.ports.get(port).map(|p| &p.settings), b.ports.get(port).map(|p| &p.settings));
            }
        }
    }
}
