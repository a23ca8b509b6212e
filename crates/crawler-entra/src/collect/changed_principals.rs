//! Principals that changed: read again, those that are gone removed by name.

use contract::{CollectionReport, IngestAnswer, records::Principal};
use serde_json::Value;
use uuid::Uuid;

use super::{
    collection::{Collection, Run},
    principals::{Lane, push_to_lanes},
    removals::remove,
    reread::{Findings, Taker, reread},
};
use crate::{
    delta::{self, Change},
    sink::Target,
    stopping::Stopped,
};

/// What tells one kind of principal from others.
pub(super) struct Kind<'a> {
    /// The endpoint.
    pub name: &'static str,
    /// What an object is asked for, as in the list: `$select=…`.
    pub query: &'a str,
    pub map: fn(Value) -> Option<Principal>,
    /// The scope that names removals; one object may be in any of the endpoint's scopes.
    pub removals: Target,
}

/// Reads the principals that changed, into the lanes of their types.
pub(super) async fn changed_principals(
    run: &Run,
    kind: Kind<'_>,
    changes: &[Change],
    lanes: Vec<Lane>,
) -> Vec<CollectionReport> {
    let read = read(run, &kind, changes, &lanes).await;
    let (mut findings, mut ended) = match read {
        Ok(findings) => (findings, Ok(())),
        Err(stopped) => (Findings::default(), Err(stopped)),
    };
    let mut answers = Vec::new();
    for lane in &lanes {
        let (answer, failed) = lane.end_changes(run, &ended).await;
        answers.push(answer);
        ended = ended.and(failed);
    }
    if ended.is_ok() {
        delta::not_there(run, kind.name, std::mem::take(&mut findings.unseen)).await;
        match remove(run, kind.removals, &findings.gone).await {
            Ok(removed) => note_removals(&mut answers[0], removed),
            Err(stopped) => ended = Err(stopped),
        }
    }
    let mut findings = Some(findings);
    lanes
        .into_iter()
        .zip(answers)
        .map(|(lane, answer)| {
            // Of an object that could not be read nobody knows the type; the first lane tells of it.
            let findings = findings.take().unwrap_or_default();
            let permission = lane.collection.permission();
            let ending = findings.ending(&ended, answer, permission);
            lane.collection.finish(ending)
        })
        .collect()
}

/// What the removals did belongs to the line of the first collection.
pub(super) fn note_removals(answer: &mut IngestAnswer, removed: IngestAnswer) {
    answer.deleted += removed.deleted;
    answer.held = removed.held;
    answer.spared += removed.spared;
}

async fn read(
    run: &Run,
    kind: &Kind<'_>,
    changes: &[Change],
    lanes: &[Lane],
) -> Result<Findings, Stopped> {
    let payer: &Collection = &lanes[0].collection;
    let findings = reread(run, payer, changes, &mut Sorter { kind, lanes }).await?;
    for lane in lanes {
        lane.sink.flush().await?;
    }
    Ok(findings)
}

/// Sorts what is read again into the lanes.
struct Sorter<'a> {
    kind: &'a Kind<'a>,
    lanes: &'a [Lane],
}

impl Taker for Sorter<'_> {
    fn address(&self, id: Uuid) -> String {
        format!("/{}/{id}?{}", self.kind.name, self.kind.query)
    }

    async fn take(
        &mut self,
        objects: Vec<(Uuid, Value)>,
        findings: &mut Findings,
    ) -> Result<(), Stopped> {
        let mut principals = Vec::with_capacity(objects.len());
        for (id, object) in objects {
            match (self.kind.map)(object) {
                Some(principal) => principals.push(principal),
                None => findings.unreadable(id),
            }
        }
        push_to_lanes(self.lanes, principals).await
    }
}
