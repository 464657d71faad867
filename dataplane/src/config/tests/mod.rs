//! Every check has a case: what is wrong, where, what is said.

mod documents;
mod shape;

use super::*;

/// A good file to which a case adds its mistake.
pub(super) const GOOD: &str = r#"
[[network]]
name = "blue"
vni = 100
vteps = ["198.51.100.2"]

[[port]]
name = "up0"
device = "tap:u0"
role = "uplink"
addresses = ["198.51.100.1/24"]
mtu = 1600
"#;

/// As [`Config::check`]; a device called `wrong` is wrong.
pub(super) fn check(text: &str, file_name: &str) -> (Option<Config>, Vec<Diagnostic>) {
    Config::check(text, file_name, &|device| match device {
        "wrong" => Err("no such kind of device\nwrite null".to_owned()),
        _ => Ok(()),
    })
}

/// Checks `text`, in which ⟦ ⟧ mark the place; expects one finding of `severity`, there, with `code`, and these words.
#[track_caller]
pub(super) fn expect(severity: Severity, code: &str, text: &str, words: &[&str]) {
    let at = text.find('⟦').unwrap_or_else(|| panic!("no place marked in {text}"));
    let line = text[..at].matches('\n').count() + 1;
    let column = text[text[..at].rfind('\n').map_or(0, |n| n + 1)..at].chars().count() + 1;
    let width = text[at + '⟦'.len_utf8()..].split('⟧').next().unwrap().chars().count();
    let (config, found) = check(&text.replace(['⟦', '⟧'], ""), "t.toml");
    let shown = ConfigErrors(found.clone()).to_string();
    let [one] = found.as_slice() else { panic!("expected one finding, {code}, got {}:\n{shown}", found.len()) };
    assert_eq!((one.severity, one.code), (severity, code), "{shown}");
    assert_eq!((one.line, one.column, one.width), (line, column, width), "{shown}");
    assert_eq!(config.is_some(), severity == Severity::Warning, "{shown}");
    for word in words {
        assert!(shown.contains(word), "\"{word}\" is not in\n{shown}");
    }
    assert!(!one.help.is_empty(), "no remedy in\n{shown}");
}

#[track_caller]
fn error(code: &str, addition: &str, words: &[&str]) {
    expect(Severity::Error, code, &format!("{GOOD}{addition}"), words);
}

#[track_caller]
fn error_in(code: &str, from: &str, to: &str, words: &[&str]) {
    assert!(GOOD.contains(from));
    expect(Severity::Error, code, &GOOD.replace(from, to), words);
}

#[track_caller]
fn warning(code: &str, addition: &str, words: &[&str]) {
    expect(Severity::Warning, code, &format!("{GOOD}{addition}"), words);
}

fn port(keys: &str) -> String {
    format!("[[port]]\nname = \"c1\"\ndevice = \"tap:c1\"\nrole = \"container\"\n{keys}")
}

#[test]
fn the_good_file_is_good_and_filled_in() {
    let (config, found) = check(&format!("{GOOD}{}", port("network = \"blue\"")), "t.toml");
    assert_eq!(found, []);
    let config = config.unwrap();
    assert_eq!(config.eal, Eal::default());
    let c1 = &config.ports["c1"].settings;
    assert_eq!((c1.mtu, c1.rx_queues, c1.tx_queues, c1.queue_workers.as_ref()), (1500, 1, 1, None));
    assert_eq!(config.networks["blue"].settings, NetworkSettings::new(overlay::num::Vni::from_low_bits(100)));
    assert_eq!(config.members("blue").map(|(p, vlan)| (p.name.as_str(), vlan)).collect::<Vec<_>>(), [("c1", None)]);
}

#[test]
fn an_empty_file_is_a_configuration() {
    assert_eq!(Config::parse("", "t.toml"), Ok(Config::default()));
}

