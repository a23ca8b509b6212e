//! Links between directory objects: who is a member or owner of what.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use uuid::Uuid;

/// What kind of directory object a link points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberKind {
    /// A user (member or guest).
    User,
    /// A group.
    Group,
    /// A service principal of any type, agents included.
    ServicePrincipal,
}

/// One end of a link: the object pointed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Link {
    /// Object id.
    pub id: Uuid,
    /// What it is.
    pub kind: MemberKind,
}

/// Links by the object they start from. Every list is sorted by id and free of
/// duplicates, which makes paging a binary search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkMap(BTreeMap<Uuid, Vec<Link>>);

impl LinkMap {
    /// The links of one object, ascending by id.
    pub fn of(&self, from: Uuid) -> &[Link] {
        self.0.get(&from).map_or(&[], Vec::as_slice)
    }

    /// The links of one object whose id is greater than `after`.
    pub fn after(&self, from: Uuid, after: Option<Uuid>) -> &[Link] {
        let links = self.of(from);
        let start = after.map_or(0, |last| links.partition_point(|link| link.id <= last));
        &links[start..]
    }

    /// Adds a link; `false` when it was there.
    pub fn add(&mut self, from: Uuid, to: Link) -> bool {
        let links = self.0.entry(from).or_default();
        match links.binary_search_by_key(&to.id, |link| link.id) {
            Ok(_) => false,
            Err(place) => {
                links.insert(place, to);
                true
            }
        }
    }

    /// Replaces all links of an object (sorts and deduplicates).
    pub fn set(&mut self, from: Uuid, mut links: Vec<Link>) {
        links.sort_unstable_by_key(|link| link.id);
        links.dedup_by_key(|link| link.id);
        self.0.insert(from, links);
    }

    /// Removes a link; `false` when it was not there.
    pub fn remove(&mut self, from: Uuid, to: Uuid) -> bool {
        let Some(links) = self.0.get_mut(&from) else {
            return false;
        };
        match links.binary_search_by_key(&to, |link| link.id) {
            Ok(place) => {
                links.remove(place);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether the link is there.
    pub fn contains(&self, from: Uuid, to: Uuid) -> bool {
        self.of(from)
            .binary_search_by_key(&to, |link| link.id)
            .is_ok()
    }

    /// All links, ordered by both ends.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, Link)> + '_ {
        self.0
            .iter()
            .flat_map(|(from, links)| links.iter().map(|link| (*from, *link)))
    }

    /// How many links there are in all.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Forgets deleted objects at both ends, in one pass.
    pub(crate) fn forget(&mut self, gone: &HashSet<Uuid>) {
        self.0.retain(|from, _| !gone.contains(from));
        for links in self.0.values_mut() {
            links.retain(|link| !gone.contains(&link.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u128) -> Link {
        Link {
            id: Uuid::from_u128(id),
            kind: MemberKind::User,
        }
    }

    #[test]
    fn links_stay_sorted_and_unique() {
        let group = Uuid::from_u128(1);
        let mut links = LinkMap::default();
        assert!(links.add(group, user(9)));
        assert!(links.add(group, user(3)));
        assert!(!links.add(group, user(9)));
        assert_eq!(links.of(group), [user(3), user(9)]);
        assert_eq!(links.after(group, Some(Uuid::from_u128(3))), [user(9)]);
    }

    #[test]
    fn a_forgotten_object_leaves_no_link_behind() {
        let mut links = LinkMap::default();
        links.add(Uuid::from_u128(1), user(9));
        links.add(Uuid::from_u128(9), user(5));
        links.forget(&HashSet::from([Uuid::from_u128(9)]));
        assert_eq!(links.count(), 0);
    }
}
