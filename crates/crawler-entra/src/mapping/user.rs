//! Users and guests.

use std::{collections::BTreeSet, sync::LazyLock};

use contract::records::{Principal, principal_type};
use serde_json::Value;

use super::Object;

/// What is asked for. Properties that change without anybody having changed anything (last synchronisation, tokens valid
/// from) are left out: they would fill the history.
pub(crate) const USER_PROPERTIES: &[&str] = &[
    "id",
    "userPrincipalName",
    "displayName",
    "givenName",
    "surname",
    "mail",
    "otherMails",
    "proxyAddresses",
    "userType",
    "accountEnabled",
    "createdDateTime",
    "creationType",
    "externalUserState",
    "externalUserStateChangeDateTime",
    "employeeId",
    "employeeType",
    "employeeHireDate",
    "employeeOrgData",
    "department",
    "jobTitle",
    "companyName",
    "officeLocation",
    "country",
    "usageLocation",
    "onPremisesSyncEnabled",
    "onPremisesImmutableId",
    "onPremisesSamAccountName",
    "onPremisesDistinguishedName",
    "onPremisesDomainName",
    "onPremisesSecurityIdentifier",
    "onPremisesUserPrincipalName",
    "onPremisesExtensionAttributes",
    "lastPasswordChangeDateTime",
    "securityIdentifier",
    "isManagementRestricted",
    "isResourceAccount",
    "identityParentId",
    "assignedLicenses",
    "licenseAssignmentStates",
];

/// Properties that need a permission of their own: asking for one without it fails the whole list. They are read only when
/// the configuration names them.
pub(crate) const GUARDED_USER_PROPERTIES: [(&str, &str); 2] = [
    ("employeeLeaveDateTime", "User-LifeCycleInfo.Read.All"),
    (SECURITY_ATTRIBUTES, "CustomSecAttributeAssignment.Read.All"),
];

/// Graph's name for custom security attributes, which come set by set.
pub(crate) const SECURITY_ATTRIBUTES: &str = "customSecurityAttributes";

/// What Graph sends for every user that may be read in full, be it null. A later page can come with a few fields only
/// (microsoftgraph/microsoft-graph-explorer#3584): the others would be taken for cleared.
const ALWAYS_SENT: [&str; 5] = [
    "displayName",
    "userPrincipalName",
    "userType",
    "accountEnabled",
    "department",
];

/// A user as a principal. `None` when Graph sent no usable object, or one that we may not read in full.
pub(crate) fn user(value: Value) -> Option<Principal> {
    let (id, mut user) = Object::read(value)?;
    if !ALWAYS_SENT.iter().all(|name| user.has(name)) {
        return None;
    }
    let is_guest = user
        .peek("userType")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("guest"));
    if user.odata_kind() == Some("agentUser") || user.peek("identityParentId").is_some() {
        user.add("isAgentUser", true);
    }
    let principal_type = if is_guest {
        principal_type::EXTERNAL_USER
    } else {
        principal_type::USER
    };
    let manager_id = user
        .nested("manager")
        .and_then(|mut manager| manager.guid("id"));
    flatten_security_attributes(&mut user);
    sort_licenses(&mut user);
    let user_principal_name = user.text("userPrincipalName");
    let email = user.text("mail");
    let display_name = user
        .text("displayName")
        .or_else(|| user_principal_name.clone())
        .or_else(|| email.clone())
        .unwrap_or_else(|| id.to_string());
    Some(Principal {
        id: Some(id),
        external_id: None,
        principal_type: Some(principal_type),
        display_name,
        user_principal_name,
        email,
        given_name: user.text("givenName"),
        surname: user.text("surname"),
        job_title: user.text("jobTitle"),
        department: user.text("department"),
        company_name: user.text("companyName"),
        employee_id: user.text("employeeId"),
        employee_type: user.text("employeeType"),
        office_location: user.text("officeLocation"),
        country: user.text("country"),
        manager_id,
        manager_external_id: None,
        account_enabled: user.flag("accountEnabled"),
        app_id: None,
        created_date_time: user.date("createdDateTime"),
        extended_attributes: user.rest(),
    })
}

