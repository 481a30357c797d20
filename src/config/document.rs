//! The config as it was written: the file's values and, laid over them, the environment's, each with its place.
//!
//! TOML's parser gives every key and value its span of bytes in the file. A variable's value gets a span as well: one
//! byte behind the end of the text, counted by variable. So one number leads from any value, or from any error that
//! serde reports on it, to the words "line 3, column 7" or to the variable's name.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schema::join;

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the config file; line and column count from 1.
    File {
        /// The file as it was named to us.
        file: String,
        /// Its line.
        line: usize,
        /// Characters from the line's start.
        column: usize,
    },
    /// In this environment variable.
    Variable(String),
    /// Nowhere: something is missing.
    Whole(String),
}

impl Place {
    fn line(&self) -> Option<usize> {
        if let Self::File { line, .. } = self { Some(*line) } else { None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Whole(file) => f.write_str(file),
        }
    }
}

/// One variable that overrides a key.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name, prefix included.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What was written, not yet judged.
#[derive(Clone)]
pub struct Document<'t> {
    file: &'t str,
    text: &'t str,
    variables: &'t [Variable],
    root: Spanned<DeTable<'t>>,
}

/// One step on a path: a key of a section, or an element of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key.
    Key(String),
    /// An element, counted from 0.
    Index(usize),
}

/// The path as a person reads it: `camera[0].video.width`.
pub fn shown(path: &[Step]) -> String {
    path.iter().fold(String::new(), |shown, step| match step {
        Step::Key(key) => join(&shown, key),
        Step::Index(index) => format!("{shown}[{index}]"),
    })
}

impl<'t> Document<'t> {
    /// Parses `text`, which stands in `file`.
    ///
    /// # Errors
    /// All that is not TOML, each with its place; of each line the first only, as one slip makes others.
    pub fn parse(file: &'t str, text: &'t str, variables: &'t [Variable]) -> Result<Self, Vec<(Place, String)>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self { file, text, variables, root };
        let mut slips: Vec<(Place, String)> = Vec::new();
        for error in errors {
            let place = document.place(error.span().map_or(text.len(), |span| span.start));
            if !slips.iter().any(|(slip, _)| slip.line() == place.line()) {
                slips.push((place, error.message().to_owned()));
            }
        }
        slips.sort();
        leave_out_echoes(text, &mut slips);
        if slips.is_empty() { Ok(document) } else { Err(slips) }
    }

    /// The top section.
    pub fn root(&self) -> &DeTable<'t> {
        self.root.get_ref()
    }

    /// For serde.
    pub fn into_deserializer(self) -> toml::Deserializer<'t> {
        toml::Deserializer::from(self.root)
    }

    /// Where the byte at `offset` was written.
    pub fn place(&self, offset: usize) -> Place {
        if let Some(variable) = offset.checked_sub(self.text.len() + 1).and_then(|nth| self.variables.get(nth)) {
            return Place::Variable(variable.name.clone());
        }
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        Place::File { file: self.file.to_owned(), line, column }
    }

    /// Where the key at `path` was written, or else what comes nearest: the section it would stand in.
    pub fn place_of(&self, path: &[Step]) -> Place {
        let mut nearest = None;
        let mut table = Some(self.root());
        let mut steps = path.iter().peekable();
        while let (Some(section), Some(Step::Key(key))) = (table, steps.next()) {
            let Some((written, value)) = section.get_key_value(key.as_str()) else { break };
            nearest = Some(written.span().start);
            let mut value = value;
            while let Some(Step::Index(index)) = steps.peek() {
                steps.next();
                let Some(element) = value.get_ref().as_array().and_then(|list| list.get(*index)) else { break };
                nearest = Some(element.span().start);
                value = element;
            }
            table = value.get_ref().as_table();
        }
        nearest.map_or_else(|| Place::Whole(self.file.to_owned()), |offset| self.place(offset))
    }

    /// Lays the `nth` variable's `value` over the key at `path`, making the sections on the way there.
    ///
    /// # Errors
    /// What is in the way, in words.
    pub fn lay_over(&mut self, nth: usize, path: &[Step], value: DeValue<'t>) -> Result<(), String> {
        let at = self.text.len() + 1 + nth;
        let span = at..at + 1;
        let (last, sections) = path.split_last().ok_or("names no key")?;
        let mut place = Slot::Table(self.root.get_mut());
        for (n, step) in sections.iter().enumerate() {
            let empty = match path[n + 1] {
                Step::Key(_) => DeValue::Table(DeTable::new()),
                Step::Index(_) => DeValue::Array(toml::de::DeArray::new()),
            };
            place = match place.entry(step, span.clone(), empty)?.get_mut() {
                DeValue::Table(table) => Slot::Table(table),
                DeValue::Array(list) => Slot::List(list),
                _ => return Err(format!("{} is no section in the file", shown(&path[..=n]))),
            };
        }
        let entry = place.entry(last, span.clone(), DeValue::Boolean(false))?;
        *entry = Spanned::new(span, value);
        Ok(())
    }

    /// Removes the key whose name or value has this span; gives its path.
    pub fn remove_at(&mut self, span: &Range<usize>) -> Option<Vec<Step>> {
        let path = find(self.root(), span)?;
        self.remove(&path);
        Some(path)
    }

    /// Removes the key at `path`; an element of a list goes with its whole list.
    pub fn remove(&mut self, path: &[Step]) {
        let mut table = self.root.get_mut();
        let mut steps = path.iter().peekable();
        while let Some(Step::Key(key)) = steps.next() {
            let mut indices = Vec::new();
            while let Some(Step::Index(index)) = steps.peek() {
                indices.push(*index);
                steps.next();
            }
            if steps.peek().is_none() {
                table.remove(key.as_str());
                return;
            }
            let Some(mut value) = table.get_mut(key.as_str()).map(Spanned::get_mut) else { return };
            for index in indices {
                let DeValue::Array(list) = value else { return };
                let Some(element) = list.get_mut(index) else { return };
                value = element.get_mut();
            }
            let DeValue::Table(next) = value else { return };
            table = next;
        }
    }
}

