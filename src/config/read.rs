//! From what was written to typed sections, gathering every problem on the way.
//!
//! Three passes over one [`Document`]: keys and kinds against the [`Schema`], the environment's variables laid over it,
//! then serde for all that only a type can judge (ranges, names). serde stops at its first error, so each one is noted
//! with its place, the key is taken out (its default then stands in), and serde reads again.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Place, Step, Variable, shown};
use super::error::Problem;
use super::schema::{Kind, Schema, join};

/// Variables that start so override keys: `CAMERA_NODE__BROKER__URL`.
pub const PREFIX: &str = "CAMERA_NODE__";

/// Takes out of `document` what does not fit `schema`, and says so.
pub fn check_keys(document: &mut Document<'_>, schema: &Schema) -> Vec<Problem> {
    let mut found = Vec::new();
    check_section(document.root(), "", &[], schema, &mut found);
    found
        .into_iter()
        .map(|(path, offset, message)| {
            document.remove(&path);
            Problem { place: document.place(offset), key: Some(shown(&path)), message }
        })
        .collect()
}

/// A path, where it was written, and what is wrong there.
type Finding = (Vec<Step>, usize, String);

fn check_section(table: &DeTable<'_>, section: &str, path: &[Step], schema: &Schema, found: &mut Vec<Finding>) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = [path, &[Step::Key(name.to_owned())]].concat();
        let schema_path = join(section, name);
        match schema.kind(&schema_path) {
            None => found.push((path, key.span().start, unknown_key(schema, section, name))),
            Some(kind) => check_value(value, kind, &schema_path, &path, schema, found),
        }
    }
}

fn check_value(
    value: &Spanned<DeValue<'_>>,
    kind: &Kind,
    schema_path: &str,
    path: &[Step],
    schema: &Schema,
    found: &mut Vec<Finding>,
) {
    match (kind, value.get_ref()) {
        (Kind::Section(_), DeValue::Table(table)) => check_section(table, schema_path, path, schema, found),
        (Kind::List, DeValue::Array(list)) => {
            let element_path = format!("{schema_path}[]");
            let Some(kind) = schema.kind(&element_path) else { return };
            for (index, element) in list.iter().enumerate() {
                let path = [path, &[Step::Index(index)]].concat();
                check_value(element, kind, &element_path, &path, schema, found);
            }
        }
        (Kind::List, DeValue::Table(_)) if schema.is_list_of_sections(schema_path) => {
            found.push((path.to_vec(), value.span().start, format!("is a list of sections: write [[{schema_path}]]")));
        }
        (kind, value_found) => {
            if let Err(message) = fits(kind, value_found) {
                found.push((path.to_vec(), value.span().start, message));
            }
        }
    }
}

/// Whether a plain value is of `kind`; else the message.
fn fits(kind: &Kind, value: &DeValue<'_>) -> Result<(), String> {
    let wanted = match (kind, value) {
        (Kind::Anything, _)
        | (Kind::Section(_), DeValue::Table(_))
        | (Kind::List, DeValue::Array(_))
        | (Kind::Text, DeValue::String(_))
        | (Kind::Flag, DeValue::Boolean(_))
        | (Kind::Number, DeValue::Float(_) | DeValue::Integer(_)) => return Ok(()),
        (Kind::Choice(words), DeValue::String(word)) if words.contains(&word.as_ref()) => return Ok(()),
        (Kind::Choice(words), DeValue::String(word)) => {
            let all = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            // All of them are named: one is pointed out only if it looks meant.
            let near = nearest(word, words.iter().copied()).filter(|near| is_like(near, word));
            let near = near.map_or(String::new(), |near| format!("; the nearest is \"{near}\""));
            return Err(format!("must be one of {all}, not \"{word}\"{near}"));
        }
        (Kind::Whole(range), DeValue::Integer(number)) => {
            return match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(got) if range.contains(&got) => Ok(()),
                Err(_) if *range == (i64::MIN..=i64::MAX) => Err(format!("{number} is no number we can hold")),
                _ => Err(format!("must be {} to {}, not {number}", range.start(), range.end())),
            };
        }
        (Kind::Section(_), _) => "a section",
        (Kind::List, _) => "a list, like [\"one\", \"two\"]",
        (Kind::Text | Kind::Choice(_), _) => "text in quotes",
        (Kind::Whole(_), _) => "a whole number",
        (Kind::Number, _) => "a number",
        (Kind::Flag, _) => "true or false",
    };
    Err(format!("must be {wanted}, not {}", in_words(value)))
}

