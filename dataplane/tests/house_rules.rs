//! The house rules of `dataplane`: who may use whom, stages are registered and documented, peer tests are marked.
//!
//! They read the sources as text; only the picture of the graph is compared with what the registry says. The rules of the whole repository are in `overlay/tests/house_rules.rs`.

#[path = "../../overlay/tests/house/mod.rs"]
mod house;

use dataplane::graph::Spec;
use dataplane::stage::{ENTRIES, STAGES};
use house::{File, Violation, check, code_only, find_word, line_of, rust_files, shipped_code, violation};

/// Who may use whom: a module of `dataplane`, and the modules of `dataplane` it may name. Whoever is not listed may name
/// nobody. `sync`, and the crate `overlay`, are below all of them and may be used by all.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["control", "config"]),
    ("control", &["config", "tables", "worker", "ledger", "port", "dpdk"]),
    ("worker", &["graph", "stage", "port", "tables", "ledger", "dpdk"]),
    ("stage", &["graph", "tables", "dpdk"]),
    ("graph", &["ledger", "dpdk"]),
    ("port", &["dpdk", "config"]),
    ("ledger", &["dpdk"]),
    ("tables", &["dpdk"]),
    ("config", &[]),
    ("dpdk", &[]),
    ("sync", &[]),
];

/// The module that may be used by every other.
const FOR_ALL: &str = "sync";

/// The only module that may name the bindings.
const BINDINGS: (&str, &str) = ("dpdk", "dpdk_sys");

/// Files of `dataplane/src/stage` that are no stage: what stages share.
const STAGE_SHARED: &[&str] = &["mod", "cx", "push", "shortcut", "vlan"];

#[test]
fn modules_use_only_whom_they_may() {
    let files = rust_files("dataplane/src");
    assert!(!files.is_empty(), "dataplane/src was not found");
    let places: Vec<Violation> = files.iter().flat_map(forbidden_arrows).collect();
    check(
        &places,
        "move the code to where it belongs, pass the thing as an argument, or change ARROWS and docs/architecture.md with a reason",
    );
}

/// The top-level module a file belongs to: `dataplane/src/port/vhost.rs` → `port`, `dataplane/src/main.rs` → `main`.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("dataplane/src/").unwrap_or(path);
    inside.split(['/', '.']).next().unwrap_or(inside)
}

/// How many `super::` lead from a file to the crate's root.
fn depth_of(path: &str) -> usize {
    let inside = path.strip_prefix("dataplane/src/").unwrap_or(path).trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

fn forbidden_arrows(file: &File) -> Vec<Violation> {
    let module = module_of(&file.path);
    if module == "lib" {
        return Vec::new(); // It names every module, to declare it.
    }
    let code = shipped_code(file);
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        return vec![violation(&file.path, 0, format!("`{module}` is not in the table of who may use whom"))];
    };

    let mut places = Vec::new();
    // `super::super::x` from two levels down is `crate::x`.
    let supers = "super::".repeat(depth_of(&file.path));
    for prefix in ["crate::", "dataplane::", &supers] {
        for (at, used) in uses(&code, prefix) {
            let is_module = ARROWS.iter().any(|(name, _)| *name == used) || used == "*";
            if is_module && used != module && used != FOR_ALL && !allowed.contains(&&*used) {
                places.push(violation(&file.path, line_of(&code, at), format!("`{module}` uses `{used}`")));
            }
        }
    }
    let (owner, bindings) = BINDINGS;
    if module != owner {
        let found = find_word(&code, bindings);
        places
            .extend(found.map(|at| violation(&file.path, line_of(&code, at), format!("`{module}` uses `{bindings}`"))));
    }
    places
}

