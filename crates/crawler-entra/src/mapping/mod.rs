//! Graph's objects become the register's records. Pure functions: an object goes in, a record comes out.
//!
//! Whatever Graph sends that has no field of its own lands in `extendedAttributes`, cleaned of nulls, annotations and
//! chance orders, so that an unchanged object always becomes the same record.

mod application;
mod assignment;
mod entitlement;
mod grant;
mod group;
mod object;
mod package_content;
mod person;
mod policy;
mod registration;
mod review;
mod role;
mod service_principal;
mod sign_in;
mod unit;
mod user;
mod window;

pub(crate) use application::{
    ApplicationParts, SERVICE_PRINCIPAL_APP_ROLES, app_role_id, application_parts, default_access,
    has_app_role,
};
pub(crate) use assignment::{GroupLink, group_link, pim_group_assignment, pim_group_eligibility};
pub(crate) use entitlement::{
    CATALOG_PROPERTIES, GOVERNANCE_ROLE, PACKAGE_PROPERTIES, access_package, assignment_policy,
    assignment_request, catalog, governance_role, governance_role_assignment, is_without_account,
    package_assignment,
};
pub(crate) use grant::{
    APP_ROLE_ASSIGNMENT_PROPERTIES, GRANT_PROPERTIES, Grant, app_role_assignment, grant, owner,
    sponsor,
};
pub(crate) use group::{GROUP_NAMES, GROUP_PROPERTIES, can_be_in_pim, group};
pub(crate) use object::Object;
pub(crate) use package_content::{Content, SHAREPOINT_SITE, package_content};
pub(crate) use person::{
    department, department_id, department_member, department_name, identity, identity_id,
    identity_member,
};
pub(crate) use policy::{
    DELETED_USER_PROPERTIES, conditional_access_policy, deleted_user, deleted_users_id,
    named_location,
};
pub(crate) use registration::{
    FEDERATED_CREDENTIAL_PROPERTIES, REGISTRATION_NAMES, REGISTRATION_PROPERTIES,
    federated_credential, registration,
};
pub(crate) use review::{Review, Round, review, review_decision, review_round};
pub(crate) use role::{Schedules, role_assignment, role_definition, role_eligibility, schedule};
pub(crate) use service_principal::{SERVICE_PRINCIPAL_PROPERTIES, service_principal};
pub(crate) use sign_in::{SIGN_IN_KINDS, SIGN_IN_PROPERTIES, sign_ins};
pub(crate) use unit::{UNIT_PROPERTIES, administrative_unit, unit_context, unit_member};
pub(crate) use user::{GUARDED_USER_PROPERTIES, USER_PROPERTIES, user, with_nulls};
pub(crate) use window::{Row, Windows};

/// To be raised when the same object of Graph becomes another record than before: then everything is read once more, because
/// objects that did not change would otherwise stay what an older version made of them.
pub(crate) const VERSION: u32 = 1;

/// What an object of a list became.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mapped<R> {
    Record(Box<R>),
    /// The echo of something that is read elsewhere; left out on purpose.
    Echo,
    /// It lacks what a record needs, so the list is not known in full.
    Unreadable,
}

impl<R> From<Option<R>> for Mapped<R> {
    fn from(record: Option<R>) -> Self {
        record.map_or(Self::Unreadable, |record| Self::Record(Box::new(record)))
    }
}

#[cfg(test)]
mod documented {
    use super::*;

    /// The page that tells people what is read.
    const PAGE: &str = include_str!("../../../../docs/entra-mapping.md");

    /// Is the property named on the page, in a table or in a sentence?
    fn is_named(property: &str) -> bool {
        PAGE.split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .any(|word| word == property)
    }

    #[test]
    fn every_property_that_is_read_is_on_the_page_about_the_mapping() {
        let guarded = GUARDED_USER_PROPERTIES.map(|(name, _)| name);
        let lists: [&[&str]; 10] = [
            USER_PROPERTIES,
            &guarded,
            SIGN_IN_PROPERTIES,
            GROUP_PROPERTIES,
            SERVICE_PRINCIPAL_PROPERTIES,
            REGISTRATION_PROPERTIES,
            UNIT_PROPERTIES,
            DELETED_USER_PROPERTIES,
            CATALOG_PROPERTIES,
            PACKAGE_PROPERTIES,
        ];
        let texts = [
            APP_ROLE_ASSIGNMENT_PROPERTIES,
            GRANT_PROPERTIES,
            FEDERATED_CREDENTIAL_PROPERTIES,
            SERVICE_PRINCIPAL_APP_ROLES,
        ];
        let in_lists = lists.into_iter().flatten().copied();
        let in_texts = texts.into_iter().flat_map(|text| text.split(','));
        let unnamed: Vec<&str> = in_lists
            .chain(in_texts)
            .filter(|property| !is_named(property))
            .collect();
        assert!(
            unnamed.is_empty(),
            "not in docs/entra-mapping.md: {unnamed:?}"
        );
        assert!(!is_named("noSuchProperty"));
    }
}
