//! What is known around the users: sign-ins, administrative units, identities, departments.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use graph_sim::{MemberKind, Place, Truth, TruthAdministrativeUnit, TruthUser};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Row, moment, objects::date_text, row};

/// Who is a person in the crawls of these tests, as [`is_person`] says it.
pub fn identity_filter() -> Value {
    json!({"and": [
        {"property": "employeeId", "operator": "isNotNull"},
        {"or": [
            {"property": "employeeType", "operator": "notEquals", "value": "contractor"},
            {"property": "employeeOrgData.division", "operator": "inValues", "values": ["none"]},
        ]},
    ]})
}

fn is_person(user: &TruthUser) -> bool {
    user.employee_id.is_some() && user.employee_type.as_deref() != Some("Contractor")
}

/// All of it, with the tables that it is in.
pub(super) fn rows(truth: &Truth) -> Vec<(&'static str, Row)> {
    let mut rows = Vec::new();
    for user in &truth.users {
        sign_ins(user, &mut rows);
        if is_person(user) {
            identity(truth, user, &mut rows);
        }
    }
    for unit in &truth.administrative_units {
        administrative_unit(truth, unit, &mut rows);
    }
    departments(truth, &mut rows);
    deleted_users(truth, &mut rows);
    conditional_access(truth, &mut rows);
    rows
}

