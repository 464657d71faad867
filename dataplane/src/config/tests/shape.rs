//! Mistakes of shape, many at once, and input that is no configuration at all.

use proptest::prelude::*;

use super::super::*;
use super::{GOOD, check, expect};

#[test]
fn shape() {
    let top = |code: &str, text: &str, words: &[&str]| expect(Severity::Error, code, text, words);
    top("unknown-key", "[workers]\n⟦bursts⟧ = 1", &["unknown key `bursts`", "did you mean `burst`?"]);
    top("unknown-key", "[⟦netwrok⟧]\n", &["unknown key `netwrok`", "did you mean `network`?"]);
    top(
        "unknown-key",
        "[[port]]\nname = \"a\"\ndevice = \"null\"\nrole = \"host\"\n⟦x⟧ = 1",
        &["known: name, device, role"],
    );
    top("type", "[workers]\nburst = ⟦\"32\"⟧", &["found string \"32\", expected an integer"]);
    top("type", "[workers]\nburst = ⟦1.5⟧", &["expected an integer"]);
    top("type", "[workers]\ncores = [⟦\"1\"⟧]", &["expected an integer"]);
    top("type", "[vxlan]\nudp_checksum = ⟦1⟧", &["expected true or false"]);
    top("type", "[workers]\nidle = ⟦\"slep\"⟧", &["\"slep\"", "did you mean `\"sleep\"`?"]);
    top("type", "[vxlan]\ndscp = ⟦true⟧", &["\"copy\" or a number 0 to 63"]);
    top("type", "port = ⟦3⟧", &["expected a list"]);
}

#[test]
fn the_text_of_an_error_is_whole() {
    let shown = Config::parse("[workers]\n\tburst = 65 # many\n", "weir.toml").unwrap_err().to_string();
    assert_eq!(
        shown,
        "weir.toml:2:10: error: `workers.burst` is 65, out of range\n  \
           |\n\
         2 | \tburst = 65 # many\n  \
           | \t        ^^\n  \
           help: choose a number from 1 to 64"
    );
}

#[test]
fn all_mistakes_are_found_in_one_go_and_in_order_of_place() {
    let text = GOOD.replace("vni = 100", "vni = \"100\"\nvnii = 1").replace("role = \"uplink\"", "role = \"up\"")
        + "speed = 3\n[workers]\nburst = 99\nidle = \"no\"\ncores = [1, 1, \"x\"]\n[nonsense]\n";
    let found = Config::parse(&text, "t.toml").unwrap_err().0;
    let codes: Vec<&str> = found.iter().map(|d| d.code).collect();
    assert_eq!(
        codes,
        ["type", "unknown-key", "type", "unknown-key", "range", "type", "core-twice", "type", "unknown-key"],
        "{}",
        ConfigErrors(found.clone())
    );
    assert!(found.is_sorted_by_key(|d| d.line));
}

#[test]
fn one_mistake_brings_no_second() {
    // A network without a readable name is not reported as unknown where it is named.
    let text = GOOD.replace("name = \"blue\"", "name = 5")
        + "[[port]]\nname = \"c1\"\ndevice = \"tap:c\"\nrole = \"container\"\nnetwork = \"blue\"\n";
    let found = Config::parse(&text, "t.toml").unwrap_err().0;
    assert_eq!(found.len(), 1, "{}", ConfigErrors(found));
}

#[test]
fn syntax_errors_have_a_place() {
    let found = Config::parse("[workers]\nburst = = 3\n", "t.toml").unwrap_err().0;
    let first = found.first().unwrap();
    assert_eq!((first.code, first.line), ("syntax", 2), "{first}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let (config, found) = check(&text, "noise");
        prop_assert_eq!(config.is_none(), found.iter().any(|d| d.severity == Severity::Error));
        for finding in &found {
            prop_assert!(!finding.to_string().is_empty());
        }
    }

    #[test]
    fn no_mutilation_of_a_good_file_makes_it_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "[\\[\\]{}=\",0-9a-zé\n#.-]{0,3}"), 1..6)
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (index, length, insert) in cuts {
            let start = index.index(text.len().max(1)).min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        let (config, found) = check(&text, "cut");
        prop_assert_eq!(config.is_none(), found.iter().any(|d| d.severity == Severity::Error));
        for finding in &found {
            prop_assert!(!finding.to_string().is_empty());
        }
    }
}
