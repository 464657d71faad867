//! The house rules of the whole repository, and those of `overlay`. They read the files as text and need no DPDK.
//!
//! A rule that fails names the file, the line and the remedy. `WEIR_BLESS=1` rewrites the pages that are generated.

mod house;

use std::fmt::Write as _;

use house::{File, Violation, check, code_only, find_word, line_of, rust_files, shipped_code, violation};
use overlay::reason::{DropReason, Origin};

/// The longest Rust file that is still read in one sitting.
const LINES_MAX: usize = 500;

/// Where `unsafe` may stand.
const UNSAFE_ALLOWED: &[&str] = &["dpdk-sys/", "dataplane/src/dpdk/", "overlay/src/accel.rs"];

/// What a pure crate does not touch.
const IMPURE: &[&str] = &[
    "std::thread",
    "std::time",
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::os",
    "std::net::Tcp",
    "std::net::Udp",
    "std::net::ToSocketAddrs",
    "dpdk_sys",
    "libc",
    "extern",
];

/// The crates `overlay` is allowed, in all of its dependency tables.
const OVERLAY_CRATES: &[&str] = &["serde", "thiserror", "zerocopy", "loom", "pcap-file", "proptest"];

/// Files of `overlay/src/wire` that are no protocol of their own.
const WIRE_SHARED: &[&str] = &["mod", "checksum"];

#[test]
fn unsafe_stands_only_where_it_is_allowed() {
    let files = rust_files("");
    assert!(files.len() > 10, "the repository's Rust files were not found");
    let places: Vec<Violation> = files.iter().flat_map(unsafe_outside).collect();
    check(&places, "wrap it in dataplane/src/dpdk (or dpdk-sys, or overlay/src/accel.rs) behind a safe function");
}

fn unsafe_outside(file: &File) -> Vec<Violation> {
    if UNSAFE_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed)) {
        return Vec::new();
    }
    let code = code_only(&file.text);
    let places =
        find_word(&code, "unsafe").map(|at| violation(&file.path, line_of(&code, at), "`unsafe` outside its places"));
    places.collect()
}

#[test]
fn overlay_knows_no_thread_clock_or_io() {
    let files = rust_files("overlay/src");
    assert!(!files.is_empty(), "overlay/src was not found");
    let places: Vec<Violation> = files.iter().flat_map(impure).collect();
    check(
        &places,
        "overlay is pure: pass the time as `Nanos` and packets as arguments; I/O and threads belong in dataplane",
    );
}

fn impure(file: &File) -> Vec<Violation> {
    let code = shipped_code(file);
    let mut places = Vec::new();
    for &word in IMPURE {
        // A group import, `use std::{fs, …}`, names the module without its path.
        let grouped = word.strip_prefix("std::").and_then(|rest| rest.split("::").next()).filter(|&rest| rest != "net");
        for (at, _) in code.match_indices("std::{") {
            let group = code[at..].split(';').next().unwrap_or_default();
            if grouped.is_some_and(|rest| find_word(group, rest).next().is_some()) {
                places.push(violation(&file.path, line_of(&code, at), format!("overlay uses `{word}`")));
            }
        }
        let starts = code.match_indices(word).map(|(at, _)| at);
        let whole = |&at: &usize| word.starts_with("std::net") || find_word(&code[at..], word).next() == Some(0);
        let bounded = |&at: &usize| at == 0 || !house::is_word(code.as_bytes()[at - 1]);
        let found = starts.filter(bounded).filter(whole);
        places.extend(found.map(|at| violation(&file.path, line_of(&code, at), format!("overlay uses `{word}`"))));
    }
    places
}

#[test]
fn overlay_depends_on_pure_crates_only() {
    let manifest = house::read("overlay/Cargo.toml").expect("overlay/Cargo.toml");
    let mut in_table = false;
    let mut places = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            in_table = line.contains("dependencies");
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if in_table && !name.is_empty() && !name.starts_with('#') && !OVERLAY_CRATES.contains(&name) {
            places.push(violation("overlay/Cargo.toml", index + 1, format!("overlay depends on `{name}`")));
        }
    }
    check(&places, "do it in dataplane, or add the crate to OVERLAY_CRATES in this test with a word on why it is pure");
}

/// The protocols that have a file (or a folder) in `overlay/src/wire`.
fn protocols() -> Vec<String> {
    let mut names: Vec<String> = rust_files("overlay/src/wire")
        .iter()
        .filter_map(|file| file.path.strip_prefix("overlay/src/wire/")?.split(['/', '.']).next().map(str::to_owned))
        .filter(|name| !WIRE_SHARED.contains(&&**name) && name != "tests" && !name.ends_with("_tests"))
        .collect();
    names.dedup();
    names
}

#[test]
fn every_protocol_is_registered() {
    let names = protocols();
    if names.is_empty() {
        return; // An empty folder: then there is nothing to forget, and the golden tests have nothing to run.
    }
    let registry = house::read("overlay/src/wire/mod.rs").expect("overlay/src/wire/mod.rs");
    let listed = house::const_list(&house::without_comments(&registry), "PROTOCOLS").unwrap_or_default();
    let places: Vec<Violation> = names
        .iter()
        .filter(|name| !listed.contains(name))
        .map(|name| violation(&format!("overlay/src/wire/{name}.rs"), 0, "not in PROTOCOLS"))
        .collect();
    check(
        &places,
        "add it to PROTOCOLS in overlay/src/wire/mod.rs, or to WIRE_SHARED in this test if it is no protocol",
    );
}