/// Custom security attributes become attributes of their own, named `{set}.{name}`.
fn flatten_security_attributes(user: &mut Object) {
    let Some(sets) = user.nested(SECURITY_ATTRIBUTES) else {
        return;
    };
    for (set, values) in sets.fields() {
        let Value::Object(values) = values else {
            continue;
        };
        for (name, value) in values {
            if !name.contains("@odata.") {
                user.add(&format!("{set}.{name}"), value.clone());
            }
        }
    }
}

/// Licences in an order of their own, without the moments at which Graph looked at them again.
fn sort_licenses(user: &mut Object) {
    for name in ["assignedLicenses", "licenseAssignmentStates"] {
        user.edit_list(name, |licenses| {
            for license in licenses.iter_mut() {
                if let Value::Object(fields) = license {
                    fields.remove("lastUpdatedDateTime");
                }
            }
            licenses.sort_by_cached_key(Value::to_string);
        });
    }
}

/// A user for a load that leaves alone what it does not mention: everything that was asked for and is not there becomes an
/// explicit null.
pub(crate) fn with_nulls(user: &Principal, asked: &[String]) -> Option<Value> {
    let Value::Object(mut record) = serde_json::to_value(user).ok()? else {
        return None;
    };
    for name in FIELDS.iter() {
        if !name.ends_with("ExternalId") && name != "externalId" && name != "extendedAttributes" {
            record.entry(name.clone()).or_insert(Value::Null);
        }
    }
    let extended = record
        .entry("extendedAttributes")
        .or_insert_with(|| Value::Object(serde_json::Map::new()))
        .as_object_mut()?;
    for name in asked.iter().map(String::as_str).chain(DERIVED) {
        let has_column = FIELDS.contains(name) || NOT_KEPT.contains(&name);
        if !has_column && !extended.contains_key(name) {
            extended.insert(name.to_owned(), Value::Null);
        }
    }
    Some(Value::Object(record))
}

/// Attributes that we derive.
const DERIVED: [&str; 2] = ["isAgentUser", "attributesTooLarge"];
/// What is asked for and lands under another name.
const NOT_KEPT: [&str; 2] = ["mail", SECURITY_ATTRIBUTES];

