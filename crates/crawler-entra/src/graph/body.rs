//! Reading an answer: bounded, and forgiving about half characters.

use std::borrow::Cow;

use reqwest::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is said of an answer that cannot be read.
pub(super) const UNREADABLE: &str = "the answer is not what Graph sends";

/// What Graph answers.
pub(crate) trait Answered: DeserializeOwned {
    /// Pages of lists in it.
    fn pages(&self) -> u64 {
        0
    }
}

impl Answered for Value {
    fn pages(&self) -> u64 {
        u64::from(self["value"].is_array())
    }
}

/// Why a body cannot be had.
pub(super) enum BodyError {
    TooLarge,
    Broken(reqwest::Error),
}

/// Reads the body as far as `limit` bytes.
pub(super) async fn read_bounded(
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, BodyError> {
    if response
        .content_length()
        .is_some_and(|length| length > limit as u64)
    {
        return Err(BodyError::TooLarge);
    }
    let told = response.content_length().unwrap_or(0);
    let mut body = Vec::with_capacity(usize::try_from(told).map_or(0, |told| told.min(limit)));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Err(BodyError::TooLarge),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(BodyError::Broken(error)),
        }
    }
}

/// Parses JSON. One half of a surrogate pair in one name must not cost a page of 999 objects, so such halves become U+FFFD.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    match serde_json::from_slice(body) {
        Ok(value) => Some(value),
        Err(error) if error.is_syntax() || error.is_data() => match repair_surrogates(body) {
            Cow::Borrowed(_) => None,
            Cow::Owned(repaired) => serde_json::from_slice(&repaired).ok(),
        },
        Err(_) => None,
    }
}

/// Replaces every escaped surrogate that has no partner.
fn repair_surrogates(body: &[u8]) -> Cow<'_, [u8]> {
    let mut repaired: Option<Vec<u8>> = None;
    let mut at = 0;
    while at + 1 < body.len() {
        if body[at] != b'\\' {
            at += 1;
            continue;
        }
        match escaped_unit(body, at) {
            Some(0xD800..=0xDBFF)
                if matches!(escaped_unit(body, at + 6), Some(0xDC00..=0xDFFF)) =>
            {
                at += 12;
            }
            Some(0xD800..=0xDFFF) => {
                let text = repaired.get_or_insert_with(|| body.to_vec());
                text[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            // Any other escape is two bytes at least; skipping both keeps `\\u` from looking like one.
            _ => at += 2,
        }
    }
    repaired.map_or(Cow::Borrowed(body), Cow::Owned)
}

/// The UTF-16 unit of a `\uXXXX` at this place.
fn escaped_unit(body: &[u8], at: usize) -> Option<u16> {
    let escape = body.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_character_and_the_rest_stays() {
        let text = br#"{"a":"x\ud800y","b":"\ud83d\ude00","c":"\\ud800","d":"\udc00\ud800"}"#;
        let value: Value = parse(text).expect("repaired");
        assert_eq!(value["a"], "x\u{fffd}y");
        assert_eq!(value["b"], "\u{1f600}");
        assert_eq!(value["c"], r"\ud800");
        assert_eq!(value["d"], "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_truncated_or_foreign_body_is_no_json() {
        for text in ["", "<html></html>", r#"{"a":"#, r#"{"a":1} x"#] {
            assert!(parse::<Value>(text.as_bytes()).is_none(), "{text}");
        }
    }
}
