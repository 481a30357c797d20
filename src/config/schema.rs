//! Which keys exist and what each may hold, asked from the section types themselves.
//!
//! A derived `Deserialize` tells its deserializer what it hopes to read: `deserialize_struct` comes with the names of
//! the fields, `deserialize_enum` with those of the variants, `deserialize_u16` is a range. [`Schema::of`] is such a
//! deserializer: it answers with the defaults and writes down the questions. So no list of keys has to be kept beside
//! the types, and keys without a default (`Option`s, empty lists) are known too.
//!
//! Those have no default to answer with. The first time one comes up, its question is written down and the reading is
//! broken off ([`Stop`]); in the next pass it is left out. One pass a key without default is nothing for a config.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use toml::Value;

/// What a key may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A section with these keys.
    Section(&'static [&'static str]),
    /// A list; what its elements hold stands under the list's path and `[]`.
    List,
    /// Text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number.
    Whole(RangeInclusive<i64>),
    /// A number, with or without a fraction.
    Number,
    /// `true` or `false`.
    Flag,
    /// Not known before it is read.
    Anything,
}

/// The keys of a config type. Paths read `camera[].video.width`; the root's is empty.
#[derive(Debug, Default)]
pub struct Schema {
    kinds: BTreeMap<String, Kind>,
}

impl Schema {
    /// The keys of `T`, whose defaults, as they would be written to a file, are `defaults`.
    pub fn of<T: DeserializeOwned>(defaults: &Value) -> Self {
        let notes = RefCell::new(Notes::default());
        loop {
            let known = notes.borrow().finished.len();
            let asked = Asked { default: Some(defaults), path: String::new(), notes: &notes };
            let outcome = T::deserialize(asked);
            if outcome.is_ok() {
                return Self { kinds: notes.into_inner().kinds };
            }
            assert!(notes.borrow().finished.len() > known, "a config type cannot read its own default");
        }
    }

    /// What the key at `path` may hold; `None` when there is no such key.
    pub fn kind(&self, path: &str) -> Option<&Kind> {
        self.kinds.get(path)
    }

    /// All keys that hold a value, sections and lists of sections left out.
    pub fn leaves(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().filter_map(|(path, kind)| {
            let is_leaf = !matches!(kind, Kind::Section(_)) && !path.ends_with("[]") && !self.is_list_of_sections(path);
            is_leaf.then_some(path.as_str())
        })
    }

    /// Whether `[[path]]` is how it is written.
    pub fn is_list_of_sections(&self, path: &str) -> bool {
        matches!(self.kind(&format!("{path}[]")), Some(Kind::Section(_)))
    }
}

/// The path of `key` in the section at `section`.
pub fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

#[derive(Default)]
struct Notes {
    kinds: BTreeMap<String, Kind>,
    /// Keys without a default of which all is known.
    finished: BTreeSet<String>,
}

/// The reading was broken off; what was learnt is in the notes.
#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reading was broken off")
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// One place that a type asks about.
#[derive(Clone)]
struct Asked<'a> {
    default: Option<&'a Value>,
    path: String,
    notes: &'a RefCell<Notes>,
}

impl<'a> Asked<'a> {
    fn note(&self, kind: Kind) {
        self.notes.borrow_mut().kinds.insert(self.path.clone(), kind);
    }

    fn is_finished(&self) -> bool {
        self.notes.borrow().finished.contains(&self.path)
    }

    fn finish(&self) -> Stop {
        self.notes.borrow_mut().finished.insert(self.path.clone());
        Stop
    }

    /// Notes a plain value; gives its default to answer with, if it has one.
    fn plain(&self, kind: Kind) -> Result<Value, Stop> {
        self.note(kind);
        self.default.cloned().ok_or_else(|| self.finish())
    }

    fn field(&self, name: &str) -> Self {
        Asked { default: self.default.and_then(|d| d.get(name)), path: join(&self.path, name), notes: self.notes }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.note(Kind::List);
        let defaults = self.default.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let path = format!("{}[]", self.path);
        let nameless = Asked { default: None, path, notes: self.notes };
        if defaults.is_empty() && nameless.is_finished() && self.default.is_none() {
            return Err(self.finish());
        }
        let elements = if defaults.is_empty() && !nameless.is_finished() {
            vec![nameless]
        } else {
            defaults.iter().map(|default| Asked { default: Some(default), ..nameless.clone() }).collect()
        };
        visitor.visit_seq(Elements(elements.into_iter()))
    }
}

