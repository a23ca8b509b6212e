//! Extended attributes from text to canonical text: as `serde_json::to_vec` writes the parsed value, without parsing it.

use serde_json::Value as Json;

use super::{
    Doubt,
    cursor::{Cursor, Number, Raw},
    text::write_canonical,
};
use crate::{
    attributes::Seen,
    record::{
        extended::{MAX_EXTENDED_BYTES, MAX_EXTENDED_DEPTH},
        strict::MAX_EXACT,
    },
};

/// The extended attributes of one record after the other.
#[derive(Default)]
pub struct Canonical {
    out: Vec<u8>,
    /// The members of every object that is open, the innermost last.
    members: Vec<Member>,
    sorted: Vec<u8>,
    /// The attributes of all records that were ended.
    pub seen: Seen,
}

/// A member of an object in `out`, from its first quote.
#[derive(Clone, Copy)]
struct Member {
    start: u32,
    /// Where the closing quote of the name is.
    name_end: u32,
    end: u32,
}

impl Canonical {
    /// Begins a record.
    pub fn begin(&mut self) {
        self.seen.reject();
        self.members.clear();
        self.out.clear();
        self.out.push(b'{');
    }

    /// Adds an attribute whose value is at the cursor.
    pub fn attribute(&mut self, name: Raw<'_>, cursor: &mut Cursor<'_>) -> Result<(), Doubt> {
        self.member(0, 1, name, cursor)?;
        let last = self.members.last().ok_or(Doubt)?;
        let name = &self.out[last.start as usize + 1..last.name_end as usize];
        // Its exact meaning is the careful path's matter.
        let is_blank =
            |name: &[u8]| std::str::from_utf8(name).map_or(true, |name| name.trim().is_empty());
        if is_blank(name) { Err(Doubt) } else { Ok(()) }
    }