#[test]
fn networks() {
    error("vni-twice", "[[network]]\nname = \"red\"\nvni = ⟦100⟧", &["\"blue\" (line 4)", "VNI of its own"]);
    error("range", "[[network]]\nname = \"red\"\nvni = ⟦16777216⟧", &["`vni` is 16777216", "from 0 to 16777215"]);
    error("name-twice", "[[network]]\nname = ⟦\"blue\"⟧\nvni = 7", &["already a network \"blue\""]);
    error("name", "[[network]]\nname = ⟦\"b l\"⟧\nvni = 7", &["\"b l\" is not a name", "1 to 32 letters"]);
    error_in("vtep-twice", "\"198.51.100.2\"]", "\"198.51.100.2\", ⟦\"198.51.100.2\"⟧]", &["198.51.100.2", "twice"]);
    error_in("ip", "\"198.51.100.2\"]", "⟦\"239.1.1.1\"⟧]", &["239.1.1.1, a multicast address"]);
    error_in("ip", "\"198.51.100.2\"]", "⟦\"::ffff:198.51.100.2\"⟧]", &["write the IPv4 address"]);
    error_in("ip", "\"198.51.100.2\"]", "⟦\"198.51.100\"⟧]", &["not an IP address", "without prefix length"]);
    error_in("own-vtep", "\"198.51.100.2\"]", "⟦\"198.51.100.1\"⟧]", &["an address of this weir itself"]);
    error_in("no-route", "\"198.51.100.2\"]", "⟦\"2001:db8::2\"⟧]", &["no uplink has an IPv6 address"]);
    error_in("no-route", "\"198.51.100.2\"]", "⟦\"203.0.113.2\"⟧]", &["on no uplink's link", "add a `gateway`"]);
}

