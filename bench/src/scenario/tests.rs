//! Every scenario's text is a configuration that weir takes.

use dataplane::config::Config;

use super::*;
use crate::measure::Setup;
use crate::traffic;

#[test]
fn every_scenario_is_a_valid_configuration() {
    let folder = std::env::temp_dir().join(format!("weir-bench-scenario-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let traffic = traffic::write(Shape::Inner, 1, &folder).unwrap();
    for scenario in ALL {
        let setup = Setup::for_tests(scenario);
        let text = setup.configuration(&Place { traffic: &traffic, folder: &folder });
        let config = Config::parse(&text, scenario.name).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let receivers: usize = config.networks.values().map(|network| network.macs.len()).sum();
        assert_eq!(receivers, if scenario.input == Input::Vhost { 2 } else { HOSTS as usize }, "{}", scenario.name);
        assert!(scenario.out.is_none_or(|out| config.ports.keys().any(|name| name.as_str() == out)));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn names_are_found_and_others_answered_with_the_list() {
    assert_eq!(find("vxlan-encap").unwrap().name, "vxlan-encap");
    let error = find("vxlan").unwrap_err().to_string();
    assert!(error.contains("there is no scenario \"vxlan\"") && error.contains("vhost-forward"), "{error}");
}