    /// Adds the members of `extendedAttributes`, which is at the cursor.
    pub fn attributes(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Doubt> {
        members(cursor, |name, cursor| self.attribute(name, cursor))
    }

    /// Ends the record: its attributes, with or without those that are null.
    pub fn end(&mut self, with_nulls: bool) -> Result<&[u8], Doubt> {
        for member in &self.members {
            // Names with escapes were left to the careful path: what is written is what is meant.
            let name = &self.out[member.start as usize + 1..member.name_end as usize];
            self.seen.note(name, self.out[member.name_end as usize + 2]);
        }
        self.close(0, 1, with_nulls)?;
        if self.out.len() > MAX_EXTENDED_BYTES {
            return Err(Doubt);
        }
        self.seen.accept();
        Ok(&self.out)
    }

    /// Writes one more member of the object whose members are those from `first` on.
    fn member(
        &mut self,
        first: usize,
        depth: usize,
        name: Raw<'_>,
        cursor: &mut Cursor<'_>,
    ) -> Result<(), Doubt> {
        if self.members.len() > first {
            self.out.push(b',');
        }
        let start = self.out.len();
        self.out.push(b'"');
        write_canonical(name, &mut self.out)?;
        let name_end = self.out.len();
        // Names are ordered by what they mean; this is how they are written only where nothing is escaped.
        if name.has_escapes && self.out[start..].contains(&b'\\') {
            return Err(Doubt);
        }
        self.out.extend_from_slice(b"\":");
        self.value(depth, cursor)?;
        self.members.push(Member {
            start: start as u32,
            name_end: name_end as u32,
            end: self.out.len() as u32,
        });
        Ok(())
    }

    /// Writes the value at the cursor, which is inside this many objects and arrays.
    fn value(&mut self, depth: usize, cursor: &mut Cursor<'_>) -> Result<(), Doubt> {
        match cursor.peek() {
            Some(b'"') => {
                self.out.push(b'"');
                write_canonical(cursor.string()?, &mut self.out)?;
                self.out.push(b'"');
                Ok(())
            }
            Some(b'{') => self.object(depth + 1, cursor),
            Some(b'[') => self.array(depth + 1, cursor),
            Some(b't') => self.word("true", cursor),
            Some(b'f') => self.word("false", cursor),
            Some(b'n') => self.word("null", cursor),
            _ => self.number(cursor),
        }
    }

    fn word(&mut self, word: &str, cursor: &mut Cursor<'_>) -> Result<(), Doubt> {
        cursor.expect_word(word)?;
        self.out.extend_from_slice(word.as_bytes());
        Ok(())
    }

    fn number(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Doubt> {
        match cursor.number()? {
            Number::Integer(text) => self.out.extend_from_slice(text.as_bytes()),
            Number::Other(text) => match serde_json::from_str(text) {
                Ok(Json::Number(number)) if is_exact(&number) => {
                    serde_json::to_writer(&mut self.out, &number).map_err(|_| Doubt)?;
                }
                _ => return Err(Doubt),
            },
        }
        Ok(())
    }

    fn array(&mut self, depth: usize, cursor: &mut Cursor<'_>) -> Result<(), Doubt> {
        if depth > MAX_EXTENDED_DEPTH {
            return Err(Doubt);
        }
        cursor.expect(b'[')?;
        self.out.push(b'[');
        cursor.skip_space();
        if !cursor.eat(b']') {
            loop {
                self.value(depth, cursor)?;
                if !cursor.has_next(b']')? {
                    break;
                }
                self.out.push(b',');
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, depth: usize, cursor: &mut Cursor<'_>) -> Result<(), Doubt> {
        if depth > MAX_EXTENDED_DEPTH {
            return Err(Doubt);
        }
        self.out.push(b'{');
        let (first, start) = (self.members.len(), self.out.len());
        members(cursor, |name, cursor| {
            self.member(first, depth, name, cursor)
        })?;
        self.close(first, start, true)
    }

    /// Ends the object whose text begins at `start`: brings its members into order if they are not.
    fn close(&mut self, first: usize, start: usize, with_nulls: bool) -> Result<(), Doubt> {
        let Self {
            out,
            members,
            sorted,
            ..
        } = self;
        let name = |member: &Member| &out[member.start as usize..member.name_end as usize];
        let text = |member: &Member| &out[member.start as usize..member.end as usize];
        let is_null =
            |member: &Member| &out[member.name_end as usize + 2..member.end as usize] == b"null";
        let own = &mut members[first..];
        let is_in_order = own.is_sorted_by(|a, b| name(a) < name(b));
        if !is_in_order || (!with_nulls && own.iter().any(is_null)) {
            own.sort_unstable_by(|a, b| name(a).cmp(name(b)));
            if own.windows(2).any(|pair| name(&pair[0]) == name(&pair[1])) {
                return Err(Doubt);
            }
            sorted.clear();
            for member in own.iter().filter(|member| with_nulls || !is_null(member)) {
                if !sorted.is_empty() {
                    sorted.push(b',');
                }
                sorted.extend_from_slice(text(member));
            }
            out.truncate(start);
            out.extend_from_slice(sorted);
        }
        out.push(b'}');
        members.truncate(first);
        Ok(())
    }
}

/// Goes through the object at the cursor; `member` reads each member's value.
pub fn members<'a>(
    cursor: &mut Cursor<'a>,
    mut member: impl FnMut(Raw<'a>, &mut Cursor<'a>) -> Result<(), Doubt>,
) -> Result<(), Doubt> {
    cursor.expect(b'{')?;
    cursor.skip_space();
    if cursor.eat(b'}') {
        return Ok(());
    }
    loop {
        let name = cursor.name()?;
        member(name, cursor)?;
        if !cursor.has_next(b'}')? {
            return Ok(());
        }
    }
}

/// Is it a number that the careful path does not refuse?
fn is_exact(number: &serde_json::Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|value| value.abs() < MAX_EXACT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    fn canonical(text: &str) -> Result<String, Doubt> {
        let mut canonical = Canonical::default();
        canonical.begin();
        canonical.attributes(&mut Cursor::new(text))?;
        let text = canonical.end(true)?.to_vec();
        Ok(String::from_utf8(text).expect("UTF-8"))
    }

    #[test]
    fn names_are_sorted_at_every_level_and_values_spelled_in_one_way() {
        let text = r#"{ "b" : [ 1.0 , 1e2, -0, {"z":[],"y":{}} ] , "a": "\u00e4\/\u0009" , "\u0041":null } "#;
        assert_eq!(
            canonical(text).as_deref(),
            Ok(r#"{"A":null,"a":"ä/\t","b":[1.0,100.0,-0.0,{"y":{},"z":[]}]}"#)
        );
    }

    #[test]
    fn what_the_careful_path_refuses_is_in_doubt() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| {
            format!(
                "{}{{}}{}",
                "{\"a\":".repeat(depth - 1),
                "}".repeat(depth - 1)
            )
        };
        assert!(canonical(&nested(MAX_EXTENDED_DEPTH - 1)).is_ok());
        assert!(canonical(&objects(MAX_EXTENDED_DEPTH)).is_ok());
        for odd in [
            nested(MAX_EXTENDED_DEPTH).as_str(),
            &objects(MAX_EXTENDED_DEPTH + 1),
            &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_EXTENDED_BYTES)),
            r#"{"a":1,"a":1}"#,
            r#"{"b":{"a":1,"c":0,"\u0061":2}}"#,
            r#"{"a":9007199254740993.0}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":1.}"#,
            r#"{"a":truth}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{" ":1}"#,
            r#"{"a"}"#,
            "{\"a\":\"\u{1f}\"}",
            r#"{"a""#,
        ] {
            assert_eq!(canonical(odd), Err(Doubt), "{odd}");
        }
    }

    fn values() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            (-9e15..9e15).prop_map(|value: f64| json!(value)),
            (-1.0..1.0).prop_map(|value: f64| json!(value)),
            "[^\0]{0,6}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                proptest::collection::btree_map("[a-cé-ü]{0,3}", inner, 0..5)
                    .prop_map(|map| Json::Object(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_is_written_as_serde_json_writes_it(map in proptest::collection::btree_map("[a-dé]{1,3}", values(), 0..6)) {
            let backwards: Vec<String> = map.iter().rev().map(|(name, value)| format!("{}: {}", json!(name), serde_json::to_string_pretty(value).expect("serialises"))).collect();
            let expected = serde_json::to_string(&map).expect("serialises");
            prop_assert_eq!(canonical(&format!("{{{}}}", backwards.join(" ,"))), Ok(expected.clone()));
            prop_assert_eq!(canonical(&expected), Ok(expected));
        }
    }
}
