//! Jobs: work that is queued at the server and that workers claim, over HTTP.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::{JobResult, LeasedCrawler};

/// Most lines of a log that one call brings.
pub const MAX_LOG_LINES: usize = 500;
/// Longest line of a log, in characters; longer ones are cut off.
pub const MAX_LOG_CHARS: usize = 2_000;
/// Longest that a claim waits for a job, in seconds.
pub const MAX_CLAIM_WAIT: u32 = 30;
/// Most collections in the progress of a job.
pub const MAX_PROGRESS: usize = 200;

/// What kind of work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Read a source into the register.
    #[default]
    Crawl,
    /// Find out what could be read, and which permissions and licences are missing.
    Check,
    /// Find out which attributes users have beside the usual ones.
    Discover,
    /// Find out which users the crawler's identity filter makes identities.
    Preview,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Crawl, Self::Check, Self::Discover, Self::Preview];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Crawl => "crawl",
            Self::Check => "check",
            Self::Discover => "discover",
            Self::Preview => "preview",
        }
    }

    /// Does it only look at the source, and leave the register as it is?
    pub const fn only_looks(self) -> bool {
        !matches!(self, Self::Crawl)
    }
}

/// How a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CrawlMode {
    /// What changed, where that can be told and everything was read not long ago; else everything.
    #[default]
    Auto,
    /// What changed.
    Delta,
    /// Everything.
    Full,
}

impl CrawlMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Delta, Self::Full];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Delta => "delta",
            Self::Full => "full",
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for a worker, or for its time.
    Queued,
    /// A worker has it, and has said nothing yet.
    Leased,
    /// A worker is at work.
    Running,
    /// Everything was read and landed.
    Succeeded,
    /// Something could not be read.
    PartiallySucceeded,
    /// It failed in a way that trying again does not mend.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// Everything was read; removals wait for a person.
    Held,
    /// Its attempts are used up.
    Dead,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Leased,
        Self::Running,
        Self::Succeeded,
        Self::PartiallySucceeded,
        Self::Failed,
        Self::Cancelled,
        Self::Held,
        Self::Dead,
    ];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::PartiallySucceeded => "partially_succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Held => "held",
            Self::Dead => "dead",
        }
    }

    /// Does a worker have it?
    pub const fn is_leased(self) -> bool {
        matches!(self, Self::Leased | Self::Running)
    }

    /// Has it ended? Only a person who tries it again changes that.
    pub const fn is_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Leased | Self::Running)
    }
}

/// Body of `POST /api/jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateJob {
    /// The crawler that is to run.
    pub crawler_id: Uuid,
    /// What it is to do. What only looks at the source has a `result`, needs no crawler that is switched on, and waits for
    /// no crawl.
    #[serde(default)]
    pub kind: JobKind,
    /// How it is to read; `full` forces everything. For crawls only.
    #[serde(default)]
    pub mode: CrawlMode,
    /// Jobs with a higher one go first.
    #[serde(default)]
    #[schemars(range(min = -100, max = 100))]
    pub priority: i16,
    /// Not before this moment; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
}

/// How far a collection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CollectionProgress {
    /// Records that were read.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub read: u64,
    /// Has its reading ended?
    pub is_done: bool,
}

/// How far the collections are, by their names.
pub type Progress = BTreeMap<String, CollectionProgress>;

/// A job.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The job.
    pub job_id: Uuid,
    /// What kind of work it is.
    pub kind: JobKind,
    /// The crawler that runs.
    pub crawler_id: Uuid,
    /// The crawler's name.
    pub crawler: String,
    /// How it reads.
    pub mode: CrawlMode,
    /// Where it stands.
    pub state: JobState,
    /// Jobs with a higher one go first.
    pub priority: i16,
    /// It is not given to a worker before this moment.
    pub not_before: DateTime<Utc>,
    /// Leases that were used up, the present one included.
    pub attempt: i32,
    /// After so many it is dead.
    pub max_attempts: i32,
    /// How often it was given to a worker.
    pub epoch: i32,
    /// The run that is crawled under; its report has the same id.
    pub run_id: Uuid,
    /// The worker that has it, or had it last.
    pub worker: Option<String>,
    /// Until when the worker has it, unless it is heard of again.
    pub lease_until: Option<DateTime<Utc>>,
    /// When the worker was last heard of.
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// When somebody asked for its end.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// How far the collections are, by their names.
    pub progress: Progress,
    /// How it ended, or what went wrong in the latest attempt.
    pub message: Option<String>,
    /// What a job that only looks has found out. Shown with a single job, for seven days, to whoever may read or administer.
    pub result: Option<JobResult>,
    /// The schedule that asked for it.
    pub schedule_id: Option<Uuid>,
    /// The moment that the schedule asked for it for.
    pub slot: Option<DateTime<Utc>>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    /// Who asked for it.
    pub created_by: String,
    /// When a worker first had it, since it was queued by a person or a schedule.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A page of jobs.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobPage {
    /// The jobs, newest first.
    pub items: Vec<Job>,
    /// Pass it as `after` for the next page; absent on the last one.
    pub next: Option<Uuid>,
}

