//! Sweeps: the children of all parents out of the list of parents, with the relation expanded, instead of one list for each.
//!
//! Graph expands at most twenty objects and does not say when there are more. So a sweep settles only parents that showed
//! fewer; all others are read one by one, as without a sweep. A sweep is believed only as far as it can be checked: some of
//! the parents that it settled are read one by one as well, and when any of them has other children, nothing is settled.
//!
//! What a sweep settles is not remembered for whoever goes on with the run: every attempt sweeps again, which is a page for
//! two hundred parents.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use contract::CheckpointEntry;
use serde::Deserialize as _;
use serde_json::Value;
use uuid::Uuid;

use super::{
    super::{
        feed::{Parent, feed_of_list_read_again},
        list::{Landed, List, Reader, read_list},
    },
    ChildReader, is_about_all,
};
use crate::{
    collect::Run,
    graph::{GraphError, Page, SubRequest, Version},
    mapping::{Mapped, Row},
    stopping::Stopped,
};

/// As many objects of a relation as Graph expands.
const MOST_EXPANDED: usize = 20;

/// Parents in a page. With more, Graph has run into time-outs.
const LARGEST_PAGE: u32 = 200;

/// Parents that are read one by one to check a sweep: those with the most children, and some without any.
const FULLEST_CHECKED: usize = 15;
const EMPTY_CHECKED: usize = SubRequest::PER_BATCH - FULLEST_CHECKED;

/// A relation of the objects of a list.
#[derive(Debug, Clone, Copy)]
pub(in crate::collect) struct Sweep {
    /// The list of parents.
    pub list: &'static str,
    pub relation: &'static str,
    /// What is asked of the children.
    pub select: &'static str,
    /// Children are of several kinds, and each says of which.
    pub has_kinds: bool,
}

impl Sweep {
    fn address(&self, page_size: u32) -> String {
        let Self {
            list,
            relation,
            select,
            ..
        } = self;
        format!("{list}?$select=id&$expand={relation}($select={select})&$top={page_size}")
    }
}

/// The parents whose children a sweep has brought, all of them.
#[derive(Debug, Default)]
pub(in crate::collect) struct Swept {
    settled: HashSet<Uuid>,
}

impl Swept {
    /// Are the children of this parent known?
    pub fn has(&self, parent: Uuid) -> bool {
        self.settled.contains(&parent)
    }
}

/// The keys of a parent's rows.
type Keys<R> = HashSet<<R as Row>::Key>;

/// Reads the pages of a sweep.
struct Sweeper<'a, R: Row> {
    reader: &'a ChildReader<R>,
    sweep: Sweep,
    settled: HashSet<Uuid>,
    records: u64,
    /// Parents to be checked, and what was shown of them.
    fullest: HashMap<Uuid, Keys<R>>,
    empty: Vec<Uuid>,
}

impl<R: Row> Sweeper<'_, R> {
    /// The parent and all of its children, if these are all.
    fn whole(&self, mut object: Value) -> Option<(Parent, Vec<Value>)> {
        let id = Uuid::parse_str(object.get("id")?.as_str()?).ok()?;
        let fields = object.as_object_mut()?;
        let Sweep {
            relation,
            has_kinds,
            ..
        } = self.sweep;
        // A relation that is not shown is not an empty one.
        let Some(Value::Array(children)) = fields.remove(relation) else {
            return None;
        };
        let has_more = fields.contains_key(&format!("{relation}@odata.nextLink"));
        let has_kind = |child: &Value| child.get("@odata.type").is_some_and(Value::is_string);
        let is_whole = children.len() < MOST_EXPANDED
            && !has_more
            && (!has_kinds || children.iter().all(has_kind));
        let parent = Parent {
            id,
            name: None,
            has_hidden_members: false,
        };
        is_whole.then_some((parent, children))
    }

    /// Keeps what was shown of a parent, if it is one of those to be checked.
    fn keep_to_check(&mut self, parent: Uuid, keys: Keys<R>) {
        if keys.is_empty() {
            if self.empty.len() < EMPTY_CHECKED {
                self.empty.push(parent);
            }
            return;
        }
        if self.fullest.len() < FULLEST_CHECKED {
            self.fullest.insert(parent, keys);
            return;
        }
        let least = self.fullest.iter().min_by_key(|(_, kept)| kept.len());
        let Some((least, size)) = least.map(|(id, kept)| (*id, kept.len())) else {
            return;
        };
        if size < keys.len() {
            self.fullest.remove(&least);
            self.fullest.insert(parent, keys);
        }
    }

    fn take_one(&mut self, object: Value) -> Vec<R> {
        let Some((parent, children)) = self.whole(object) else {
            return Vec::new();
        };
        if self.settled.contains(&parent.id) {
            return Vec::new();
        }
        let Some(records) = self.reader.records_of(&parent, children) else {
            return Vec::new();
        };
        self.settled.insert(parent.id);
        let keys = records.iter().map(Row::row_key).collect();
        self.keep_to_check(parent.id, keys);
        records
    }
}

