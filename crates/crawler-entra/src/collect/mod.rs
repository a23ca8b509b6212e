//! Reading one collection each: which list, which records, which scope, and what its end means.
//!
//! A collection owns its sessions. However it ends, it leaves none open: read to the end it commits as complete, broken
//! off it commits as incomplete (what was read lands, nothing can be removed), cancelled or refused by the register it
//! aborts.

mod attributes;
mod children;
mod collection;
mod feed;
mod groups;
mod list;
mod members;
mod organization;
mod people;
mod pim_groups;
mod policies;
mod preview;
mod principals;
mod roles;
mod sign_ins;
mod units;

pub(crate) use attributes::attributes;
pub(crate) use collection::{Run, crashed, skipped};
pub(crate) use feed::feed;
pub(crate) use groups::{GroupsFound, groups};
pub(crate) use members::group_links;
pub(crate) use organization::{
    PERMISSION as ORGANIZATION_PERMISSION, organization, unnamed_system,
};
pub(crate) use pim_groups::pim_groups;
pub(crate) use policies::{conditional_access, deleted_users};
pub(crate) use preview::identities as preview_identities;
pub(crate) use principals::{service_principals, users};
pub(crate) use roles::{role_assignments, role_definitions, role_eligibility};
pub(crate) use sign_ins::sign_ins;
pub(crate) use units::{UnitsAs, administrative_units};
