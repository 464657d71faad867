//! The JSON schema of the file, for editors and for whoever generates configurations.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::File;
use super::model::{Config, NetworkSettings};
use overlay::num::Vni;

/// The schema (JSON Schema 2020-12), with the defaults that weir fills in.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>().to_value();
    without_null(&mut schema);
    if let Ok(Value::Object(defaults)) = serde_json::to_value(Config::default()) {
        for (section, values) in defaults {
            let definition = capitalised(&section);
            set_defaults(&mut schema, &definition, &values);
        }
    }
    let network = serde_json::to_value(NetworkSettings::new(Vni::from_low_bits(0))).map(|mut value| {
        value.as_object_mut().map(|fields| fields.remove("vni"));
        value
    });
    set_defaults(&mut schema, "Network", &network.unwrap_or_default());
    set_defaults(&mut schema, "Port", &serde_json::json!({ "rx_queues": 1, "tx_queues": 1, "isolated": false }));
    let fault = serde_json::json!({ "loss": 0.0, "duplicate": 0.0, "reorder": 0.0, "delay_us": 0, "seed": 1 });
    set_defaults(&mut schema, "Fault", &fault);
    schema
}

/// The schema as text, for `weir config schema`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// TOML has no null: an optional key is left out.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(any)) = map.get_mut("anyOf") {
                any.retain(|t| t != &serde_json::json!({ "type": "null" }));
                if let [Value::Object(only)] = any.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    map.extend(only.into_iter().filter(|(key, _)| key != "description"));
                }
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn set_defaults(schema: &mut Value, definition: &str, defaults: &Value) {
    let properties = schema.pointer_mut(&format!("/$defs/{definition}/properties")).and_then(Value::as_object_mut);
    let (Some(properties), Some(defaults)) = (properties, defaults.as_object()) else { return };
    for (key, property) in properties {
        if let (Some(default), Some(property)) = (defaults.get(key), property.as_object_mut()) {
            property.insert("default".into(), default.clone());
        }
    }
}

fn capitalised(section: &str) -> String {
    let mut letters = section.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
