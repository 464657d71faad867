//! Schema, docs and examples say what the code does.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::*;
use super::check;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every property of the schema as (definition, key, property).
fn properties(schema: &Value) -> Vec<(String, String, Value)> {
    let definitions = schema["$defs"].as_object().unwrap();
    definitions
        .iter()
        .flat_map(|(name, definition)| {
            let properties = definition["properties"].as_object().unwrap();
            properties.iter().map(|(key, property)| (name.clone(), key.clone(), property.clone()))
        })
        .collect()
}

/// A text in which the one key is set to `value`, and how deep its table is.
fn text_with(definition: &str, key: &str, value: &str) -> String {
    let port = "[[port]]\nname = \"p\"\ndevice = \"null\"\nrole = \"container\"\nnetwork = \"n\"\n";
    let network = "[[network]]\nname = \"n\"\nvni = 1\n";
    match definition {
        "Port" => format!("{network}{port}{key} = {value}\n"),
        "Fault" => format!("{network}{port}fault = {{ {key} = {value} }}\n"),
        "Vlan" => format!(
            "{network}{}vlans = [{{ network = \"n\", {key} = {value} }}]\n",
            port.replace("network = \"n\"\n", "")
        ),
        "Network" if key == "vni" => network.replace("vni = 1", &format!("vni = {value}")),
        "Network" => format!("{network}{key} = {value}\n"),
        "Mac" => format!("{port}{network}macs = [{{ mac = \"02:00:00:00:00:01\", port = \"p\", {key} = {value} }}]\n"),
        section => format!("[{}]\n{key} = {value}\n", section.to_lowercase()),
    }
}

#[test]
fn the_ranges_of_the_schema_are_those_of_the_checks() {
    let schema = schema::schema();
    let mut tried = 0;
    for (definition, key, property) in properties(&schema) {
        let bound = |name: &str| property.get(name).and_then(Value::as_f64);
        let out_of_range = |value: f64| {
            let text = text_with(&definition, &key, &format!("{value}"));
            let (_, found) = check(&text, "t.toml");
            assert!(found.iter().all(|d| d.code != "unknown-key" && d.code != "type"), "{text}{}", ConfigErrors(found));
            found.iter().any(|d| d.code == "range")
        };
        let probability = property["type"] == "number";
        for (limit, outside) in [(bound("minimum"), -1.0), (bound("maximum"), 1.0)] {
            // TOML tells 1 from 1.0, and a probability is written with a point.
            let Some(limit) = limit.filter(|_| !probability) else { continue };
            assert!(!out_of_range(limit), "{definition}.{key}: the schema allows {limit}, the checks do not");
            assert!(out_of_range(limit + outside), "{definition}.{key}: the checks allow {}", limit + outside);
            tried += 1;
        }
    }
    assert!(tried > 50, "only {tried} bounds found in the schema");
}

#[test]
fn the_schema_describes_every_key_and_knows_the_defaults() {
    let schema = schema::schema();
    for (definition, key, property) in properties(&schema) {
        assert!(property.get("description").is_some_and(Value::is_string), "{definition}.{key} has no description");
    }
    for definition in schema["$defs"].as_object().unwrap().values() {
        assert_eq!(definition["additionalProperties"], false, "{definition:#}");
    }
    assert_eq!(schema.pointer("/$defs/Workers/properties/burst/default"), Some(&Value::from(32)));
    assert_eq!(schema.pointer("/$defs/Workers/properties/burst/type"), Some(&Value::from("integer")));
    assert_eq!(schema.pointer("/$defs/Network/properties/mac_ageing_s/default"), Some(&Value::from(300)));
    assert_eq!(schema.pointer("/$defs/Port/required"), Some(&serde_json::json!(["name", "device", "role"])));
    assert!(!schema::schema_text().contains("null\""), "TOML has no null: {}", schema::schema_text());
}

/// The row of a key in docs/config.md, in the section of its table.
fn row<'t>(docs: &'t str, definition: &str, key: &str) -> Option<&'t str> {
    let heading = match definition {
        "Port" => "## `[[port]]`".to_owned(),
        "Network" => "## `[[network]]`".to_owned(),
        "Neighbour" => "### `neighbours`".to_owned(),
        "Vlan" => "### `vlans`".to_owned(),
        "Fault" => "### `fault`".to_owned(),
        "Mac" => "### `macs`".to_owned(),
        "Binding" => "### `bindings`".to_owned(),
        section => format!("## `[{}]`", section.to_lowercase()),
    };
    let start = docs.find(&format!("\n{heading}\n"))? + heading.len();
    let section = docs.get(start..)?.split("\n##").next()?;
    section.lines().find(|line| line.starts_with(&format!("| `{key}` |")))
}

#[test]
fn the_docs_have_a_row_for_every_key_with_its_range_and_default() {
    let docs = fs::read_to_string(root().join("docs/config.md")).unwrap();
    let mut wrong = Vec::new();
    for (definition, key, property) in properties(&schema::schema()) {
        let Some(row) = row(&docs, &definition, &key) else {
            wrong.push(format!("{definition}.{key}: no row"));
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, kind, default, _, change, _] = cells.as_slice() else {
            wrong.push(format!("{definition}.{key}: not five columns: {row}"));
            continue;
        };
        if !matches!(*change, "live" | "start") {
            wrong.push(format!("{definition}.{key}: live or start? {row}"));
        }
        for bound in ["minimum", "maximum"] {
            if let Some(limit) = property.get(bound).and_then(Value::as_f64)
                && !kind.contains(&limit.to_string())
            {
                wrong.push(format!("{definition}.{key}: {bound} {limit} is not in \"{kind}\""));
            }
        }
        if let Some(value) = property.get("default").filter(|v| **v != serde_json::json!([]))
            && !default.contains(&format!("`{value}`"))
        {
            wrong.push(format!("{definition}.{key}: default {value} is not in \"{default}\""));
        }
        let start_only = ["Eal", "Pool", "Limits", "Control"].contains(&definition.as_str()) || key == "cores";
        if start_only != (*change == "start") {
            wrong.push(format!("{definition}.{key}: says {change}"));
        }
    }
    assert!(wrong.is_empty(), "docs/config.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_example_parses_without_a_warning() {
    let mut seen = 0;
    let mut text = String::new();
    for entry in fs::read_dir(root().join("docs/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let (_, found) = Config::check_file(&path, &|_| Ok(()));
            assert!(found.is_empty(), "{}", ConfigErrors(found));
            text += &fs::read_to_string(&path).unwrap();
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} examples found");
    // An example for every feature: each key is set in one of them.
    let unused: Vec<String> = properties(&schema::schema())
        .into_iter()
        .filter(|(_, key, _)| !text.contains(&format!("{key} = ")))
        .map(|(definition, key, _)| format!("{definition}.{key}"))
        .collect();
    assert!(unused.is_empty(), "no example sets {}", unused.join(", "));
}

#[test]
fn every_toml_block_of_the_docs_parses() {
    let mut pages = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                pages.push(path);
            }
        }
    }
    let mut blocks = 0;
    for page in pages {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        for block in text.split("\n```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
            let name = format!("{} (a ```toml block)", page.display());
            if let Err(errors) = Config::parse(block, &name) {
                panic!("{errors}\n--- write ```toml,ignore for what is no whole configuration ---");
            }
            blocks += 1;
        }
    }
    assert!(blocks > 0, "docs/config.md should have at least one block");
}
