//! What differs between two states of a tenant.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use crate::model::Tenant;
use crate::truth::{TruthLink, TruthUnitMember, group_links, unit_members};

/// Everything that changed, by kind. An object that is updated existed before and
/// after; links that vanished with a deleted object are listed as removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChangeSummary {
    /// New users.
    pub created_users: Vec<Uuid>,
    /// Users with at least one changed attribute.
    pub updated_users: Vec<Uuid>,
    /// Deleted users.
    pub removed_users: Vec<Uuid>,
    /// New groups.
    pub created_groups: Vec<Uuid>,
    /// Groups with at least one changed attribute.
    pub updated_groups: Vec<Uuid>,
    /// Deleted groups.
    pub removed_groups: Vec<Uuid>,
    /// New service principals.
    pub created_service_principals: Vec<Uuid>,
    /// Service principals with at least one changed attribute.
    pub updated_service_principals: Vec<Uuid>,
    /// Deleted service principals.
    pub removed_service_principals: Vec<Uuid>,
    /// New application registrations.
    pub created_applications: Vec<Uuid>,
    /// Deleted application registrations.
    pub removed_applications: Vec<Uuid>,
    /// New group memberships.
    pub added_members: Vec<TruthLink>,
    /// Group memberships that ended.
    pub removed_members: Vec<TruthLink>,
    /// New group ownerships.
    pub added_owners: Vec<TruthLink>,
    /// Group ownerships that ended.
    pub removed_owners: Vec<TruthLink>,
    /// Application registrations with at least one changed attribute.
    pub updated_applications: Vec<Uuid>,
    /// New app role assignments, by resource and id.
    pub added_app_role_assignments: Vec<(Uuid, String)>,
    /// App role assignments that ended, by resource and id.
    pub removed_app_role_assignments: Vec<(Uuid, String)>,
    /// New delegated grants.
    pub added_permission_grants: Vec<String>,
    /// Delegated grants with other scopes.
    pub updated_permission_grants: Vec<String>,
    /// Delegated grants that ended.
    pub removed_permission_grants: Vec<String>,
    /// New role assignments.
    pub added_role_assignments: Vec<String>,
    /// Role assignments that ended.
    pub removed_role_assignments: Vec<String>,
    /// New role eligibilities (schedule ids).
    pub added_role_eligibilities: Vec<Uuid>,
    /// Role eligibilities that ended (schedule ids).
    pub removed_role_eligibilities: Vec<Uuid>,
    /// New group eligibilities.
    pub added_group_eligibilities: Vec<String>,
    /// Group eligibilities that ended.
    pub removed_group_eligibilities: Vec<String>,
    /// New assignments of access packages.
    pub added_package_assignments: Vec<Uuid>,
    /// Assignments of access packages that are no more.
    pub removed_package_assignments: Vec<Uuid>,
    /// New requests for access packages.
    pub added_package_requests: Vec<Uuid>,
    /// Access packages with anything changed.
    pub updated_packages: Vec<Uuid>,
    /// Access reviews with anything changed.
    pub updated_reviews: Vec<Uuid>,
    /// New administrative units.
    pub created_administrative_units: Vec<Uuid>,
    /// Administrative units with at least one changed attribute.
    pub updated_administrative_units: Vec<Uuid>,
    /// Deleted administrative units.
    pub removed_administrative_units: Vec<Uuid>,
    /// Users and groups that came into units.
    pub added_unit_members: Vec<TruthUnitMember>,
    /// Users and groups that left units.
    pub removed_unit_members: Vec<TruthUnitMember>,
    /// Conditional access policies that are new, changed or gone.
    pub changed_policies: Vec<Uuid>,
}

