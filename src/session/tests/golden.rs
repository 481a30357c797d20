//! The golden files, which the TypeScript client reads too, held against parser, writer, schema and error table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::schema::schema;
use crate::session::{Body, ErrorCode, MAX_MESSAGE_BYTES, Message};

pub(super) fn golden(folder: &str) -> Vec<(String, Value)> {
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

pub(super) fn payload(message: &Value) -> Vec<u8> {
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