impl<R: Row> Reader for Sweeper<'_, R> {
    async fn take(&mut self, objects: Vec<Value>) -> Result<(), Stopped> {
        let mut records = Vec::new();
        for object in objects {
            records.extend(self.take_one(object));
        }
        self.reader.sink.push_all(&records).await?;
        self.records += records.len() as u64;
        Ok(())
    }

    fn restart(&mut self) {
        // What was settled is not sent again, so it stays.
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        Ok(None)
    }

    fn go_on(&mut self, _state: &Value) {}
}

impl<R: Row> ChildReader<R> {
    /// Sweeps. What it does not settle, for whatever reason, is to be read one by one.
    pub async fn sweep(&self, run: &Run, sweep: Sweep) -> Swept {
        let mut sweeper = Sweeper {
            reader: self,
            sweep,
            settled: HashSet::new(),
            records: 0,
            fullest: HashMap::new(),
            empty: Vec::new(),
        };
        let relative = sweep.address(run.config.tuning.page_size.min(LARGEST_PAGE));
        let list = List {
            version: Version::V1,
            relative: &relative,
        };
        let (of, relation) = (self.list.of, sweep.relation);
        if let Err(stopped) = read_list(run, &self.collection, list, &mut sweeper).await {
            if is_about_all(&stopped) {
                self.end(stopped);
                return Swept::default();
            }
            self.remark(format!(
                "the sweep for {relation} broke off ({stopped}), so what it had not shown was left to be read {of} by {of}"
            ));
        }
        if let Some(wrong) = self.wrongly_shown(run, &sweeper).await {
            self.remark(format!(
                "the sweep for {relation} showed others than {of} {wrong} has, so all was left to be read {of} by {of}"
            ));
            return Swept::default();
        }
        let Sweeper {
            settled, records, ..
        } = sweeper;
        self.swept.store(records, Ordering::Relaxed);
        self.collection.add(records);
        self.remark(format!("a sweep settled {} of the {of}s", settled.len()));
        Swept { settled }
    }

    /// A parent that has other children than were shown, among those that are checked.
    async fn wrongly_shown(&self, run: &Run, sweeper: &Sweeper<'_, R>) -> Option<Uuid> {
        let nothing = HashSet::new();
        let shown: Vec<(Uuid, &Keys<R>)> = sweeper
            .fullest
            .iter()
            .map(|(id, keys)| (*id, keys))
            .chain(sweeper.empty.iter().map(|id| (*id, &nothing)))
            .collect();
        if shown.is_empty() {
            return None;
        }
        let page_size = run.config.tuning.page_size;
        let requests: Vec<SubRequest> = shown
            .iter()
            .map(|(parent, _)| SubRequest {
                url: (self.address)(*parent, page_size),
                estimate: self.list.estimate,
            })
            .collect();
        let meter = &self.collection.meter;
        let answers = run.graph.batch(self.list.version, &requests, meter).await;
        // What cannot be read by itself (it is gone, it is poison) tells nothing.
        let answers = answers.ok()?;
        let differs = |((parent, keys), answer): (&(Uuid, &Keys<R>), Result<Value, GraphError>)| {
            let page = Page::deserialize(answer.ok()?).ok()?;
            if page.next_link.is_some() {
                return None;
            }
            let parent = Parent {
                id: *parent,
                name: None,
                has_hidden_members: false,
            };
            let found = self.mapped(&parent, page.value)?;
            let found: Keys<R> = found.iter().map(Row::row_key).collect();
            (found != **keys).then_some(parent.id)
        };
        shown.iter().zip(answers).find_map(differs)
    }