macro_rules! plain {
    ($($method:ident => $kind:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.plain($kind)?.deserialize_any(visitor).map_err(|_| Stop)
        })*
    };
}

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Stop;

    plain! {
        deserialize_bool => Kind::Flag;
        deserialize_i8 => Kind::Whole(i8::MIN.into()..=i8::MAX.into());
        deserialize_i16 => Kind::Whole(i16::MIN.into()..=i16::MAX.into());
        deserialize_i32 => Kind::Whole(i32::MIN.into()..=i32::MAX.into());
        deserialize_i64 => Kind::Whole(i64::MIN..=i64::MAX);
        deserialize_u8 => Kind::Whole(0..=u8::MAX.into());
        deserialize_u16 => Kind::Whole(0..=u16::MAX.into());
        deserialize_u32 => Kind::Whole(0..=u32::MAX.into());
        deserialize_u64 => Kind::Whole(0..=i64::MAX);
        deserialize_f32 => Kind::Number;
        deserialize_f64 => Kind::Number;
        deserialize_char => Kind::Text;
        deserialize_str => Kind::Text;
        deserialize_string => Kind::Text;
        deserialize_any => Kind::Anything;
        deserialize_map => Kind::Anything;
        deserialize_bytes => Kind::Anything;
        deserialize_byte_buf => Kind::Anything;
        deserialize_unit => Kind::Anything;
        deserialize_identifier => Kind::Anything;
        deserialize_ignored_any => Kind::Anything;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_any(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Stop> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.note(Kind::Section(fields));
        visitor.visit_map(Fields { section: self, rest: fields.iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        // A variant with a value of its own is written as a table, which is left to the type to judge.
        let kind = if self.default.is_some_and(|d| !d.is_str()) { Kind::Anything } else { Kind::Choice(variants) };
        self.plain(kind)?.deserialize_enum(name, variants, visitor).map_err(|_| Stop)
    }
}

struct Fields<'a> {
    section: Asked<'a>,
    rest: std::slice::Iter<'static, &'static str>,
    value: Option<Asked<'a>>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        for name in self.rest.by_ref() {
            let field = self.section.field(name);
            if field.default.is_some() || !field.is_finished() {
                self.value = Some(field);
                return seed.deserialize((*name).into_deserializer()).map(Some);
            }
        }
        // A section without a default ends here: each of its keys was asked about in an earlier pass.
        if self.section.default.is_none() { Err(self.section.finish()) } else { Ok(None) }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self.value.take().ok_or(Stop)?)
    }
}

struct Elements<'a>(std::vec::IntoIter<Asked<'a>>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        self.0.next().map(|element| seed.deserialize(element)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::media::Bounded;

    #[derive(Deserialize, Serialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Root {
        flag: bool,
        port: Option<u16>,
        words: Vec<String>,
        pair: Option<(u16, u16)>,
        section: Option<Inner>,
        list: Vec<Inner>,
    }

    #[derive(Deserialize, Serialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        width: Bounded<16, 32>,
        shape: Option<Shape>,
    }

    impl Default for Inner {
        fn default() -> Self {
            Self { width: Bounded::new(16), shape: None }
        }
    }

    #[derive(Deserialize, Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Shape {
        Round,
        VeryFlat,
    }

    #[test]
    fn keys_without_a_default_are_known_as_well() {
        let schema = Schema::of::<Root>(&Value::try_from(Root::default()).expect("plain data"));
        assert_eq!(
            schema.leaves().collect::<Vec<_>>(),
            ["flag", "list[].shape", "list[].width", "pair", "port", "section.shape", "section.width", "words"]
        );
        assert_eq!(schema.kind("port"), Some(&Kind::Whole(0..=65535)));
        assert_eq!(schema.kind("words[]"), Some(&Kind::Text));
        assert_eq!(schema.kind("section.shape"), Some(&Kind::Choice(&["round", "very-flat"])));
        assert_eq!(schema.kind("section.width"), Some(&Kind::Whole(i64::MIN..=i64::MAX)));
        assert_eq!(schema.kind("nothing"), None);
    }
}
