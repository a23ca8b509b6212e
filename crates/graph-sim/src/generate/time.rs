//! Moments relative to a fixed day, so that a seed gives the same dates forever.

use chrono::{DateTime, TimeDelta, Timelike, Utc};

use crate::random::Random;

/// The day the generated tenants live on: 2026-06-01 06:00 UTC.
const TODAY_UNIX_SECONDS: i64 = 1_780_293_600;

pub(crate) fn today() -> DateTime<Utc> {
    DateTime::from_timestamp(TODAY_UNIX_SECONDS, 0).expect("the constant is a valid moment")
}

/// A moment between `low` and `high` days after today (negative = before), to
/// the second or with up to seven fractional digits, as Graph emits them.
pub(crate) fn days_from_today(random: &mut Random, low: i64, high: i64) -> DateTime<Utc> {
    let seconds = random.between(low * 86_400, high * 86_400);
    let moment = today() + TimeDelta::seconds(seconds);
    if random.chance(0.6) {
        return moment;
    }
    let digits = random.between(1, 7) as u32;
    let unit = 10_u32.pow(9 - digits);
    let fraction = random.below(10_usize.pow(digits)) as u32 * unit;
    moment
        .with_nanosecond(fraction)
        .expect("a fraction is below one second")
}

/// Midnight of a day between `low` and `high` days after today.
pub(crate) fn midnight_from_today(random: &mut Random, low: i64, high: i64) -> DateTime<Utc> {
    let midnight = TODAY_UNIX_SECONDS - TODAY_UNIX_SECONDS.rem_euclid(86_400);
    DateTime::from_timestamp(midnight + random.between(low, high) * 86_400, 0)
        .expect("a few years around a valid moment are valid")
}
