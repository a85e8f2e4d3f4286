//! Checks documents with `schema/tasktrace.schema.json`. Included by the tests that need it, which depend on the crate
//! `jsonschema`.

use jsonschema::Validator;
use serde_json::{Value, json};

fn text() -> Value {
    let text = include_str!("../../tasktrace/schema/tasktrace.schema.json");
    serde_json::from_str(text).expect("it is JSON")
}

/// Returns the published schema, which allows later versions to add fields.
#[must_use]
pub fn published() -> Validator {
    jsonschema::draft202012::new(&text()).expect("it is a schema")
}

/// Returns the schema without fields that it does not describe.
#[must_use]
pub fn strict() -> Validator {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                members.values_mut().for_each(close);
                if members.get("type") == Some(&json!("object")) {
                    members.insert("additionalProperties".to_owned(), json!(false));
                }
            }
            Value::Array(elements) => elements.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema = text();
    close(&mut schema);
    jsonschema::draft202012::new(&schema).expect("it is a schema")
}

/// Asserts that a document matches the published schema, has no fields that the schema does not describe, and lists each
/// frame after its parent.
#[track_caller]
pub fn assert_valid(document: &Value) {
    for schema in [published(), strict()] {
        let errors: Vec<String> = schema
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    }
    for frames in frame_lists(document) {
        for (at, frame) in frames.iter().enumerate() {
            if let Some(parent) = frame["parent"].as_u64() {
                assert!(parent < at as u64, "{frames:#?}");
            }
        }
    }
}

/// Returns the lists of frames in a document.
fn frame_lists(document: &Value) -> Vec<&Vec<Value>> {
    let mut lists = Vec::new();
    let mut pending = vec![document];
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(members) => {
                lists.extend(members.get("frames").and_then(Value::as_array));
                pending.extend(members.values());
            }
            Value::Array(elements) => pending.extend(elements),
            _ => {}
        }
    }
    lists
}