fn in_words(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// Messages of the standard library's types that do not say what would be right.
fn in_our_words(message: &str) -> String {
    match message {
        "invalid socket address syntax" => "must be an IP address and a port, like \"127.0.0.1:8080\"".to_owned(),
        "invalid IP address syntax" => "must be an IP address, like \"192.0.2.7\"".to_owned(),
        _ => message.to_owned(),
    }
}

fn unknown_key(schema: &Schema, section: &str, name: &str) -> String {
    let Some(Kind::Section(siblings)) = schema.kind(section) else { return "no such key".to_owned() };
    let file_key = format!("{name}_file");
    if siblings.contains(&file_key.as_str()) {
        return format!(
            "secrets do not belong in a config; write it to a file that only the node can read, and its path to `{file_key}`"
        );
    }
    // A right key in the wrong section is as common as a misspelt one.
    let elsewhere = schema.leaves().find(|leaf| leaf.rsplit('.').next() == Some(name));
    let near = nearest(name, siblings.iter().copied());
    match (near, elsewhere) {
        (Some(near), _) if is_like(near, name) => {
            format!("no such key; the nearest is `{near}`")
        }
        (_, Some(elsewhere)) => format!("no such key; the nearest is `{}`", elsewhere.replace("[]", "[0]")),
        (Some(near), None) => format!("no such key; the nearest is `{near}`"),
        (None, None) => "no such key".to_owned(),
    }
}

/// Alike enough to be a slip of the same word; found by misspelling the config's own words.
fn is_like(known: &str, word: &str) -> bool {
    strsim::normalized_damerau_levenshtein(known, word) >= 0.6
}

fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(word, known);
    words.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// Lays `variables` over `document`, typed by the key.
pub fn lay_over<'t>(document: &mut Document<'t>, schema: &Schema, variables: &'t [Variable]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (nth, variable) in variables.iter().enumerate() {
        let path = path_of(&variable.name);
        let laid = typed(schema, variable, &path).and_then(|value| document.lay_over(nth, &path, value));
        if let Err(message) = laid {
            // A name that leads nowhere is no key worth repeating.
            let key = schema.kind(&schema_path(&path)).is_some().then(|| shown(&path)).filter(|key| !key.is_empty());
            problems.push(Problem { place: Place::Variable(variable.name.clone()), key, message });
        }
    }
    problems
}

fn typed<'t>(schema: &Schema, variable: &'t Variable, path: &[Step]) -> Result<DeValue<'t>, String> {
    let text = variable.value.as_str();
    let is_nameless = path.contains(&Step::Key(String::new()));
    let Some(kind) = schema.kind(&schema_path(path)).filter(|_| !is_nameless) else {
        return Err(unknown_variable(schema, &variable.name, path));
    };
    let value = match kind {
        Kind::Section(_) => return Err(format!("names a section; a key of it is named by {}__KEY", variable.name)),
        Kind::List if schema.is_list_of_sections(&schema_path(path)) => {
            return Err(format!("names a list of sections; a key of the first is named by {}__0__KEY", variable.name));
        }
        Kind::Text | Kind::Choice(_) => DeValue::String(Cow::Borrowed(text)),
        _ => match DeValue::parse(text) {
            Ok(value) => value.into_inner(),
            Err(_) => DeValue::String(Cow::Borrowed(text)),
        },
    };
    fits(kind, &value)?;
    Ok(value)
}

fn unknown_variable(schema: &Schema, name: &str, path: &[Step]) -> String {
    let (secret, siblings) = path.split_last().map_or((String::new(), String::new()), |(last, section)| {
        (shown(std::slice::from_ref(last)), schema_path(section))
    });
    if schema.kind(&join(&siblings, &format!("{secret}_file"))).is_some() {
        return format!(
            "secrets do not belong in the environment; write it to a file that only the node can read, and its path to {name}_FILE"
        );
    }
    let known: Vec<String> = schema.leaves().map(variable_of).collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("names no key; the nearest is {near}"),
        None => "names no key".to_owned(),
    }
}

/// Variables whose names are a key's but for an underscore. Others that begin like ours are none of the config's business.
pub fn almost_variables<'a>(schema: &Schema, names: impl Iterator<Item = &'a str>) -> Vec<Problem> {
    let single = |name: &str| name.replace("__", "_");
    let known: Vec<String> = schema.leaves().map(variable_of).collect();
    let ours = names.filter(|name| name.starts_with(&single(PREFIX)) && !name.starts_with(PREFIX));
    ours.filter_map(|name| {
        let meant = known.iter().find(|known| single(known) == single(name))?;
        let message = format!("sets nothing, for want of a second underscore; the nearest is {meant}");
        Some(Problem { place: Place::Variable(name.to_owned()), key: None, message })
    })
    .collect()
}

/// The variable that overrides the key at this path of the schema, of the first element where there is a list.
pub fn variable_of(schema_path: &str) -> String {
    format!("{PREFIX}{}", schema_path.replace("[]", ".0").replace('.', "__").to_uppercase())
}

fn path_of(name: &str) -> Vec<Step> {
    let steps = name.strip_prefix(PREFIX).unwrap_or(name).split("__");
    steps.map(|step| step.parse().map_or_else(|_| Step::Key(step.to_lowercase()), Step::Index)).collect()
}

fn schema_path(path: &[Step]) -> String {
    path.iter().fold(String::new(), |section, step| match step {
        Step::Key(key) => join(&section, key),
        Step::Index(_) => format!("{section}[]"),
    })
}

/// Reads `document` as a `T`, whose every key has a default.
pub fn read<T: DeserializeOwned + Default>(document: &Document<'_>) -> (T, Vec<Problem>) {
    let mut document = document.clone();
    let mut problems = Vec::new();
    loop {
        let error = match T::deserialize(document.clone().into_deserializer()) {
            Ok(read) => return (read, problems),
            Err(error) => error,
        };
        let offset = error.span().map(|span| span.start);
        let removed = error.span().and_then(|span| document.remove_at(&span));
        let place = match (&removed, offset) {
            (_, Some(offset)) => document.place(offset),
            (_, None) => document.place_of(&[]),
        };
        problems.push(Problem { place, key: removed.as_deref().map(shown), message: in_our_words(error.message()) });
        if removed.is_none() {
            return (T::default(), problems);
        }
    }
}
