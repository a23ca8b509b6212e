//! Places between pages: a text that says behind which item the next page begins.

use serde::{Serialize, de::DeserializeOwned};

use crate::error::ApiError;

/// The text of a place.
pub fn mark<T: Serialize>(place: &T) -> Result<String, ApiError> {
    let bytes = serde_json::to_vec(place).map_err(ApiError::internal)?;
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(halves
        .filter_map(|half| char::from_digit(half.into(), 16))
        .collect())
}

/// The place that an `after` says.
pub fn place<T: DeserializeOwned>(after: &str) -> Result<T, ApiError> {
    let read = || {
        let digits: Option<Vec<u8>> = after
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|value| value.try_into().ok()))
            .collect();
        let (pairs, []) = digits.as_ref()?.as_chunks::<2>() else {
            return None;
        };
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        serde_json::from_slice(&bytes).ok()
    };
    read().ok_or_else(|| {
        ApiError::bad_field(
            "after",
            "this is no place in this list: pass `next` of the page before as it is",
        )
    })
}

/// Cuts off what was read beyond a page; answers the last item when there is more.
pub fn cut<T>(items: &mut Vec<T>, limit: u32) -> Option<&T> {
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    items.last().filter(|_| has_more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_anything_else_is_refused() {
        let there = (7_i64, vec!["ä|/".to_owned()]);
        let text = mark(&there).expect("a text");
        assert_eq!(place::<(i64, Vec<String>)>(&text).expect("a place"), there);
        for bad in ["", "5", "zz", "é", "00", &text[..text.len() - 2]] {
            assert!(place::<(i64, Vec<String>)>(bad).is_err(), "{bad}");
        }
    }
}
