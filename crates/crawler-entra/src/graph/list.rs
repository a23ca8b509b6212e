//! Reading a list to its end: page by page, never in circles, from the start again when its page token expires.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use contract::Recovered;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use url::Url;

use super::{
    Answered, Fault, Graph, GraphError, Meter, Version,
    body::{UNREADABLE, parse},
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

/// The same with its objects unparsed: so they need a quarter of the memory while they wait.
#[derive(Debug, Deserialize)]
struct UnparsedPage {
    value: Vec<Unparsed>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<String>,
}

impl Answered for UnparsedPage {
    fn pages(&self) -> u64 {
        1
    }
}

/// An object of a page, as Graph sent it.
#[derive(Debug, Deserialize)]
pub(crate) struct Unparsed(Box<RawValue>);

impl Unparsed {
    /// The object.
    pub fn parse(self) -> Result<Value, GraphError> {
        // Its form was looked at with the page's. A number that is none to us is not.
        parse(self.0.get().as_bytes()).ok_or_else(|| GraphError::Unanswered {
            tries: 1,
            last: UNREADABLE.to_owned(),
        })
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
        objects: Vec<Unparsed>,
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
        self.follow(graph, page.next_link.as_deref(), page.value.is_empty())
    }

    fn follow(
        &mut self,
        graph: &Graph,
        link: Option<&str>,
        is_empty: bool,
    ) -> Result<Option<Url>, GraphError> {
        let Some(link) = link else {
            return Ok(None);
        };
        let url = graph.origin.own_link(link)?;
        self.empty_pages = if is_empty { self.empty_pages + 1 } else { 0 };
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
            let page: UnparsedPage = self.page_as(url, is_eventual, meter).await?;
            let next = links.follow(self, page.next_link.as_deref(), page.value.is_empty());
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
        self.page_as(url, is_eventual, meter).await
    }

    async fn page_as<T: Answered>(
        &self,
        url: Url,
        is_eventual: bool,
        meter: &Meter,
    ) -> Result<T, GraphError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> UnparsedPage {
        parse(text.as_bytes()).expect("a page")
    }

    #[test]
    fn objects_are_the_same_parsed_late_and_with_their_page() {
        let text = r#"{"value":[{"a":"x\ud800y","b":[1,{"c":null}]}, 7, "\u00e9", {"a":1,"a":2}],"@odata.nextLink":"n","x":0}"#;
        let whole: Page = parse(text.as_bytes()).expect("a page");
        let late = page(text);
        assert_eq!(late.next_link, whole.next_link);
        let late: Result<Vec<Value>, GraphError> =
            late.value.into_iter().map(Unparsed::parse).collect();
        assert_eq!(late.expect("objects"), whole.value);
    }

    #[test]
    fn an_object_that_cannot_be_read_fails_its_list() {
        let mut objects = page(r#"{"value":[{"a":1e999}]}"#).value;
        let error = objects.remove(0).parse().expect_err("no number of ours");
        assert!(matches!(error, GraphError::Unanswered { .. }), "{error}");
    }

    #[test]
    fn half_a_page_is_no_page() {
        for text in [r#"{"value":[{"a":1},{"b"#, r#"{"value":[{"a":1}{"b":2}]}"#] {
            assert!(parse::<UnparsedPage>(text.as_bytes()).is_none(), "{text}");
        }
    }
}
