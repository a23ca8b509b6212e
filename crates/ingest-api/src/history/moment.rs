//! Moments that can be asked about.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::PgPool;

use crate::error::ApiError;

/// A moment of which the register knows everything: not in the future, and not before what retention dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    at: DateTime<Utc>,
    field: &'static str,
}

/// The database's clock and the beginning of what is kept.
struct Bounds {
    now: DateTime<Utc>,
    since: Option<DateTime<Utc>>,
}

/// Since when the history is whole; `None` when nothing was ever dropped.
pub async fn kept_since(pool: &PgPool) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar("select since from history_kept")
        .fetch_one(pool)
        .await
}

impl Moment {
    /// The moment that a parameter of a query names, such as `asOf`; refused with the parameter's name.
    pub async fn of_query(
        pool: &PgPool,
        field: &'static str,
        text: &str,
    ) -> Result<Self, ApiError> {
        let at = parse(field, text)?;
        let (now, since) =
            sqlx::query_as("select clock_timestamp(), (select since from history_kept)")
                .fetch_one(pool)
                .await?;
        check(field, at, &Bounds { now, since })?;
        Ok(Self { at, field })
    }

    /// Now, by the database's clock.
    pub async fn now(pool: &PgPool, field: &'static str) -> Result<Self, ApiError> {
        let at = sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(pool)
            .await?;
        Ok(Self { at, field })
    }

    /// The moment itself.
    pub const fn at(self) -> DateTime<Utc> {
        self.at
    }

    /// To be asked after the read: a month that was dropped since the moment was checked may be missing from what was read.
    pub async fn still_kept(self, pool: &PgPool) -> Result<(), ApiError> {
        let since = kept_since(pool).await?;
        check(
            self.field,
            self.at,
            &Bounds {
                now: self.at,
                since,
            },
        )
    }
}

fn parse(field: &str, text: &str) -> Result<DateTime<Utc>, ApiError> {
    let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| {
        let hint = if text.contains(' ') {
            "; a '+' in a query is written %2B"
        } else {
            ""
        };
        ApiError::bad_field(
            field,
            format!("a moment with its time zone is needed, such as 2026-03-01T00:00:00Z{hint}"),
        )
    })?;
    let at = parsed.with_timezone(&Utc);
    // What PostgreSQL can keep; nobody means another year.
    if !(1..=9999).contains(&chrono::Datelike::year(&at)) {
        return Err(ApiError::bad_field(
            field,
            "the year must be between 1 and 9999",
        ));
    }
    Ok(at)
}

fn check(field: &str, at: DateTime<Utc>, bounds: &Bounds) -> Result<(), ApiError> {
    let show = |moment: DateTime<Utc>| moment.to_rfc3339_opts(SecondsFormat::Micros, true);
    if at > bounds.now {
        return Err(ApiError::bad_field(
            field,
            format!(
                "{} is in the future; it is {} now",
                show(at),
                show(bounds.now)
            ),
        ));
    }
    match bounds.since {
        Some(since) if at < since => Err(ApiError::bad_field(
            field,
            format!(
                "the history is kept since {}; what was before was dropped by retention",
                show(since)
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_moment_has_a_time_zone_and_a_year_and_the_refusal_names_the_parameter() {
        for good in [
            "2026-03-01T00:00:00Z",
            "2026-03-01T01:30:00.123456+01:30",
            "0001-01-01T00:00:00Z",
        ] {
            parse("asOf", good).expect(good);
        }
        for bad in [
            "",
            "yesterday",
            "2026-03-01",
            "2026-03-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-03-01T00:00:00 01:00",
        ] {
            let error = parse("asOf", bad).expect_err(bad);
            assert!(
                matches!(&error, ApiError::BadRequest { pointer, .. } if pointer == "/asOf"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn what_is_to_come_and_what_was_dropped_cannot_be_asked_about() {
        let now = Utc::now();
        let second = TimeDelta::seconds(1);
        let since = Some(now - second * 10);
        let bounds = Bounds { now, since };
        for fine in [now, now - second, now - second * 10] {
            check("to", fine, &bounds).expect("fine");
        }
        for (at, why) in [
            (now + second, "in the future"),
            (now - second * 11, "is kept since"),
        ] {
            let error = check("to", at, &bounds).expect_err(why);
            assert!(error.to_string().contains(why), "{error}");
        }
        check("to", now - second * 11, &Bounds { now, since: None }).expect("all is kept");
    }
}
