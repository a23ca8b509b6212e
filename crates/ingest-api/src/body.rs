//! Bodies: bounded, decompressed, split into an envelope and the texts of its records.

use std::{fmt, io::Read, ops::Range, str::FromStr, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use contract::MAX_RECORDS;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use crate::{app::AppState, error::ApiError};

/// Most bytes of a body as sent.
const MAX_ENCODED_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes of a body once decompressed.
const MAX_DECODED_BYTES: usize = 256 * 1024 * 1024;
/// Most bytes of a call's fields beside its records.
const MAX_ENVELOPE_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of a body that is not records.
const MAX_SMALL_BYTES: usize = 1024 * 1024;

/// A body of records as it arrived.
#[derive(Clone)]
pub struct RecordBody {
    bytes: Bytes,
    encoding: Encoding,
    is_lines: bool,
    /// Room for the bytes, given back when the body is split.
    room: Option<Arc<OwnedSemaphorePermit>>,
}

/// The texts of a call's records.
pub struct RecordTexts {
    text: String,
    ranges: Vec<Range<usize>>,
}

impl RecordTexts {
    /// One text per record.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.ranges.iter().map(|range| &self.text[range.clone()])
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        match headers.get(header::CONTENT_ENCODING) {
            None => Ok(Self::Identity),
            Some(value) => value.to_str().unwrap_or("?").parse(),
        }
    }

    fn decode(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::Identity => Ok(bytes.to_vec()),
            Self::Gzip => inflate(flate2::read::MultiGzDecoder::new(bytes), limit),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(bytes);
                inflate(decoder.map_err(|_| not_compressed())?, limit)
            }
        }
    }
}

impl FromStr for Encoding {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(ApiError::UnsupportedMediaType(
                "Content-Encoding must be gzip or zstd, once".into(),
            )),
        }
    }
}

impl FromRequest<AppState> for RecordBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let room = state.upload_room().await?;
        let is_lines = match media_type(&parts.headers)?.as_str() {
            "application/json" => false,
            "application/x-ndjson" | "application/ndjson" => true,
            _ => {
                return Err(ApiError::UnsupportedMediaType(
                    "Content-Type must be application/json or application/x-ndjson".into(),
                ));
            }
        };
        let encoding = Encoding::of(&parts.headers)?;
        Ok(Self {
            bytes: collect(body, MAX_ENCODED_BYTES).await?,
            encoding,
            is_lines,
            room: Some(Arc::new(room)),
        })
    }
}

fn media_type(headers: &HeaderMap) -> Result<String, ApiError> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map_or(Ok(""), |value| value.to_str());
    let value =
        value.map_err(|_| ApiError::UnsupportedMediaType("Content-Type cannot be read".into()))?;
    Ok(value
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase())
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(
            ApiError::TooLarge(format!("the body is larger than {limit} bytes")),
        ),
        Err(_) => Err(ApiError::bad_body("the body ended early")),
    }
}

impl RecordBody {
    /// The SHA-256 of the bytes as sent: what tells a repetition from another body.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Decompresses and splits. Takes time in proportion to the body: not for an async thread.
    pub fn split<E: DeserializeOwned>(self) -> Result<(E, RecordTexts), ApiError> {
        let bytes = self.encoding.decode(&self.bytes, MAX_DECODED_BYTES)?;
        drop(self.room);
        let text =
            String::from_utf8(bytes).map_err(|_| ApiError::bad_body("the body is not UTF-8"))?;
        if self.is_lines {
            split_lines(text)
        } else {
            split_object(text)
        }
    }
}

fn not_compressed() -> ApiError {
    ApiError::bad_body("the body is not compressed as Content-Encoding says")
}

fn inflate(decoder: impl Read, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| not_compressed())?;
    if bytes.len() > limit {
        return Err(ApiError::TooLarge(format!(
            "the decompressed body is larger than {limit} bytes"
        )));
    }
    Ok(bytes)
}

