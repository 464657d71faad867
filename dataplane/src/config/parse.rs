//! From text to [`File`], with every mistake of shape found in one go.
//!
//! Serde stops at the first unknown key or wrong type. So the offending entry is taken out of the parsed tree and the rest is
//! read again, until nothing more is wrong; the paths taken out are kept, so that they are not reported missing later.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::error::Report;
use super::file::File;

/// More mistakes than this are not reported: the file is something else altogether.
const MOST: usize = 100;

/// The file as far as it could be read, and the paths (`port[2].role`) that could not.
pub(super) fn parse(text: &str, report: &mut Report<'_>) -> Option<(File, BTreeSet<String>)> {
    let (mut tree, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        report.error("syntax", error.span(), &format!("this is not TOML: {}", error.message()), "see https://toml.io");
    }
    if !syntax.is_empty() {
        return None;
    }
    let mut broken = BTreeSet::new();
    for _ in 0..MOST {
        let error = match File::deserialize(Deserializer::from(tree.clone())) {
            Ok(file) => return Some((file, broken)),
            Err(error) => error,
        };
        let span = error.span();
        let (message, help) = explain(error.message());
        let code = if message.starts_with("unknown key") { "unknown-key" } else { "type" };
        report.error(code, span.clone(), &message, &help);
        let path = span.and_then(|span| remove(tree.get_mut(), &span, ""))?;
        broken.insert(path);
    }
    None
}

/// Takes out the entry at `span` and returns its path.
fn remove(table: &mut DeTable<'_>, span: &Range<usize>, prefix: &str) -> Option<String> {
    let hit = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = hit.map(|(key, _)| key.get_ref().to_string()) {
        table.remove(key.as_str());
        return Some(join(prefix, &key));
    }
    table.iter_mut().find_map(|(key, value)| remove_in(value, span, &join(prefix, key.get_ref())))
}

fn remove_in(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>, path: &str) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => remove(table, span, path),
        DeValue::Array(array) => {
            if let Some(i) = array.iter().position(|item| item.span() == *span) {
                let kept = std::mem::replace(array, DeArray::new()).into_iter().enumerate().filter(|(at, _)| *at != i);
                *array = kept.map(|(_, item)| item).collect();
                return Some(format!("{path}[{i}]"));
            }
            array.iter_mut().enumerate().find_map(|(i, item)| remove_in(item, span, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Serde's message in the user's words, and what to do.
fn explain(message: &str) -> (String, String) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let near = |known: &[&str], found: &str| -> String {
        let best = known.iter().map(|k| (distance(k, found), *k)).min();
        match best {
            Some((steps, k)) if steps <= 1 + found.len() / 3 => {
                format!("did you mean `{k}`? known: {}", known.join(", "))
            }
            _ => format!("known: {}", known.join(", ")),
        }
    };
    if let [found, known @ ..] = quoted.as_slice() {
        if message.starts_with("unknown field") {
            return (format!("unknown key `{found}`"), near(known, found));
        }
        if message.starts_with("unknown variant") {
            let known: Vec<String> = known.iter().map(|k| format!("\"{k}\"")).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return (format!("\"{found}\" is not one of the words known here"), near(&known, &format!("\"{found}\"")));
        }
    }
    if let Some((found, expected)) = message.strip_prefix("invalid type: ").and_then(|m| m.rsplit_once(", expected ")) {
        let expected = match expected {
            "i64" => "an integer",
            "f64" => "a number",
            "a boolean" | "bool" => "true or false",
            "a string" => "a text in quotes",
            "a sequence" => "a list in [ ]",
            other if other.starts_with("struct ") => "a table",
            other => other,
        };
        return (format!("wrong type: found {found}, expected {expected}"), format!("write {expected} here"));
    }
    (message.to_owned(), "docs/config.md lists every key with its type and range".to_owned())
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
