//! Lists whose objects are records: sent as they come, or kept until it is known which time window a row shows.

use contract::{CollectionReport, Completeness, IngestAnswer, records::ResourceAssignment};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    collection::{Collection, Run, commit, conclude, end_shared, push_windows},
    list::{Landed, List, Reader, number, read_list},
};
use crate::{
    graph::{GraphError, Version},
    mapping::{Mapped, Windows},
    sink::Sink,
    stopping::Stopped,
};

/// Sends records as they come.
struct RecordReader<'a, R, F> {
    collection: &'a Collection,
    sink: &'a Sink<R>,
    map: &'a F,
    has_unreadable: bool,
}

impl<R, F> Reader for RecordReader<'_, R, F>
where
    R: Serialize + Send + Sync,
    F: Fn(Value) -> Mapped<R> + Sync,
{
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        let mut records = Vec::with_capacity(values.len());
        for value in values {
            match (self.map)(value) {
                Mapped::Record(record) => records.push(*record),
                Mapped::Echo => {}
                Mapped::Unreadable => self.has_unreadable = true,
            }
        }
        self.sink.push_all(&records).await?;
        self.collection.add(records.len() as u64);
        Ok(())
    }

    fn restart(&mut self) {
        self.has_unreadable = false;
        self.collection.restart();
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        let session = self.sink.land().await?;
        let unreadable = u64::from(self.has_unreadable);
        Ok(Some(Landed {
            state: json!({"read": self.collection.read(), "unreadable": unreadable}),
            sessions: session.into_iter().collect(),
            entries: Vec::new(),
        }))
    }

    fn go_on(&mut self, state: &Value) {
        self.has_unreadable = number(&state["unreadable"]) > 0;
        self.collection.add(number(&state["read"]));
    }
}

/// Reads a list of version 1.0 and sends its records. `message` is asked for when everything has been read.
pub(super) async fn record_list<R: Serialize + Send + Sync>(
    run: &Run,
    collection: Collection,
    sink: &Sink<R>,
    relative: &str,
    map: impl Fn(Value) -> Mapped<R> + Sync,
    message: impl FnOnce() -> Option<String>,
) -> CollectionReport {
    let read = read_records(run, &collection, sink, relative, map).await;
    end_shared(run, collection, sink, &read, message()).await
}

/// Sends the records of a list that was read as a whole, and tells how its reading ended.
pub(super) async fn send_whole<R: Serialize>(
    run: &Run,
    collection: Collection,
    sink: &Sink<R>,
    (records, read): (&[R], Result<(), Stopped>),
    message: Option<String>,
) -> CollectionReport {
    let sent = sink.push_all(records).await;
    collection.add(records.len() as u64);
    end_shared(run, collection, sink, &read.and(sent), message).await
}

/// The same as [`record_list`] for a list of events: what the source no longer lists did happen, and stays in the register. Records land whole,
/// as in any full load, so that what was cleared is cleared; only the commit never says that they are all there is.
pub(super) async fn history_list<R: Serialize + Send + Sync>(
    run: &Run,
    collection: Collection,
    sink: &Sink<R>,
    relative: &str,
    map: impl Fn(Value) -> Mapped<R> + Sync,
    message: impl FnOnce() -> Option<String>,
) -> CollectionReport {
    let read = read_records(run, &collection, sink, relative, map).await;
    let message = message();
    if read.is_err() {
        return end_shared(run, collection, sink, &read, message).await;
    }
    let committed = commit(run, sink, Completeness::default()).await;
    let answer = committed.map(without_skipped_removals);
    conclude(collection, Ok(&()), answer, message)
}

/// That nothing was removed is no news where nothing ever is.
fn without_skipped_removals(answer: IngestAnswer) -> IngestAnswer {
    IngestAnswer {
        removals_skipped: None,
        ..answer
    }
}

/// Sends the records of a list of version 1.0 as they come.
pub(super) async fn read_records<R: Serialize + Send + Sync>(
    run: &Run,
    collection: &Collection,
    sink: &Sink<R>,
    relative: &str,
    map: impl Fn(Value) -> Mapped<R> + Sync,
) -> Result<(), Stopped> {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut reader = RecordReader {
        collection,
        sink,
        map: &map,
        has_unreadable: false,
    };
    let read = read_list(run, collection, list, &mut reader).await;
    refuse_unreadable(read, reader.has_unreadable)
}

/// Keeps the rows of a list of time windows: which window a row shows is known at the end of the list.
struct WindowReader<'a, F> {
    collection: &'a Collection,
    map: &'a F,
    windows: Windows<ResourceAssignment>,
    has_unreadable: bool,
}

impl<F> Reader for WindowReader<'_, F>
where
    F: Fn(Value) -> Mapped<ResourceAssignment> + Sync,
{
    async fn take(&mut self, values: Vec<Value>) -> Result<(), Stopped> {
        let before = self.windows.read();
        for value in values {
            match (self.map)(value) {
                Mapped::Record(record) => self.windows.take(&record),
                Mapped::Echo => {}
                Mapped::Unreadable => self.has_unreadable = true,
            }
        }
        self.collection.add(self.windows.read() - before);
        Ok(())
    }

    fn restart(&mut self) {
        self.has_unreadable = false;
        self.windows = Windows::default();
        self.collection.restart();
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        Ok(None)
    }

    fn go_on(&mut self, _state: &Value) {}
}

/// Reads a list of time windows, of assignments or of eligibility, and sends a record per row.
pub(super) async fn window_list(
    run: &Run,
    collection: Collection,
    sink: &Sink<ResourceAssignment>,
    relative: &str,
    map: impl Fn(Value) -> Mapped<ResourceAssignment> + Sync,
    message: impl FnOnce() -> Option<String>,
) -> CollectionReport {
    let list = List {
        version: Version::V1,
        relative,
    };
    let mut reader = WindowReader {
        collection: &collection,
        map: &map,
        windows: Windows::default(),
        has_unreadable: false,
    };
    let read = read_list(run, &collection, list, &mut reader).await;
    let WindowReader {
        windows,
        has_unreadable,
        ..
    } = reader;
    let read = push_windows(sink, windows, refuse_unreadable(read, has_unreadable)).await;
    end_shared(run, collection, sink, &read, message()).await
}

fn refuse_unreadable(read: Result<(), Stopped>, has_unreadable: bool) -> Result<(), Stopped> {
    match read {
        Ok(()) if has_unreadable => Err(Stopped::Source(GraphError::LimitedObjects)),
        read => read,
    }
}
