//! Schedules of the test, and when each of them has its slots: told minute by minute from the clocks of its zone, without
//! the expression's own reader.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use uuid::Uuid;

/// When it fires.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// At these hours and this minute of each local day, once each.
    At(&'static [u32], u32),
    /// Whenever the zone's clocks show one of these minutes.
    Minutes(&'static [u32]),
}

/// A schedule of the test.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which of the crawlers.
    pub crawler: usize,
    pub cron: &'static str,
    pub zone: Tz,
    pub when: When,
    pub overlap: &'static str,
    pub catch_up: bool,
}

/// Every hour in several zones, and the times of day that the changes of the clocks leave out or show twice.
pub const PLANS: [Plan; 6] = [
    Plan {
        crawler: 0,
        cron: "30 2 * * *",
        zone: Tz::Europe__Stockholm,
        when: When::At(&[2], 30),
        overlap: "skip",
        catch_up: true,
    },
    Plan {
        crawler: 0,
        cron: "0 * * * *",
        zone: Tz::Europe__London,
        when: When::Minutes(&[0]),
        overlap: "skip",
        catch_up: true,
    },
    Plan {
        crawler: 1,
        cron: "0 * * * *",
        zone: Tz::Asia__Kolkata,
        when: When::Minutes(&[0]),
        overlap: "skip",
        catch_up: true,
    },
    Plan {
        crawler: 1,
        cron: "30 1 * * *",
        zone: Tz::Europe__London,
        when: When::At(&[1], 30),
        overlap: "queue",
        catch_up: true,
    },
    Plan {
        crawler: 2,
        cron: "*/30 * * * *",
        zone: Tz::America__New_York,
        when: When::Minutes(&[0, 30]),
        overlap: "skip",
        catch_up: false,
    },
    Plan {
        crawler: 2,
        cron: "0 1-3 * * *",
        zone: Tz::Europe__Stockholm,
        when: When::At(&[1, 2, 3], 0),
        overlap: "queue",
        catch_up: true,
    },
];

impl Plan {
    pub fn body(&self, crawler_id: Uuid) -> Value {
        json!({
            "crawlerId": crawler_id, "cron": self.cron, "timeZone": self.zone.name(), "overlap": self.overlap,
            "catchUp": self.catch_up,
        })
    }

    /// The slots after the one moment, until the other.
    pub fn slots(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        let slots = match self.when {
            When::Minutes(minutes) => minutes_between(after, until)
                .filter(|minute| minutes.contains(&minute.with_timezone(&self.zone).minute()))
                .collect(),
            When::At(hours, minute) => self.named(hours, minute, after, until),
        };
        let is_inside = |slot: &DateTime<Utc>| after < *slot && *slot <= until;
        slots.into_iter().filter(is_inside).collect()
    }

    /// A time of day is there as soon as the clocks of that day show it or a later one.
    fn named(
        &self,
        hours: &[u32],
        minute: u32,
        after: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> BTreeSet<DateTime<Utc>> {
        let mut slots = BTreeSet::new();
        let local = |moment: DateTime<Utc>| moment.with_timezone(&self.zone).naive_local();
        let mut day = local(after).date();
        while day <= local(until).date() {
            // More than the day, wherever the zone is.
            let noon = day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(12);
            let (from, to) = (noon - TimeDelta::hours(30), noon + TimeDelta::hours(30));
            for hour in hours {
                let named = NaiveTime::from_hms_opt(*hour, minute, 0).expect("a time of day");
                let shows = |moment: &DateTime<Utc>| {
                    local(*moment).date() == day && local(*moment).time() >= named
                };
                slots.extend(minutes_between(from, to).find(shows));
            }
            day = day + Days::new(1);
        }
        slots
    }
}

/// Every whole minute after the one moment, until the other.
fn minutes_between(
    after: DateTime<Utc>,
    until: DateTime<Utc>,
) -> impl Iterator<Item = DateTime<Utc>> {
    let first = (after.timestamp().div_euclid(60) + 1) * 60;
    (first..=until.timestamp())
        .step_by(60)
        .map(|seconds| DateTime::from_timestamp(seconds, 0).expect("a moment"))
}

/// A moment.
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a moment")
}

#[test]
fn the_timetable_knows_the_nights_on_which_the_clocks_are_changed() {
    let of = |plan: usize, from: &str, to: &str| -> Vec<String> {
        let slots = PLANS[plan].slots(at(from), at(to));
        let told = slots
            .iter()
            .map(|slot| slot.format("%m-%d %H:%M").to_string());
        told.collect()
    };
    let (autumn, spring) = (
        ["2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"],
        ["2027-03-27T12:00:00Z", "2027-03-29T12:00:00Z"],
    );
    let twice = of(0, autumn[0], autumn[1]);
    assert_eq!(twice, ["10-25 00:30", "10-26 01:30"]);
    let left_out = of(0, spring[0], spring[1]);
    assert_eq!(left_out, ["03-28 01:00", "03-29 00:30"]);
    assert_eq!(of(1, autumn[0], autumn[1]).len(), 48);
    assert_eq!(of(3, spring[0], spring[1]), ["03-28 01:00", "03-29 00:30"]);
    let three = of(5, spring[0], spring[1]);
    let expected = [
        "03-28 00:00",
        "03-28 01:00",
        "03-28 23:00",
        "03-29 00:00",
        "03-29 01:00",
    ];
    assert_eq!(three, expected);
}
