//! Groups that changed: read again with their members and owners; those that are gone are removed by name, and what they
//! held with them.

use std::{collections::HashSet, sync::Arc};

use contract::{CollectionReport, Completeness, IngestAnswer, records::Resource};
use serde_json::Value;
use uuid::Uuid;

use super::{
    changed_principals::note_removals,
    collection::{Collection, Ending, Run, close, commit},
    feed::{Feed, Parent},
    groups::parent_of,
    members::changed_group_links,
    removals::remove,
    reread::{Findings, Taker, reread},
};
use crate::{
    delta::{self, Change},
    journal::entry,
    mapping,
    sink::{Sink, Target},
    stopping::Stopped,
};

/// The list of groups, as far as it is wanted.
pub(super) struct Groups<'a> {
    pub collection: Collection,
    /// Where they are posted.
    pub target: Option<Target>,
    pub select: &'a str,
    /// Read members and owners.
    pub with_links: bool,
}

/// The groups among the changes.
#[derive(Default)]
struct Found {
    findings: Findings,
    parents: Vec<Parent>,
}

/// Reads the groups that changed. Members and owners of each of them are read anew, whatever it was that changed: rounds of
/// changes are not relied upon to say so.
pub(super) async fn changed_groups(
    run: &Arc<Run>,
    groups: Groups<'_>,
    changes: &[Change],
) -> Vec<CollectionReport> {
    let sink: Option<Sink<Resource>> = groups.target.clone().map(|target| run.sink(target));
    let (mut found, mut ended) = match read(run, &groups, changes, sink.as_ref()).await {
        Ok(found) => (found, Ok(())),
        Err(stopped) => (Found::default(), Err(stopped)),
    };
    let unseen = std::mem::take(&mut found.findings.unseen);
    delta::not_there(run, "groups", unseen).await;
    let mut reports = Vec::new();
    if groups.with_links {
        let gone = found.findings.gone.clone();
        let parents = std::mem::take(&mut found.parents);
        // Without a line of the groups, theirs must say that some could not be read.
        let is_whole = ended.is_ok() && (sink.is_some() || !found.findings.has_failures());
        reports = match links_of(run, changes, parents, gone, is_whole).await {
            Ok(reports) => reports,
            Err(stopped) => {
                ended = ended.and(Err(stopped));
                Vec::new()
            }
        };
    }
    let mut answer = IngestAnswer::default();
    if let (Some(sink), Some(target)) = (&sink, groups.target) {
        match end(run, sink, target, &found.findings, &ended).await {
            Ok(ended) => answer = ended,
            Err(stopped) => ended = Err(stopped),
        }
    }
    if sink.is_some() || ended.is_err() {
        let permission = groups.collection.permission();
        let ending: Ending = found.findings.ending(&ended, answer, permission);
        reports.insert(0, groups.collection.finish(ending));
    }
    reports
}

async fn read(
    run: &Run,
    groups: &Groups<'_>,
    changes: &[Change],
    sink: Option<&Sink<Resource>>,
) -> Result<Found, Stopped> {
    let mut keeper = Keeper {
        groups,
        sink,
        parents: Vec::new(),
    };
    let findings = reread(run, &groups.collection, changes, &mut keeper).await?;
    Ok(Found {
        findings,
        parents: keeper.parents,
    })
}

/// Posts groups that are read again, and keeps them as parents.
struct Keeper<'a> {
    groups: &'a Groups<'a>,
    sink: Option<&'a Sink<Resource>>,
    parents: Vec<Parent>,
}

impl Taker for Keeper<'_> {
    fn address(&self, id: Uuid) -> String {
        format!("/groups/{id}?$select={}", self.groups.select)
    }

    async fn take(
        &mut self,
        objects: Vec<(Uuid, Value)>,
        findings: &mut Findings,
    ) -> Result<(), Stopped> {
        let mut resources = Vec::with_capacity(objects.len());
        for (id, object) in objects {
            match mapping::group(object) {
                Some(group) => {
                    self.parents.extend(parent_of(&group));
                    resources.push(group);
                }
                None => findings.unreadable(id),
            }
        }
        if let Some(sink) = self.sink {
            sink.push_all(&resources).await?;
        }
        self.groups.collection.add(resources.len() as u64);
        Ok(())
    }
}

/// The groups whose members are read, for the run's checkpoint, and those that were not among them.
const FEED: &str = "changed groups";
const NOT_FED: &str = "not fed:changed groups";

/// Reads members and owners of the groups that are there. Those that are gone have none.
async fn links_of(
    run: &Arc<Run>,
    changes: &[Change],
    parents: Vec<Parent>,
    gone: Vec<Uuid>,
    is_whole: bool,
) -> Result<Vec<CollectionReport>, Stopped> {
    let has_surprise = has_parents_not_fed(run, changes, &parents).await?;
    let mut read_or_gone = gone;
    read_or_gone.extend(parents.iter().map(|parent| parent.id));
    let feed = Feed::of(run, FEED, parents, is_whole && !has_surprise).await?;
    Ok(changed_group_links(run.clone(), feed, read_or_gone).await)
}

/// Is there a group now that an earlier attempt of the run did not find? Its members are not read by this one, which goes on
/// with the groups that it has; they must not look as if there were none.
async fn has_parents_not_fed(
    run: &Run,
    changes: &[Change],
    parents: &[Parent],
) -> Result<bool, Stopped> {
    if Feed::was_given(run, FEED) {
        let not_fed: HashSet<String> = (run.journal.all_left(NOT_FED))
            .map(|(id, _)| id.to_owned())
            .collect();
        return Ok(parents
            .iter()
            .any(|parent| not_fed.contains(&parent.id.to_string())));
    }
    let fed: HashSet<Uuid> = parents.iter().map(|parent| parent.id).collect();
    let others = changes.iter().filter(|change| !fed.contains(&change.id));
    let entries = others.map(|change| entry(NOT_FED, change.id.to_string(), true.into()));
    run.save(entries.collect()).await?;
    Ok(false)
}

/// Commits the groups, then removes those that are gone.
async fn end(
    run: &Run,
    sink: &Sink<Resource>,
    target: Target,
    findings: &Findings,
    ended: &Result<(), Stopped>,
) -> Result<IngestAnswer, Stopped> {
    if let Err(stopped) = ended {
        return close(run, sink, Err(stopped)).await;
    }
    let mut answer = commit(run, sink, Completeness::default()).await?;
    let removed = remove(run, target.of_changes(), &findings.gone).await?;
    note_removals(&mut answer, removed);
    Ok(answer)
}
