//! The schema held against the code: every type and every field stands in both, and in the golden files.

use std::collections::BTreeSet;

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde_json::{Map, Value, json};

use super::golden::{golden, payload};
use crate::session::call_message::{Acceptance, Call, Cancel, Register, Registration, Rejection};
use crate::session::message::{Answer, Empty, Ice, Join, Leave, NodeInfo, Offer, PeerInfo, Renew, WantsRequest};
use crate::session::{
    CameraDetail, CameraInfo, Candidate, Failure, IceServer, Message, Mid, Picture, Snapshot, StateDetail, Status,
};

/// Fields that the envelope carries; which of them a type may have is the schema's own knowledge.
const ENVELOPE: [&str; 6] = ["v", "type", "session", "seq", "ack", "re"];

/// The fields of each body, as the code reads them. `callResponse` has two forms, told apart by `response`.
fn bodies() -> Vec<(&'static str, Fields)> {
    vec![
        ("join", fields_of::<Join>()),
        ("peer", fields_of::<PeerInfo>()),
        ("offer", fields_of::<Offer>()),
        ("answer", fields_of::<Answer>()),
        ("ice", fields_of::<Ice>()),
        ("leave", fields_of::<Leave>()),
        ("ack", fields_of::<Empty>()),
        ("error", fields_of::<Failure>()),
        ("call", fields_of::<Call>()),
        ("ringing", fields_of::<Empty>()),
        ("cancel", fields_of::<Cancel>()),
        (
            "callResponse",
            [fields_of::<Acceptance>(), fields_of::<Rejection>(), ["response"].into()].into_iter().flatten().collect(),
        ),
        ("register", fields_of::<Register>()),
        ("registered", fields_of::<Registration>()),
        ("unregister", fields_of::<Empty>()),
        ("unregistered", fields_of::<Empty>()),
        ("renew", fields_of::<Renew>()),
        ("snapshot", fields_of::<Snapshot>()),
        ("picture", fields_of::<Picture>()),
        ("probe", fields_of::<Empty>()),
        ("status", fields_of::<Status>()),
    ]
}

/// The same of what stands inside of bodies, by its place in the schema.
fn parts() -> Vec<(&'static str, Fields)> {
    vec![
        ("/$defs/wants", fields_of::<WantsRequest>()),
        ("/$defs/candidate", fields_of::<Candidate>()),
        ("/$defs/iceServer", fields_of::<IceServer>()),
        ("/$defs/mid", fields_of::<Mid>()),
        ("/$defs/camera", fields_of::<CameraInfo>()),
        ("/$defs/cameraState", fields_of::<CameraDetail>()),
        ("/$defs/peer/properties/node", fields_of::<NodeInfo>()),
        ("/$defs/status/properties/state_detail", fields_of::<StateDetail>()),
    ]
}

type Fields = BTreeSet<&'static str>;

#[test]
fn the_code_reads_the_types_of_the_schema_and_no_others() {
    let source = include_str!("../envelope.rs");
    let from = source.find("fn read(kind").expect("where bodies are read");
    let arms = source[from..].lines().take_while(|line| !line.contains("other =>"));
    let read: BTreeSet<&str> =
        arms.filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => ").map(|(kind, _)| kind)).collect();
    let schema = schema();
    assert!(read.len() >= 18, "found only {read:?}: the test has become blind");
    assert_eq!(read, kinds(&schema), "left: envelope.rs, right: the schema");
    let told: BTreeSet<&str> = bodies().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(told, kinds(&schema), "give the new type its line in bodies()");
}

#[test]
fn the_code_reads_the_fields_of_the_schema_and_no_others() {
    let schema = schema();
    for (kind, fields) in bodies() {
        let mut known = properties(&schema["$defs"][kind]);
        known.retain(|field| !ENVELOPE.contains(field));
        assert_eq!(fields, known, "{kind}: left the code, right the schema");
    }
    for (place, fields) in parts() {
        let known = properties(schema.pointer(place).expect("its place in the schema"));
        assert_eq!(fields, known, "{place}: left the code, right the schema");
    }
}

