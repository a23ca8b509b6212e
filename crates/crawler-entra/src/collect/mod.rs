//! Reading one collection each: which list, which records, which scope, and what its end means.
//!
//! A collection owns its sessions. However it ends, it leaves none open: read to the end it commits as complete, broken
//! off it commits as incomplete (what was read lands, nothing can be removed), cancelled or refused by the register it
//! aborts.

mod applications;
mod attributes;
mod changed_groups;
mod changed_principals;
mod children;
mod collection;
mod entitlement;
mod feed;
mod grants;
mod groups;
mod list;
mod members;
mod organization;
mod people;
mod pim_groups;
mod policies;
mod preview;
mod principals;
mod records;
mod registrations;
mod removals;
mod reread;
mod reviews;
mod roles;
mod seen;
mod shelf;
mod sign_ins;
mod units;

pub(crate) use applications::{
    NAMES_OF_APPLICATION_LINKS, NAMES_OF_APPLICATIONS, Wanted, applications,
};
pub(crate) use attributes::attributes;
pub(crate) use collection::{Run, crashed, skipped};
pub(crate) use entitlement::{NAMES_OF_ENTITLEMENTS, entitlements};
pub(crate) use grants::grants;
pub(crate) use groups::{GroupPlan, groups_and_links};
pub(crate) use organization::{
    PERMISSION as ORGANIZATION_PERMISSION, organization, unnamed_system,
};
pub(crate) use pim_groups::pim_groups;
pub(crate) use policies::{conditional_access, deleted_users};
pub(crate) use preview::identities as preview_identities;
pub(crate) use principals::{NAMES_OF_SERVICE_PRINCIPALS, users};
pub(crate) use registrations::registrations;
pub(crate) use reviews::review_decisions;
pub(crate) use roles::{role_assignments, role_definitions, role_eligibility};
pub(crate) use sign_ins::{NAMES_OF_SIGN_INS, sign_ins};
pub(crate) use units::{UnitsAs, administrative_units};
