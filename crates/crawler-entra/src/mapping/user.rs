//! Users and guests.

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
];

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
    fn an_object_that_may_not_be_read_in_full_is_no_user_without_a_name() {
        let limited = json!({"@odata.type": "#microsoft.graph.user", "id": "a6f05b2e-9d31-4c78-8e4a-17c92d6f30b5"});
        assert_eq!(user(limited), None);
        let poor = json!({"id": "a6f05b2e-9d31-4c78-8e4a-17c92d6f30b5", "displayName": "Bo",
            "userPrincipalName": "bo@nw.example", "mail": "bo@nw.example"});
        assert_eq!(user(poor), None);
    }
}
