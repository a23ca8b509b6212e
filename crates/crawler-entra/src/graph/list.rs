//! Reading a list to its end: page by page, never in circles, from the start again when its page token expires.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use contract::Recovered;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use url::Url;

use super::{
    Answered, Fault, Graph, GraphError, Meter, Version,
    client::{Outgoing, needs_index},
};

/// Times that a list may start again.
const MAX_RESTARTS: u32 = 5;

/// Pages without a single object that a list may have in a row. Graph sends empty pages, but not for ever.
const MAX_EMPTY_PAGES: u32 = 500;

/// A page as Graph sends it. An answer without `value` is no page.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub value: Vec<Value>,
    #[serde(rename = "@odata.nextLink")]
    pub next_link: Option<String>,
}

impl Answered for Page {
    fn pages(&self) -> u64 {
        1
    }
}

/// How often a list has begun again, and why.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    count: u32,
    faults: Recovered,
}

impl Restarts {
    /// May the list begin again after this error? It counts as begun again then.
    pub fn allow(&mut self, error: &GraphError) -> bool {
        let fault = match error {
            GraphError::ExpiredPageToken => Fault::ExpiredPageToken,
            GraphError::PagingLoop => Fault::PagingLoop,
            _ => return false,
        };
        let is_allowed = self.count < MAX_RESTARTS;
        if is_allowed {
            self.count += 1;
            fault.add_to(&mut self.faults);
        }
        is_allowed
    }

    /// The list came to its end after all, if it did.
    pub fn end<T, E>(self, ended: &Result<T, E>, meter: &Meter) {
        if ended.is_ok() {
            meter.got_over(self.faults);
        }
    }
}

/// What the reader of a list gets.
#[derive(Debug)]
pub(crate) enum ListEvent {
    Page {
        objects: Vec<Value>,
        /// Where the next page is; absent at the end of the list.
        next: Option<String>,
        /// The next page is asked for when this is dropped.
        turn: OwnedSemaphorePermit,
    },
    /// The list starts from the beginning; what came so far may come again.
    Restarted,
}

/// Follows the next links of one list and notices when they lead nowhere.
#[derive(Debug, Default)]
pub(crate) struct NextLink {
    seen: HashSet<u64>,
    empty_pages: u32,
}

impl NextLink {
    /// The address after this page; `None` at the end of the list.
    pub fn after(&mut self, graph: &Graph, page: &Page) -> Result<Option<Url>, GraphError> {
        let Some(link) = &page.next_link else {
            return Ok(None);
        };
        let url = graph.origin.own_link(link)?;
        self.empty_pages = if page.value.is_empty() {
            self.empty_pages + 1
        } else {
            0
        };
        let mut hasher = DefaultHasher::new();
        link.hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) || self.empty_pages > MAX_EMPTY_PAGES {
            return Err(GraphError::PagingLoop);
        }
        Ok(Some(url))
    }
}

impl Graph {
    /// Reads a list to its end and sends its pages to `reader`; the next page loads when a page's turn is over. `Ok` means
    /// that the end was reached. The reader may go away early. `from` is the page to begin with where an earlier attempt
    /// read those before it.
    pub async fn read_list(
        &self,
        version: Version,
        relative: &str,
        from: Option<&str>,
        meter: &Meter,
        reader: &mpsc::Sender<ListEvent>,
    ) -> Result<(), GraphError> {
        let mut restarts = Restarts::default();
        let is_eventual = self.is_eventual(version, relative)?;
        let mut begin = from.map(|link| self.origin.own_link(link)).transpose()?;
        loop {
            let first = match begin.take() {
                Some(link) => link,
                None => self.origin.address(version, relative)?,
            };
            match self.read_pages(first, is_eventual, meter, reader).await {
                Err(error) if restarts.allow(&error) => {
                    if reader.send(ListEvent::Restarted).await.is_err() {
                        return Err(GraphError::Cancelled);
                    }
                }
                ended => {
                    restarts.end(&ended, meter);
                    return ended;
                }
            }
        }
    }

    async fn read_pages(
        &self,
        first: Url,
        is_eventual: bool,
        meter: &Meter,
        reader: &mpsc::Sender<ListEvent>,
    ) -> Result<(), GraphError> {
        let mut links = NextLink::default();
        let mut url = first;
        // Pages are large, and many lists are read at once: a page is asked for when the one before it was taken.
        let turns = Arc::new(Semaphore::new(1));
        loop {
            let turn = turns.clone().acquire_owned().await;
            let (Ok(turn), Ok(place)) = (turn, reader.reserve().await) else {
                return Err(GraphError::Cancelled);
            };
            let page = self.page(url, is_eventual, meter).await?;
            let next = links.after(self, &page);
            place.send(ListEvent::Page {
                objects: page.value,
                next: page.next_link,
                turn,
            });
            match next? {
                Some(next) => url = next,
                None => return Ok(()),
            }
        }
    }

    /// Reads a list that is known to be short, at most so many pages of it.
    pub async fn short_list(
        &self,
        version: Version,
        relative: &str,
        most_pages: usize,
        meter: &Meter,
    ) -> Result<Vec<Value>, GraphError> {
        let mut links = NextLink::default();
        let mut url = self.origin.address(version, relative)?;
        let is_eventual = needs_index(&url);
        let mut objects = Vec::new();
        for _ in 0..most_pages {
            let page = self.page(url, is_eventual, meter).await?;
            let next = links.after(self, &page)?;
            objects.extend(page.value);
            match next {
                Some(next) => url = next,
                None => return Ok(objects),
            }
        }
        Err(GraphError::PagingLoop)
    }

    /// One page at an address that Graph gave. Whether the list is an advanced query is for the caller to remember.
    pub async fn page(
        &self,
        url: Url,
        is_eventual: bool,
        meter: &Meter,
    ) -> Result<Page, GraphError> {
        let outgoing = Outgoing {
            is_eventual,
            ..Outgoing::get(url)
        };
        self.call(&outgoing, meter).await
    }

    /// Is the list at this address an advanced query?
    pub fn is_eventual(&self, version: Version, relative: &str) -> Result<bool, GraphError> {
        Ok(needs_index(&self.origin.address(version, relative)?))
    }
}
