//! Delta functions: where the next round of changes begins, and which objects changed since the last one.
//!
//! Only ids are taken from a round. Its pages leave out what is unset, tell old changes again, in any order, and cut the links
//! of an object into fragments; what an object is now is read where objects are read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::{
    Answered, Graph, GraphError, Meter, NextLink, Page, Restarts, Version, client::Outgoing,
};

/// The objects that a round names; true for those that it calls removed, wherever in the round.
pub(crate) type Named = BTreeMap<Uuid, bool>;

#[derive(Debug, Deserialize)]
struct DeltaPage {
    #[serde(flatten)]
    page: Page,
    #[serde(rename = "@odata.deltaLink")]
    delta_link: Option<String>,
}

impl Answered for DeltaPage {
    fn pages(&self) -> u64 {
        1
    }
}

impl Graph {
    /// Where changes from now on will be told. `select` is what is watched.
    pub async fn delta_from_now(
        &self,
        endpoint: &str,
        select: &str,
        meter: &Meter,
    ) -> Result<String, GraphError> {
        let relative = format!("{endpoint}/delta?$deltatoken=latest&$select={select}");
        let mut links = NextLink::default();
        // The first answers of a run's endpoints come together. What does not come so is asked for alone.
        let gathered = self.get_along(format!("/{relative}"), meter).await;
        let mut page: DeltaPage = match gathered.map(DeltaPage::deserialize) {
            Ok(Ok(page)) => page,
            _ => self.get(Version::V1, &relative, meter).await?,
        };
        loop {
            if let Some(link) = page.delta_link {
                self.origin.own_link(&link)?;
                return Ok(link);
            }
            let next = links.after(self, &page.page)?.ok_or_else(no_end)?;
            page = self.call(&Outgoing::get(next), meter).await?;
        }
    }

    /// Follows a round to its end: what changed since `link` was given out, and where the next round begins. More than
    /// `most` changes are not counted further; the answer then has more than that many.
    pub async fn delta(
        &self,
        link: &str,
        most: usize,
        meter: &Meter,
    ) -> Result<(Named, String), GraphError> {
        let first = self.origin.own_link(link)?;
        let mut restarts = Restarts::default();
        loop {
            match self.delta_round(first.clone(), most, meter).await {
                Err(error) if restarts.allow(&error) => {}
                ended => {
                    restarts.end(&ended, meter);
                    return ended;
                }
            }
        }
    }

    async fn delta_round(
        &self,
        first: Url,
        most: usize,
        meter: &Meter,
    ) -> Result<(Named, String), GraphError> {
        let mut named = Named::new();
        let mut links = NextLink::default();
        let mut url = first;
        loop {
            let page: DeltaPage = self.call(&Outgoing::get(url), meter).await?;
            for value in &page.page.value {
                let (id, is_removed) = change(value).ok_or(GraphError::LimitedObjects)?;
                *named.entry(id).or_default() |= is_removed;
            }
            if let Some(link) = page.delta_link {
                self.origin.own_link(&link)?;
                return Ok((named, link));
            }
            if named.len() > most {
                // The end of the round is not needed: everything will be read, from a beginning of its own.
                return Ok((named, String::new()));
            }
            url = links.after(self, &page.page)?.ok_or_else(no_end)?;
        }
    }
}

/// A page that neither goes on nor ends: the round is not known in full.
fn no_end() -> GraphError {
    GraphError::Unanswered {
        tries: 1,
        last: "a round of changes without an end".to_owned(),
    }
}

/// The object that an item is about, and whether it is called removed.
fn change(item: &Value) -> Option<(Uuid, bool)> {
    let id = item.get("id")?.as_str()?;
    // The ids of grants are none: a name of the same length stands for them.
    let id =
        Uuid::parse_str(id).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()));
    let is_removed = item
        .get("@removed")
        .is_some_and(|removed| !removed.is_null());
    Some((id, is_removed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_an_object_and_perhaps_a_removal_for_either_reason() {
        let id = Uuid::from_u128(7);
        for (item, expected) in [
            (json!({"id": id, "displayName": "x"}), Some((id, false))),
            (json!({"id": id, "members@delta": []}), Some((id, false))),
            (
                json!({"id": id, "@removed": {"reason": "changed"}}),
                Some((id, true)),
            ),
            (
                json!({"id": id, "@removed": {"reason": "deleted"}}),
                Some((id, true)),
            ),
            (json!({"displayName": "x"}), None),
        ] {
            assert_eq!(change(&item), expected, "{item}");
        }
    }
}
