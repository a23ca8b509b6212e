//! What differs between two states of a collection, as far as it is watched.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::plan::{Content, End, Entry, LinkChange, RelationChanges};
use super::{DeltaFamily, Relation, Scope, View};
use crate::model::Tenant;
use crate::options::Removal;
use crate::routes::Call;

/// The differences, ordered by key; without `from`, everything there is.
pub(crate) fn changes<T: DeltaFamily>(
    call: &Call<'_>,
    view: &View<T>,
    scope: &Scope,
    from: Option<&Tenant>,
    to: &Tenant,
) -> Vec<Entry> {
    if from.is_some_and(|from| std::ptr::eq(from, to)) {
        return Vec::new();
    }
    let is_wanted = |key: &str| scope.ids.as_ref().is_none_or(|ids| ids.contains(key));
    let removal = call.deltas.options().removal;
    let mut entries = Vec::new();
    let gone = from
        .into_iter()
        .flat_map(|from| T::objects(from).keys())
        .filter(|key| !T::objects(to).contains_key(key));
    for gone in gone {
        let key = gone.to_string();
        if is_wanted(&key) {
            let reason = reason::<T>(removal, to, gone);
            entries.push(Entry {
                key,
                fragment: 0,
                content: Content::Removed(reason),
            });
        }
    }
    for (key, object) in T::objects(to) {
        let old = from.and_then(|from| Some((from, T::objects(from).get(key)?)));
        let links = relation_changes(call, view, old, (to, object));
        let is_same = old.is_some_and(|(_, old)| {
            old == object || view.set_properties(old) == view.set_properties(object)
        });
        if is_same && links.is_empty() {
            continue;
        }
        let key = key.to_string();
        if is_wanted(&key) {
            entries.push(Entry {
                key,
                fragment: 0,
                content: Content::Shown(links),
            });
        }
    }
    entries
}

fn relation_changes<T: DeltaFamily>(
    call: &Call<'_>,
    view: &View<T>,
    old: Option<(&Tenant, &T)>,
    new: (&Tenant, &T),
) -> RelationChanges {
    let visible = |relation: &Relation<T>, object: &T| !(relation.is_hidden)(object, call.grants);
    view.relations
        .iter()
        .filter(|relation| visible(relation, new.1))
        .filter_map(|relation| {
            let old = old.filter(|(_, object)| visible(relation, object));
            let before = old.map_or(Cow::Borrowed(&[][..]), |(tenant, object)| {
                (relation.links)(tenant, object)
            });
            let after = (relation.links)(new.0, new.1);
            let mut changes = end_changes(&before, &after, End::Known);
            let before = old.map_or(Vec::new(), |(tenant, object)| {
                (relation.others)(tenant, object)
            });
            let after = (relation.others)(new.0, new.1);
            changes.extend(end_changes(&before, &after, End::Other));
            (!changes.is_empty()).then_some((relation.name, changes))
        })
        .collect()
}

/// Merges two lists that are sorted by id. Removals come first, as Graph shows them.
fn end_changes<L: Copy + PartialEq>(
    before: &[L],
    after: &[L],
    end: fn(L) -> End,
) -> Vec<LinkChange> {
    if before == after {
        return Vec::new();
    }
    let mut removed = Vec::new();
    let mut added = Vec::new();
    let (mut left, mut right) = (before, after);
    loop {
        let order = match (left.first(), right.first()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => end(*old).id().cmp(&end(*new).id()),
        };
        if order == Ordering::Less {
            removed.push(LinkChange {
                end: end(left[0]),
                is_removed: true,
            });
        } else if order == Ordering::Greater {
            added.push(LinkChange {
                end: end(right[0]),
                is_removed: false,
            });
        }
        left = &left[usize::from(order.is_le())..];
        right = &right[usize::from(order.is_ge())..];
    }
    removed.append(&mut added);
    removed
}

fn reason<T: DeltaFamily>(removal: Removal, tenant: &Tenant, key: &T::Key) -> &'static str {
    let is_restorable = match removal {
        Removal::Restorable => true,
        Removal::Final => false,
        Removal::Mixed => T::is_restorable(tenant, key).unwrap_or_else(|| {
            let sum: u32 = key.to_string().bytes().map(u32::from).sum();
            sum.is_multiple_of(2)
        }),
    };
    if is_restorable { "changed" } else { "deleted" }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{Link, MemberKind};

    #[test]
    fn links_that_stay_are_not_mentioned() {
        let link = |id: u128| Link {
            id: Uuid::from_u128(id),
            kind: MemberKind::User,
        };
        let before = [link(1), link(2), link(4)];
        let after = [link(2), link(3), link(5)];
        let changes = end_changes(&before, &after, End::Known);
        let told: Vec<(u128, bool)> = changes
            .iter()
            .map(|change| (change.end.id().as_u128(), change.is_removed))
            .collect();
        assert_eq!(told, [(1, true), (4, true), (3, false), (5, false)]);
        assert!(end_changes(&before, &before, End::Known).is_empty());
    }
}
