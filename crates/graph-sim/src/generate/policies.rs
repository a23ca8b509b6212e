//! What stands around the directory: domains, conditional access, custom security attributes, the recycle bin.

use serde_json::json;
use uuid::Uuid;

use super::time::days_from_today;
use super::{DEFAULT_DOMAIN, INITIAL_DOMAIN};
use crate::model::{ConditionalAccessPolicy, DeletedUser, Domain, NamedLocation, Place, Tenant};
use crate::random::Random;

/// The domains of every simulated tenant.
pub(crate) fn domains() -> Vec<Domain> {
    let domain = |name: &str, is_default, is_initial, is_verified, kind: &str| Domain {
        name: name.to_owned(),
        is_default,
        is_initial,
        is_verified,
        authentication_type: kind.to_owned(),
    };
    vec![
        domain(DEFAULT_DOMAIN, true, false, true, "Managed"),
        domain(INITIAL_DOMAIN, false, true, true, "Managed"),
        domain("corp.meridiaan.example", false, false, true, "Federated"),
        domain("unproven.example", false, false, false, "Managed"),
    ]
}

/// Gives some users custom security attributes: texts, a list, a number and a flag.
pub(crate) fn add_security_attributes(tenant: &mut Tenant, random: &mut Random) {
    for user in tenant.users.values_mut() {
        if random.chance(0.2) {
            let projects = ["Baker", "Cascade", "Delta"];
            let set = user
                .security_attributes
                .entry("Engineering".to_owned())
                .or_default();
            set.insert("Project".to_owned(), json!([random.pick(&projects)]));
            set.insert("NumVendors".to_owned(), json!(random.between(1, 9)));
        }
        if random.chance(0.1) {
            let set = user
                .security_attributes
                .entry("Clearance".to_owned())
                .or_default();
            set.insert(
                "Level".to_owned(),
                json!(format!("C{}", random.between(1, 4))),
            );
            set.insert("IsSworn".to_owned(), json!(random.chance(0.5)));
        }
    }
}

/// Named locations and the policies that use them.
pub(crate) fn add_policies(tenant: &mut Tenant, random: &mut Random) {
    for (name, place) in [
        (
            "Head office",
            Place::Addresses {
                ranges: vec!["192.0.2.0/24".to_owned(), "2001:db8::/48".to_owned()],
                is_trusted: true,
            },
        ),
        (
            "Partners",
            Place::Addresses {
                ranges: vec!["198.51.100.0/25".to_owned()],
                is_trusted: false,
            },
        ),
        (
            "Where we work",
            Place::Countries {
                countries: vec!["NL".to_owned(), "DE".to_owned(), "ES".to_owned()],
            },
        ),
    ] {
        let location = NamedLocation {
            id: random.uuid(),
            display_name: name.to_owned(),
            created: days_from_today(random, -900, -300),
            place,
        };
        tenant.named_locations.insert(location.id, location);
    }
    let groups: Vec<Uuid> = tenant.groups.keys().copied().collect();
    let users: Vec<Uuid> = tenant.users.keys().copied().collect();
    let locations: Vec<Uuid> = tenant.named_locations.keys().copied().collect();
    for (place, name) in ["MFA for all", "Block legacy", "Admins on devices", "Pilot"]
        .into_iter()
        .enumerate()
    {
        let states = ["enabled", "disabled", "enabledForReportingButNotEnforced"];
        let policy = ConditionalAccessPolicy {
            id: random.uuid(),
            display_name: format!("CA{:03} - {name}", place + 1),
            state: states[place % 3].to_owned(),
            created: days_from_today(random, -900, -300),
            modified: (place % 2 == 0).then(|| days_from_today(random, -200, -1)),
            include_groups: random.sample(&groups, place),
            exclude_users: random.sample(&users, 1),
            exclude_locations: random.sample(&locations, place % 2),
            controls: vec![if place == 1 { "block" } else { "mfa" }.to_owned()],
        };
        tenant.conditional_access_policies.insert(policy.id, policy);
    }
}

/// A few users that were deleted before the tenant was first looked at.
pub(crate) fn add_deleted_users(tenant: &mut Tenant, random: &mut Random) {
    let count = (tenant.users.len() / 100).max(2);
    for place in 0..count {
        let user = DeletedUser {
            id: random.uuid(),
            deleted: days_from_today(random, -29, -1),
            display_name: format!("Former colleague {place}"),
            user_principal_name: format!("former.{place}@{DEFAULT_DOMAIN}"),
            mail: (place % 2 == 0).then(|| format!("former.{place}@{DEFAULT_DOMAIN}")),
            user_type: if place % 3 == 2 { "Guest" } else { "Member" },
            employee_id: (place % 3 != 2).then(|| format!("D{place:06}")),
        };
        tenant.deleted_users.insert(user.id, user);
    }
}
