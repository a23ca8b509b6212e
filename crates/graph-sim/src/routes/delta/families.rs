//! The collections that have a delta function.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{DeltaFamily, Other, Relation};
use crate::model::{
    AdministrativeUnit, Application, Group, Link, MemberKind, PermissionGrant, ServicePrincipal,
    Tenant, User,
};
use crate::permissions;
use crate::routes::property::Property;
use crate::routes::service_principals;

impl DeltaFamily for User {
    type Key = Uuid;
    const COLLECTION: &'static str = "users";
    const RELATIONS: &'static [Relation<Self>] = &[Relation::new("manager", |_, user| {
        user.manager_id.map_or(Cow::Borrowed(&[]), |id| {
            let kind = MemberKind::User;
            Cow::Owned(vec![Link { id, kind }])
        })
    })];
    const UNTRACKED: &'static [&'static str] = &["signInActivity", "customSecurityAttributes"];
    fn objects(tenant: &Tenant) -> &BTreeMap<Uuid, Self> {
        &tenant.users
    }
}

/// Unlike the lists of v1.0, the fragments show service principals.
impl DeltaFamily for Group {
    type Key = Uuid;
    const COLLECTION: &'static str = "groups";
    const RELATIONS: &'static [Relation<Self>] = &[
        Relation::new("members", |tenant, group: &Group| {
            Cow::Borrowed(tenant.members.of(group.id))
        })
        .hidden_if(|group, grants| {
            group.hides_members() && !grants.has_any(permissions::HIDDEN_MEMBERS)
        }),
        Relation::new("owners", |tenant, group| {
            Cow::Borrowed(tenant.owners.of(group.id))
        }),
    ];
    fn objects(tenant: &Tenant) -> &BTreeMap<Uuid, Self> {
        &tenant.groups
    }
}

impl DeltaFamily for ServicePrincipal {
    type Key = Uuid;
    const COLLECTION: &'static str = "servicePrincipals";
    const RELATIONS: &'static [Relation<Self>] = &[Relation::new("owners", |tenant, principal| {
        Cow::Borrowed(tenant.service_principal_owners.of(principal.id))
    })];
    const UNTRACKED: &'static [&'static str] = &["customSecurityAttributes"];
    fn objects(tenant: &Tenant) -> &BTreeMap<Uuid, Self> {
        &tenant.service_principals
    }
    fn rendered(
        &self,
        selection: &[&'static Property<Self>],
        everything: bool,
    ) -> Map<String, Value> {
        service_principals::object(self, selection, everything)
    }
}

impl DeltaFamily for Application {
    type Key = Uuid;
    const COLLECTION: &'static str = "applications";
    const RELATIONS: &'static [Relation<Self>] =
        &[Relation::new("owners", |tenant, application| {
            Cow::Borrowed(tenant.application_owners.of(application.id))
        })];
    fn objects(tenant: &Tenant) -> &BTreeMap<Uuid, Self> {
        &tenant.applications
    }
}

/// Known by an opaque word, in which capitals count.
impl DeltaFamily for PermissionGrant {
    type Key = String;
    const COLLECTION: &'static str = "oauth2PermissionGrants";
    const IGNORES_CASE: bool = false;
    fn objects(tenant: &Tenant) -> &BTreeMap<String, Self> {
        &tenant.app_access.grants
    }
}

impl DeltaFamily for AdministrativeUnit {
    type Key = Uuid;
    const COLLECTION: &'static str = "administrativeUnits";
    const RELATIONS: &'static [Relation<Self>] =
        &[
            Relation::new("members", |tenant, unit: &AdministrativeUnit| {
                Cow::Borrowed(tenant.unit_members.of(unit.id))
            })
            .with_others(|_, unit| {
                let device = |id: &Uuid| Other {
                    id: *id,
                    odata_type: "#microsoft.graph.device",
                };
                unit.devices.iter().map(device).collect()
            })
            .hidden_if(|unit, grants| {
                unit.hides_members() && !grants.has_any(permissions::HIDDEN_MEMBERS)
            }),
        ];
    fn objects(tenant: &Tenant) -> &BTreeMap<Uuid, Self> {
        &tenant.administrative_units
    }
}
