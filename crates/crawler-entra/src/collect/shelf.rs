//! A collection and the scope that its records go to, where one list brings records for several of them.

use contract::{CollectionReport, CollectionStatus, Completeness, IngestAnswer};
use serde::Serialize;
use uuid::Uuid;

use super::collection::{Collection, Ending, Run, close, commit};
use crate::{
    sink::{Sink, Target},
    stopping::Stopped,
};

/// One scope out of a list.
pub(super) struct Shelf<R> {
    pub collection: Collection,
    sink: Sink<R>,
}

impl<R: Serialize> Shelf<R> {
    pub fn new(run: &Run, name: &'static str, permission: &'static str, target: Target) -> Self {
        Self {
            collection: Collection::start(run, name, permission),
            sink: run.sink(target),
        }
    }

    /// Sends records and counts them.
    pub async fn put(&self, records: &[R]) -> Result<(), Stopped> {
        self.sink.push_all(records).await?;
        self.collection.add(records.len() as u64);
        Ok(())
    }

    /// Waits until everything has landed; answers the session that it went to, if there is one.
    pub async fn land(&self) -> Result<Option<Uuid>, Stopped> {
        self.sink.land().await
    }

    /// Waits until everything has landed.
    pub async fn flush(&self) -> Result<(), Stopped> {
        self.sink.flush().await
    }

    /// Commits or gives up, and reports. A list that was read to its end makes the scope complete.
    pub async fn end(self, run: &Run, ended: Result<&(), &Stopped>) -> CollectionReport {
        let closed = close(run, &self.sink, ended).await;
        self.report(ended, closed, (CollectionStatus::Complete, None))
    }

    /// Commits what landed so that nothing can be removed, and says why.
    pub async fn end_incomplete(
        self,
        run: &Run,
        status: CollectionStatus,
        message: String,
    ) -> CollectionReport {
        let committed = commit(run, &self.sink, Completeness::default()).await;
        let doubt = (status, Some(message));
        self.report(Ok(&()), committed, doubt)
    }

    fn report(
        self,
        ended: Result<&(), &Stopped>,
        closed: Result<IngestAnswer, Stopped>,
        (status, message): (CollectionStatus, Option<String>),
    ) -> CollectionReport {
        let is_as_usual = ended.is_err() || closed.is_err();
        let ending = Ending::of(
            ended,
            closed,
            self.collection.read() > 0,
            self.collection.permission(),
        );
        if is_as_usual {
            return self.collection.finish(ending);
        }
        let ending = Ending {
            status,
            message,
            ..ending
        };
        self.collection.finish(ending)
    }
}
