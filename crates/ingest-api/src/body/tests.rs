//! Whatever way a body is cut, compressed and spaced, it reads as its text does as a whole.

use std::{convert::Infallible, fmt, io::Write as _};

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use proptest::prelude::*;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{json, value::RawValue};
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Runtime};

use super::*;

/// Fields as they come; records can be read as soon as `mode` is known.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
struct AnyFields(Map<String, Value>);

impl Envelope for AnyFields {
    fn is_settled(fields: &Map<String, Value>) -> bool {
        fields.contains_key("mode")
    }
}

/// What a body became.
type Outcome = Result<(Map<String, Value>, Vec<String>), String>;

/// A body as it is sent.
struct Sent {
    bytes: Vec<u8>,
    encoding: Encoding,
    is_lines: bool,
    size: usize,
}

impl Sent {
    fn plain(text: &[u8], is_lines: bool) -> Self {
        Self {
            bytes: text.to_vec(),
            encoding: Encoding::Identity,
            is_lines,
            size: usize::MAX,
        }
    }

    fn body(&self, memory: &Memory) -> RecordBody {
        let chunks: Vec<Result<Bytes, Infallible>> = self
            .bytes
            .chunks(self.size)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        RecordBody::new(
            Ok((self.encoding, self.is_lines)),
            Source::new(
                Body::from_stream(stream::iter(chunks)),
                MAX_ENCODED_BYTES,
                Pace::default(),
            ),
            memory.clone(),
            Arc::new(Semaphore::new(1)),
        )
    }

    fn read(&self, looks_first: bool) -> Outcome {
        let runtime = new_runtime();
        runtime.block_on(async {
            let memory = Memory::new(64 * 1024 * 1024);
            let mut body = self.body(&memory);
            let mut all = async || -> Result<_, ApiError> {
                let first = if looks_first {
                    Some(body.envelope::<AnyFields>().await?)
                } else {
                    None
                };
                let received = body.read::<AnyFields, _>(Texts::new(MAX)).await?;
                if let Some(first) = first {
                    for (name, value) in &first.0 {
                        assert_eq!(received.envelope.0.get(name), Some(value));
                    }
                }
                let hash: [u8; 32] = Sha256::digest(&self.bytes).into();
                assert_eq!(received.hash, hash);
                Ok((received.envelope.0, received.records))
            };
            let outcome = all().await.map_err(|error| error.to_string());
            drop(body);
            assert_eq!(memory.taken(), 0, "all memory was given back");
            outcome
        })
    }
}

fn new_runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

const MAX: usize = contract::MAX_RECORDS;

fn compressed(encoding: Encoding, text: &[u8], cut: usize) -> Vec<u8> {
    let (one, other) = text.split_at(cut.min(text.len()));
    let compress = |part: &[u8]| match encoding {
        Encoding::Identity => part.to_vec(),
        Encoding::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(part).expect("in memory");
            gzip.finish().expect("in memory")
        }
        Encoding::Zstd => zstd::encode_all(part, 1).expect("in memory"),
    };
    [compress(one), compress(other)].concat()
}

/// The straightforward way: serde on the whole text.
struct Whole {
    fields: Map<String, Value>,
    records: Vec<Box<RawValue>>,
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl<'de> Visitor<'de> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Whole, A::Error> {
                let (mut fields, mut records) = (Map::new(), None);
                while let Some(name) = access.next_key::<String>()? {
                    let is_repeated = if name == "records" {
                        records.replace(access.next_value()?).is_some()
                    } else {
                        fields.insert(name, access.next_value()?).is_some()
                    };
                    if is_repeated {
                        return Err(A::Error::custom("twice"));
                    }
                }
                let records = records.ok_or_else(|| A::Error::custom("no records"))?;
                Ok(Whole { fields, records })
            }
        }

        deserializer.deserialize_map(WholeVisitor)
    }
}

