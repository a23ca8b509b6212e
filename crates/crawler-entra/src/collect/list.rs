//! Reading a list while its records are sent.

use std::future::Future;

use serde_json::Value;
use tokio::sync::mpsc;

use super::collection::{Collection, Run};
use crate::{
    graph::{GraphError, ListEvent, Version},
    stopping::Stopped,
};

/// A list of Graph.
pub(super) struct List<'a> {
    pub version: Version,
    pub relative: &'a str,
}

/// Works on the pages of a list.
pub(super) trait Reader: Send {
    /// Takes a page, or forgets what a list that starts again has counted.
    fn take(&mut self, event: ListEvent) -> impl Future<Output = Result<(), Stopped>> + Send;
}

/// Reads the list to its end. The reader works on a page while the next one loads.
pub(super) async fn read_list(
    run: &Run,
    collection: &Collection,
    list: List<'_>,
    reader: &mut impl Reader,
) -> Result<(), Stopped> {
    let (sender, receiver) = mpsc::channel(1);
    let reading = async move {
        // Moved in, so that the end of the reading closes the channel.
        let sender = sender;
        run.graph
            .read_list(list.version, list.relative, &collection.meter, &sender)
            .await
    };
    let working = async move {
        // Moved in, so that a failure here stops the reading.
        let mut receiver = receiver;
        while let Some(event) = receiver.recv().await {
            reader.take(event).await?;
        }
        Ok::<(), Stopped>(())
    };
    let (read, worked) = tokio::join!(reading, working);
    worked?;
    Ok(read?)
}

/// Keeps everything.
#[derive(Default)]
struct Keep {
    all: Vec<Value>,
}

impl Reader for Keep {
    async fn take(&mut self, event: ListEvent) -> Result<(), Stopped> {
        match event {
            ListEvent::Page(values) => self.all.extend(values),
            ListEvent::Restarted => self.all.clear(),
        }
        Ok(())
    }
}

/// Reads a list that is known to be short, as a whole.
pub(super) async fn read_all(
    run: &Run,
    collection: &Collection,
    list: List<'_>,
) -> Result<Vec<Value>, GraphError> {
    let mut keep = Keep::default();
    match read_list(run, collection, list, &mut keep).await {
        Ok(()) => Ok(keep.all),
        Err(Stopped::Source(error)) => Err(error),
        // Nothing is sent, so the register cannot have refused anything.
        Err(Stopped::Register(_)) => Err(GraphError::Cancelled),
    }
}