/// A section that is written twice makes a slip of its own of each key that both have: what is wrong is said once.
fn leave_out_echoes(text: &str, slips: &mut Vec<(Place, String)>) {
    let lines: Vec<&str> = text.lines().collect();
    let header_of =
        |line: usize| lines.iter().take(line).rposition(|text| text.trim_start().starts_with('[')).map(|at| at + 1);
    let repeated: Vec<usize> = slips
        .iter()
        .filter_map(|(place, message)| place.line().filter(|_| message == DUPLICATE))
        .filter(|line| header_of(*line) == Some(*line))
        .collect();
    slips.retain(|(place, message)| {
        let under = place.line().and_then(|line| header_of(line).filter(|header| *header < line));
        message != DUPLICATE || !under.is_some_and(|header| repeated.contains(&header))
    });
}

/// The parser's words.
const DUPLICATE: &str = "duplicate key";

/// A place that values can be put into.
enum Slot<'a, 't> {
    Table(&'a mut DeTable<'t>),
    List(&'a mut toml::de::DeArray<'t>),
}

impl<'a, 't> Slot<'a, 't> {
    /// The value at `step`, put there if there is none.
    fn entry(
        self,
        step: &Step,
        span: Range<usize>,
        empty: DeValue<'t>,
    ) -> Result<&'a mut Spanned<DeValue<'t>>, String> {
        match (self, step) {
            (Self::Table(table), Step::Key(key)) => {
                let key = Spanned::new(span.clone(), Cow::Owned(key.clone()));
                Ok(table.entry(key).or_insert(Spanned::new(span, empty)))
            }
            (Self::List(list), Step::Index(index)) => {
                if *index == list.len() {
                    list.push(Spanned::new(span, empty));
                }
                let len = list.len();
                list.get_mut(*index).ok_or_else(|| format!("element {index} would come after a gap: there are {len}"))
            }
            (Self::Table(_), Step::Index(_)) => Err("a section is no list".to_owned()),
            (Self::List(_), Step::Key(_)) => Err("a list needs the number of its element, from 0".to_owned()),
        }
    }
}

/// The path of the innermost key that was written at `span`.
fn find(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<Step>> {
    table.iter().find_map(|(key, value)| {
        // Sections that a variable made have its span too, so the inner ones come first.
        let rest = find_in(value, span).or_else(|| (key.span() == *span).then(Vec::new));
        rest.map(|rest| [vec![Step::Key(key.get_ref().to_string())], rest].concat())
    })
}

fn find_in(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<Vec<Step>> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => find(table, span),
        DeValue::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(index, element)| find_in(element, span).map(|rest| [vec![Step::Index(index)], rest].concat())),
        _ => None,
    };
    inner.or_else(|| (value.span() == *span).then(Vec::new))
}