#[test]
fn bindings_and_static_macs() {
    let with = |line: &str, rest: &str| format!("{}{rest}", GOOD.replace("vni = 100", &format!("vni = 100\n{line}")));
    let bad = |code: &str, line: &str, words: &[&str]| {
        expect(Severity::Error, code, &with(line, &port("network = \"blue\"")), words);
    };
    let a = r#"{ address = "10.0.0.2", mac = "02:00:00:00:00:01" }"#;
    bad(
        "binding-twice",
        &format!("bindings = [{a}, {}]", r#"{ address = ⟦"10.0.0.2"⟧, mac = "02:00:00:00:00:02" }"#),
        &["one MAC"],
    );
    expect(
        Severity::Warning,
        "binding-twice",
        &with(&format!("bindings = [{a}, {}]", a.replace("\"10.0.0.2\"", "⟦\"10.0.0.2\"⟧")), ""),
        &["10.0.0.2", "twice"],
    );
    bad(
        "ip",
        r#"bindings = [{ address = ⟦"255.255.255.255"⟧, mac = "02:00:00:00:00:02" }]"#,
        &["the broadcast address"],
    );
    bad("missing", r#"bindings = [⟦{ address = "10.0.0.2" }⟧]"#, &["`mac` is missing"]);
    let at = r#"{ mac = "02:00:00:00:00:01", port = "c1" }"#;
    bad(
        "mac-twice",
        &format!("macs = [{at}, {}]", r#"{ mac = ⟦"02:00:00:00:00:01"⟧, vtep = "198.51.100.2" }"#),
        &["one place"],
    );
    bad("mac", r#"macs = [{ mac = ⟦"03:00:00:00:00:01"⟧, port = "c1" }]"#, &["group address"]);
    bad("mac", r#"macs = [{ mac = ⟦"00:00:00:00:00:00"⟧, port = "c1" }]"#, &["all zero"]);
    bad("mac", r#"macs = [{ mac = ⟦"02-00-00-00-00-01"⟧, port = "c1" }]"#, &["not a MAC address", "six pairs"]);
    bad("unknown-port", r#"macs = [{ mac = "02:00:00:00:00:01", port = ⟦"c7"⟧ }]"#, &["no port \"c7\"", "c1"]);
    bad(
        "not-a-member",
        r#"macs = [{ mac = "02:00:00:00:00:01", port = ⟦"up0"⟧ }]"#,
        &["does not carry network \"blue\""],
    );
    bad(
        "not-a-member",
        r#"macs = [{ mac = "02:00:00:00:00:01", port = "c1", vlan = ⟦5⟧ }]"#,
        &["untagged", "not under VLAN 5"],
    );
    bad("unknown-vtep", r#"macs = [{ mac = "02:00:00:00:00:01", vtep = ⟦"198.51.100.9"⟧ }]"#, &["add it to `vteps`"]);
    bad("mac-place", r#"macs = [⟦{ mac = "02:00:00:00:00:01" }⟧]"#, &["neither"]);
    bad("mac-place", r#"macs = [⟦{ mac = "02:00:00:00:00:01", port = "c1", vtep = "198.51.100.2" }⟧]"#, &["both"]);
    bad(
        "mac-place",
        r#"macs = [{ mac = "02:00:00:00:00:01", vtep = "198.51.100.2", vlan = ⟦3⟧ }]"#,
        &["means nothing"],
    );
}

#[test]
fn a_static_mac_finds_the_tag_of_its_port() {
    let text = GOOD.replace("vni = 100", "vni = 100\nmacs = [{ mac = \"02:00:00:00:00:01\", port = \"c1\" }]")
        + &port("vlans = [{ vlan = 10, network = \"blue\" }]");
    let config = Config::parse(&text, "t.toml").unwrap_or_else(|e| panic!("{e}"));
    let place = config.networks["blue"].macs.values().next().unwrap();
    assert_eq!(*place, MacPlace::Port { port: config.ports["c1"].name.clone(), vlan: Some(10) });
}

#[test]
fn container_ports() {
    error("no-network", &port("").replace("[[port]]", "⟦[[port]]⟧"), &["reaches nothing", "add `network"]);
    error("unknown-network", &port("network = ⟦\"bleu\"⟧"), &["no network \"bleu\"", "blue"]);
    error(
        "vlan-clash",
        &port("network = \"blue\"\nvlans = [⟦{ vlan = 10, network = \"blue\" }⟧]"),
        &["carries network \"blue\" twice"],
    );
    let red = "[[network]]\nname = \"red\"\nvni = 2\n";
    let tags = "vlans = [{ vlan = 10, network = \"blue\" }, ⟦{ vlan = 10, network = \"red\" }⟧]";
    error("vlan-clash", &format!("{red}{}", port(tags)), &["VLAN 10 is used twice"]);
    for vlan in [0, 4095] {
        error(
            "range",
            &port(&format!("network = \"blue\"\nvlans = [{{ vlan = ⟦{vlan}⟧, network = \"blue\" }}]")),
            &["1 to 4094"],
        );
    }
    error("role-key", &port("network = \"blue\"\ngateway = ⟦\"198.51.100.9\"⟧"), &["`gateway` belongs to an uplink"]);
    error("range", &port("network = \"blue\"\nfault = { loss = ⟦1.5⟧ }"), &["not a probability"]);
    error("queue-workers", &port("network = \"blue\"\nqueue_workers = [⟦1⟧]"), &["no worker 1", "choose 0 to 0"]);
    error(
        "queue-workers",
        &port("network = \"blue\"\nrx_queues = 2\nqueue_workers = ⟦[0]⟧"),
        &["names 1 queues, the port has 2"],
    );
}

#[test]
fn every_port() {
    error("name-twice", &port("network = \"blue\"").replace("\"c1\"", "⟦\"up0\"⟧"), &["already a port \"up0\""]);
    error(
        "device-twice",
        &port("network = \"blue\"").replace("\"tap:c1\"", "⟦\"tap:u0\"⟧"),
        &["that of another port (line 9)"],
    );
    error(
        "device-twice",
        &port("network = \"blue\"").replace("\"tap:c1\"", "⟦\"fault:loss=0.1;tap:u0\"⟧"),
        &["\"tap:u0\" is already"],
    );
    error("device", &port("network = \"blue\"").replace("\"tap:c1\"", "⟦\"\"⟧"), &["`device` is empty"]);
    error(
        "device",
        &port("network = \"blue\"").replace("\"tap:c1\"", "⟦\"wrong\"⟧"),
        &["error: no such kind of device\n", "help: write null"],
    );
    error("device", &port("network = \"blue\"").replace("\"tap:c1\"", "⟦\"vhost-user:\"⟧"), &["path of its socket"]);
    let long = format!("⟦\"vhost-user:/{}\"⟧", "x".repeat(107));
    error("socket-path", &port("network = \"blue\"").replace("\"tap:c1\"", &long), &["108 octets", "107 are the most"]);
    for key in ["name", "device", "role"] {
        let line = |l: &&str| !l.starts_with(key);
        let text = port("network = \"blue\"").replace("[[port]]", "⟦[[port]]⟧");
        let without: Vec<&str> = text.lines().filter(line).collect();
        error("missing", &without.join("\n"), &[&format!("`{key}` is missing")]);
    }
}

#[test]
fn faults_go_before_the_device() {
    let text = port("network = \"blue\"\nfault = { loss = 0.25, seed = 9 }");
    let config = Config::parse(&format!("{GOOD}{text}"), "t.toml").unwrap();
    let wanted = "fault:loss=0.25,duplicate=0,reorder=0,delay_us=0,seed=9;tap:c1";
    assert_eq!(config.ports["c1"].settings.device_text(), wanted);
    assert_eq!(config.ports["up0"].settings.device_text(), "tap:u0");
    let twice = port("network = \"blue\"\nfault = ⟦{ loss = 0.25 }⟧").replace("tap:c1", "fault:loss=0.1;tap:c1");
    error("fault-twice", &twice, &["keep one of the two"]);
}

#[test]
fn uplinks() {
    let up1 = |keys: &str| format!("[[port]]\nname = \"up1\"\ndevice = \"tap:u1\"\nrole = \"uplink\"\n{keys}");
    error(
        "role-key",
        &up1("addresses = [\"192.0.2.1/24\"]\nnetwork = ⟦\"blue\"⟧"),
        &["`network` belongs to a container port"],
    );
    error(
        "address-overlap",
        &up1("addresses = [⟦\"198.51.100.129/25\"⟧]"),
        &["overlaps 198.51.100.1/24 of uplink \"up0\""],
    );
    error("address-twice", &up1("addresses = [\"192.0.2.1/24\", ⟦\"192.0.2.1/25\"⟧]"), &["in this list twice"]);
    for (address, why) in [
        ("192.0.2.0/24", "the network's own address"),
        ("192.0.2.255/24", "the network's broadcast address"),
        ("224.0.0.5/24", "multicast"),
        ("127.0.0.1/8", "loopback"),
        ("0.0.0.0/0", "unspecified"),
        ("2001:db8:1::/64", "anycast"),
        ("192.0.2.1", "address with prefix length"),
        ("192.0.2.1/33", "address with prefix length"),
    ] {
        error("ip", &up1(&format!("addresses = [⟦\"{address}\"⟧]")), &[why]);
    }
    error(
        "off-link",
        &up1("addresses = [\"192.0.2.1/24\"]\ngateway = ⟦\"203.0.113.1\"⟧"),
        &["choose one in 192.0.2.0/24"],
    );
    error("own-address", &up1("addresses = [\"192.0.2.1/24\"]\ngateway = ⟦\"192.0.2.1\"⟧"), &["own address"]);
    error("family", &up1("addresses = [\"192.0.2.1/24\"]\ngateway = ⟦\"fe80::1\"⟧"), &["go to `gateway6`"]);
    error("family", &up1("addresses = [\"192.0.2.1/24\"]\ngateway6 = ⟦\"192.0.2.9\"⟧"), &["go to `gateway`"]);
    let second = "gateway = \"198.51.100.9\"\nmtu = 1600";
    let two = GOOD.replace("mtu = 1600", second) + &up1("addresses = [\"192.0.2.1/24\"]\ngateway = ⟦\"192.0.2.9\"⟧");
    expect(Severity::Error, "gateway-twice", &two, &["uplink \"up0\" already has"]);
    let neighbours = |list: &str| up1(&format!("addresses = [\"192.0.2.1/24\"]\nneighbours = [{list}]"));
    let n = "{ address = \"192.0.2.2\", mac = \"02:00:00:00:00:01\" }";
    error("neighbour-twice", &neighbours(&format!("{n}, ⟦{n}⟧")), &["192.0.2.2 is in this list twice"]);
    error("off-link", &neighbours("{ address = ⟦\"10.1.1.1\"⟧, mac = \"02:00:00:00:00:01\" }"), &["not on the link"]);
    error("unknown-host", &up1("addresses = [\"192.0.2.1/24\"]\nhost = ⟦\"h0\"⟧"), &["no port \"h0\"", "tap:NAME"]);
    error("unknown-host", &up1("addresses = [\"192.0.2.1/24\"]\nhost = ⟦\"up0\"⟧"), &["has role uplink, not host"]);
    warning("no-addresses", &up1("").replace("\"up1\"", "⟦\"up1\"⟧"), &["no tunnel can start"]);
    warning(
        "host-unused",
        "[[port]]\nname = ⟦\"h0\"⟧\ndevice = \"tap:h\"\nrole = \"host\"",
        &["write `host = \"h0\"`"],
    );
}

#[test]
fn a_gateway_is_a_way_to_every_vtep_of_its_family() {
    let far =
        GOOD.replace("198.51.100.2", "203.0.113.2").replace("mtu = 1600", "mtu = 1600\ngateway = \"198.51.100.254\"");
    assert_eq!(check(&far, "t.toml").1, []);
    let six = GOOD
        .replace("198.51.100.2", "2001:db8:9::2")
        .replace("addresses = [\"198.51.100.1/24\"]", "addresses = [\"2001:db8::1/64\"]\ngateway6 = \"fe80::1\"");
    assert_eq!(check(&six, "t.toml").1, []);
}

#[test]
fn sections() {
    let top = |code: &str, text: &str, words: &[&str]| expect(Severity::Error, code, text, words);
    top("range", "[workers]\nburst = ⟦0⟧", &["from 1 to 64"]);
    top("range", "[workers]\nburst = ⟦65⟧", &["from 1 to 64"]);
    top("core-twice", "[workers]\ncores = [1, 2, ⟦1⟧]", &["CPU 1 is in `workers.cores` twice"]);
    top("range", "[workers]\ncores = [⟦-1⟧]", &["`workers.cores` is -1"]);
    top("no-cores", "[workers]\ncores = ⟦[]⟧", &["nothing forwards"]);
    for arg in ["-l", "-l1,2", "--lcores=0@1", "-c", "-c3", "--main-lcore=0"] {
        top("eal-arg", &format!("[eal]\nargs = [\"--no-pci\", ⟦\"{arg}\"⟧]"), &["remove it and use `workers.cores`"]);
    }
    top("eal-arg", "[eal]\nargs = [⟦\"--file-prefix=x\"⟧]", &["`eal.file_prefix`"]);
    top("file-prefix", "[eal]\nfile_prefix = ⟦\"a/b\"⟧", &["part of file names"]);
    top("socket-path", &format!("[control]\nsocket = ⟦\"/{}\"⟧", "s".repeat(107)), &["108 octets", "at most 107"]);
    top("socket-path", "[control]\nsocket = ⟦\"weir.sock\"⟧", &["not an absolute path"]);
    for mode in ["660x", "999", "rw-rw----", "+660", "7777"] {
        top("socket-mode", &format!("[control]\nsocket_mode = ⟦\"{mode}\"⟧"), &["an octal number in quotes"]);
    }
    top("range", "[vxlan]\ndscp = ⟦64⟧", &["from 0 to 63"]);
    top("range", "[vxlan]\ndscp = ⟦\"cs1\"⟧", &["\"copy\" or a number 0 to 63"]);
    assert_eq!(Config::parse("[vxlan]\ndscp = 46", "t").unwrap().vxlan.dscp, Dscp::Fixed(46));
    assert_eq!(Config::parse("[control]\nsocket_mode = \"0600\"", "t").unwrap().control.socket_mode, 0o600);
}

#[test]
fn sizes() {
    let red = "[[network]]\nname = \"red\"\nvni = 2\n";
    error(
        "limit",
        &format!("{red}[limits]\nnetworks = ⟦1⟧"),
        &["the file has 2 networks", "raise `limits.networks` to 2"],
    );
    error("pool-small", "[pool]\nmbufs = ⟦2048⟧", &["`pool.mbufs` is 2048", "raise `pool.mbufs` to 4096"]);
    expect(
        Severity::Error,
        "memory-small",
        "[eal]\nmemory = \"no-huge\"\nmemory_mib = ⟦64⟧",
        &["the pool alone takes 152 MiB"],
    );
    expect(Severity::Warning, "memory-small", "[eal]\nmemory_mib = ⟦64⟧", &["raise `eal.memory_mib` to 192"]);
    warning(
        "tunnel-mtu",
        &port("network = \"blue\"\nmtu = ⟦1551⟧"),
        &["1601, and uplink \"up0\" has 1600", "lower this one to 1550"],
    );
    assert_eq!(check(&format!("{GOOD}{}", port("network = \"blue\"\nmtu = 1550")), "t.toml").1, []);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let shown = Config::load("/nonexistent/weir.toml").unwrap_err().to_string();
    assert!(shown.starts_with("/nonexistent/weir.toml: error: cannot be read"), "{shown}");
    assert!(shown.contains("help: name an existing file"), "{shown}");
}