/// The first names after `prefix`, one for each branch of a group: `crate::{a::b, c}` → `a`, `c`.
fn uses(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in find_word(code, prefix) {
        // A longer chain of `super::` was counted where it begins.
        if code[..at].ends_with("::") {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.trim_start().strip_prefix('{') else {
            found.push((at, first_word(rest)));
            continue;
        };
        let mut depth = 1;
        let mut branch = 0;
        for (offset, c) in group.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if (c == ',' && depth == 1) || depth == 0 {
                found.push((at, first_word(&group[branch..offset])));
                branch = offset + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.retain(|(_, word)| !word.is_empty());
    found
}

fn first_word(text: &str) -> String {
    let text = text.trim_start();
    if text.starts_with('*') {
        return "*".to_owned();
    }
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The stages that have a file: those in `dataplane/src/stage` that are neither shared nor tests.
fn stages() -> Vec<File> {
    let files = rust_files("dataplane/src/stage").into_iter();
    let files = files.filter(|file| !shipped_code(file).trim().is_empty());
    files.filter(|file| !STAGE_SHARED.contains(&file.stem())).collect()
}

#[test]
fn every_stage_is_registered() {
    let registry = house::read("dataplane/src/stage/mod.rs").unwrap_or_default();
    let listed = house::const_list(&code_only(&registry), "STAGES").unwrap_or_default();
    let places: Vec<Violation> = stages()
        .iter()
        .filter(|file| !listed.iter().any(|name| name == file.stem()))
        .map(|file| violation(&file.path, 0, "not in STAGES"))
        .collect();
    check(
        &places,
        "add its SPEC to STAGES in dataplane/src/stage/mod.rs, or to STAGE_SHARED in this test if it is no stage",
    );
}

#[test]
fn every_stage_is_named_like_its_file() {
    let places: Vec<Violation> = stages()
        .iter()
        .filter(|file| !house::without_comments(&file.text).contains(&format!("\"{}\"", stage_name(file))))
        .map(|file| violation(&file.path, 0, format!("its Spec does not name it \"{}\"", stage_name(file))))
        .collect();
    check(&places, "a stage's name is its file's name with hyphens: counters, traces and pages use it");
}

#[test]
fn every_stage_is_documented() {
    let page = house::read("docs/packet-walk.md").unwrap_or_default();
    let places: Vec<Violation> = stages()
        .iter()
        .filter(|file| find_word(&page, &stage_name(file)).next().is_none())
        .map(|file| violation(&file.path, 0, format!("docs/packet-walk.md does not name `{}`", stage_name(file))))
        .collect();
    check(&places, "say in docs/packet-walk.md what the stage does and which packets pass it");
}

fn stage_name(file: &File) -> String {
    file.stem().replace('_', "-")
}

/// The pages that show the graph, as `weir show graph --format mermaid` prints it.
const PICTURE_PAGES: &[&str] = &["README.md", "docs/packet-walk.md"];

#[test]
fn the_picture_of_the_graph_is_current() {
    let picture = Spec::mermaid(STAGES, ENTRIES);
    let mut places = Vec::new();
    for page in PICTURE_PAGES {
        let text = house::read(page).unwrap_or_default();
        let Some(current) = with_picture(&text, &picture) else {
            places.push(violation(page, 0, "has no ```mermaid block"));
            continue;
        };
        if current == text {
            continue;
        }
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(house::root().join(page), &current).expect("the page can be written");
        } else {
            let line = line_of(&text, text.find(MERMAID).unwrap_or_default());
            places.push(violation(page, line, "shows another graph than the registry's"));
        }
    }
    check(&places, "put a ```mermaid block where the picture belongs; `make bless` fills it in");
}

/// Where a picture begins.
const MERMAID: &str = "```mermaid\n";

/// The page with `picture` in its first Mermaid block; `None` when it has none that ends.
fn with_picture(page: &str, picture: &str) -> Option<String> {
    let begin = page.find(MERMAID)? + MERMAID.len();
    let end = begin + page[begin..].find("```")?;
    Some(format!("{}{picture}{}", &page[..begin], &page[end..]))
}

#[test]
fn peer_tests_are_marked_as_needing_root() {
    let files = rust_files("dataplane/tests");
    let peers = files.iter().filter(|file| file.path.starts_with("dataplane/tests/peer_"));
    let places: Vec<Violation> = peers.flat_map(unmarked).collect();
    check(
        &places,
        "mark it #[ignore = \"needs root: run `make peers`\"]; scripts/peers.sh runs it, and in CI nothing is left out",
    );
}

fn unmarked(file: &File) -> Vec<Violation> {
    let code = code_only(&file.text);
    let tests = code.match_indices("#[test]").map(|(at, _)| at);
    let unmarked = tests.filter(|&at| {
        // The attributes of one test function lie between two others' ends.
        let before = code[..at].rfind(['}', ';']).map_or(0, |end| end + 1);
        let after = code[at..].find("fn ").map_or(code.len(), |len| at + len);
        !code[before..after].contains("#[ignore")
    });
    unmarked.map(|at| violation(&file.path, line_of(&code, at), "a peer test without #[ignore]")).collect()
}

mod self_test {
    use super::*;

    fn arrows(path: &str, text: &str) -> Vec<(usize, String)> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        forbidden_arrows(&file).into_iter().map(|v| (v.line, v.what)).collect()
    }

    #[test]
    fn forbidden_arrows_are_found_in_every_form() {
        let path = "dataplane/src/graph/mod.rs";
        for text in [
            "use crate::stage::STAGES;",
            "use crate::{ledger::Row, stage};",
            "fn f() -> crate::stage::Cx {}",
            "use super::stage;",
            "use crate::*;",
            "use crate::{dpdk::{Mbuf, Burst}, stage};",
        ] {
            assert_eq!(arrows(path, text).len(), 1, "{text}");
        }
        assert_eq!(
            arrows("dataplane/src/graph/frame.rs", "\nuse super::super::worker;"),
            [(2, "`graph` uses `worker`".to_owned())]
        );
        assert_eq!(arrows("dataplane/src/main.rs", "use dataplane::worker;").len(), 1);
        assert_eq!(arrows("dataplane/src/port/tap.rs", "use dpdk_sys::rte_eth_dev;").len(), 1);
        assert_eq!(arrows("dataplane/src/newcomer/mod.rs", "").len(), 1);
    }

    #[test]
    fn allowed_arrows_are_left_alone() {
        for (path, text) in [
            ("dataplane/src/graph/mod.rs", "use crate::{dpdk::Mbuf, ledger, sync::Published};"),
            ("dataplane/src/graph/frame.rs", "use super::stage; // graph::stage"),
            ("dataplane/src/graph/mod.rs", "#[cfg(test)]\nmod tests { use crate::stage; }"),
            ("dataplane/src/graph/mod.rs", "// use crate::stage\nuse overlay::reason::DropReason;"),
            ("dataplane/src/main.rs", "fn main() { dataplane::cli::main() }"),
            ("dataplane/src/dpdk/eal.rs", "use dpdk_sys::rte_eal_init;"),
        ] {
            assert_eq!(arrows(path, text), [], "{path}: {text}");
        }
    }

    #[test]
    fn the_table_has_no_cycle() {
        // Kahn: take away whoever uses nobody that is left, until nobody is.
        let mut left: Vec<_> = ARROWS.iter().collect();
        while !left.is_empty() {
            let names: Vec<&str> = left.iter().map(|(name, _)| *name).collect();
            let before = left.len();
            left.retain(|(_, uses)| uses.iter().any(|used| names.contains(used)));
            assert!(left.len() < before, "a cycle among {names:?}");
        }
    }

    #[test]
    fn a_picture_is_replaced_and_nothing_else() {
        let page = "a\n```mermaid\nold\n```\nb\n```text\nc\n```\n";
        assert_eq!(with_picture(page, "new\n").unwrap(), page.replace("old", "new"));
        assert_eq!(with_picture("```text\nold\n```\n", "new\n"), None);
    }

    #[test]
    fn an_unmarked_peer_test_is_found() {
        let text = "#[test]\n#[ignore = \"x\"]\nfn a() {}\n#[ignore = \"x\"]\n#[test]\nfn b() {}\n#[test]\nfn c() {}\n";
        let file = File { path: "dataplane/tests/peer_x.rs".to_owned(), text: text.to_owned() };
        assert_eq!(unmarked(&file).iter().map(|v| v.line).collect::<Vec<_>>(), [7]);
    }
}
