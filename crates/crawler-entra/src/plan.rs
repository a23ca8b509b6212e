//! Which collections a selection asks for, and what is said about those it does not.

use crate::{
    Selection,
    collect::{
        NAMES_OF_APPLICATION_LINKS, NAMES_OF_APPLICATIONS, NAMES_OF_ENTITLEMENTS,
        NAMES_OF_SERVICE_PRINCIPALS, UnitsAs, Wanted,
    },
};

/// What to do about the collections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub users: bool,
    /// Service principals, as what they are wanted.
    pub applications: Wanted,
    /// Application registrations and the identities that they trust.
    pub registrations: bool,
    /// Owners of registrations.
    pub registration_owners: bool,
    pub grants: bool,
    /// Read the list of groups: to post them, or to know whose members to read.
    pub list_groups: bool,
    pub post_groups: bool,
    pub group_links: bool,
    pub role_definitions: bool,
    pub role_assignments: bool,
    pub pim: bool,
    /// Entitlement management and access reviews.
    pub governance: bool,
    pub sign_ins: bool,
    pub deleted_users: bool,
    pub conditional_access: bool,
    /// What administrative units become, if they are read.
    pub units: Option<UnitsAs>,
    /// Collections that are not read, and why.
    pub skipped: Vec<(&'static str, &'static str)>,
}

const NOT_ASKED_FOR: &str = "not asked for";

impl Plan {
    pub fn new(selection: Selection) -> Self {
        let mut skipped = Vec::new();
        let mut skip_unless = |is_wanted: bool, collections: &[&'static str]| {
            if !is_wanted {
                skipped.extend(collections.iter().map(|name| (*name, NOT_ASKED_FOR)));
            }
        };
        skip_unless(selection.principals, &["users", "guests", "identities"]);
        let sign_ins = selection.principals && selection.sign_ins;
        skip_unless(sign_ins, &["sign-ins"]);
        skip_unless(selection.service_principals, NAMES_OF_SERVICE_PRINCIPALS);
        skip_unless(
            selection.resources,
            &[
                "groups",
                "directory roles",
                "app registrations",
                "federated credentials",
                "administrative units",
                "conditional access policies",
                "named locations",
            ],
        );
        skip_unless(
            selection.assignments,
            &[
                "group members",
                "group owners",
                "role assignments",
                "app registration owners",
                "delegated grants",
                "tenant-wide grants",
            ],
        );
        skip_unless(
            selection.pim,
            &["role eligibility", "group eligibility", "group schedules"],
        );
        skip_unless(selection.resources, NAMES_OF_APPLICATIONS);
        skip_unless(selection.assignments, NAMES_OF_APPLICATION_LINKS);
        skip_unless(selection.governance, NAMES_OF_ENTITLEMENTS);
        skip_unless(selection.governance, &["review decisions"]);
        skip_unless(selection.contexts, &["unit contexts", "unit members"]);
        skip_unless(
            selection.contexts && selection.principals,
            &[
                "departments",
                "department members",
                "recycle bin",
                "deleted users",
            ],
        );
        Self {
            users: selection.principals,
            applications: Wanted {
                principals: selection.service_principals,
                resources: selection.resources,
                links: selection.assignments,
            },
            registrations: selection.resources,
            registration_owners: selection.assignments,
            grants: selection.assignments,
            list_groups: selection.resources || selection.assignments,
            post_groups: selection.resources,
            group_links: selection.assignments,
            role_definitions: selection.resources,
            role_assignments: selection.assignments,
            pim: selection.pim,
            governance: selection.governance,
            sign_ins,
            deleted_users: selection.contexts && selection.principals,
            conditional_access: selection.resources,
            units: (selection.resources || selection.contexts).then_some(UnitsAs {
                resources: selection.resources,
                contexts: selection.contexts,
            }),
            skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_and_not_built_is_said_in_the_report() {
        let plan = Plan::new(Selection::default());
        let reason = |name: &str| {
            plan.skipped
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, why)| *why)
        };
        assert_eq!(reason("catalogs"), None);
        assert_eq!(reason("departments"), None);
        assert_eq!(reason("sign-ins"), None);
        assert_eq!(reason("agents"), Some(NOT_ASKED_FOR));
        assert_eq!(reason("users"), None);
    }

    #[test]
    fn departments_and_sign_ins_need_users_and_are_skipped_without_them() {
        let plan = Plan::new(Selection {
            principals: false,
            ..Selection::default()
        });
        for name in [
            "sign-ins",
            "identities",
            "departments",
            "department members",
        ] {
            assert!(plan.skipped.contains(&(name, NOT_ASKED_FOR)), "{name}");
        }
        assert!(!plan.sign_ins && plan.units.is_some());
    }

    #[test]
    fn memberships_alone_still_need_the_list_of_groups() {
        let plan = Plan::new(Selection {
            resources: false,
            ..Selection::default()
        });
        assert!(plan.list_groups && plan.group_links && !plan.post_groups);
    }
}
