//! Reading single objects again, twenty to a batch: what the objects that changed are now.

use std::future::Future;

use contract::{CollectionStatus, Failure, IngestAnswer};
use futures_util::future::join_all;
use serde_json::Value;
use uuid::Uuid;

use super::collection::{Collection, Ending, Run};
use crate::{
    delta::Change,
    graph::{GraphError, SubRequest, Version},
    stopping::Stopped,
};

/// Failures that a report names.
const NAMED_FAILURES: usize = 100;

/// What was found out about the objects that changed.
#[derive(Default)]
pub(super) struct Findings {
    /// Graph called them removed and has none of them.
    pub gone: Vec<Uuid>,
    /// Graph told of them and has none of them: it may lag behind itself.
    pub unseen: Vec<Uuid>,
    /// They could not be read.
    failures: Vec<Failure>,
    failed: u64,
}

impl Findings {
    /// An object came back without what makes a record.
    pub fn unreadable(&mut self, id: Uuid) {
        self.fail(id, &GraphError::LimitedObjects);
    }

    /// Were there objects that could not be read?
    pub fn has_failures(&self) -> bool {
        self.failed > 0
    }

    fn fail(&mut self, id: Uuid, error: &GraphError) {
        self.failed += 1;
        if self.failures.len() < NAMED_FAILURES {
            self.failures.push(Failure {
                id: Some(id),
                display_name: None,
                reason: error.to_string(),
            });
        }
    }

    /// How the collection ended whose objects these are.
    pub fn ending(
        self,
        ended: &Result<(), Stopped>,
        answer: IngestAnswer,
        permission: &str,
    ) -> Ending {
        // That a load of changes removes nothing by itself is no news.
        let answer = IngestAnswer {
            removals_skipped: None,
            ..answer
        };
        if let Err(stopped) = ended {
            return Ending {
                answer,
                ..Ending::stopped(stopped, true, permission)
            };
        }
        let status = if self.failed > 0 {
            CollectionStatus::Partial
        } else {
            CollectionStatus::Complete
        };
        Ending {
            status,
            failures: self.failures,
            failed_parents: self.failed,
            ..Ending::complete(answer)
        }
    }
}

/// Works on objects that are read again.
pub(super) trait Taker: Send {
    /// Where an object is.
    fn address(&self, id: Uuid) -> String;

    /// Takes objects that are there.
    fn take(
        &mut self,
        objects: Vec<(Uuid, Value)>,
        findings: &mut Findings,
    ) -> impl Future<Output = Result<(), Stopped>> + Send;
}

/// Reads objects again. `Err` when the reading as a whole cannot go on.
pub(super) async fn reread(
    run: &Run,
    collection: &Collection,
    changes: &[Change],
    taker: &mut impl Taker,
) -> Result<Findings, Stopped> {
    let mut findings = Findings::default();
    let at_once = SubRequest::PER_BATCH * run.config.tuning.in_flight.max(1);
    for part in changes.chunks(at_once) {
        let mut batches = Vec::new();
        for batch in part.chunks(SubRequest::PER_BATCH) {
            let addresses = batch
                .iter()
                .map(|change| taker.address(change.id))
                .collect();
            batches.push(read_batch(run, collection, batch, addresses));
        }
        let mut there = Vec::new();
        for batch in join_all(batches).await {
            for (change, answer) in batch? {
                match answer {
                    Ok(object) => there.push((change.id, object)),
                    Err(error) if is_gone(&error) && change.is_removed => {
                        findings.gone.push(change.id);
                    }
                    Err(error) if is_gone(&error) => findings.unseen.push(change.id),
                    Err(error) => findings.fail(change.id, &error),
                }
            }
        }
        taker.take(there, &mut findings).await?;
    }
    Ok(findings)
}

type Answered = Vec<(Change, Result<Value, GraphError>)>;

async fn read_batch(
    run: &Run,
    collection: &Collection,
    changes: &[Change],
    addresses: Vec<String>,
) -> Result<Answered, Stopped> {
    let requests: Vec<SubRequest> = addresses
        .into_iter()
        .map(|url| SubRequest { url, estimate: 1.0 })
        .collect();
    let answers = run
        .graph
        .batch(Version::V1, &requests, &collection.meter)
        .await;
    let answers = match answers {
        Ok(answers) => answers,
        Err(error @ (GraphError::Cancelled | GraphError::SignIn(_) | GraphError::Unauthorized)) => {
            return Err(error.into());
        }
        Err(error) => changes.iter().map(|_| Err(error.clone())).collect(),
    };
    Ok(changes.iter().copied().zip(answers).collect())
}

/// Only this answer says that there is no such object; other 404s are about the address.
fn is_gone(error: &GraphError) -> bool {
    matches!(error, GraphError::NotFound { code } if code == "Request_ResourceNotFound")
}
