//! The wire between Cadastre's parts.
//!
//! Everything that crosses HTTP between a crawler, the worker and the ingest API is a type here: the entity
//! [`records`], the envelope that carries them ([`IngestRequest`]), sync sessions ([`session`]), answers, the run
//! report and the problem document. The crate does no I/O and knows neither HTTP nor SQL.
//!
//! Invariants:
//! - wire names are camelCase, one word for one thing in every entity;
//! - the JSON Schema of a record ([`record_schema`]) is generated from the same type that a crawler serialises, so
//!   the two cannot drift apart;
//! - a record that lacks a field says nothing about it in a delta load and clears it in a full load.
//!
//! ```
//! use contract::{Entity, records::{Principal, principal_type}};
//!
//! let ada = Principal {
//!     id: Some("6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10".parse().unwrap()),
//!     display_name: "Ada Lovelace".into(),
//!     principal_type: Some(principal_type::USER),
//!     ..Principal::default()
//! };
//! assert_eq!(Entity::Principals.wire_name(), "principals");
//! assert_eq!(serde_json::to_value(&ada).unwrap()["principalType"], "User");
//! ```

mod answer;
mod attribute;
mod audit;
mod checkpoint;
mod cost;
mod delta_token;
mod entity;
mod envelope;
mod held;
mod job;
mod key;
mod look;
mod people;
mod problem;
mod run;
mod schedule;
mod schema;
mod type_name;
mod worker;

pub mod crawler;
pub mod records;
pub mod session;

pub use answer::{Held, IngestAnswer, RecordError};
pub use attribute::{
    AttributeColumn, AttributeDrift, AttributeDriftPage, AttributeInfo, AttributePage, JsonType,
    MAX_ATTRIBUTE_NAME, MAX_PROMOTED, Promote, PromoteAll, PromotedAll, Promotion, PromotionPage,
    PromotionRefused, PromotionState, ValueType,
};
pub use audit::{AuditEntry, AuditPage};
pub use checkpoint::{
    CheckpointEntry, CheckpointPage, ClaimRun, MAX_CHECKPOINT_ENTRIES, RunClaimed, SaveCheckpoint,
};
pub use cost::{Cost, Recovered};
pub use crawler::{Crawler, CrawlerSettings, LeasedCrawler, LeasedSecret, SecretField, SecretText};
pub use delta_token::{
    DeltaToken, DeltaTokens, MAX_COMMIT_TOKENS, MAX_TOKEN_BYTES, NewDeltaToken, SaveDeltaToken,
    TokenText,
};
pub use entity::{Entity, UnknownEntity};
pub use envelope::{
    Completeness, IdGeneration, IngestRequest, MAX_COMPLETE_PARENTS, Scope, SyncMode, SyncStep,
};
pub use held::{ChangeSet, ChangeSetPage, ChangeSetState, Decision, HeldRow, HeldRowPage};
pub use job::{
    AppendLog, ClaimAnswer, ClaimJob, ClaimedJob, CollectionProgress, CrawlMode, CreateJob,
    FinishJob, HeartbeatAnswer, Job, JobHeartbeat, JobKind, JobOutcome, JobPage, JobState,
    LogLevel, LogLine, LogPage, MAX_CLAIM_WAIT, MAX_LOG_CHARS, MAX_LOG_LINES, MAX_PROGRESS,
    NewLogLine, Progress,
};
pub use key::{CreateKey, CreatedKey, KeyInfo, Permission, UpdateKey, WhoAmI};
pub use look::{
    AttributeFound, AttributeKind, AttributesFound, CheckOutcome, FeatureCheck, FeatureStatus,
    GrantsReport, IdentityPreview, JobResult, MAX_RESULT_BYTES, PermissionCheck, UserSample,
};
pub use people::{
    CreateToken, Me, NewRoleMapping, Role, RoleMapping, SignedInBy, UpdateRoleMapping,
};
pub use problem::Problem;
pub use run::{CollectionReport, CollectionStatus, Failure, RunOutcome, RunReport, Traffic};
pub use schedule::{Overlap, Schedule, Schedules, SlotOutcome, WriteSchedule};
pub use schema::{record_schema, record_subschema};
pub use type_name::{InvalidTypeName, TypeName};
pub use worker::{WorkerInfo, WorkerList};

/// A connected source. Every row of the register belongs to exactly one.
pub type SystemId = i32;

/// Most records that one call or one batch of a session may carry.
pub const MAX_RECORDS: usize = 100_000;

/// Most record errors that an answer lists; the rest are in `GET /api/ingest/rejected`.
pub const MAX_ERRORS_IN_ANSWER: usize = 100;