#[test]
fn every_field_of_the_schema_stands_in_a_golden_file() {
    let schema = schema();
    let mut seen = BTreeSet::new();
    for (_, file) in golden("valid").into_iter().chain(golden("status")) {
        let kind = file["type"].as_str().expect("a type");
        walk(&schema, &format!("/$defs/{kind}"), &file, &mut |place| {
            seen.insert(place.to_owned());
        });
    }
    let mut places: Vec<String> = kinds(&schema).iter().map(|kind| format!("/$defs/{kind}")).collect();
    places.extend(parts().iter().map(|(place, _)| (*place).to_owned()));
    for place in places {
        for field in properties(schema.pointer(&place).expect("a place")).iter().filter(|f| !ENVELOPE.contains(f)) {
            assert!(seen.contains(&format!("{place}/properties/{field}")), "no golden file has {field} of {place}");
        }
    }
}

#[test]
fn a_field_that_is_null_is_a_field_that_is_absent() {
    let schema = schema();
    let mut added = 0;
    for (name, file) in golden("valid").into_iter().chain(golden("status")) {
        let kind = file["type"].as_str().expect("a type");
        let nulls = with_nulls(&schema, &schema["$defs"][kind], &file);
        added += usize::from(nulls != file);
        assert_eq!(Message::read(&payload(&nulls)), Message::read(&payload(&file)), "{name}: {nulls}");
    }
    assert!(added > 50, "only {added} messages had room for a null");
}

#[test]
fn the_schema_allows_every_valid_message_and_no_invalid_one() {
    let schema = schema();
    for (name, file) in golden("valid").into_iter().chain(golden("status")) {
        schema_allows(&schema, &schema, &file).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    for (name, file) in golden("invalid") {
        // Only the schema of messages without nulls is written down.
        if name.ends_with("-null") {
            continue;
        }
        assert!(schema_allows(&schema, &schema, &file["message"]).is_err(), "{name} fits the schema");
    }
}

// ── how the code is asked, and the schema ───────────────────────────────────────────────────────────────────────────

/// The names by which serde's derive reads the fields of a struct.
fn fields_of<T: DeserializeOwned>() -> Fields {
    let mut names: &'static [&'static str] = &["not a struct"];
    let _refused = T::deserialize(Asked(&mut names));
    names.iter().copied().collect()
}

/// Notes which fields it is asked for, and gives none.
struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("asked"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn kinds(schema: &Value) -> BTreeSet<&str> {
    let all = schema["oneOf"].as_array().expect("a list of types").iter();
    all.map(|kind| kind["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")).expect("a reference")).collect()
}

fn properties(schema: &Value) -> BTreeSet<&str> {
    schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

/// Tells each property's place in the schema that `value` has.
fn walk(root: &Value, place: &str, value: &Value, tell: &mut impl FnMut(&str)) {
    let schema = root.pointer(place).expect("a place");
    if let Some(target) = schema["$ref"].as_str() {
        return walk(root, target.strip_prefix('#').expect("a local reference"), value, tell);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        if schema["properties"].get(key).is_some() {
            let place = format!("{place}/properties/{key}");
            tell(&place);
            walk(root, &place, value, tell);
        } else if schema.get("additionalProperties").is_some() {
            walk(root, &format!("{place}/additionalProperties"), value, tell);
        }
    }
    if schema.get("items").is_some() {
        value.as_array().into_iter().flatten().for_each(|item| walk(root, &format!("{place}/items"), item, tell));
    }
}

/// The same message with a null for each field it lacks.
fn with_nulls(root: &Value, schema: &Value, value: &Value) -> Value {
    if let Some(target) = schema["$ref"].as_str() {
        return with_nulls(root, root.pointer(&target[1..]).expect("a place"), value);
    }
    match value {
        Value::Object(fields) => {
            let mut more: Map<String, Value> = fields
                .iter()
                .map(|(key, field)| {
                    let rule = schema["properties"].get(key).or(schema.get("additionalProperties"));
                    (key.clone(), rule.map_or(field.clone(), |rule| with_nulls(root, rule, field)))
                })
                .collect();
            for key in properties(schema) {
                more.entry(key).or_insert(json!(null));
            }
            more.into()
        }
        Value::Array(items) => items.iter().map(|item| with_nulls(root, &schema["items"], item)).collect(),
        other => other.clone(),
    }
}

pub(super) fn schema() -> Value {
    serde_json::from_str(include_str!("../schema/message.schema.json")).expect("the schema is JSON")
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
            "oneOf" | "anyOf" => {
                let tried: Vec<_> = rule
                    .as_array()
                    .expect("a list of schemas")
                    .iter()
                    .map(|schema| schema_allows(root, schema, value))
                    .collect();
                let fitting = tried.iter().filter(|tried| tried.is_ok()).count();
                if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                    return refuse(format!("{fitting} of {keyword} {tried:?}"));
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
