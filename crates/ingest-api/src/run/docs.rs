//! What the routes about runs and views do.

use contract::{
    CheckpointPage, ClaimRun, MAX_CHECKPOINT_ENTRIES, Permission, RunClaimed, RunReport,
    SaveCheckpoint,
};
use serde_json::json;
use uuid::Uuid;

use super::{Latest, RefreshStatus, ReportedBy, Runs, checkpoint::CheckpointQuery};
use crate::openapi::{Operation, Tag};

pub fn report() -> Operation {
    Operation::new(Tag::Runs, "reportRun", "Store the report of a crawl")
        .says(
            "The same run reported again replaces its report. What was remembered of the run for resuming it is forgotten, \
             unless the outcome is `failed`: such a run can be claimed again.",
        )
        .needs(&[Permission::Ingest])
        .query::<ReportedBy>()
        .takes::<RunReport>(json!({
            "runId": "0192f3c1-5b7e-7c1a-9a51-3f0d5f6b7c8d",
            "crawler": "hr-loader 1.4",
            "mode": "full",
            "outcome": "complete",
            "startedAt": "2026-11-22T06:00:00Z",
            "finishedAt": "2026-11-22T06:04:10Z",
            "collections": [{
                "collection": "people", "status": "complete", "read": 812, "inserted": 3, "updated": 5, "unchanged": 804,
                "deleted": 1, "rejected": 0, "requests": 12, "pages": 9, "throttled": 2, "retries": 3, "waitedMs": 4100,
                "recovered": {"throttled": 2, "connection": 1}, "failedParents": 0, "durationMs": 250_000,
            }],
            "traffic": {"httpCalls": 12, "requests": 12, "resourceUnits": 0, "pages": 9, "throttled": 2, "retries": 3,
                "waitedMs": 4100, "receivedBytes": 48213, "recovered": {"throttled": 2, "connection": 1}},
        }))
        .answers_nothing(201, "The report is stored.")
        .refuses(403, "The key lacks the permission, or the system of the report.")
        .refuses(409, "Another key reported this run, or somebody claimed it since the caller did.")
}

fn of_run(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Runs, id, summary).path::<Uuid>("runId", "The run.")
}

pub fn claim() -> Operation {
    of_run("claimRun", "Begin a run, or go on with one")
        .says(
            "Every claim of a run gets the next epoch, and what earlier claims still save or report is refused. A run \
             can be resumed with the same key, or one that it was rotated to, until its report says that it ended, and \
             for 7 days after its last sign of life.",
        )
        .needs(&[Permission::Ingest])
        .takes::<ClaimRun>(json!({"systemId": 1}))
        .answers::<RunClaimed>(200, "The run is the caller's.")
        .refuses(403, "The key lacks the permission or the system.")
        .refuses(
            409,
            "The run has ended, was not touched for 7 days, or is one of another system, workspace or key, or of a job that the caller does not have.",
        )
}

pub fn save_checkpoint() -> Operation {
    debug_assert_eq!(MAX_CHECKPOINT_ENTRIES, 5_000, "the schema says so");
    of_run("saveCheckpoint", "Remember how far a run is")
        .says("All entries or none. Of entries with the same stream and key the last one counts; the value `null` forgets one.")
        .needs(&[Permission::Ingest])
        .takes::<SaveCheckpoint>(json!({
            "epoch": 1,
            "entries": [
                {"stream": "users", "key": "", "value": {"syncId": "0192f3c1-5b7e-7c1a-9a51-3f0d5f6b7c8d", "pages": 12}},
                {"stream": "group members", "key": "6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10", "value": null},
            ],
        }))
        .answers_nothing(204, "The entries are stored.")
        .refuses(409, "Somebody else claimed the run.")
}

pub fn checkpoint() -> Operation {
    of_run("getCheckpoint", "What is remembered of a run")
        .says("Ordered by stream and key, page by page: pass `next` as `after`.")
        .needs(&[Permission::Ingest])
        .query::<CheckpointQuery>()
        .answers::<CheckpointPage>(200, "A page of entries.")
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