    /// The records of all children of a parent, each row once; `None` when one of them is not readable.
    fn records_of(&self, parent: &Parent, children: Vec<Value>) -> Option<Vec<R>> {
        let records = self.mapped(parent, children)?;
        if let Some(look) = &self.observer {
            for record in &records {
                look(parent, record);
            }
        }
        Some(records)
    }

    fn mapped(&self, parent: &Parent, children: Vec<Value>) -> Option<Vec<R>> {
        let (mut records, mut seen) = (Vec::with_capacity(children.len()), HashSet::new());
        for child in children {
            match (self.map)(parent, child) {
                Mapped::Record(record) => {
                    if seen.insert(record.row_key()) {
                        records.push(*record);
                    }
                }
                Mapped::Echo => {}
                Mapped::Unreadable => return None,
            }
        }
        Some(records)
    }

    fn remark(&self, remark: String) {
        self.outcome().remarks.push(remark);
    }
}

/// Reads the children of these parents by themselves, twenty to a batch, as [`Feed::read`](super::super::feed::Feed::read)
/// does: for what no sweep of this `name` has settled. What an earlier attempt of the run has read is not read again.
pub(in crate::collect) async fn read_rest<'a, F, Reading, L, Landing>(
    run: &Arc<Run>,
    name: &str,
    (parents, is_whole): (impl Iterator<Item = &'a Parent>, bool),
    read: F,
    land: L,
) -> bool
where
    F: Fn(Arc<Run>, Vec<Parent>) -> Reading + Clone + Send + 'static,
    Reading: Future<Output = ()> + Send,
    L: Fn() -> Landing,
    Landing: Future<Output = Result<Vec<CheckpointEntry>, Stopped>>,
{
    let (mut feeder, feed) = feed_of_list_read_again(run, &format!("{name}, not swept"));
    let mut seen = HashSet::new();
    for parent in parents.filter(|parent| seen.insert(parent.id)) {
        feeder.push(parent.clone());
    }
    let tasks = run.config.tuning.in_flight;
    let (all_read, ()) = tokio::join!(feed.read(run, tasks, read, land), feeder.end(is_whole));
    all_read
}

/// What is read of the parents, and where its reader is; there is none where it is not wanted.
pub(in crate::collect) type ReaderOf<H, R> = fn(&H) -> Option<&ChildReader<R>>;

/// Sweeps, if that is wanted.
pub(in crate::collect) async fn sweep<H, R: Row>(
    run: &Run,
    readers: &H,
    reader: ReaderOf<H, R>,
    relation: Sweep,
) -> Swept {
    match reader(readers) {
        Some(reader) => reader.sweep(run, relation).await,
        None => Swept::default(),
    }
}

/// Reads the children of those parents that were not swept. True when nothing is missing.
pub(in crate::collect) async fn read_unswept<H, R>(
    run: &Arc<Run>,
    readers: &Arc<H>,
    reader: ReaderOf<H, R>,
    swept: &Swept,
    (parents, is_whole): (&[Parent], bool),
) -> bool
where
    H: Send + Sync + 'static,
    R: Row,
{
    let Some(own) = reader(readers) else {
        return is_whole;
    };
    let rest = parents.iter().filter(|parent| !swept.has(parent.id));
    let shared = readers.clone();
    let read = move |run: Arc<Run>, parents: Vec<Parent>| {
        let readers = shared.clone();
        async move {
            if let Some(reader) = reader(&readers) {
                reader.read(&run, &parents).await;
            }
        }
    };
    let name = own.collection.name();
    read_rest(run, name, (rest, is_whole), read, || own.land()).await
}
