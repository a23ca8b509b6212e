//! Parents on their way from the list that finds them to those who read their children: the children of the first parents
//! are read while the list of parents is still coming in.

use std::{collections::HashSet, future::Future, sync::Arc};

use contract::CheckpointEntry;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use uuid::Uuid;

use super::collection::Run;
use crate::{
    graph::SubRequest,
    journal::{Journal, Place, entry},
    stopping::Stopped,
};

/// Batches of parents that may wait for their children to be read.
const WAITING_BATCHES: usize = 64;

/// An object whose children are to be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Parent {
    pub id: Uuid,
    pub name: Option<String>,
    /// Only somebody with a further permission sees its members.
    pub has_hidden_members: bool,
}

/// What the readers of children get.
#[derive(Debug)]
enum Fed {
    /// As many parents as fit a batch.
    Parents(Vec<Parent>),
    /// The list of parents was read to its end. Without this it was not.
    End,
}

/// The end at which parents are found.
#[derive(Debug)]
pub(crate) struct Feeder {
    /// The stream of the run's checkpoint that has the parents whose children are not read yet.
    stream: String,
    sender: mpsc::Sender<Fed>,
    waiting: Vec<Parent>,
    /// How many of those who wait are in the checkpoint.
    noted: usize,
    /// Parents whose children an earlier attempt read, where the list is read again.
    done: Option<HashSet<Uuid>>,
}

/// The end at which their children are read.
#[derive(Debug)]
pub(crate) struct Feed {
    stream: String,
    /// What is remembered of a parent whose children were read.
    done: Value,
    receiver: mpsc::Receiver<Fed>,
}

/// A way for parents of this kind. Those that an earlier attempt of the run found and did not finish come first.
pub(crate) fn feed(run: &Run, kind: &str) -> (Feeder, Feed) {
    let stream = format!("parents:{kind}");
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    let waiting: Vec<Parent> = run
        .journal
        .all_left(&stream)
        .filter_map(|(_, value)| Parent::deserialize(value).ok())
        .collect();
    let feeder = Feeder {
        stream: stream.clone(),
        sender,
        noted: waiting.len(),
        waiting,
        done: None,
    };
    let feed = Feed {
        stream,
        done: Value::Null,
        receiver,
    };
    (feeder, feed)
}

/// A way for parents of a list that every attempt of the run reads from its beginning: those whose children an earlier
/// attempt has read are left out.
pub(crate) fn feed_of_list_read_again(run: &Run, kind: &str) -> (Feeder, Feed) {
    let stream = format!("done:{kind}");
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    let done = run
        .journal
        .all_left(&stream)
        .filter_map(|(key, _)| Uuid::parse_str(key).ok())
        .collect();
    let feeder = Feeder {
        stream: stream.clone(),
        sender,
        noted: 0,
        waiting: Vec::new(),
        done: Some(done),
    };
    let feed = Feed {
        stream,
        done: Value::Bool(true),
        receiver,
    };
    (feeder, feed)
}

impl Feeder {
    /// A parent was found. Each may be found once.
    pub fn push(&mut self, parent: Parent) {
        let is_done = self
            .done
            .as_ref()
            .is_some_and(|done| done.contains(&parent.id));
        if !is_done {
            self.waiting.push(parent);
        }
    }

    /// The parents that came since the last time, for the run's checkpoint. Pass them on when they are saved.
    pub fn entries(&mut self) -> Vec<CheckpointEntry> {
        if self.done.is_some() {
            return Vec::new();
        }
        let new = &self.waiting[self.noted..];
        let entries = new.iter().map(|parent| {
            let value = serde_json::to_value(parent).expect("ids and texts are JSON");
            entry(self.stream.clone(), parent.id.to_string(), value)
        });
        let entries = entries.collect();
        self.noted = self.waiting.len();
        entries
    }

    /// Passes on the parents that fill batches.
    pub async fn pass_full(&mut self) {
        while self.waiting.len() >= SubRequest::PER_BATCH {
            let full: Vec<Parent> = self.waiting.drain(..SubRequest::PER_BATCH).collect();
            self.noted = self.noted.saturating_sub(full.len());
            self.send(Fed::Parents(full)).await;
        }
    }

    /// Passes on all that is left. `is_whole` tells whether the list of parents was read to its end.
    pub async fn end(mut self, is_whole: bool) {
        self.pass_full().await;
        if !self.waiting.is_empty() {
            let rest = std::mem::take(&mut self.waiting);
            self.send(Fed::Parents(rest)).await;
        }
        if is_whole {
            self.send(Fed::End).await;
        }
    }

    /// Readers that have gone away are no reason to stop the list.
    async fn send(&self, fed: Fed) {
        let _ = self.sender.send(fed).await;
    }
}

/// The receiving end and whether the end of the list was seen.
struct Shared {
    feed: Feed,
    is_whole: bool,
}

/// The name under which it is remembered that parents were given to a feed.
fn given_list(kind: &str) -> String {
    format!("{kind} to read")
}

