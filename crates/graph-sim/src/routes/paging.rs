//! Pages: how many, from where, and the link to the next.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Call;
use crate::server::answer::GraphError;
use crate::server::token::{base64_url, from_base64_url};

/// Marks our page tokens, so that foreign ones are refused.
const MARK: &str = "DSpt:";

/// Page size where the caller does not say, and the most it may ask for.
const DEFAULT_PAGE: usize = 100;
pub(crate) const LARGEST_PAGE: usize = 999;

/// Where a page begins and how long it may be.
pub(crate) struct Paging {
    size: usize,
    after: Option<String>,
}

impl Paging {
    pub(crate) fn of(call: &Call<'_>, largest: usize) -> Result<Self, GraphError> {
        let size = match call.query.top()? {
            None => DEFAULT_PAGE.min(largest),
            Some(size) if (1..=largest).contains(&size) => size,
            Some(size) => {
                return Err(GraphError::bad_request(format!(
                    "Invalid page size specified: '{size}'. Must be between 1 and {largest} inclusive."
                )));
            }
        };
        let after = call.query.get("$skiptoken").map(decode).transpose()?;
        Ok(Self { size, after })
    }

    /// The key of the last item of the page before.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The same as an object id.
    pub(crate) fn after_id(&self) -> Result<Option<Uuid>, GraphError> {
        self.after()
            .map(|key| Uuid::parse_str(key).map_err(|_| invalid_token()))
            .transpose()
    }

    /// Takes one page off `items`, which must begin behind [`Paging::after`].
    pub(crate) fn page<T>(
        &self,
        call: &Call<'_>,
        context: &str,
        items: impl Iterator<Item = T>,
        key: impl Fn(&T) -> String,
        render: impl Fn(&T) -> Value,
    ) -> Value {
        let mut items = items.peekable();
        let mut value = Vec::new();
        let mut last = None;
        while value.len() < self.size {
            let Some(item) = items.next() else { break };
            value.push(render(&item));
            last = Some(key(&item));
        }
        let mut page = Map::new();
        page.insert("@odata.context".to_owned(), call.context(context).into());
        if let (Some(last), Some(_)) = (last, items.peek()) {
            let token = base64_url(format!("{MARK}{last}").as_bytes());
            page.insert(
                "@odata.nextLink".to_owned(),
                call.link(&call.query.with_token(&token)).into(),
            );
        }
        page.insert("value".to_owned(), Value::Array(value));
        Value::Object(page)
    }
}

/// The part of an ordered map behind a key.
pub(crate) fn behind<K: Ord, V>(
    map: &BTreeMap<K, V>,
    after: Option<K>,
) -> impl Iterator<Item = &V> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    map.range((start, Bound::Unbounded)).map(|(_, value)| value)
}

fn decode(token: &str) -> Result<String, GraphError> {
    from_base64_url(token)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(MARK).map(str::to_owned))
        .ok_or_else(invalid_token)
}

fn invalid_token() -> GraphError {
    GraphError::bad_request("The specified page token value is invalid.")
}
