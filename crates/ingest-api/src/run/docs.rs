//! What the routes about runs and views do.

use contract::{Permission, RunReport};
use serde_json::json;

use super::{Latest, RefreshStatus, Runs};
use crate::openapi::{Operation, Tag};

pub fn report() -> Operation {
    Operation::new(Tag::Runs, "reportRun", "Store the report of a crawl")
        .says("The same run reported again replaces its report.")
        .needs(&[Permission::Ingest])
        .takes::<RunReport>(json!({
            "runId": "0192f3c1-5b7e-7c1a-9a51-3f0d5f6b7c8d",
            "crawler": "hr-loader 1.4",
            "mode": "full",
            "outcome": "complete",
            "startedAt": "2026-11-22T06:00:00Z",
            "finishedAt": "2026-11-22T06:04:10Z",
            "collections": [],
            "traffic": {"httpCalls": 12, "requests": 12, "resourceUnits": 0, "throttled": 0, "retries": 0, "waitedMs": 0,
                "receivedBytes": 48213},
        }))
        .answers_nothing(201, "The report is stored.")
        .refuses(403, "The key lacks the permission, or the system of the report.")
        .refuses(409, "Another key reported this run.")
}

pub fn list() -> Operation {
    Operation::new(Tag::Runs, "listRuns", "The latest reports")
        .says("Each with what became of the views after it: the refresh that brought in what the run loaded and how long it took, or how far it is.")
        .needs(&[Permission::Read, Permission::Ingest])
        .query::<Latest>()
        .answers::<Runs>(200, "Newest first.")
}

pub fn refresh_views() -> Operation {
    Operation::new(Tag::Runs, "refreshViews", "Bring the views up to date")
        .says("Runs in the background; only views whose tables changed.")
        .needs(&[Permission::Ingest, Permission::Admin])
        .answers::<RefreshStatus>(
            202,
            "The refresh was asked for; this is how the views were before it.",
        )
}

pub fn refresh_status() -> Operation {
    Operation::new(
        Tag::Runs,
        "getRefreshStatus",
        "How up to date the views are",
    )
    .needs(&[Permission::Read, Permission::Ingest])
    .answers::<RefreshStatus>(200, "Every view.")
}

pub fn views() -> Operation {
    Operation::new(
        Tag::Runs,
        "listViews",
        "The views whose results are kept, and how up to date they are",
    )
    .says("When each was refreshed, how long that took, and how far a refresh is that runs now.")
    .needs(&[Permission::Read, Permission::Ingest])
    .answers::<RefreshStatus>(200, "Every view.")
}
