//! Replays every file of the fuzz targets' corpora, and every crash that was ever found, as ordinary tests.
//!
//! A new target is a file in `fuzz/checks`, one in `fuzz/fuzz_targets`, a `[[bin]]` in `fuzz/Cargo.toml`, a folder in
//! `fuzz/corpus`, and its two lines here.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/checks/layout.rs"]
mod layout;
#[path = "../fuzz/checks/reply.rs"]
mod reply;
#[path = "../fuzz/checks/vxlan_pop.rs"]
mod vxlan_pop;
#[path = "../fuzz/checks/wire.rs"]
mod wire;

/// A target's name and what it does with its input.
type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] =
    &[("layout", layout::run), ("reply", reply::run), ("vxlan_pop", vxlan_pop::run), ("wire", wire::run)];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// The names in a folder without their extension, hidden ones left away.
fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries.map(|entry| stem(entry.unwrap().path())).filter(|name| !name.starts_with('.')).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    files.sort();
    files
}

#[test]
fn every_target_is_replayed_here() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("fuzz_targets")), targets, "fuzz/fuzz_targets against TARGETS");
    assert_eq!(names(&folder("checks")), targets, "fuzz/checks against TARGETS");
    assert_eq!(names(&folder("corpus")), targets, "fuzz/corpus against TARGETS");
    assert!(names(&folder("crashes")).is_subset(&targets), "fuzz/crashes against TARGETS");
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for target in targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} has no [[bin]] in fuzz/Cargo.toml");
    }
}

#[test]
fn corpora_and_crashes_pass() {
    for (target, run) in TARGETS {
        let seeds = files(&folder("corpus").join(target));
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for path in seeds.into_iter().chain(files(&folder("crashes").join(target))) {
            let octets = fs::read(&path).unwrap();
            // The file's name is what one needs when it fails.
            let outcome = std::panic::catch_unwind(|| run(&octets));
            assert!(outcome.is_ok(), "{} fails", path.display());
        }
    }
}