impl ChangeSummary {
    /// Compares two states.
    pub fn between(before: &Tenant, after: &Tenant) -> Self {
        let members = links(&group_links(&before.members), &group_links(&after.members));
        let owners = links(&group_links(&before.owners), &group_links(&after.owners));
        let (was, is) = (&before.governance, &after.governance);
        let in_units = links(
            &unit_members(&before.unit_members),
            &unit_members(&after.unit_members),
        );
        let (old_units, new_units) = (&before.administrative_units, &after.administrative_units);
        let (old_policies, new_policies) = (
            &before.conditional_access_policies,
            &after.conditional_access_policies,
        );
        Self {
            created_users: missing(&after.users, &before.users),
            updated_users: updated(&before.users, &after.users),
            removed_users: missing(&before.users, &after.users),
            created_groups: missing(&after.groups, &before.groups),
            updated_groups: updated(&before.groups, &after.groups),
            removed_groups: missing(&before.groups, &after.groups),
            created_service_principals: missing(
                &after.service_principals,
                &before.service_principals,
            ),
            updated_service_principals: updated(
                &before.service_principals,
                &after.service_principals,
            ),
            removed_service_principals: missing(
                &before.service_principals,
                &after.service_principals,
            ),
            created_applications: missing(&after.applications, &before.applications),
            removed_applications: missing(&before.applications, &after.applications),
            added_members: members.0,
            removed_members: members.1,
            added_owners: owners.0,
            removed_owners: owners.1,
            updated_applications: updated(&before.applications, &after.applications),
            added_app_role_assignments: missing(
                &after.app_access.assignments,
                &before.app_access.assignments,
            ),
            removed_app_role_assignments: missing(
                &before.app_access.assignments,
                &after.app_access.assignments,
            ),
            added_permission_grants: missing(&after.app_access.grants, &before.app_access.grants),
            updated_permission_grants: updated(&before.app_access.grants, &after.app_access.grants),
            removed_permission_grants: missing(&before.app_access.grants, &after.app_access.grants),
            added_role_assignments: missing(&after.role_assignments, &before.role_assignments),
            removed_role_assignments: missing(&before.role_assignments, &after.role_assignments),
            added_role_eligibilities: missing(
                &after.role_eligibilities,
                &before.role_eligibilities,
            ),
            removed_role_eligibilities: missing(
                &before.role_eligibilities,
                &after.role_eligibilities,
            ),
            added_group_eligibilities: missing(
                &after.group_eligibilities,
                &before.group_eligibilities,
            ),
            removed_group_eligibilities: missing(
                &before.group_eligibilities,
                &after.group_eligibilities,
            ),
            added_package_assignments: missing(&is.assignments, &was.assignments),
            removed_package_assignments: missing(&was.assignments, &is.assignments),
            added_package_requests: missing(&is.requests, &was.requests),
            updated_packages: updated(&was.packages, &is.packages),
            updated_reviews: updated(&was.reviews, &is.reviews),
            created_administrative_units: missing(new_units, old_units),
            updated_administrative_units: updated(old_units, new_units),
            removed_administrative_units: missing(old_units, new_units),
            added_unit_members: in_units.0,
            removed_unit_members: in_units.1,
            changed_policies: [
                missing(new_policies, old_policies),
                updated(old_policies, new_policies),
                missing(old_policies, new_policies),
            ]
            .concat(),
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Keys of `of` that are not in `from`.
fn missing<K: Ord + Clone, V>(of: &BTreeMap<K, V>, from: &BTreeMap<K, V>) -> Vec<K> {
    of.keys()
        .filter(|key| !from.contains_key(*key))
        .cloned()
        .collect()
}

fn updated<K: Ord + Clone, V: PartialEq>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> Vec<K> {
    before
        .iter()
        .filter(|(key, value)| after.get(*key).is_some_and(|now| now != *value))
        .map(|(key, _)| key.clone())
        .collect()
}

/// Added and removed links.
fn links<L: Copy + Ord>(before: &[L], after: &[L]) -> (Vec<L>, Vec<L>) {
    let old: BTreeSet<L> = before.iter().copied().collect();
    let new: BTreeSet<L> = after.iter().copied().collect();
    let added = new.difference(&old).copied().collect();
    let removed = old.difference(&new).copied().collect();
    (added, removed)
}