fn too_many() -> ApiError {
    ApiError::TooLarge(format!(
        "a call carries at most {MAX_RECORDS} records; use a session for more"
    ))
}

fn split_object<E: DeserializeOwned>(text: String) -> Result<(E, RecordTexts), ApiError> {
    let outer: Outer<'_> = serde_json::from_str(&text).map_err(|error| not_json(&error))?;
    let Some(Bounded(raw)) = outer.records else {
        return Err(ApiError::bad_field(
            "records",
            "'records' is missing; it may be empty",
        ));
    };
    let start = text.as_ptr() as usize;
    let ranges = raw
        .iter()
        .map(|record| {
            let offset = record.get().as_ptr() as usize - start;
            offset..offset + record.get().len()
        })
        .collect();
    let envelope = read_envelope(outer.envelope)?;
    Ok((envelope, RecordTexts { text, ranges }))
}

/// A call's object: `records` as raw texts, everything else for the envelope. A repeated key is an error: which of two
/// `syncMode`s holds must not be a matter of taste.
struct Outer<'a> {
    records: Option<Bounded<'a>>,
    envelope: serde_json::Map<String, serde_json::Value>,
}

/// The texts of at most one record more than a call may carry: enough to know that there are too many.
struct Bounded<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Bounded<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoundedVisitor;

        impl<'de> Visitor<'de> for BoundedVisitor {
            type Value = Bounded<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Bounded<'de>, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = access.next_element()? {
                    texts.push(text);
                    if texts.len() > MAX_RECORDS {
                        return Err(de::Error::custom(TOO_MANY));
                    }
                }
                Ok(Bounded(texts))
            }
        }

        deserializer.deserialize_seq(BoundedVisitor)
    }
}

/// What serde reports when there are too many records; looked for to answer with 413.
const TOO_MANY: &str = "too many records";

impl<'de> Deserialize<'de> for Outer<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OuterVisitor;

        impl<'de> Visitor<'de> for OuterVisitor {
            type Value = Outer<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with 'records'")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Outer<'de>, A::Error> {
                let mut outer = Outer {
                    records: None,
                    envelope: serde_json::Map::new(),
                };
                let mut envelope_bytes = 0;
                while let Some(key) = access.next_key::<String>()? {
                    let is_repeated = if key == "records" {
                        outer.records.replace(access.next_value()?).is_some()
                    } else {
                        let value: &RawValue = access.next_value()?;
                        envelope_bytes += value.get().len();
                        if envelope_bytes > MAX_ENVELOPE_BYTES {
                            return Err(de::Error::custom(
                                "the fields beside 'records' are too large",
                            ));
                        }
                        let value = serde_json::from_str(value.get()).map_err(de::Error::custom)?;
                        outer.envelope.insert(key.clone(), value).is_some()
                    };
                    if is_repeated {
                        return Err(de::Error::custom(format!(
                            "the field '{key:.60}' is there twice"
                        )));
                    }
                }
                Ok(outer)
            }
        }

        deserializer.deserialize_map(OuterVisitor)
    }
}

fn split_lines<E: DeserializeOwned>(text: String) -> Result<(E, RecordTexts), ApiError> {
    let mut ranges = Vec::new();
    let mut offset = 0;
    for line in text.split('\n') {
        if !line.trim().is_empty() {
            ranges.push(offset..offset + line.len());
            if ranges.len() > MAX_RECORDS + 1 {
                return Err(too_many());
            }
        }
        offset += line.len() + 1;
    }
    let Some(first) = ranges.first() else {
        return Err(ApiError::bad_body("the first line must be the envelope"));
    };
    let outer: Outer<'_> =
        serde_json::from_str(&text[first.clone()]).map_err(|error| not_json(&error))?;
    if outer.records.is_some() {
        return Err(ApiError::bad_field(
            "records",
            "in NDJSON the records follow the envelope, one a line",
        ));
    }
    let envelope = outer.envelope;
    let envelope = read_envelope(envelope)?;
    ranges.remove(0);
    Ok((envelope, RecordTexts { text, ranges }))
}