fn as_a_whole(text: &[u8], is_lines: bool) -> Result<(Map<String, Value>, Vec<String>), ()> {
    if !is_lines {
        let whole: Whole = serde_json::from_slice(text).map_err(|_| ())?;
        let records = whole.records.iter().map(|record| record.get().to_owned());
        return Ok((whole.fields, records.collect()));
    }
    let text = std::str::from_utf8(text).map_err(|_| ())?;
    let mut lines = text
        .split('\n')
        .map(str::trim_ascii)
        .filter(|line| !line.is_empty());
    let fields: Map<String, Value> =
        serde_json::from_str(lines.next().ok_or(())?).map_err(|_| ())?;
    Ok((fields, lines.map(str::to_owned).collect()))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c\"\\\\\\]\\[}{,:\n\u{1}é😀 ]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-c\"\\\\]{0,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The text of a call: fields before and behind the records, with some space.
fn text(is_lines: bool) -> impl Strategy<Value = String> {
    let space = prop_oneof![Just(""), Just(" "), Just("\r\n\t "), Just("   ")];
    let fields = proptest::collection::btree_map("[d-g]{1,2}|mode", value(), 0..4);
    let records = proptest::collection::vec(value(), 0..6);
    (fields, records, space, 0usize..5).prop_map(move |(fields, records, space, place)| {
        if is_lines {
            let space = space.replace('\n', "");
            let mut lines = vec![json!(fields).to_string()];
            lines.extend(records.iter().map(Value::to_string));
            return lines.join(&format!("{space}\n{space}"));
        }
        let records: Vec<String> = records.iter().map(Value::to_string).collect();
        let records = records.join(&format!("{space},{space}"));
        let mut members: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}{space}:{space}{value}", json!(name)))
            .collect();
        members.insert(
            place.min(members.len()),
            format!("\"records\":{space}[{space}{records}{space}]"),
        );
        format!(
            "{space}{{{space}{}{space}}}{space}",
            members.join(&format!("{space},{space}"))
        )
    })
}

proptest! {
    #[test]
    fn a_body_reads_as_its_text_does_as_a_whole(
        (is_lines, text) in any::<bool>().prop_flat_map(|is_lines| (Just(is_lines), text(is_lines))),
        encoding in prop_oneof![Just(Encoding::Identity), Just(Encoding::Gzip), Just(Encoding::Zstd)],
        size in 1usize..60,
        cut in 0usize..200,
        looks_first in any::<bool>(),
    ) {
        let bytes = compressed(encoding, text.as_bytes(), cut);
        let outcome = Sent { bytes, encoding, is_lines, size }.read(looks_first);
        prop_assert_eq!(outcome.map_err(|_| ()), as_a_whole(text.as_bytes(), is_lines), "{}", text);
    }

    #[test]
    fn a_spoilt_body_is_refused_wherever_it_is_cut_and_no_record_of_it_is_another(
        (is_lines, text) in any::<bool>().prop_flat_map(|is_lines| (Just(is_lines), text(is_lines))),
        at in any::<proptest::sample::Index>(),
        byte in prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\{}[],: \n1".to_vec())],
        change in 0u8..3,
        size in 1usize..30,
    ) {
        let mut spoilt = text.into_bytes();
        let at = at.index(spoilt.len());
        match change {
            0 => spoilt[at] = byte,
            1 => spoilt.insert(at, byte),
            _ => spoilt.truncate(at),
        }
        let outcome = Sent::plain(&spoilt, is_lines).read(false);
        let in_pieces = Sent { size, ..Sent::plain(&spoilt, is_lines) }.read(true);
        prop_assert_eq!(&in_pieces, &outcome);
        match (outcome, as_a_whole(&spoilt, is_lines)) {
            (Ok(read), Ok(whole)) => prop_assert_eq!(read, whole),
            // Only a record that is no JSON by itself may make the difference: its reader refuses it.
            (Ok((_, records)), Err(())) => prop_assert!(
                records.iter().any(|record| serde_json::from_str::<Value>(record).is_err()),
            ),
            (Err(error), Ok(_)) => prop_assert!(error.contains("is there twice"), "{}", error),
            (Err(error), Err(())) => prop_assert!(error.chars().count() < 300),
        }
    }
}

fn refusal(text: &str, is_lines: bool) -> String {
    Sent::plain(text.as_bytes(), is_lines)
        .read(true)
        .expect_err(text.get(..100).unwrap_or(text))
}

