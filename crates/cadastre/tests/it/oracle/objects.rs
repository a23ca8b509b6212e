//! What users, service principals, groups and roles become.

use chrono::{DateTime, Utc};
use graph_sim::{
    License, ServicePrincipalClass, ServicePrincipalType, TruthGroup, TruthRole,
    TruthServicePrincipal, TruthUser,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Row, moment, row};

/// Attributes without a column: what is not set and what is empty is left out.
#[derive(Default)]
pub(super) struct Attributes(Map<String, Value>);

impl Attributes {
    pub(super) fn put(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let is_empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !is_empty {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    pub(super) fn all(self) -> Map<String, Value> {
        self.0
    }

    /// Graph's order of words is chance.
    pub(super) fn words(self, name: &str, words: &[String]) -> Self {
        let mut words = words.to_vec();
        words.sort();
        self.put(name, words)
    }

    pub(super) fn date(self, name: &str, at: Option<DateTime<Utc>>) -> Self {
        self.put(name, at.map(date_text))
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

/// A moment as Graph writes it: with as many digits as it needs.
pub(super) fn date_text(at: DateTime<Utc>) -> String {
    let text = at.format("%Y-%m-%dT%H:%M:%S%.9f").to_string();
    format!("{}Z", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The security identifier that Entra derives from an object's id.
fn security_identifier(id: Uuid) -> String {
    let (first, second, third, rest) = id.as_fields();
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let middle = (u32::from(third) << 16) | u32::from(second);
    format!(
        "S-1-12-1-{first}-{middle}-{}-{}",
        word(&rest[..4]),
        word(&rest[4..])
    )
}

/// The licences of a user by product, with what else is told of them.
fn licenses(user: &TruthUser, more: impl Fn(&License) -> Value) -> Vec<Value> {
    let mut licenses: Vec<Value> = user
        .licenses
        .iter()
        .map(|license| {
            let mut told = more(license);
            told["skuId"] = json!(license.sku_id);
            told
        })
        .collect();
    licenses.sort_by_key(|license| license["skuId"].to_string());
    licenses
}

pub(super) fn user(user: &TruthUser) -> Row {
    let organisation: Map<String, Value> = [
        ("division", &user.division),
        ("costCenter", &user.cost_center),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())))
    .collect();
    let extensions: Map<String, Value> = user
        .extension_attributes
        .iter()
        .map(|(number, value)| (format!("extensionAttribute{number}"), json!(value)))
        .collect();
    let source = user.on_premises.as_ref();
    let attributes = Attributes::default()
        .put("userType", if user.is_guest() { "Guest" } else { "Member" })
        .words("otherMails", &user.other_mails)
        .words("proxyAddresses", &user.proxy_addresses)
        .put("creationType", user.creation_type.clone())
        .put("externalUserState", user.external_user_state.clone())
        .date(
            "externalUserStateChangeDateTime",
            user.external_user_state_changed,
        )
        .date("employeeHireDate", user.employee_hire_date)
        .put("employeeOrgData", organisation)
        .put("usageLocation", user.usage_location.clone())
        .put("onPremisesSyncEnabled", source.map(|_| true))
        .put(
            "onPremisesImmutableId",
            source.and_then(|source| source.immutable_id.clone()),
        )
        .put(
            "onPremisesSamAccountName",
            source.map(|source| source.sam_account_name.clone()),
        )
        .put(
            "onPremisesDistinguishedName",
            source.and_then(|source| source.distinguished_name.clone()),
        )
        .put(
            "onPremisesDomainName",
            source.map(|source| source.domain_name.clone()),
        )
        .put(
            "onPremisesSecurityIdentifier",
            source.map(|source| source.security_identifier.clone()),
        )
        .put(
            "onPremisesUserPrincipalName",
            source.and_then(|source| source.user_principal_name.clone()),
        )
        .put("onPremisesExtensionAttributes", extensions)
        .date("lastPasswordChangeDateTime", user.last_password_change)
        .put("securityIdentifier", security_identifier(user.id))
        .put("isManagementRestricted", user.is_management_restricted)
        .put("isResourceAccount", user.is_resource_account)
        .put("assignedLicenses", licenses(user, |_| json!({})))
        .put(
            "licenseAssignmentStates",
            licenses(user, |license| {
                let mut state = json!({"state": "Active", "error": "None"});
                if let Some(group) = license.assigned_by_group {
                    state["assignedByGroup"] = json!(group);
                }
                state
            }),
        );
    row(json!({
        "id": user.id,
        "external_id": null,
        "principal_type": if user.is_guest() { "ExternalUser" } else { "User" },
        "display_name": user.display_name,
        "user_principal_name": user.user_principal_name,
        "email": user.mail,
        "given_name": user.given_name,
        "surname": user.surname,
        "job_title": user.job_title,
        "department": user.department,
        "company_name": user.company_name,
        "employee_id": user.employee_id,
        "employee_type": user.employee_type,
        "office_location": user.office_location,
        "country": user.country,
        "manager_id": user.manager_id,
        "account_enabled": user.account_enabled,
        "app_id": null,
        "created_date_time": moment(user.created),
        "extended_attributes": attributes.0,
    }))
}

pub(super) fn is_agent(principal: &TruthServicePrincipal) -> bool {
    principal.class == ServicePrincipalClass::AgentIdentity
        || principal.service_principal_type == ServicePrincipalType::ServiceIdentity
}

pub(super) fn service_principal(principal: &TruthServicePrincipal) -> Row {
    let principal_type = if is_agent(principal) {
        "AIAgent"
    } else if principal.service_principal_type == ServicePrincipalType::ManagedIdentity {
        "ManagedIdentity"
    } else {
        "ServicePrincipal"
    };
    let kind = match principal.class {
        ServicePrincipalClass::Plain => None,
        ServicePrincipalClass::AgentIdentity => Some("agentIdentity"),
        ServicePrincipalClass::AgentIdentityBlueprintPrincipal => {
            Some("agentIdentityBlueprintPrincipal")
        }
    };
    let owner = principal.app_owner_organization_id;
    let attributes = Attributes::default()
        .put("agentKind", kind)
        .put("appDisplayName", principal.app_display_name.clone())
        .put("description", principal.description.clone())
        .put(
            "servicePrincipalType",
            principal.service_principal_type.as_str(),
        )
        .put(
            "appOwnerOrganizationId",
            owner.map(|tenant| tenant.to_string()),
        )
        .put(
            "appRoleAssignmentRequired",
            principal.app_role_assignment_required,
        )
        .put("signInAudience", principal.sign_in_audience.clone())
        .put("homepage", principal.homepage.clone())
        .put("notes", principal.notes.clone())
        .words("tags", &principal.tags)
        .words("servicePrincipalNames", &principal.service_principal_names)
        .words("alternativeNames", &principal.alternative_names)
        .put(
            "createdByAppId",
            principal.created_by_app_id.map(|id| id.to_string()),
        );
    row(json!({
        "id": principal.id,
        "external_id": null,
        "principal_type": principal_type,
        "display_name": principal.display_name,
        "user_principal_name": null,
        "email": null,
        "given_name": null,
        "surname": null,
        "job_title": null,
        "department": null,
        "company_name": null,
        "employee_id": null,
        "employee_type": null,
        "office_location": null,
        "country": null,
        "manager_id": null,
        "account_enabled": principal.account_enabled,
        "app_id": principal.app_id,
        // Graph tells it for agents only, and only where lists of agents alone are asked for it.
        "created_date_time": null,
        "extended_attributes": attributes.0,
    }))
}

pub(super) fn group(group: &TruthGroup) -> Row {
    let kind = match (
        group.is_unified(),
        group.security_enabled,
        group.mail_enabled,
    ) {
        (true, _, _) => Some("Microsoft365"),
        (false, true, false) => Some("Security"),
        (false, true, true) => Some("MailEnabledSecurity"),
        (false, false, true) => Some("Distribution"),
        (false, false, false) => None,
    };
    let source = group.on_premises.as_ref();
    let attributes = Attributes::default()
        .put("groupKind", kind)
        .put("mailEnabled", group.mail_enabled)
        .put("mailNickname", group.mail_nickname.clone())
        .put("securityEnabled", group.security_enabled)
        .words("groupTypes", &group.group_types)
        .put("membershipRule", group.membership_rule.clone())
        .put(
            "membershipRuleProcessingState",
            group.membership_rule_processing_state.clone(),
        )
        .put("isManagementRestricted", group.is_management_restricted)
        .date("expirationDateTime", group.expiration)
        .put("onPremisesSyncEnabled", source.map(|_| true))
        .put(
            "onPremisesSamAccountName",
            source.map(|source| source.sam_account_name.clone()),
        )
        .put(
            "onPremisesDomainName",
            source.map(|source| source.domain_name.clone()),
        )
        .put(
            "onPremisesSecurityIdentifier",
            source.map(|source| source.security_identifier.clone()),
        )
        .words(
            "resourceProvisioningOptions",
            &group.resource_provisioning_options,
        )
        .put("securityIdentifier", security_identifier(group.id));
    row(json!({
        "id": group.id,
        "external_id": null,
        "resource_type": "EntraGroup",
        "display_name": group.display_name,
        "description": group.description,
        "mail": group.mail,
        "visibility": group.visibility,
        "enabled": null,
        "is_assignable_to_role": group.is_assignable_to_role,
        "catalog_id": null,
        "app_id": null,
        "template_id": null,
        "created_date_time": moment(group.created),
        "extended_attributes": attributes.0,
    }))
}

pub(super) fn role(role: &TruthRole) -> Row {
    let mut actions = role.actions.clone();
    actions.sort();
    let attributes = Attributes::default()
        .put("isBuiltIn", role.is_built_in)
        .put("isPrivileged", role.is_privileged)
        // The same for every role of the simulated tenant.
        .put("resourceScopes", json!(["/"]))
        .put("version", "1")
        .put(
            "rolePermissions",
            json!([{"allowedResourceActions": actions}]),
        );
    row(json!({
        "id": role.id,
        "external_id": null,
        "resource_type": "EntraDirectoryRole",
        "display_name": role.display_name,
        "description": role.description,
        "mail": null,
        "visibility": null,
        "enabled": role.is_enabled,
        "is_assignable_to_role": null,
        "catalog_id": null,
        "app_id": null,
        "template_id": role.template_id,
        "created_date_time": null,
        "extended_attributes": attributes.0,
    }))
}
