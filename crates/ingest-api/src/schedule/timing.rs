//! When a schedule fires: a cron expression, read in a time zone.
//!
//! Times of day are those of the zone's clocks. Where these go forward, a time that does not exist that day is made up for
//! right after the gap; where they go back, a time that comes twice counts once. So a schedule that names its hours fires
//! once for each of them on every local day. One that counts through (`*`, `*/n`) follows the clock as it is.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// Times of day that are looked at one by one; an expression that names more is taken as one that counts through.
const MOST_TIMES: usize = 96;

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// No such zone.
    #[error("there is no time zone of this name; use an IANA name such as Europe/Stockholm")]
    Zone,
    /// The expression cannot be read.
    #[error("the expression cannot be read: {0}")]
    Cron(String),
    /// The expression names no day that comes.
    #[error("the expression names no moment that ever comes")]
    Never,
}

/// An expression in its zone.
#[derive(Debug, Clone)]
pub struct Timing {
    /// One for each time of day, where the expression names them.
    crons: Vec<Cron>,
    zone: Tz,
}

impl Timing {
    /// Reads an expression.
    pub fn read(cron: &str, zone: &str) -> Result<Self, TimingError> {
        let zone: Tz = zone.parse().map_err(|_| TimingError::Zone)?;
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let parse = |text: &str| {
            parser
                .parse(text)
                .map_err(|error| TimingError::Cron(error.to_string()))
        };
        parse(cron)?;
        let crons = times_of_day(cron)
            .iter()
            .map(|text| parse(text))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { crons, zone })
    }

    /// The first slot after a moment; `None` if there is none in any time that matters.
    pub fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = moment.with_timezone(&self.zone);
        let next = |cron: &Cron| cron.find_next_occurrence(&local, false).ok();
        self.crons
            .iter()
            .filter_map(next)
            .map(|slot| slot.to_utc())
            .min()
    }

    /// The last slot until a moment, that moment included.
    pub fn latest_until(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = moment.with_timezone(&self.zone);
        let previous = |cron: &Cron| cron.find_previous_occurrence(&local, true).ok();
        self.crons
            .iter()
            .filter_map(previous)
            .map(|slot| slot.to_utc())
            .max()
    }

    /// The next slots, at most so many.
    pub fn next_slots(&self, after: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |slot| self.next_after(*slot))
            .take(most)
            .collect()
    }
}

/// The same expression as several, one for each time of day that it names; itself if it counts through.
fn times_of_day(cron: &str) -> Vec<String> {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    if let [minute, hour, rest @ ..] = fields.as_slice()
        && let (Some(minutes), Some(hours)) = (numbers(minute), numbers(hour))
        && minutes.len() * hours.len() <= MOST_TIMES
    {
        let rest = rest.join(" ");
        return hours
            .iter()
            .flat_map(|hour| minutes.iter().map(move |minute| (hour, minute)))
            .map(|(hour, minute)| format!("{minute} {hour} {rest}"))
            .collect();
    }
    vec![cron.to_owned()]
}

/// The numbers of a field that lists them, such as `0,30` or `8-17`.
fn numbers(field: &str) -> Option<BTreeSet<u8>> {
    let mut all = BTreeSet::new();
    for part in field.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<u8>().ok()?..=last.parse::<u8>().ok()?);
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    fn slots(cron: &str, zone: &str, from: &str, most: usize) -> Vec<String> {
        let timing = Timing::read(cron, zone).expect("reads");
        let slots = timing.next_slots(at(from), most);
        slots
            .iter()
            .map(|slot| slot.format("%m-%d %H:%M").to_string())
            .collect()
    }

    const STOCKHOLM: &str = "Europe/Stockholm";

    #[test]
    fn a_time_that_comes_twice_counts_once_and_one_that_is_left_out_is_made_up_for() {
        let autumn = slots("30 2 * * *", STOCKHOLM, "2026-10-24T12:00:00Z", 3);
        assert_eq!(autumn, ["10-25 00:30", "10-26 01:30", "10-27 01:30"]);
        let spring = slots("30 2 * * *", STOCKHOLM, "2027-03-27T12:00:00Z", 3);
        assert_eq!(spring, ["03-28 01:00", "03-29 00:30", "03-30 00:30"]);
    }

    #[test]
    fn several_named_hours_are_kept_each_once_a_day() {
        let autumn = slots("30 2,14 * * *", STOCKHOLM, "2026-10-24T13:00:00Z", 4);
        let expected = ["10-25 00:30", "10-25 13:30", "10-26 01:30", "10-26 13:30"];
        assert_eq!(autumn, expected);
        let spring = slots("0 1-3 * * *", STOCKHOLM, "2027-03-27T22:00:00Z", 3);
        assert_eq!(spring, ["03-28 00:00", "03-28 01:00", "03-28 23:00"]);
    }

    #[test]
    fn what_counts_through_follows_the_clock() {
        let autumn = slots("*/30 * * * *", STOCKHOLM, "2026-10-24T23:45:00Z", 5);
        let expected = [
            "10-25 00:00",
            "10-25 00:30",
            "10-25 01:00",
            "10-25 01:30",
            "10-25 02:00",
        ];
        assert_eq!(autumn, expected);
    }

    #[test]
    fn the_latest_slot_is_found_from_either_side_of_a_change() {
        let timing = Timing::read("30 2 * * *", STOCKHOLM).expect("reads");
        for (now, slot) in [
            ("2026-10-25T01:40:00Z", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"),
            ("2026-10-26T01:29:59Z", "2026-10-25T00:30:00Z"),
            ("2027-03-28T12:00:00Z", "2027-03-28T01:00:00Z"),
        ] {
            assert_eq!(timing.latest_until(at(now)), Some(at(slot)), "{now}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let zone = Timing::read("* * * * *", "Mars/Olympus").map(|_| ());
        assert_eq!(zone, Err(TimingError::Zone));
        for odd in [
            "",
            "soon",
            "* * * *",
            "0 0 2 * * *",
            "61 * * * *",
            "0 25 * * *",
            "0 0 * * * * *",
        ] {
            assert!(
                matches!(Timing::read(odd, "UTC"), Err(TimingError::Cron(_))),
                "{odd}"
            );
        }
    }

    #[test]
    fn a_day_that_never_comes_has_no_slot() {
        let timing = Timing::read("0 0 30 2 *", "UTC").expect("reads");
        assert_eq!(timing.next_after(at("2026-01-01T00:00:00Z")), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_named_time_fires_once_on_every_local_day(
            minute in 0u32..60, hour in 0u32..24, start in 1_700_000_000i64..1_900_000_000,
            zone in prop_oneof![
                Just("Europe/Stockholm"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("Asia/Kolkata"), Just("UTC"),
            ],
        ) {
            let timing = Timing::read(&format!("{minute} {hour} * * *"), zone).expect("reads");
            let zone: Tz = zone.parse().expect("a zone");
            let slots = timing.next_slots(DateTime::from_timestamp(start, 0).expect("a moment"), 400);
            let days: Vec<_> = slots.iter().map(|slot| slot.with_timezone(&zone).date_naive()).collect();
            for pair in days.windows(2) {
                prop_assert_eq!(pair[0].succ_opt(), Some(pair[1]));
            }
            for slot in &slots {
                prop_assert_eq!(timing.latest_until(*slot), Some(*slot));
            }
        }
    }
}