fn deleted_users(truth: &Truth, rows: &mut Vec<(&'static str, Row)>) {
    let bin = Uuid::new_v5(&truth.tenant_id, b"deletedUsers");
    let context = (bin, "DeletedUsers", "synced", "Principal");
    let named = ("Deleted users", None);
    rows.push(("contexts", context_row(context, named, &Map::new())));
    for user in &truth.deleted_users {
        let mut row = belongs((bin, "DeletedUsers"), user.id, "Principal");
        row["extended_attributes"] = told(json!({
            "deletedDateTime": date_text(user.deleted),
            "displayName": user.display_name,
            "userPrincipalName": user.user_principal_name,
            "mail": user.mail,
            "userType": user.user_type,
            "employeeId": user.employee_id,
        }));
        rows.push(("context_members", row));
    }
}

fn conditional_access(truth: &Truth, rows: &mut Vec<(&'static str, Row)>) {
    for policy in &truth.conditional_access_policies {
        let users = told(json!({
            "includeUsers": policy.include_groups.is_empty().then_some(["All"]),
            "excludeUsers": sorted(&policy.exclude_users),
            "includeGroups": sorted(&policy.include_groups),
        }));
        let locations = sorted(&policy.exclude_locations)
            .map(|excluded| json!({"includeLocations": ["All"], "excludeLocations": excluded}));
        let attributes = told(json!({
            "state": policy.state,
            "modifiedDateTime": policy.modified.map(date_text),
            "conditions": told(json!({
                "clientAppTypes": ["all"],
                "applications": {"includeApplications": ["All"]},
                "users": users,
                "locations": locations,
            })),
            "grantControls": {"operator": "OR", "builtInControls": policy.controls},
        }));
        let enabled = Some(policy.state == "enabled");
        let kind = "EntraConditionalAccessPolicy";
        let named = (policy.id, &*policy.display_name, policy.created);
        rows.push(("resources", around(kind, named, enabled, &attributes)));
    }
    for location in &truth.named_locations {
        let created = date_text(location.created);
        let attributes = match &location.place {
            Place::Addresses { ranges, is_trusted } => json!({
                "locationKind": "ipNamedLocation",
                "modifiedDateTime": created,
                "isTrusted": is_trusted,
                "ipRanges": ranges.iter().map(|range| json!({"cidrAddress": range})).collect::<Vec<_>>(),
            }),
            Place::Countries { countries } => json!({
                "locationKind": "countryNamedLocation",
                "modifiedDateTime": created,
                "countriesAndRegions": countries.iter().collect::<BTreeSet<_>>(),
                "includeUnknownCountriesAndRegions": false,
                "countryLookupMethod": "clientIpAddress",
            }),
        };
        let named = (location.id, &*location.display_name, location.created);
        rows.push((
            "resources",
            around("EntraNamedLocation", named, None, &attributes),
        ));
    }
}

/// Ids in order, if there are any.
fn sorted(ids: &[Uuid]) -> Option<BTreeSet<Uuid>> {
    (!ids.is_empty()).then(|| ids.iter().copied().collect())
}

/// An object without what is not set.
fn told(value: Value) -> Value {
    let fields = row(value).into_iter();
    Value::Object(fields.filter(|(_, value)| !value.is_null()).collect())
}

fn around(
    kind: &str,
    (id, name, created): (Uuid, &str, DateTime<Utc>),
    enabled: Option<bool>,
    attributes: &Value,
) -> Row {
    row(json!({
        "id": id,
        "external_id": null,
        "resource_type": kind,
        "display_name": name,
        "description": null,
        "mail": null,
        "visibility": null,
        "enabled": enabled,
        "is_assignable_to_role": null,
        "catalog_id": null,
        "app_id": null,
        "template_id": null,
        "created_date_time": moment(created),
        "extended_attributes": attributes,
    }))
}

fn sign_ins(user: &TruthUser, rows: &mut Vec<(&'static str, Row)>) {
    let Some(activity) = user.sign_in else { return };
    for (kind, at) in [
        ("SignIn", activity.last_sign_in),
        (
            "NonInteractiveSignIn",
            activity.last_non_interactive_sign_in,
        ),
        ("SuccessfulSignIn", activity.last_successful_sign_in),
    ] {
        if let Some(at) = at {
            let seen = row(json!({
                "principal_id": user.id,
                "resource_id": Uuid::nil(),
                "activity_type": kind,
                "last_activity_date_time": moment(at),
                "activity_count": null,
                "extended_attributes": {},
            }));
            rows.push(("principal_activity", seen));
        }
    }
}

fn identity_id(truth: &Truth, user: &TruthUser) -> Uuid {
    let name = format!("identity:{}", user.id);
    Uuid::new_v5(&truth.tenant_id, name.as_bytes())
}

fn identity(truth: &Truth, user: &TruthUser, rows: &mut Vec<(&'static str, Row)>) {
    let id = identity_id(truth, user);
    let person = row(json!({
        "id": id,
        "external_id": null,
        "display_name": user.display_name,
        "email": user.mail,
        "given_name": user.given_name,
        "surname": user.surname,
        "employee_id": user.employee_id,
        "job_title": user.job_title,
        "department": user.department,
        "company_name": user.company_name,
        "primary_principal_id": user.id,
        "extended_attributes": {},
    }));
    rows.push(("identities", person));
    let account = row(json!({
        "identity_id": id,
        "principal_id": user.id,
        "is_primary": true,
        "account_type": if user.is_guest() { "ExternalUser" } else { "User" },
        "extended_attributes": {},
    }));
    rows.push(("identity_members", account));
}

fn administrative_unit(
    truth: &Truth,
    unit: &TruthAdministrativeUnit,
    rows: &mut Vec<(&'static str, Row)>,
) {
    let mut attributes = Map::new();
    let mut put = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
    let restricted = unit.is_member_management_restricted;
    put("isMemberManagementRestricted", restricted.into());
    match &unit.membership_rule {
        Some(rule) => {
            put("membershipType", "Dynamic".into());
            put("membershipRule", rule.clone().into());
            put("membershipRuleProcessingState", "On".into());
        }
        None => {
            put("membershipType", "Assigned".into());
        }
    }
    let resource = row(json!({
        "id": unit.id,
        "external_id": null,
        "resource_type": "EntraAdministrativeUnit",
        "display_name": unit.display_name,
        "description": unit.description,
        "mail": null,
        "visibility": unit.visibility,
        "enabled": null,
        "is_assignable_to_role": null,
        "catalog_id": null,
        "app_id": null,
        "template_id": null,
        "created_date_time": null,
        "extended_attributes": attributes,
    }));
    rows.push(("resources", resource));
    let context = (unit.id, "AdministrativeUnit", "synced", "Principal");
    let described = (&*unit.display_name, unit.description.as_deref());
    rows.push(("contexts", context_row(context, described, &attributes)));
    let linked = truth
        .unit_members
        .iter()
        .filter(|member| member.unit_id == unit.id)
        .map(|member| match member.member_kind {
            MemberKind::Group => (member.member_id, "Resource"),
            _ => (member.member_id, "Principal"),
        });
    let devices = unit.devices.iter().map(|id| (*id, "Device"));
    for (member, member_type) in linked.chain(devices) {
        let belongs = belongs((unit.id, "AdministrativeUnit"), member, member_type);
        rows.push(("context_members", belongs));
    }
}

fn departments(truth: &Truth, rows: &mut Vec<(&'static str, Row)>) {
    let mut names = BTreeSet::new();
    let has_people = truth.users.iter().any(is_person);
    let member_type = if has_people { "Identity" } else { "Principal" };
    let id_of = |name: &str| {
        let text = format!("department:{name}");
        Uuid::new_v5(&truth.tenant_id, text.as_bytes())
    };
    for user in &truth.users {
        let Some(name) = user.department.as_deref().map(str::trim) else {
            continue;
        };
        names.insert(name);
        let member = match (has_people, is_person(user)) {
            (true, true) => identity_id(truth, user),
            (true, false) => continue,
            (false, _) => user.id,
        };
        let belongs = belongs((id_of(name), "Department"), member, member_type);
        rows.push(("context_members", belongs));
    }
    for name in names {
        let context = (id_of(name), "Department", "calculated", member_type);
        rows.push(("contexts", context_row(context, (name, None), &Map::new())));
    }
}

fn context_row(
    (id, kind, variant, target_type): (Uuid, &str, &str, &str),
    (name, description): (&str, Option<&str>),
    attributes: &Map<String, Value>,
) -> Row {
    row(json!({
        "id": id,
        "external_id": null,
        "context_type": kind,
        "variant": variant,
        "target_type": target_type,
        "display_name": name,
        "description": description,
        "parent_context_id": null,
        "extended_attributes": attributes,
    }))
}

fn belongs((context, kind): (Uuid, &str), member: Uuid, member_type: &str) -> Row {
    row(json!({
        "context_id": context,
        "member_id": member,
        "member_type": member_type,
        "context_type": kind,
        "extended_attributes": {},
    }))
}
