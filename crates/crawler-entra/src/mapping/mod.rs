//! Graph's objects become the register's records. Pure functions: an object goes in, a record comes out.
//!
//! Whatever Graph sends that has no field of its own lands in `extendedAttributes`, cleaned of nulls, annotations and
//! chance orders, so that an unchanged object always becomes the same record.

mod assignment;
mod group;
mod object;
mod person;
mod policy;
mod role;
mod service_principal;
mod sign_in;
mod unit;
mod user;
mod window;

pub(crate) use assignment::{GroupLink, group_link, pim_group_eligibility};
pub(crate) use group::{GROUP_NAMES, GROUP_PROPERTIES, group};
pub(crate) use object::Object;
pub(crate) use person::{
    department, department_id, department_member, department_name, identity, identity_id,
    identity_member,
};
pub(crate) use policy::{
    DELETED_USER_PROPERTIES, conditional_access_policy, deleted_user, deleted_users_id,
    named_location,
};
pub(crate) use role::{Schedules, role_assignment, role_definition, role_eligibility};
pub(crate) use service_principal::{SERVICE_PRINCIPAL_PROPERTIES, service_principal};
pub(crate) use sign_in::{SIGN_IN_KINDS, SIGN_IN_PROPERTIES, sign_ins};
pub(crate) use unit::{UNIT_PROPERTIES, administrative_unit, unit_context, unit_member};
pub(crate) use user::{GUARDED_USER_PROPERTIES, USER_PROPERTIES, user, with_nulls};
pub(crate) use window::{Row, Windows};

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