/// Body of `POST /api/jobs/claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimJob {
    /// The worker's name, another one for each start of the process.
    #[schemars(length(min = 1, max = 200))]
    pub worker: String,
    /// The worker's version.
    #[schemars(length(max = 100))]
    pub version: String,
    /// Names this claim: sent again, it answers the lease that it got, should the answer have been lost.
    pub claim_id: Uuid,
    /// How long to wait for a job, in seconds.
    #[serde(default)]
    #[schemars(range(max = 30))]
    pub wait_seconds: u32,
    /// The kinds of work that the worker can do; crawls when absent.
    #[serde(default = "crawls")]
    #[schemars(length(max = 4))]
    pub kinds: Vec<JobKind>,
}

fn crawls() -> Vec<JobKind> {
    vec![JobKind::Crawl]
}

/// A job that was given to a worker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimedJob {
    /// The job.
    pub job: Job,
    /// Which lease it is: to be said with everything about the job.
    pub epoch: i32,
    /// The job is given to somebody else when nothing is heard of the worker for so long.
    pub lease_seconds: u32,
    /// How often the worker should be heard of.
    pub heartbeat_seconds: u32,
    /// What is to be crawled, and how.
    pub crawler: LeasedCrawler,
}

/// Answer to a claim.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimAnswer {
    /// The job; absent when there was none in time.
    pub claimed: Option<ClaimedJob>,
}

/// Body of `POST /api/jobs/{id}/heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobHeartbeat {
    /// The lease.
    pub epoch: i32,
    /// Collections whose progress changed; the others stay as they are.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 200))]
    pub progress: Progress,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAnswer {
    /// Did somebody ask for the job's end? The worker then ends it, and says so.
    pub is_cancel_requested: bool,
    /// How long the lease lasts from now on.
    pub lease_seconds: u32,
}

/// How a worker's work on a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// Everything was read and landed.
    Complete,
    /// Something could not be read.
    Partial,
    /// Everything was read; removals wait for a person.
    Held,
    /// It failed.
    Failed,
    /// It was ended because somebody asked for that.
    Cancelled,
    /// The worker has to stop; another one is to go on. It counts as no attempt.
    HandedBack,
}

/// Body of `POST /api/jobs/{id}/finish`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FinishJob {
    /// The lease.
    pub epoch: i32,
    /// How it ended.
    pub outcome: JobOutcome,
    /// A sentence for people.
    pub message: Option<String>,
    /// What a job that only looks has found out, at most 256 KiB of JSON. With `complete`, and of the job's kind.
    pub result: Option<JobResult>,
    /// May trying again help? Asked of what failed only.
    #[serde(default)]
    pub may_retry: bool,
    /// Can nobody go on with the run? The next attempt then begins another one.
    #[serde(default)]
    pub begin_anew: bool,
}

/// How much a line of a log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// It is good to know.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warn, Self::Error];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A line that a worker writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLogLine {
    /// Its number within the lease: a line that is sent again is kept once.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub seq: u64,
    /// How much it matters.
    pub level: LogLevel,
    /// What is told.
    pub message: String,
}

/// Body of `POST /api/jobs/{id}/log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppendLog {
    /// The lease.
    pub epoch: i32,
    /// The lines.
    #[schemars(length(max = 500))]
    pub lines: Vec<NewLogLine>,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Its place.
    pub log_id: i64,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// The lease that it belongs to.
    pub epoch: i32,
    /// How much it matters.
    pub level: LogLevel,
    /// What is told.
    pub message: String,
}

/// A page of a job's log.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogPage {
    /// The lines, oldest first.
    pub items: Vec<LogLine>,
    /// Where the job stands: what has ended gets no further lines of its worker.
    pub state: JobState,
    /// Pass it as `after` for what comes next, also on the last page: more may come. Absent while there is no line.
    pub next: Option<i64>,
}
