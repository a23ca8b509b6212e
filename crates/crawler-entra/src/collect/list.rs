//! Reading a list while its records are sent.

use std::future::Future;

use contract::CheckpointEntry;
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::collection::{Collection, Run};
use crate::{
    graph::{GraphError, ListEvent, Unparsed, Version},
    journal::{Journal, Place},
    stopping::Stopped,
};

/// Objects that are parsed at once.
const PORTION: usize = 25;

/// A list of Graph.
pub(super) struct List<'a> {
    pub version: Version,
    pub relative: &'a str,
}

/// Works on the pages of a list.
pub(super) trait Reader: Send {
    /// Takes objects of a page, which come in portions.
    fn take(&mut self, objects: Vec<Value>) -> impl Future<Output = Result<(), Stopped>> + Send;

    /// The list starts again: forgets what was counted, not what was passed on.
    fn restart(&mut self);

    /// Waits until what was taken has landed, and tells what is to be remembered of it. None where the list can only be
    /// read as a whole, because its records are sent at its end.
    fn land(&mut self) -> impl Future<Output = Result<Option<Landed>, Stopped>> + Send;

    /// Goes on after an earlier attempt: `state` is what [`land`](Self::land) told there last.
    fn go_on(&mut self, state: &Value);

    /// What was taken is remembered; whoever waits for it may have it now.
    fn landed(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What is to be remembered about the pages that have landed.
pub(super) struct Landed {
    /// What the reader needs to go on.
    pub state: Value,
    /// The sessions that the records went to.
    pub sessions: Vec<Uuid>,
    /// What else was found there.
    pub entries: Vec<CheckpointEntry>,
}

impl List<'_> {
    /// The name of the list's place in the run's checkpoint.
    fn place_name(&self, collection: &Collection) -> String {
        let path = self.relative.split('?').next().unwrap_or("");
        format!("{} {path}", collection.name())
    }
}

/// Reads the list to its end. The next page loads while what came with the last one lands. What an earlier attempt of this run has
/// read is not read again.
pub(super) async fn read_list(
    run: &Run,
    collection: &Collection,
    list: List<'_>,
    reader: &mut impl Reader,
) -> Result<(), Stopped> {
    let name = list.place_name(collection);
    let place = run.journal.place(&name);
    if let Some(place) = &place {
        reader.go_on(&place.state);
        if place.next.is_none() {
            reader.landed().await;
            return Ok(());
        }
    }
    let from = place.and_then(|place| place.next);
    let (sender, receiver) = mpsc::channel(1);
    let reading = async move {
        // Moved in, so that the end of the reading closes the channel.
        let sender = sender;
        run.graph
            .read_list(
                list.version,
                list.relative,
                from.as_deref(),
                &collection.meter,
                &sender,
            )
            .await
    };
    let (read, worked) = tokio::join!(reading, work(run, &name, receiver, reader));
    worked?;
    Ok(read?)
}

/// Takes the pages, one after the other; moved in, so that a failure here stops the reading.
async fn work(
    run: &Run,
    name: &str,
    mut events: mpsc::Receiver<ListEvent>,
    reader: &mut impl Reader,
) -> Result<(), Stopped> {
    while let Some(event) = events.recv().await {
        let ListEvent::Page {
            objects,
            next,
            turn,
        } = event
        else {
            reader.restart();
            continue;
        };
        take_all(reader, objects).await?;
        drop(turn);
        if !run.journal.is_kept() {
            reader.landed().await;
            continue;
        }
        if let Some(landed) = reader.land().await? {
            let place = Place {
                next,
                state: landed.state,
                sessions: landed.sessions,
            };
            // The place comes last: it says that everything before it is there.
            let mut entries = landed.entries;
            entries.push(Journal::place_entry(name, &place));
            run.save(entries).await?;
        }
        reader.landed().await;
    }
    Ok(())
}

/// Parses the objects of a page and passes them on, some at a time: parsed they are large.
async fn take_all(reader: &mut impl Reader, objects: Vec<Unparsed>) -> Result<(), Stopped> {
    let mut objects = objects.into_iter();
    loop {
        let portion: Result<Vec<Value>, GraphError> = objects
            .by_ref()
            .take(PORTION)
            .map(Unparsed::parse)
            .collect();
        reader.take(portion?).await?;
        if objects.len() == 0 {
            return Ok(());
        }
    }
}

/// Keeps what is made of every object.
struct Keep<T, F> {
    map: F,
    all: Vec<T>,
}

impl<T: Send, F: Fn(Value) -> T + Send + Sync> Reader for Keep<T, F> {
    async fn take(&mut self, objects: Vec<Value>) -> Result<(), Stopped> {
        self.all.extend(objects.into_iter().map(&self.map));
        Ok(())
    }

    fn restart(&mut self) {
        self.all.clear();
    }

    async fn land(&mut self) -> Result<Option<Landed>, Stopped> {
        Ok(None)
    }

    fn go_on(&mut self, _state: &Value) {}
}

/// Reads a list as a whole, and keeps of each object what `map` makes of it.
pub(super) async fn read_all<T: Send>(
    run: &Run,
    collection: &Collection,
    list: List<'_>,
    map: impl Fn(Value) -> T + Send + Sync,
) -> Result<Vec<T>, GraphError> {
    let mut keep = Keep {
        map,
        all: Vec::new(),
    };
    match read_list(run, collection, list, &mut keep).await {
        Ok(()) => Ok(keep.all),
        Err(Stopped::Source(error)) => Err(error),
        // Nothing is sent, so the register cannot have refused anything.
        Err(Stopped::Register(_)) => Err(GraphError::Cancelled),
    }
}

/// A count out of a remembered state. One that is not there counts as one too many: what could not be read must never be
/// taken for read.
pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(1)
}
