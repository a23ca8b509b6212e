//! Dates in the form that nearly all sources send.

use super::Doubt;

/// Microseconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.f{1,9}]Z`, cut and not rounded; `None` for the sentinels of absent
/// and never. Other forms, zones and leap seconds are in doubt.
pub fn instant(text: &str) -> Result<Option<i64>, Doubt> {
    let (date, rest) = text.as_bytes().split_first_chunk::<19>().ok_or(Doubt)?;
    if [date[4], date[7], date[10], date[13], date[16]] != *b"--T::" {
        return Err(Doubt);
    }
    let pair = |at: usize| Ok(digit(date[at])? * 10 + digit(date[at + 1])?);
    let year = pair(0)? * 100 + pair(2)?;
    let (month, day) = (pair(5)?, pair(8)?);
    let (hour, minute, second) = (pair(11)?, pair(14)?, pair(17)?);
    let is_real = year > 0
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_real {
        return Err(Doubt);
    }
    let micros = fraction(rest)?;
    if year == 1 || year == 9999 {
        return Ok(None);
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Ok(Some(seconds * 1_000_000 + micros))
}

#[inline]
fn digit(byte: u8) -> Result<i64, Doubt> {
    if byte.is_ascii_digit() {
        Ok(i64::from(byte - b'0'))
    } else {
        Err(Doubt)
    }
}

/// The microseconds of `Z` or `.f{1,9}Z`.
fn fraction(text: &[u8]) -> Result<i64, Doubt> {
    let digits = match text {
        b"Z" => return Ok(0),
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => digits,
        _ => return Err(Doubt),
    };
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + digits.get(place).map_or(Ok(0), |byte| digit(*byte))?;
    }
    for byte in digits.iter().skip(6) {
        digit(*byte)?;
    }
    Ok(micros)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let from_march = (month + 9) % 12;
    let year = year - i64::from(month < 3);
    // Months from March on have 31, 30, 31, 30, 31 days, and again.
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Value, convert::instant as careful};

    fn agrees(text: &str) -> Result<(), TestCaseError> {
        if let Ok(micros) = instant(text) {
            let value = careful(text).expect("what is not in doubt is a date");
            let expected = match value {
                Value::Null => None,
                Value::Time(time) => Some(time.timestamp_micros()),
                other => panic!("a date became {other:?}"),
            };
            prop_assert_eq!(micros, expected, "{}", text);
        }
        Ok(())
    }

    #[test]
    fn the_common_form_is_not_in_doubt_and_the_others_are() {
        for common in [
            "2026-01-31T08:00:00Z",
            "2024-02-29T23:59:59.1Z",
            "1969-12-31T23:59:59.999999999Z",
            "2000-02-29T00:00:00.000Z",
        ] {
            assert!(matches!(instant(common), Ok(Some(_))), "{common}");
            agrees(common).expect("the same instant");
        }
        for sentinel in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z"] {
            assert_eq!(instant(sentinel), Ok(None));
        }
        for other in [
            "2026-01-31T08:00:00+01:00",
            "2026-01-31t08:00:00Z",
            "2026-01-31T08:00:00z",
            "2026-01-31 08:00:00Z",
            "2026-01-31T08:00:60Z",
            "2026-01-31T24:00:00Z",
            "2026-02-29T08:00:00Z",
            "1900-02-29T08:00:00Z",
            "2026-01-31T08:00:00.Z",
            "2026-01-31T08:00:00.1234567890Z",
            "2026-01-31T08:00:00.12345678xZ",
            "2026-01-31T08:00:00",
            "0000-01-01T00:00:00Z",
            "+026-01-31T08:00:00Z",
            "",
        ] {
            assert_eq!(instant(other), Err(Doubt), "{other}");
        }
    }

    #[test]
    fn every_day_of_a_leap_cycle_is_the_day_that_chrono_says() {
        let first = chrono::NaiveDate::from_ymd_opt(1899, 1, 1).expect("a date");
        for date in first.iter_days().take(366 * 402) {
            agrees(&format!("{date}T00:00:00Z")).expect("the same day");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_what_chrono_says(
            year in 0..10_000, month in 0..14, day in 0..33, hour in 0..26, minute in 0..62, second in 0..62, fraction in "(\\.[0-9]{0,10})?", zone in "Z|z||[+-][01][0-9]:[0-9]0"
        ) {
            agrees(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))?;
        }
    }
}