impl Feed {
    /// Did an earlier attempt of the run give this feed its parents?
    pub fn was_given(run: &Run, kind: &str) -> bool {
        run.journal.place(&given_list(kind)).is_some()
    }

    /// Parents that are all known already, for children that every attempt of the run reads again.
    pub fn unremembered(parents: Vec<Parent>, is_whole: bool) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
        let feeder = Feeder {
            stream: String::new(),
            sender,
            noted: parents.len(),
            waiting: parents,
            done: None,
        };
        tokio::spawn(feeder.end(is_whole));
        Self {
            stream: String::new(),
            done: Value::Null,
            receiver,
        }
    }

    /// Parents that are all known already. Of those that an earlier attempt was given, the ones it finished are left out.
    pub async fn of(
        run: &Run,
        kind: &str,
        parents: Vec<Parent>,
        is_whole: bool,
    ) -> Result<Self, Stopped> {
        let (mut feeder, feed) = feed(run, kind);
        let list = given_list(kind);
        if run.journal.place(&list).is_none() {
            feeder.waiting.clear();
            feeder.noted = 0;
            for parent in parents {
                feeder.push(parent);
            }
            let mut entries = feeder.entries();
            let place = Place {
                next: None,
                state: Value::Null,
                sessions: Vec::new(),
            };
            entries.push(Journal::place_entry(&list, &place));
            run.save(entries).await?;
        }
        tokio::spawn(feeder.end(is_whole));
        Ok(feed)
    }

    /// All parents at once, and whether the list of them was read to its end. None of them counts as read.
    pub async fn all(mut self) -> (Vec<Parent>, bool) {
        let mut all = Vec::new();
        while let Some(fed) = self.receiver.recv().await {
            match fed {
                Fed::Parents(parents) => all.extend(parents),
                Fed::End => return (all, true),
            }
        }
        (all, false)
    }

    /// Reads the children of all parents with several tasks at once; true when all parents are known and everything came to
    /// its end. `land` answers when what was read before the call has landed, with what is to be remembered; the parents
    /// are then forgotten. Reading goes on meanwhile, so the register is asked as often as it can answer and no more often.
    pub async fn read<F, Reading, L, Landing>(
        self,
        run: &Arc<Run>,
        tasks: usize,
        read: F,
        land: L,
    ) -> bool
    where
        F: Fn(Arc<Run>, Vec<Parent>) -> Reading + Clone + Send + 'static,
        Reading: Future<Output = ()> + Send,
        L: Fn() -> Landing,
        Landing: Future<Output = Result<Vec<CheckpointEntry>, Stopped>>,
    {
        let tasks = tasks.max(1);
        let (stream, mark) = (self.stream.clone(), self.done.clone());
        let shared = Arc::new(Mutex::new(Shared {
            feed: self,
            is_whole: false,
        }));
        // A register that lags behind makes the readers wait: what waits here is read again by whoever goes on.
        let (sender, was_read) = mpsc::channel(tasks.div_ceil(2));
        let mut readers = JoinSet::new();
        for _ in 0..tasks {
            let (run, shared, read) = (run.clone(), shared.clone(), read.clone());
            let sender = sender.clone();
            readers.spawn(async move {
                while let Some(parents) = next(&shared).await {
                    let ids: Vec<Uuid> = parents.iter().map(|parent| parent.id).collect();
                    read(run.clone(), parents).await;
                    if sender.send(ids).await.is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let landed = land_all(run, was_read, (&stream, &mark), land).await;
        let mut all_ran = landed.is_ok();
        while let Some(reader) = readers.join_next().await {
            all_ran &= reader.is_ok();
        }
        all_ran && shared.lock().await.is_whole
    }
}

/// Waits for parents that were read, lets what they brought land, and remembers that. One after the other, so that nothing
/// about a parent is remembered later than that it is done.
async fn land_all<L, Landing>(
    run: &Run,
    mut was_read: mpsc::Receiver<Vec<Uuid>>,
    (stream, mark): (&str, &Value),
    land: L,
) -> Result<(), Stopped>
where
    L: Fn() -> Landing,
    Landing: Future<Output = Result<Vec<CheckpointEntry>, Stopped>>,
{
    while let Some(mut parents) = was_read.recv().await {
        while let Ok(more) = was_read.try_recv() {
            parents.extend(more);
        }
        let mut entries = land().await?;
        if !stream.is_empty() {
            let done = parents.into_iter();
            entries.extend(done.map(|id| entry(stream, id.to_string(), mark.clone())));
        }
        run.save(entries).await?;
    }
    Ok(())
}

async fn next(shared: &Mutex<Shared>) -> Option<Vec<Parent>> {
    let mut shared = shared.lock().await;
    match shared.feed.receiver.recv().await? {
        Fed::Parents(parents) => Some(parents),
        Fed::End => {
            shared.is_whole = true;
            None
        }
    }
}