#[test]
fn a_bad_call_is_refused_as_a_whole_and_the_reason_is_named() {
    for (text, named) in [
        (r#"{"a":4}"#, "'records' is missing"),
        (r#"{"a":4,"a":5,"records":[]}"#, "'a' is there twice"),
        (
            r#"{"records":[],"\u0072ecords":[]}"#,
            "'records' is there twice",
        ),
        (r#"{"s":{"a":1,"a":2},"records":[]}"#, "'a' is there twice"),
        (r#"{"a":4,"records":[}"#, "a value is expected"),
        (r#"{"a":4,"records":[{"b":1]]}"#, "brackets do not match"),
        (r#"{"a":4,"records":[{}{}]}"#, "expected behind a record"),
        (r#"{"a":4,"records":[{},]}"#, "a value is expected"),
        (r#"{"a":4,"records":[NaN]}"#, "a value is expected"),
        (r#"{"a":4,"records":{}}"#, "'records' must be an array"),
        (r#"{"a":4,"records":null}"#, "'records' must be an array"),
        (r#"{"a":4,"records":[]} {}"#, "something follows its end"),
        (r#"{"a":4,"records":[{"b":"#, "ends too early"),
        ("{\"records\":[{\"b\":\"\n\"}]}", "control character"),
        ("{\"records\":[{\"b\":\"\0\"}]}", "control character"),
        ("[]", "an object with 'records' is expected"),
        ("null", "an object with 'records' is expected"),
        (
            "\u{feff}{\"records\":[]}",
            "an object with 'records' is expected",
        ),
        ("", "ends too early"),
    ] {
        let refusal = refusal(text, false);
        assert!(refusal.contains(named), "{text}: {refusal}");
    }
    for (text, named) in [
        ("", "first line must be the envelope"),
        ("\n\n", "first line must be the envelope"),
        ("[]\n{}", "first line must be the envelope"),
        ("{\"records\":[]}", "one a line"),
        ("{\"a\":1,\"a\":2}", "'a' is there twice"),
        ("{\"a\":\n1}", "not valid JSON"),
    ] {
        let refusal = refusal(text, true);
        assert!(refusal.contains(named), "{text}: {refusal}");
    }
    for invalid in [
        &b"{\"records\":[\"\xff\"]}"[..],
        b"{\"records\":[\"\xc0\xaf\"]}",
        b"{\"records\":[\"\xed\xa0\x80\"]}",
    ] {
        let refused = Sent::plain(invalid, false)
            .read(true)
            .expect_err("no UTF-8");
        assert!(refused.contains("UTF-8"), "{refused}");
    }
}

#[test]
fn deep_and_wide_records_reach_their_reader_and_too_many_or_too_long_ones_do_not() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let (_, records) = Sent::plain(format!("{{\"records\":[{deep}]}}").as_bytes(), false)
        .read(true)
        .expect("splits");
    assert_eq!(records, [deep]);

    let many = format!("{{\"records\":[{}1]}}", "1,".repeat(MAX));
    assert!(refusal(&many, false).contains("at most 100000 records"));
    let lines = format!("{{}}{}", "\n1".repeat(MAX + 1));
    assert!(refusal(&lines, true).contains("at most 100000 records"));
    let most = format!("{{\"records\":[{}1]}}", "1,".repeat(MAX - 1));
    assert_eq!(
        Sent::plain(most.as_bytes(), false)
            .read(true)
            .expect("fits")
            .1
            .len(),
        MAX
    );

    let long = format!(
        "{{\"records\":[\"{}\"]}}",
        "x".repeat(split::MAX_RECORD_BYTES)
    );
    assert!(refusal(&long, false).contains("a record is larger than 33554432 bytes"));
    let long = format!(
        "{{\"a\":\"{}\",\"records\":[]}}",
        "x".repeat(fields::MAX_BYTES)
    );
    assert!(refusal(&long, false).contains("16777216 bytes"));
}

#[test]
fn a_bomb_is_refused_with_little_memory() {
    let spaces = vec![b' '; MAX_DECODED_BYTES + 1];
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let sent = Sent {
            bytes: compressed(encoding, &spaces, 0),
            encoding,
            ..Sent::plain(b"", false)
        };
        let runtime = new_runtime();
        let memory = Memory::new(usize::MAX);
        let refused = runtime.block_on(sent.body(&memory).read::<AnyFields, _>(Texts::new(MAX)));
        assert!(matches!(refused.err(), Some(ApiError::TooLarge(_))));
        assert!(memory.peak() < 16 * 1024 * 1024, "{}", memory.peak());
    }
}

#[test]
fn records_are_not_waited_for_once_the_deciding_fields_are_known() {
    let records = "1,".repeat(FIRST_BLOCK);
    for (text, is_lines) in [
        (format!("{{\"mode\":1,\"records\":[{records}"), false),
        (format!("{{\"other\":1}}\n{records}"), true),
    ] {
        let sent = Sent::plain(text.as_bytes(), is_lines);
        let runtime = new_runtime();
        runtime.block_on(async {
            let mut body = sent.body(&Memory::new(1 << 20));
            let begun = stream::iter([Ok::<_, Infallible>(Bytes::from(sent.bytes))]);
            // The client sends no more, and does not end either.
            let stalled = Body::from_stream(begun.chain(stream::pending()));
            body.source = Source::new(stalled, MAX_ENCODED_BYTES, Pace::default());
            body.envelope::<AnyFields>().await.expect("is known");
        });
    }
}

#[test]
fn what_was_read_before_an_error_is_known() {
    let runtime = new_runtime();
    let seen = |text: &str| {
        let mut body = Sent::plain(text.as_bytes(), false).body(&Memory::new(1 << 20));
        assert!(runtime.block_on(body.envelope::<AnyFields>()).is_err());
        body.seen("syncId").cloned()
    };
    assert_eq!(seen(r#"{"syncId":"a","records":[{"#), Some(json!("a")));
    assert_eq!(seen(r#"{"records":[],"syncId":"a""#), Some(json!("a")));
    assert_eq!(seen(r#"{"records":[{]"#), None);
    assert_eq!(
        seen(r#"{"syncId":"a","syncId":"b"}"#),
        None,
        "which one holds is not known"
    );
}
