//! Which attributes a batch carries, collected while it is decoded.
//!
//! Records of a batch look alike: an attribute usually comes behind the one that it came behind in the record before. The
//! collection guesses so, and what is guessed right costs one comparison and no allocation.

use std::collections::HashMap;

use contract::{JsonType, MAX_ATTRIBUTE_NAME};
use serde_json::Value as Json;

/// Most names that are catalogued, of one entity of one system.
pub const MAX_NAMES: usize = 5_000;

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JsonTypes(u8);

impl JsonTypes {
    /// The set of one type.
    pub const fn of(kind: JsonType) -> Self {
        Self(1 << kind as u8)
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is everything of the other set in this one?
    pub const fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The types.
    pub fn iter(self) -> impl Iterator<Item = JsonType> {
        JsonType::ALL
            .into_iter()
            .filter(move |kind| self.holds(Self::of(*kind)))
    }

    /// The names of the types.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(JsonType::wire_name).collect()
    }

    /// The set of types with these names; others are left out.
    pub fn from_names(names: &[String]) -> Self {
        JsonType::ALL
            .into_iter()
            .filter(|kind| names.iter().any(|name| name == kind.wire_name()))
            .fold(Self::default(), |set, kind| set.and(Self::of(kind)))
    }
}

#[derive(Debug, Clone)]
struct Name {
    text: Box<str>,
    types: JsonTypes,
}

/// The attributes of the records so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    names: Vec<Name>,
    places: HashMap<Box<str>, usize>,
    /// Where the next attribute is looked for first.
    guess: usize,
    /// What the record that is being read adds.
    pending: Vec<(Box<str>, JsonTypes)>,
    too_long: Option<Box<str>>,
    too_many: Option<Box<str>>,
}

impl Seen {
    /// Notes an attribute of the record that is being read. `value` is the first byte of its value as JSON; null is none.
    #[inline]
    pub fn note(&mut self, name: &[u8], value: u8) {
        let kind = match value {
            b'"' => JsonType::String,
            b'{' => JsonType::Object,
            b'[' => JsonType::Array,
            b't' | b'f' => JsonType::Boolean,
            b'n' => return,
            _ => JsonType::Number,
        };
        let types = JsonTypes::of(kind);
        if let Some(guess) = self.names.get(self.guess)
            && guess.text.as_bytes() == name
            && guess.types.holds(types)
        {
            self.guess += 1;
        } else if let Ok(name) = std::str::from_utf8(name) {
            self.look_up(name, types);
        }
    }

    fn look_up(&mut self, name: &str, types: JsonTypes) {
        match self.places.get(name) {
            Some(place) => {
                self.guess = place + 1;
                if !self.names[*place].types.holds(types) {
                    self.pending.push((name.into(), types));
                }
            }
            None => self.pending.push((name.into(), types)),
        }
    }

    /// The record is a good one.
    #[inline]
    pub fn accept(&mut self) {
        self.guess = 0;
        if !self.pending.is_empty() {
            for (name, types) in std::mem::take(&mut self.pending) {
                self.add(name, types);
            }
        }
    }

    /// The record is not one, or is read again.
    #[inline]
    pub fn reject(&mut self) {
        self.guess = 0;
        self.pending.clear();
    }

    /// Notes the attributes of a whole record.
    pub fn note_all(&mut self, extended: &serde_json::Map<String, Json>) {
        for (name, value) in extended {
            let first = match value {
                Json::Null => b'n',
                Json::Bool(_) => b't',
                Json::Number(_) => b'0',
                Json::String(_) => b'"',
                Json::Array(_) => b'[',
                Json::Object(_) => b'{',
            };
            self.note(name.as_bytes(), first);
        }
        self.accept();
    }

    /// Adds what another collection has.
    pub fn merge(&mut self, other: Self) {
        for name in other.names {
            self.add(name.text, name.types);
        }
        self.too_long = self.too_long.take().or(other.too_long);
        self.too_many = self.too_many.take().or(other.too_many);
    }

    fn add(&mut self, name: Box<str>, types: JsonTypes) {
        if let Some(place) = self.places.get(&name) {
            let known = &mut self.names[*place].types;
            *known = known.and(types);
        } else if name.len() > MAX_ATTRIBUTE_NAME {
            self.too_long.get_or_insert_with(|| beginning(&name));
        } else if self.names.len() >= MAX_NAMES {
            self.too_many.get_or_insert(name);
        } else {
            self.places.insert(name.clone(), self.names.len());
            self.names.push(Name { text: name, types });
        }
    }

    /// The attributes with their types.
    pub fn iter(&self) -> impl Iterator<Item = (&str, JsonTypes)> {
        self.names.iter().map(|name| (&*name.text, name.types))
    }

    /// The beginning of a name that is too long to be catalogued.
    pub fn too_long(&self) -> Option<&str> {
        self.too_long.as_deref()
    }

    /// A name beyond those that are collected.
    pub fn too_many(&self) -> Option<&str> {
        self.too_many.as_deref()
    }
}

fn beginning(name: &str) -> Box<str> {
    name[..name.floor_char_boundary(MAX_ATTRIBUTE_NAME)].into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn found(seen: &Seen) -> BTreeMap<String, Vec<&'static str>> {
        seen.iter()
            .map(|(name, types)| (name.to_owned(), types.names()))
            .collect()
    }

    #[test]
    fn a_record_that_is_not_accepted_leaves_nothing() {
        let mut seen = Seen::default();
        seen.note(b"a", b'"');
        seen.reject();
        seen.note(b"b", b'7');
        seen.accept();
        assert_eq!(
            found(&seen),
            BTreeMap::from([("b".to_owned(), vec!["number"])])
        );
    }

    #[test]
    fn names_beyond_the_limits_are_told_of_and_not_kept() {
        let mut seen = Seen::default();
        let long = "ä".repeat(101);
        seen.note(long.as_bytes(), b'"');
        for n in 0..=MAX_NAMES {
            seen.note(format!("a{n}").as_bytes(), b'"');
        }
        seen.accept();
        assert_eq!(seen.iter().count(), MAX_NAMES);
        assert_eq!(seen.too_long().map(str::len), Some(200));
        assert!(seen.too_many().is_some());
    }

    proptest! {
        #[test]
        fn every_name_has_just_the_types_that_came(
            records in proptest::collection::vec(
                proptest::collection::vec(("[a-e]{1,2}", 0_usize..6), 0..6), 0..30)
        ) {
            let values = [json!("x"), json!(1), json!(false), json!([]), json!({}), json!(null)];
            let mut seen = Seen::default();
            let mut expected: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
            for record in &records {
                let record: serde_json::Map<_, _> = record.iter().map(|(name, kind)| (name.clone(), values[*kind].clone())).collect();
                for (name, value) in &record {
                    let place = values.iter().position(|known| known == value).expect("one of them");
                    if let Some(kind) = JsonType::ALL.get(place) {
                        expected.entry(name.clone()).or_default().insert(kind.wire_name());
                    }
                }
                seen.note_all(&record);
            }
            let found: BTreeMap<String, BTreeSet<&str>> = found(&seen).into_iter().map(|(name, types)| (name, types.into_iter().collect())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
