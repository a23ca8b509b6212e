//! Access reviews: what is reviewed, when, and what was decided.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::link::MemberKind;

/// A review, which may recur.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessReview {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub display_name: String,
    /// What is reviewed.
    pub target: ReviewTarget,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Its rounds by id.
    pub instances: BTreeMap<Uuid, ReviewInstance>,
}

/// What a review is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ReviewTarget {
    /// The members of a group.
    Group(Uuid),
    /// Who was given an access package.
    Package(Uuid),
    /// Who may use an application.
    Application(Uuid),
    /// Who holds a directory role.
    Role(Uuid),
}

/// A round of a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReviewInstance {
    /// Id.
    pub id: Uuid,
    /// `NotStarted`, `InProgress`, `Completed`, `Applied` …
    pub status: String,
    /// When it began or will.
    pub start: DateTime<Utc>,
    /// When it ends.
    pub end: DateTime<Utc>,
    /// What was decided, by id.
    pub decisions: BTreeMap<Uuid, ReviewDecision>,
}

/// What is decided about one access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReviewDecision {
    /// Id.
    pub id: Uuid,
    /// Whose access.
    pub principal_id: Uuid,
    /// What that is.
    pub principal_kind: MemberKind,
    /// `Approve`, `Deny`, `NotReviewed`, `DontKnow`.
    pub decision: String,
    /// What Entra suggests.
    pub recommendation: String,
    /// The reviewer's words.
    pub justification: Option<String>,
    /// Who decided, with the name they had; nobody yet.
    pub reviewer: Option<(Uuid, String)>,
    /// When.
    pub reviewed: Option<DateTime<Utc>>,
    /// Whether the answer names the resource; else only the review's scope does.
    pub names_resource: bool,
}
