//! How long what is kept.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

/// How long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So many days, at least one.
    Days(u16),
    /// As long as the database lives.
    Forever,
}

/// The text says no time to keep something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither a number of days from 1 to 65535 nor 'forever'")]
pub struct InvalidKeep(String);

impl Keep {
    /// What is older than this moment has been kept long enough; `None` when nothing ever has.
    pub fn cutoff(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Days(days) => now.checked_sub_signed(TimeDelta::days(i64::from(days))),
            Self::Forever => None,
        }
    }
}

impl FromStr for Keep {
    type Err = InvalidKeep;

    fn from_str(text: &str) -> Result<Self, InvalidKeep> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        match text.parse() {
            Ok(days) if days > 0 => Ok(Self::Days(days)),
            _ => Err(InvalidKeep(text.chars().take(30).collect())),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days}"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// More than a year, so that a yearly review still finds what was removed since the one before.
const REMOVED_ROWS: Keep = Keep::Days(400);
const SESSION_BATCHES: Keep = Keep::Days(7);
const REFUSED_RECORDS: Keep = Keep::Days(90);
const HELD_ROWS: Keep = Keep::Days(30);
/// Who did what is asked years later; an owner who must not keep that long says so.
const AUDIT: Keep = Keep::Forever;
/// Who had access when is what a register is for; how long that may be told is for its owner to say.
const HISTORY: Keep = Keep::Forever;

/// How long what is kept, in days or `forever`.
#[derive(Debug, Clone, clap::Args)]
pub struct Retention {
    /// Days that a removed row can still come back as itself; its history stays.
    #[arg(long = "keep-removed-rows", env = "CADASTRE_KEEP_REMOVED_ROWS", value_name = "DAYS", default_value_t = REMOVED_ROWS)]
    pub removed_rows: Keep,
    /// Days that the batches of a session which ended are remembered; the session and its totals stay.
    #[arg(long = "keep-session-batches", env = "CADASTRE_KEEP_SESSION_BATCHES", value_name = "DAYS", default_value_t = SESSION_BATCHES)]
    pub session_batches: Keep,
    /// Days that refused records can be looked at.
    #[arg(long = "keep-refused-records", env = "CADASTRE_KEEP_REFUSED_RECORDS", value_name = "DAYS", default_value_t = REFUSED_RECORDS)]
    pub refused_records: Keep,
    /// Days that the list of a decided or void change set's rows can be looked at; the change set stays.
    #[arg(long = "keep-held-rows", env = "CADASTRE_KEEP_HELD_ROWS", value_name = "DAYS", default_value_t = HELD_ROWS)]
    pub held_rows: Keep,
    /// Days that the versions of rows are kept after they ended; whole months are dropped when their last day is older.
    #[arg(long = "keep-history", env = "CADASTRE_KEEP_HISTORY", value_name = "DAYS", default_value_t = HISTORY)]
    pub history: Keep,
    /// Days that entries of the audit log are kept.
    #[arg(long = "keep-audit", env = "CADASTRE_KEEP_AUDIT", value_name = "DAYS", default_value_t = AUDIT)]
    pub audit: Keep,
    /// How the purge goes about it.
    #[arg(skip)]
    pub pace: Pace,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            removed_rows: REMOVED_ROWS,
            session_batches: SESSION_BATCHES,
            refused_records: REFUSED_RECORDS,
            held_rows: HELD_ROWS,
            history: HISTORY,
            audit: AUDIT,
            pace: Pace::default(),
        }
    }
}

/// How the purge goes about its work.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Most rows of one step.
    pub step: i64,
    /// Rest after a step.
    pub pause: Duration,
    /// Rest before each round, the first included: a server that keeps restarting serves before it tidies up.
    pub between_rounds: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            step: 1000,
            pause: Duration::from_millis(100),
            between_rounds: Duration::from_secs(600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_keep_is_at_least_a_day_or_forever_and_reads_back() {
        for keep in [Keep::Days(1), Keep::Days(u16::MAX), Keep::Forever] {
            assert_eq!(keep.to_string().parse(), Ok(keep));
        }
        for text in ["0", "-1", "", "65536", "1.5", "30d", "Forever"] {
            assert_eq!(text.parse::<Keep>(), Err(InvalidKeep(text.to_owned())));
        }
    }

    #[test]
    fn what_is_kept_forever_has_no_cutoff_and_the_rest_one_in_the_past() {
        let now = Utc::now();
        assert_eq!(Keep::Forever.cutoff(now), None);
        assert_eq!(Keep::Days(3).cutoff(now), Some(now - TimeDelta::days(3)));
    }
}
