//! Parents on their way from the list that finds them to those who read their children: the children of the first parents
//! are read while the list of parents is still coming in.

use std::{future::Future, sync::Arc};

use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use uuid::Uuid;

use super::collection::Run;
use crate::graph::SubRequest;

/// Batches of parents that may wait for their children to be read.
const WAITING_BATCHES: usize = 64;

/// An object whose children are to be read.
#[derive(Debug, Clone)]
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
    sender: mpsc::Sender<Fed>,
    waiting: Vec<Parent>,
}

/// The end at which their children are read.
#[derive(Debug)]
pub(crate) struct Feed(mpsc::Receiver<Fed>);

/// A way for parents.
pub(crate) fn feed() -> (Feeder, Feed) {
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    let feeder = Feeder {
        sender,
        waiting: Vec::new(),
    };
    (feeder, Feed(receiver))
}

impl Feeder {
    /// A parent was found. Each may be found once.
    pub fn push(&mut self, parent: Parent) {
        self.waiting.push(parent);
    }

    /// Passes on the parents that fill batches.
    pub async fn pass_full(&mut self) {
        while self.waiting.len() >= SubRequest::PER_BATCH {
            let full = self.waiting.drain(..SubRequest::PER_BATCH).collect();
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

impl Feed {
    /// Parents that are all known already.
    pub fn of(parents: Vec<Parent>, is_whole: bool) -> Self {
        let (mut feeder, feed) = feed();
        for parent in parents {
            feeder.push(parent);
        }
        tokio::spawn(feeder.end(is_whole));
        feed
    }

    /// Reads the children of all parents with several tasks at once; true when all parents are known and every task came
    /// to its end.
    pub async fn read<F, Reading>(self, run: &Arc<Run>, tasks: usize, read: F) -> bool
    where
        F: Fn(Arc<Run>, Vec<Parent>) -> Reading + Clone + Send + 'static,
        Reading: Future<Output = ()> + Send,
    {
        let shared = Arc::new(Mutex::new(Shared {
            feed: self,
            is_whole: false,
        }));
        let mut readers = JoinSet::new();
        for _ in 0..tasks.max(1) {
            let (run, shared, read) = (run.clone(), shared.clone(), read.clone());
            readers.spawn(async move {
                while let Some(parents) = next(&shared).await {
                    read(run.clone(), parents).await;
                }
            });
        }
        let mut all_ran = true;
        while let Some(reader) = readers.join_next().await {
            all_ran &= reader.is_ok();
        }
        all_ran && shared.lock().await.is_whole
    }
}

async fn next(shared: &Mutex<Shared>) -> Option<Vec<Parent>> {
    let mut shared = shared.lock().await;
    match shared.feed.0.recv().await? {
        Fed::Parents(parents) => Some(parents),
        Fed::End => {
            shared.is_whole = true;
            None
        }
    }
}