fn read_envelope<E: DeserializeOwned>(
    map: serde_json::Map<String, serde_json::Value>,
) -> Result<E, ApiError> {
    serde_json::from_value(serde_json::Value::Object(map))
        .map_err(|error| ApiError::bad_body(describe(&error)))
}

fn not_json(error: &serde_json::Error) -> ApiError {
    if error.is_data() && error.to_string().starts_with(TOO_MANY) {
        return too_many();
    }
    if error.is_data() {
        ApiError::bad_body(describe(error))
    } else {
        ApiError::bad_body(format!("the body is not valid JSON: {}", describe(error)))
    }
}

/// serde's words, cut short: they quote what was sent.
fn describe(error: &serde_json::Error) -> String {
    error.to_string().chars().take(200).collect()
}

/// A small body, read but not yet looked at: a handler first decides whether the caller may do this at all.
pub struct SmallBody {
    media_type: String,
    encoding: Encoding,
    bytes: Bytes,
}

impl SmallBody {
    /// The body as one JSON value.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.media_type != "application/json" {
            return Err(ApiError::UnsupportedMediaType(
                "Content-Type must be application/json".into(),
            ));
        }
        let bytes = self.encoding.decode(&self.bytes, MAX_SMALL_BYTES)?;
        serde_json::from_slice(&bytes).map_err(|error| not_json(&error))
    }
}

impl<S: Send + Sync> FromRequest<S> for SmallBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        Ok(Self {
            media_type: media_type(&parts.headers)?,
            encoding: Encoding::of(&parts.headers)?,
            bytes: collect(body, MAX_SMALL_BYTES).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Envelope {
        #[serde(rename = "systemId")]
        system_id: i32,
    }

    fn split(text: &str, is_lines: bool) -> Result<(Envelope, RecordTexts), ApiError> {
        RecordBody {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            encoding: Encoding::Identity,
            is_lines,
            room: None,
        }
        .split()
    }

    #[test]
    fn json_and_lines_split_into_the_same_envelope_and_records() {
        let json =
            split(r#"{"records":[{"a":1}, {"b" : "]}"}],"systemId":4}"#, false).expect("splits");
        let lines =
            split("{\"systemId\":4}\n{\"a\":1}\r\n\n{\"b\" : \"]}\"}\n", true).expect("splits");
        for (envelope, records) in [json, lines] {
            assert_eq!(envelope.system_id, 4);
            assert_eq!(
                records.iter().map(str::trim).collect::<Vec<_>>(),
                [r#"{"a":1}"#, r#"{"b" : "]}"}"#]
            );
        }
    }

    #[test]
    fn a_bad_envelope_is_an_error_that_names_the_field() {
        for (text, named) in [
            (r#"{"systemId":4}"#, "records"),
            (r#"{"systemId":"4","records":[]}"#, "expected i32"),
            (r#"{"systemId":4,"scopes":{},"records":[]}"#, "scopes"),
            (
                r#"{"systemId":4,"systemId":5,"records":[]}"#,
                "'systemId' is there twice",
            ),
            (r#"{"systemId":4,"records":[}"#, "not valid JSON"),
            (r#"{"systemId":4,"records":[]} {}"#, "not valid JSON"),
            ("[]", "expected"),
            ("", "not valid JSON"),
        ] {
            let error = split(text, false).err().expect(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_compressed_body_is_bounded_as_sent_and_as_decompressed() {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![b' '; 1024 * 1024];
        for _ in 0..=(MAX_DECODED_BYTES / zeros.len()) {
            gzip.write_all(&zeros).expect("in memory");
        }
        let bytes = Bytes::from(gzip.finish().expect("in memory"));
        let body = RecordBody {
            bytes,
            encoding: Encoding::Gzip,
            is_lines: false,
            room: None,
        };
        assert!(matches!(
            body.split::<Envelope>(),
            Err(ApiError::TooLarge(_))
        ));
    }
}
