//! Builds a tenant from a [`TenantSpec`]. Every part draws from a random stream
//! of its own, so that a change in one part does not reshuffle the rest.

mod activations;
mod app_access;
mod governance;
mod groups;
mod links;
mod names;
mod policies;
mod principals;
mod reviews;
mod role_catalogue;
mod roles;
mod time;
mod units;
mod users;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

pub(crate) use activations::add_assignment;
pub(crate) use app_access::{AccessMaker, is_own as is_own_application};
pub(crate) use governance::GovernanceMaker;
pub(crate) use groups::GroupMaker;
pub(crate) use principals::PrincipalMaker;
pub(crate) use reviews::decide;
pub(crate) use roles::RoleMaker;
pub(crate) use time::{days_from_today, today};
pub(crate) use units::UnitMaker;
pub(crate) use users::UserMaker;
pub(crate) use words::{DEPARTMENTS, OFFICES};

use crate::model::{AppAccess, Governance, LinkMap, Tenant};
use crate::random::Random;
use crate::spec::TenantSpec;

pub(crate) const DEFAULT_DOMAIN: &str = "meridiaan.example";
pub(crate) const INITIAL_DOMAIN: &str = "meridiaan.onmicrosoft.com";
const ON_PREMISES_DOMAIN: &str = "corp.meridiaan.example";
/// Product id of Microsoft 365 E5.
pub(crate) const SKU_E5: Uuid = Uuid::from_u128(0x06eb_c4ee_1bb5_47dd_8120_1132_4bc5_4e06);
/// Product id of Microsoft 365 E3.
pub(crate) const SKU_E3: Uuid = Uuid::from_u128(0x05e9_a617_0261_4cee_bb44_138d_3ef5_d965);
/// The tenant that owns Microsoft's own applications.
const MICROSOFT_TENANT: Uuid = Uuid::from_u128(0xf8cd_ef31_a31e_4b4a_93e4_5f57_1e91_255a);

impl Tenant {
    /// Builds the tenant the spec describes; the same spec gives the same tenant.
    pub fn generate(spec: &TenantSpec) -> Self {
        let stream = |label| Random::labelled(spec.seed, label);
        let mut tenant = empty(spec);

        let mut users = UserMaker::new(spec, stream("users"));
        let mut employees = Vec::new();
        for _ in 0..spec.users {
            let user = users.make();
            if user.department.is_some() {
                employees.push(user.id);
            }
            tenant.users.insert(user.id, user);
        }
        users::appoint_managers(&mut tenant.users, &employees);

        let mut principals = PrincipalMaker::new(tenant.tenant_id, stream("principals"));
        for _ in 0..spec.service_principals {
            let (principal, application) = principals.make();
            tenant.service_principals.insert(principal.id, principal);
            if let Some(application) = application {
                tenant.applications.insert(application.id, application);
            }
        }

        let mut groups = GroupMaker::new(spec, stream("groups"));
        let has_special = spec.groups >= groups::SPECIAL_GROUPS;
        let mut group_ids = Vec::with_capacity(spec.groups);
        for place in 0..spec.groups {
            let group = if has_special && place < groups::SPECIAL_GROUPS {
                groups.special(place)
            } else {
                groups.make()
            };
            group_ids.push(group.id);
            tenant.groups.insert(group.id, group);
        }

        links::add_members(
            &mut tenant,
            &group_ids,
            spec.mean_group_size,
            &mut stream("members"),
        );
        links::add_owners(&mut tenant, &group_ids, &mut stream("owners"));
        let mut roles = stream("roles");
        roles::add_definitions(&mut tenant, &mut roles);
        roles::add_units(&mut tenant, &mut roles);
        roles::add_holders(&mut tenant, &mut roles);
        app_access::add(&mut tenant, stream("app access"));
        governance::add(&mut tenant, spec, stream("governance"));
        reviews::add(&mut tenant, stream("reviews"));
        let mut unit_stream = stream("administrative units");
        let count = spec.administrative_units();
        units::add_members(&mut tenant, count, &mut unit_stream);
        policies::add_security_attributes(&mut tenant, &mut stream("security attributes"));
        policies::add_policies(&mut tenant, &mut stream("policies"));
        policies::add_deleted_users(&mut tenant, &mut stream("deleted users"));
        tenant
    }
}

fn empty(spec: &TenantSpec) -> Tenant {
    let mut random = Random::labelled(spec.seed, "tenant");
    Tenant {
        tenant_id: random.uuid(),
        seed: spec.seed,
        display_name: "Meridiaan Group".to_owned(),
        initial_domain: INITIAL_DOMAIN.to_owned(),
        default_domain: DEFAULT_DOMAIN.to_owned(),
        created: time::days_from_today(&mut random, -4_000, -3_900),
        users: BTreeMap::new(),
        groups: BTreeMap::new(),
        service_principals: BTreeMap::new(),
        applications: BTreeMap::new(),
        administrative_units: BTreeMap::new(),
        unit_members: LinkMap::default(),
        deleted_users: BTreeMap::new(),
        conditional_access_policies: BTreeMap::new(),
        named_locations: BTreeMap::new(),
        domains: policies::domains(),
        members: LinkMap::default(),
        owners: LinkMap::default(),
        service_principal_owners: LinkMap::default(),
        application_owners: LinkMap::default(),
        app_access: AppAccess::default(),
        role_definitions: BTreeMap::new(),
        role_assignments: BTreeMap::new(),
        role_eligibilities: BTreeMap::new(),
        group_eligibilities: BTreeMap::new(),
        pim_groups: BTreeSet::new(),
        governance: Governance::default(),
    }
}
