//! Schedules: when crawlers run by themselves.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::CrawlMode;

/// What happens when a slot comes while the schedule's job before has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The slot brings no job.
    #[default]
    Skip,
    /// One job waits behind the one that runs.
    Queue,
}

impl Overlap {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::Skip, Self::Queue];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
        }
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

fn yes() -> bool {
    true
}

/// Body of `POST /api/schedules` and `PUT /api/schedules/{scheduleId}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteSchedule {
    /// The crawler that is to run. It stays the same for the schedule's life.
    pub crawler_id: Uuid,
    /// Minute, hour, day of the month, month, day of the week, such as `30 2 * * *`; or `@daily` and its like.
    #[schemars(length(max = 200))]
    pub cron: String,
    /// The time zone that the expression is read in, by its IANA name, such as `Europe/Stockholm`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// How the source is read.
    #[serde(default)]
    pub mode: CrawlMode,
    /// What happens when the job before has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// Are slots that passed while no server ran made up for, all of them by one job?
    #[serde(default = "yes")]
    pub catch_up: bool,
    /// Does it run?
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotOutcome {
    /// It brought a job.
    Queued,
    /// The job before had not ended.
    Overlapped,
    /// It had passed while no server ran, and is not made up for.
    Missed,
    /// The crawler was switched off.
    Disabled,
}

impl SlotOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Overlapped, Self::Missed, Self::Disabled];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Overlapped => "overlapped",
            Self::Missed => "missed",
            Self::Disabled => "disabled",
        }
    }
}

/// A schedule.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// The schedule.
    pub schedule_id: Uuid,
    /// The crawler that runs.
    pub crawler_id: Uuid,
    /// The crawler's name.
    pub crawler: String,
    /// The expression.
    pub cron: String,
    /// The time zone that it is read in.
    pub time_zone: String,
    /// How the source is read.
    pub mode: CrawlMode,
    /// What happens when the job before has not ended.
    pub overlap: Overlap,
    /// Are slots that passed while no server ran made up for, all of them by one job?
    pub catch_up: bool,
    /// Does it run?
    pub enabled: bool,
    /// The next five firings; none while it is switched off.
    pub next_firings: Vec<DateTime<Utc>>,
    /// The latest slot that came.
    pub last_slot: Option<DateTime<Utc>>,
    /// What became of it.
    pub last_outcome: Option<SlotOutcome>,
    /// The latest job that it brought.
    pub last_job_id: Option<Uuid>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Who changed it.
    pub updated_by: String,
}

/// The schedules of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedules {
    /// The schedules, oldest first.
    pub items: Vec<Schedule>,
}
