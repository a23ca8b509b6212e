//! One row for several time windows.
//!
//! A row of the register is a resource, a principal, an assignment type and a role scope; Graph may list several time
//! windows of it, in any order. Which of them the row shows must not depend on that order, or reordering alone would write
//! history.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
    hash::Hash,
};

use chrono::{DateTime, Utc};
use contract::records::{
    CertificationDecision, Resource, ResourceAssignment, ResourceRelationship,
};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A record that a list may bring several times.
pub(crate) trait Row: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What tells the rows of one collection apart.
    type Key: Ord + Hash + Send;

    /// The row that the record is about.
    fn row_key(&self) -> Self::Key;

    /// Its place among the windows of its row, where the list is one of time windows.
    fn rank(&self) -> Rank<'_> {
        (None, None, None)
    }
}

/// The place of a window among those of the same row: the earliest start (absent before any), then the latest end (absent
/// means never, after any), then the smallest id. The smallest rank is shown.
pub(crate) type Rank<'a> = (
    Option<DateTime<Utc>>,
    Option<Reverse<DateTime<Utc>>>,
    Option<&'a str>,
);

/// The rank of a window.
pub(super) fn rank(
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    id: Option<&str>,
) -> Rank<'_> {
    (start, end.map(Reverse), id)
}

impl Row for ResourceAssignment {
    /// The assignment type is always the same in a collection.
    type Key = (Option<Uuid>, Option<Uuid>, Option<String>);

    fn row_key(&self) -> Self::Key {
        let scope = self.role_scope.clone();
        (self.resource_id, self.principal_id, scope)
    }

    fn rank(&self) -> Rank<'_> {
        let id = self.source_id.as_deref();
        rank(self.start_date_time, self.expiration_date_time, id)
    }
}

impl Row for Resource {
    type Key = Option<Uuid>;

    fn row_key(&self) -> Self::Key {
        self.id
    }
}

impl Row for ResourceRelationship {
    type Key = (Option<Uuid>, Option<Uuid>, Option<String>);

    fn row_key(&self) -> Self::Key {
        let role = self.role_name.clone();
        (self.parent_resource_id, self.child_resource_id, role)
    }
}

impl Row for CertificationDecision {
    type Key = Option<Uuid>;

    fn row_key(&self) -> Self::Key {
        self.id
    }
}

/// The rows of a list of time windows, each with the window that it shows. Holds one record per row, however many windows
/// the list has, and each in few bytes: no row is known before the list has ended, and the list may be long.
#[derive(Debug)]
pub(crate) struct Windows<R: Row> {
    shown: BTreeMap<R::Key, Kept>,
    read: u64,
}

/// A record, as JSON, and its rank.
#[derive(Debug)]
struct Kept {
    start: Option<DateTime<Utc>>,
    end: Option<Reverse<DateTime<Utc>>>,
    id: Option<Box<str>>,
    json: Box<[u8]>,
}

impl Kept {
    fn of(record: &impl Row) -> Self {
        let (start, end, id) = record.rank();
        let json = serde_json::to_vec(record).expect("a record is JSON");
        Self {
            start,
            end,
            id: id.map(Box::from),
            json: json.into_boxed_slice(),
        }
    }

    fn rank(&self) -> Rank<'_> {
        (self.start, self.end, self.id.as_deref())
    }

    fn record<R: Row>(&self) -> R {
        serde_json::from_slice(&self.json).expect("it was written by the same type")
    }
}

impl<R: Row> Default for Windows<R> {
    fn default() -> Self {
        Self {
            shown: BTreeMap::new(),
            read: 0,
        }
    }
}

impl<R: Row> Windows<R> {
    /// A window was read.
    pub fn take(&mut self, window: &R) {
        self.read += 1;
        match self.shown.entry(window.row_key()) {
            Entry::Vacant(row) => {
                row.insert(Kept::of(window));
            }
            Entry::Occupied(mut row) => {
                if window.rank() < row.get().rank() {
                    row.insert(Kept::of(window));
                }
            }
        }
    }

    /// Windows read, shown or not.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// The rows.
    pub fn into_rows(self) -> impl Iterator<Item = R> {
        self.shown.into_values().map(|kept| kept.record())
    }
}

#[cfg(test)]
mod tests {
    use contract::records::assignment_type;

    use super::*;

    fn day(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(day * 86_400, 0).expect("a day")
    }

    fn window(
        principal: u128,
        scope: Option<&str>,
        days: (Option<i64>, Option<i64>),
        id: &str,
    ) -> ResourceAssignment {
        let mut record = ResourceAssignment::new(assignment_type::ELIGIBLE);
        record.resource_id = Some(Uuid::from_u128(1));
        record.principal_id = Some(Uuid::from_u128(principal));
        record.role_scope = scope.map(str::to_owned);
        record.start_date_time = days.0.map(day);
        record.expiration_date_time = days.1.map(day);
        record.source_id = Some(id.to_owned());
        record
    }

    /// Every order of these windows.
    fn orders(windows: &[ResourceAssignment]) -> Vec<Vec<ResourceAssignment>> {
        if windows.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for first in 0..windows.len() {
            let mut others = windows.to_vec();
            let first = others.remove(first);
            for mut order in orders(&others) {
                order.push(first.clone());
                all.push(order);
            }
        }
        all
    }

    /// The ids that are shown, which must be the same in every order.
    fn shown(windows: &[ResourceAssignment]) -> Vec<String> {
        let mut answers = orders(windows).into_iter().map(|order| {
            let mut kept = Windows::default();
            for window in order {
                kept.take(&window);
            }
            assert_eq!(kept.read(), windows.len() as u64);
            let rows = kept.into_rows();
            rows.filter_map(|row| row.source_id).collect()
        });
        let first: Vec<String> = answers.next().expect("one order at least");
        assert!(answers.all(|answer| answer == first), "{windows:?}");
        first
    }

    #[test]
    fn in_whatever_order_windows_come_the_earliest_start_is_shown_and_an_absent_one_is_earlier() {
        let late = window(2, None, (Some(20), None), "a");
        let early = window(2, None, (Some(10), Some(11)), "c");
        let earlier = window(2, None, (Some(9), Some(10)), "d");
        let unknown = window(2, None, (None, Some(1)), "b");
        assert_eq!(
            shown(&[late.clone(), early.clone(), earlier.clone()]),
            ["d"]
        );
        assert_eq!(shown(&[late, early, earlier, unknown]), ["b"]);
    }

    #[test]
    fn of_the_same_start_the_latest_end_is_shown_and_an_absent_one_is_later() {
        let short = window(2, None, (Some(1), Some(5)), "a");
        let long = window(2, None, (Some(1), Some(50)), "b");
        let endless = window(2, None, (Some(1), None), "c");
        assert_eq!(shown(&[short.clone(), long.clone()]), ["b"]);
        assert_eq!(shown(&[short, long, endless]), ["c"]);
    }

    #[test]
    fn of_equal_windows_the_smallest_id_is_shown() {
        let windows = ["b", "a", "c"].map(|id| window(2, None, (Some(1), None), id));
        assert_eq!(shown(&windows), ["a"]);
    }

    #[test]
    fn other_principals_and_scopes_are_rows_of_their_own() {
        let windows = [
            window(2, None, (Some(1), None), "member"),
            window(2, Some("/owner"), (Some(2), None), "owner"),
            window(3, None, (Some(3), None), "somebody else"),
            window(3, None, (Some(4), None), "again"),
        ];
        assert_eq!(shown(&windows), ["member", "owner", "somebody else"]);
    }
}
