//! What the routes about jobs do.

use contract::{
    AppendLog, ClaimAnswer, ClaimJob, CreateJob, FinishJob, HeartbeatAnswer, Job, JobHeartbeat,
    JobPage, LogPage, Permission, Role, WorkerList,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::routes::{JobsQuery, LOOK, LogQuery};
use crate::openapi::{Operation, Tag};

/// Only the worker that has the job speaks for it.
const STALE: &str =
    "The lease with this epoch does not hold (any more): stop the work. Nothing was changed.";

/// What there is to do with a job whose id is at this place of an answer.
fn leading_on(operation: Operation, id: &str) -> Operation {
    let same: Value = json!({"jobId": format!("$response.body#{id}")});
    ["getJob", "getJobLog", "cancelJob", "retryJob"]
        .into_iter()
        .fold(operation, |operation, next| operation.leads_to(next, &same))
}

fn one(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Jobs, id, summary).path::<Uuid>("jobId", "The job.")
}

pub fn list() -> Operation {
    let operation = Operation::new(Tag::Jobs, "listJobs", "Jobs, newest first")
        .needs(LOOK)
        .query::<JobsQuery>()
        .answers::<JobPage>(
            200,
            "A page of the jobs that the key may see; pass `next` as `after` for the next one.",
        );
    leading_on(operation, "/items/0/jobId")
}

pub fn create() -> Operation {
    let operation = Operation::new(Tag::Jobs, "createJob", "Run a crawler now, or later")
        .says("`mode: full` reads everything, whatever could be told to have changed. A crawl waits until no other one of the crawler runs. \
            With `kind` a worker only looks at the source: `check` tells what could be read and what is missing, `discover` the attributes \
            of users, `preview` whom the identity filter makes identities. The answer is the job's `result`, which `getJob` shows.")
        .needs(&[Permission::Admin])
        .from_role(Role::Contributor)
        .takes::<CreateJob>(json!({"crawlerId": "6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10", "mode": "full"}))
        .answers::<Job>(201, "The job, queued.")
        .refuses(404, "There is no such crawler for this key.")
        .refuses(409, "The crawler is switched off and the job is a crawl, or many of its jobs wait already.");
    leading_on(operation, "/jobId")
}

pub fn show() -> Operation {
    let operation = one("getJob", "A job")
        .says("Once it has ended, the report of its run (`runId`) tells what a crawl has read. What a job that only looks has found out is \
            its `result`, shown for seven days to keys that may `read` or `admin`.")
        .needs(LOOK)
        .answers::<Job>(200, "The job.");
    leading_on(operation, "/jobId")
}

pub fn cancel() -> Operation {
    one("cancelJob", "End a job")
        .says("A job that waits ends at once. A worker learns of it with its next heartbeat, within seconds, and gives up what it has open; what landed stays.")
        .needs(&[Permission::Admin])
        .from_role(Role::Contributor)
        .answers::<Job>(200, "The job; still `running` while its worker has not answered.")
        .refuses(409, "The job has ended.")
}

pub fn retry() -> Operation {
    one("retryJob", "Try a job again")
        .says("It is queued with all its attempts, under a new run id.")
        .needs(&[Permission::Admin])
        .from_role(Role::Contributor)
        .answers::<Job>(200, "The job, queued.")
        .refuses(409, "The job did not fail, is not dead and was not cancelled; or its crawler is switched off, or many of its jobs wait already.")
}

pub fn show_log() -> Operation {
    one("getJobLog", "The log of a job")
        .says("To follow it, ask again with `next` as `after` until `state` has ended and a page is empty.")
        .needs(LOOK)
        .query::<LogQuery>()
        .answers::<LogPage>(200, "Lines, oldest first.")
}

pub fn claim() -> Operation {
    Operation::new(Tag::Jobs, "claimJob", "Get a job, for workers")
        .says("Waits up to `waitSeconds` for one. The answer holds what the crawler needs, secrets included. The lease is lost unless heartbeats come.")
        .needs(&[Permission::Jobs])
        .takes::<ClaimJob>(json!({
            "worker": "host-1 4711 0c7c", "version": "0.1.0", "claimId": "9b0c6d3e-1d5f-4c1c-8a53-7b4f3f0a2f11",
            "waitSeconds": 0,
        }))
        .answers::<ClaimAnswer>(200, "The job under `claimed`; without it there was none in time.")
}

pub fn heartbeat() -> Operation {
    one("heartbeatJob", "Keep a job, for workers")
        .needs(&[Permission::Jobs])
        .takes::<JobHeartbeat>(
            json!({"epoch": 1, "progress": {"users": {"read": 1500, "isDone": false}}}),
        )
        .answers::<HeartbeatAnswer>(200, "The lease lasts longer.")
        .refuses(409, STALE)
}

pub fn append_log() -> Operation {
    one("appendJobLog", "Write to the log of a job, for workers")
        .needs(&[Permission::Jobs])
        .takes::<AppendLog>(json!({
            "epoch": 1, "lines": [{"seq": 0, "level": "info", "message": "users: complete, 1500 read"}],
        }))
        .answers_nothing(204, "The lines are kept; those that were sent before once only.")
        .refuses(409, STALE)
}

pub fn finish() -> Operation {
    one("finishJob", "End the work on a job, for workers")
        .says("`failed` with `mayRetry` is tried again after a wait, as often as the job may be; `handed_back` is given to another worker at once and counts as no attempt.")
        .needs(&[Permission::Jobs])
        .takes::<FinishJob>(json!({"epoch": 1, "outcome": "complete"}))
        .answers::<Job>(200, "The job as it stands now. The same said again is answered again.")
        .refuses(409, STALE)
}

pub fn list_workers() -> Operation {
    Operation::new(
        Tag::Jobs,
        "listWorkers",
        "Workers that asked for jobs in the last seven days",
    )
    .says("A name stands for one start of one process.")
    .needs(LOOK)
    .answers::<WorkerList>(200, "The workers, the one that was heard of last first.")
}