/// The fields of a principal that are not extended attributes.
static FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let schema = contract::record_schema(contract::Entity::Principals).to_value();
    let fields = schema["properties"].as_object();
    fields
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_becomes_a_user_with_its_manager_and_the_rest_in_extended_attributes() {
        let principal = user(json!({
            "id": "1B9F2C74-6A0D-4F3E-8C15-90D2A7E4B611", "displayName": "Ingrid Vasquez",
            "userPrincipalName": "ingrid@nw.example", "mail": "ingrid@nw.example", "userType": "Member",
            "accountEnabled": true, "department": "Operations", "createdDateTime": "2021-09-14T08:03:27Z",
            "employeeOrgData": {"division": "Terminals", "costCenter": null}, "otherMails": [],
            "manager": {"@odata.type": "#microsoft.graph.user", "id": "C84E1D60-2F9B-47A3-96E5-0A7D3B1C5F28"},
            "extension_2d7e_badgeNumber": "B-88213"
        }))
        .expect("a user");
        assert_eq!(principal.principal_type, Some(principal_type::USER));
        assert_eq!(
            principal.manager_id.map(|id| id.to_string()).as_deref(),
            Some("c84e1d60-2f9b-47a3-96e5-0a7d3b1c5f28")
        );
        assert_eq!(principal.department.as_deref(), Some("Operations"));
        assert_eq!(principal.account_enabled, Some(true));
        assert_eq!(
            principal.extended_attributes.map(Value::Object),
            Some(
                json!({"userType": "Member", "employeeOrgData": {"division": "Terminals"},
                "extension_2d7e_badgeNumber": "B-88213"})
            )
        );
    }

    #[test]
    fn a_guest_becomes_an_external_user_whatever_its_account_state() {
        let principal = user(json!({
            "id": "a6f05b2e-9d31-4c78-8e4a-17c92d6f30b5", "displayName": null, "mail": "t@c.example",
            "userPrincipalName": "t_c#EXT#@nw.example", "userType": "Guest", "accountEnabled": null,
            "department": null
        }))
        .expect("a user");
        assert_eq!(
            principal.principal_type,
            Some(principal_type::EXTERNAL_USER)
        );
        assert_eq!(principal.display_name, "t_c#EXT#@nw.example");
        assert_eq!(principal.account_enabled, None);
    }

    #[test]
    fn security_attributes_are_flattened_and_licences_sorted_without_moments() {
        let graph = |licenses: Value| {
            let principal = user(json!({
                "id": "1b9f2c74-6a0d-4f3e-8c15-90d2a7e4b611", "displayName": "Ada", "userPrincipalName": "a@x",
                "userType": "Member", "accountEnabled": true, "department": null,
                "customSecurityAttributes": {"Engineering": {"@odata.type": "#x", "Project@odata.type": "#Collection(String)",
                    "Project": ["Cascade", "Baker"], "Rank": 3}},
                "licenseAssignmentStates": licenses
            }));
            principal
                .and_then(|one| one.extended_attributes)
                .map(Value::Object)
        };
        let state = |sku: &str, at: &str| json!({"skuId": sku, "assignedByGroup": null, "lastUpdatedDateTime": at});
        let one = graph(json!([
            state("b", "2026-01-01T00:00:00Z"),
            state("a", "2026-01-01T00:00:00Z")
        ]));
        let other = graph(json!([
            state("a", "2026-02-02T00:00:00Z"),
            state("b", "2026-02-02T00:00:00Z")
        ]));
        assert_eq!(one, other);
        let expected = json!({"userType": "Member", "Engineering.Project": ["Baker", "Cascade"], "Engineering.Rank": 3,
            "licenseAssignmentStates": [{"skuId": "a"}, {"skuId": "b"}]});
        assert_eq!(one, Some(expected));
    }

    #[test]
    fn what_was_asked_for_and_is_not_there_is_said_to_be_null_and_nothing_else() {
        let principal = user(json!({
            "id": "1b9f2c74-6a0d-4f3e-8c15-90d2a7e4b611", "displayName": "Ada", "userPrincipalName": "a@x", "mail": "a@x",
            "userType": "Member", "accountEnabled": true, "department": null, "usageLocation": "NL"
        }))
        .expect("a user");
        let asked = ["department", "mail", "usageLocation", "creationType"].map(str::to_owned);
        let record = with_nulls(&principal, &asked).expect("a record");
        assert_eq!(record["department"], Value::Null);
        assert!(
            record
                .as_object()
                .is_some_and(|fields| fields.contains_key("jobTitle"))
        );
        let extended = record["extendedAttributes"]
            .as_object()
            .expect("attributes");
        assert_eq!(extended.get("usageLocation"), Some(&json!("NL")));
        assert_eq!(extended.get("creationType"), Some(&Value::Null));
        assert!(!extended.contains_key("mail") && !extended.contains_key("Clearance.Level"));
    }

    #[test]
    fn an_object_that_may_not_be_read_in_full_is_no_user_without_a_name() {
        let limited = json!({"@odata.type": "#microsoft.graph.user", "id": "a6f05b2e-9d31-4c78-8e4a-17c92d6f30b5"});
        assert_eq!(user(limited), None);
        let poor = json!({"id": "a6f05b2e-9d31-4c78-8e4a-17c92d6f30b5", "displayName": "Bo",
            "userPrincipalName": "bo@nw.example", "mail": "bo@nw.example"});
        assert_eq!(user(poor), None);
    }
}
