//! The golden files, which the TypeScript client reads too, held against parser, writer, schema and error table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::session::{Body, ErrorCode, MAX_MESSAGE_BYTES, Message};

fn golden(folder: &str) -> Vec<(String, Value)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/session/golden").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of golden files")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name").to_owned();
            let text = std::fs::read_to_string(&path).expect("a readable file");
            (name, serde_json::from_str(&text).expect("a golden file is JSON"))
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

fn payload(message: &Value) -> Vec<u8> {
    match message {
        // A string stands for raw text, so that files can hold what is no JSON.
        Value::String(raw) => raw.clone().into_bytes(),
        other => serde_json::to_vec(other).expect("JSON"),
    }
}

#[test]
fn every_valid_message_is_read_and_written_as_it_was() {
    for (name, file) in golden("valid") {
        let message = Message::read(&payload(&file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written: Value = serde_json::from_slice(&message.to_bytes()).expect("JSON");
        assert_eq!(written, file, "{name}");
        assert!(name.starts_with(message.body.kind()), "{name} holds a {}", message.body.kind());
    }
    for (name, file) in golden("status") {
        let status = Message::read_status(&payload(&file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = Message::plain(Body::Status(Box::new(status)), None, None).to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&written).expect("JSON"), file, "{name}");
    }
}

#[test]
fn every_invalid_message_gets_its_error() {
    for (name, file) in golden("invalid") {
        let error = Message::read(&payload(&file["message"])).expect_err(&name);
        assert_eq!(Some(error.code.slug()), file["error"].as_str(), "{name}: {error}");
        assert!(error.detail.len() <= 200, "{name}: a long text goes into logs");
    }
}

#[test]
fn every_type_and_every_error_has_a_golden_file() {
    let names: BTreeSet<String> = golden("valid").into_iter().map(|(name, _)| name).collect();
    let schema = schema();
    for kind in schema["oneOf"].as_array().expect("a list of types") {
        let kind = kind["$ref"].as_str().and_then(|r| r.rsplit('/').next()).expect("a reference");
        assert!(names.iter().any(|name| name.split('-').next() == Some(kind)), "no golden file of a {kind}");
    }
    for code in ErrorCode::all() {
        assert!(names.contains(&format!("error-{}", code.slug())), "no golden file of {}", code.slug());
    }
}

#[test]
fn unknown_fields_are_ignored_and_a_status_may_lack_its_type() {
    for (name, file) in golden("valid") {
        let plain = Message::read(&payload(&file)).expect("a valid message");
        let mut more = file.clone();
        more["fromTheFuture"] = serde_json::json!({"deep": [1, 2, {"v": 2}]});
        assert_eq!(Message::read(&payload(&more)).as_ref(), Ok(&plain), "{name}");
    }
    let mut status = golden("status").remove(0).1;
    status.as_object_mut().expect("an object").remove("type");
    assert!(Message::read_status(&payload(&status)).is_ok());
    assert!(Message::read(&payload(&status)).is_err());
}

#[test]
fn a_message_over_64_kb_is_refused_and_one_of_64_kb_is_not() {
    let filled = |bytes: usize| {
        let empty = r#"{"v":1,"type":"probe","filler":""}"#;
        format!(r#"{{"v":1,"type":"probe","filler":"{}"}}"#, "x".repeat(bytes - empty.len()))
    };
    assert!(Message::read(filled(MAX_MESSAGE_BYTES).as_bytes()).is_ok());
    let error = Message::read(filled(MAX_MESSAGE_BYTES + 1).as_bytes()).expect_err("too long");
    assert_eq!(error.code, ErrorCode::BadMessage);
    let deep = format!(r#"{{"v":1,"type":"probe","deep":{}"#, "[".repeat(60_000));
    assert!(Message::read(deep.as_bytes()).is_err());
}

#[test]
fn no_mutation_of_a_golden_file_panics_and_what_is_read_can_be_written() {
    let mut random = fastrand::Rng::with_seed(7);
    let seeds: Vec<Vec<u8>> = ["valid", "status", "invalid"]
        .into_iter()
        .flat_map(golden)
        .map(|(_, file)| payload(file.get("message").filter(|_| file.get("error").is_some()).unwrap_or(&file)))
        .collect();
    let mut read = 0;
    for round in 0..40_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..=bytes.len());
            match random.u8(0..6) {
                0 if at < bytes.len() => bytes[at] = random.u8(..),
                1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
                2 => bytes.insert(at, random.u8(..)),
                3 if at < bytes.len() => drop(bytes.remove(at)),
                4 => bytes.truncate(at),
                _ => {
                    let other = &seeds[random.usize(0..seeds.len())];
                    let from = random.usize(0..=other.len());
                    bytes.splice(at..at, other[from..other.len().min(from + 20)].iter().copied());
                }
            }
        }
        let _ = Message::read_status(&bytes);
        if let Ok(message) = Message::read(&bytes) {
            read += 1;
            let again = Message::read(&message.to_bytes());
            assert_eq!(again.as_ref(), Ok(&message), "{}", String::from_utf8_lossy(&bytes));
        }
    }
    assert!(read > 1_000, "only {read} of the mutations could be read: the test has become blunt");
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../schema/message.schema.json")).expect("the schema is JSON")
}

#[test]
fn the_schema_allows_every_valid_message_and_few_of_the_invalid() {
    let schema = schema();
    for (name, file) in golden("valid").into_iter().chain(golden("status")) {
        schema_allows(&schema, &schema, &file).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    for (name, file) in golden("invalid") {
        // That something must be wanted is beyond a plain schema.
        let beyond = name.starts_with("join-wants-nothing");
        assert_eq!(schema_allows(&schema, &schema, &file["message"]).is_ok(), beyond, "{name}");
    }
}

/// As much of JSON Schema as our schema uses; a keyword it does not know fails the test.
fn schema_allows(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let refuse = |why: String| Err(format!("{why}: {}", clip(&value.to_string())));
    let length = |n: usize| n as u64;
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let number = rule.as_u64();
        let ok = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let name = rule.as_str().and_then(|r| r.strip_prefix("#/$defs/")).expect("a local reference");
                return schema_allows(root, &root["$defs"][name], value);
            }
            "const" => value == rule,
            "enum" => rule.as_array().is_some_and(|list| list.contains(value)),
            "type" => match rule.as_str().expect("one type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("type {other} is unknown to this test"),
            },
            "minimum" => !value.is_number() || value.as_i64() >= rule.as_i64() || value.as_u64() > number,
            "maximum" => value.as_u64().is_none_or(|n| Some(n) <= number),
            "minLength" => value.as_str().is_none_or(|s| Some(length(s.chars().count())) >= number),
            "maxLength" => value.as_str().is_none_or(|s| Some(length(s.chars().count())) <= number),
            "minItems" => value.as_array().is_none_or(|list| Some(length(list.len())) >= number),
            "maxItems" => value.as_array().is_none_or(|list| Some(length(list.len())) <= number),
            "maxProperties" => value.as_object().is_none_or(|map| Some(length(map.len())) <= number),
            "pattern" => value.as_str().is_none_or(|s| matches_class(rule.as_str().expect("a pattern"), s)),
            "required" => rule.as_array().expect("a list").iter().all(|key| {
                let key = key.as_str().expect("a key");
                value.as_object().is_none_or(|map| map.contains_key(key))
            }),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    schema_allows(root, rule, item)?;
                }
                true
            }
            "properties" => {
                for (key, rule) in rule.as_object().expect("a map of schemas") {
                    if let Some(value) = value.get(key) {
                        schema_allows(root, rule, value).map_err(|why| format!("{key}: {why}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                for value in value.as_object().into_iter().flat_map(Map::values) {
                    schema_allows(root, rule, value)?;
                }
                true
            }
            "oneOf" => {
                let tried: Vec<_> = rule
                    .as_array()
                    .expect("a list of schemas")
                    .iter()
                    .map(|schema| schema_allows(root, schema, value))
                    .collect();
                if tried.iter().filter(|tried| tried.is_ok()).count() != 1 {
                    return refuse(format!("not exactly one of {tried:?}"));
                }
                true
            }
            other => panic!("keyword {other} is unknown to this test"),
        };
        if !ok {
            return refuse(format!("{keyword} {}", clip(&rule.to_string())));
        }
    }
    Ok(())
}

/// Matches patterns of the one form `^[class]{min,max}$`.
fn matches_class(pattern: &str, text: &str) -> bool {
    let inner = pattern.strip_prefix("^[").and_then(|p| p.strip_suffix("}$")).expect("^[class]{min,max}$");
    let (class, count) = inner.split_once("]{").expect("a class and a count");
    let (min, max) = count.split_once(',').unwrap_or((count, count));
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let class: Vec<char> = class.chars().collect();
    let fits = |c: char| {
        let mut at = 0;
        while at < class.len() {
            if at + 2 < class.len() && class[at + 1] == '-' {
                if (class[at]..=class[at + 2]).contains(&c) {
                    return true;
                }
                at += 3;
            } else {
                if class[at] == c {
                    return true;
                }
                at += 1;
            }
        }
        false
    };
    (number(min)..=number(max)).contains(&text.chars().count()) && text.chars().all(fits)
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