#[test]
fn every_protocol_is_documented() {
    let pages = ["docs/add-a-protocol.md", "docs/architecture.md"].map(|page| house::read(page).unwrap_or_default());
    let pages = pages.concat().to_lowercase();
    let places: Vec<Violation> = protocols()
        .iter()
        .filter(|name| find_word(&pages, name).next().is_none())
        .map(|name| violation(&format!("overlay/src/wire/{name}.rs"), 0, "named in no page"))
        .collect();
    check(&places, "name it in docs/add-a-protocol.md or docs/architecture.md");
}

#[test]
fn docs_drops_is_current() {
    let page = drops_page();
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(house::root().join("docs/drops.md"), &page).expect("docs/drops.md can be written");
    }
    let current = house::read("docs/drops.md").unwrap_or_default();
    let differs = current.lines().zip(page.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or(current.lines().count().min(page.lines().count())) + 1;
    let places = [violation("docs/drops.md", line, "differs from overlay::reason::DropReason::ALL")];
    check(if current == page { &[] } else { &places }, "run `make bless` and commit the page");
}

fn drops_page() -> String {
    let mut page = String::from(
        "# Drop reasons\n\n\
         <!-- Generated from overlay/src/reason.rs by `make bless`. Do not edit. -->\n\n\
         Every packet that weir drops is counted under exactly one of these names. The names are stable: `weir show drops`,\n\
         its JSON and the metrics use them, and a released name is never changed or given another meaning.\n",
    );
    let sections = [
        (Origin::Parse, "Parse", "A header could not be understood."),
        (Origin::Decap, "Decap", "A tunnel's receive checks refused the packet."),
        (
            Origin::Forward,
            "Forward",
            "The packet is well formed, but there is no way for it, or a rule forbids the way.",
        ),
        (Origin::Transmit, "Transmit", "The packet had a way, but could not be sent."),
    ];
    let mut written = 0;
    for (origin, title, what) in sections {
        let _ = write!(page, "\n## {title}\n\n{what}\n\n| name | meaning |\n|---|---|\n");
        for reason in DropReason::ALL.iter().filter(|reason| reason.origin() == origin) {
            let _ = writeln!(page, "| `{}` | {} |", reason.name(), reason.help().replace('|', "\\|"));
            written += 1;
        }
    }
    assert_eq!(written, DropReason::COUNT, "an origin has no section in this test");
    page
}

#[test]
fn files_stay_readable() {
    let places: Vec<Violation> = rust_files("")
        .iter()
        .map(|file| (file, file.text.lines().count()))
        .filter(|&(_, lines)| lines > LINES_MAX)
        .map(|(file, lines)| violation(&file.path, LINES_MAX + 1, format!("{lines} lines, more than {LINES_MAX}")))
        .collect();
    check(&places, "split it by subject; tests move to a sibling file");
}

#[test]
fn public_text_names_no_private_place() {
    // Written in two halves, so that this file passes its own rule.
    let forbidden = [
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/tmp/tar", "get"),
        ("static.crates", ".io"),
        ("index.crates", ".io"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("deb.debian", ".org"),
        ("registry.npmjs", ".org"),
        ("proxy.golang", ".org"),
    ];
    let mut places = Vec::new();
    for file in house::files("").iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (head, tail) in forbidden {
            let word = format!("{head}{tail}");
            let found =
                file.text.match_indices(&word).map(|(at, _)| violation(&file.path, line_of(&file.text, at), &*word));
            places.extend(found);
        }
    }
    check(&places, "say it without the machine's paths and without a registry's host name");
}

#[test]
fn links_between_documents_resolve() {
    let pages = house::files("");
    let places: Vec<Violation> =
        pages.iter().filter(|file| file.is("md")).flat_map(|page| broken_links(page, &pages)).collect();
    check(&places, "correct the link, or add the file or the heading it points to");
}

fn broken_links(page: &File, pages: &[File]) -> Vec<Violation> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut places = Vec::new();
    let mut fenced = false;
    for (index, line) in page.text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let full = if path.is_empty() { page.path.clone() } else { normal(folder, path) };
            if !house::root().join(&full).exists() {
                places.push(violation(&page.path, index + 1, format!("link to `{target}`: no such file")));
            } else if let Some(other) = pages.iter().find(|file| file.path == full && file.is("md"))
                && !anchor.is_empty()
                && !other.text.lines().any(|line| line.starts_with('#') && slug(line) == anchor)
            {
                places.push(violation(&page.path, index + 1, format!("link to `{target}`: no such heading")));
            }
        }
    }
    places
}

/// `path`, seen from `folder`, seen from the root.
fn normal(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchor that a Markdown heading gets.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn scripts_stop_at_errors_and_say_how_they_are_used() {
    let scripts: Vec<File> = house::files("scripts").into_iter().chain(house::files(".ci")).collect();
    assert!(!scripts.is_empty(), "scripts/ was not found");
    let mut places = Vec::new();
    for file in scripts.iter().filter(|file| file.text.starts_with("#!")) {
        for needed in ["#!/usr/bin/env bash\n", "\nset -euo pipefail\n", "\n# usage: "] {
            if !file.text.contains(needed) {
                places.push(violation(&file.path, 1, format!("lacks `{}`", needed.trim())));
            }
        }
    }
    check(&places, "begin a script like scripts/hugepages.sh");
}

#[path = "house/self_test.rs"]
mod self_test;
