//! The crawler's own application, Microsoft Graph's, and what the one was granted of the other.
//!
//! They answer when they are asked for by name and are not part of the generated tenant's lists, unless the tenant has
//! them itself.

use std::borrow::Cow;
use std::collections::BTreeSet;

use uuid::Uuid;

use crate::model::{
    AppRole, ServicePrincipal, ServicePrincipalClass, ServicePrincipalType, Tenant,
};
use crate::permissions;

/// Application id of Microsoft Graph, the same in every tenant.
pub(crate) const MICROSOFT_GRAPH: Uuid = Uuid::from_u128(0x0000_0003_0000_0000_c000_0000_0000_0000);
/// Object id of the crawler's own service principal.
const OWN_ID: Uuid = Uuid::from_u128(0x0a11_0c0a_0000_4000_8000_0000_0000_0001);
/// Object id of Graph's, in a tenant that has none.
const GRAPH_ID: Uuid = Uuid::from_u128(0x0a11_0c0a_0000_4000_8000_0000_0000_0002);

/// Permissions that Graph defines, beside those that the simulator grants by default.
const FURTHER: &[&str] = &[
    "AccessReview.ReadWrite.All",
    "Application.ReadWrite.All",
    "CustomSecAttributeAssignment.Read.All",
    "CustomSecAttributeDefinition.Read.All",
    "DelegatedPermissionGrant.Read.All",
    "Device.Read.All",
    "Directory.ReadWrite.All",
    "Domain.Read.All",
    "EntitlementManagement.ReadWrite.All",
    "Group.ReadWrite.All",
    "Policy.Read.All",
    "PrivilegedAccess.ReadWrite.AzureADGroup",
    "RoleManagement.Read.All",
    "RoleManagement.ReadWrite.Directory",
    "User.ReadWrite.All",
];

/// The id of a permission as an app role of Graph. Real where it is well known, else made from the name.
pub fn app_role_id(permission: &str) -> Uuid {
    let known = match permission {
        "User.Read.All" => "df021288-bdef-4463-88db-98f22de89214",
        "AuditLog.Read.All" => "b0afded3-3588-46d8-8b3d-9842eff778da",
        "GroupMember.Read.All" => "98830695-27a2-44f7-8c18-0c3ebc9698f6",
        "Member.Read.Hidden" => "658aa5d8-239f-45c4-aa12-864f4fc7e490",
        "Application.Read.All" => "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
        "Directory.Read.All" => "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
        "RoleManagement.Read.Directory" => "483bed4a-2ad3-4361-a73b-c83ccdbdc53c",
        "Organization.Read.All" => "498476ce-e0fe-48b0-b801-37ba7e2685c6",
        "EntitlementManagement.Read.All" => "c74fd47d-ed3c-45c3-9a9e-b8676de685d2",
        "AccessReview.Read.All" => "d07a8cc0-3d51-4b77-b3b0-32704d1f69fa",
        _ => return Uuid::new_v5(&MICROSOFT_GRAPH, permission.as_bytes()),
    };
    Uuid::parse_str(known).expect("the known ids are GUIDs")
}

/// What an assignment of the application looks like from outside.
pub(crate) struct Granted {
    pub(crate) id: String,
    pub(crate) app_role_id: Uuid,
    pub(crate) resource_id: Uuid,
}

/// The application that signs in, as far as routes need it.
pub(crate) struct OwnApplication<'a> {
    pub(crate) client_id: Uuid,
    /// Names of the permissions assigned to it now.
    pub(crate) assigned: &'a [String],
}

impl OwnApplication<'_> {
    /// The service principal of an application: the tenant's, or one of the two that are always there.
    pub(crate) fn by_app_id<'t>(
        &self,
        tenant: &'t Tenant,
        app_id: Uuid,
    ) -> Option<Cow<'t, ServicePrincipal>> {
        let known = tenant
            .service_principals
            .values()
            .find(|principal| principal.app_id == Some(app_id));
        if app_id == MICROSOFT_GRAPH {
            let mut graph = known
                .cloned()
                .unwrap_or_else(|| blank(GRAPH_ID, app_id, "Microsoft Graph"));
            let further: Vec<AppRole> = self
                .graph_roles()
                .into_iter()
                .filter(|role| {
                    graph
                        .app_roles
                        .iter()
                        .all(|known| known.value != role.value)
                })
                .collect();
            graph.app_roles.extend(further);
            return Some(Cow::Owned(graph));
        }
        match known {
            Some(principal) => Some(Cow::Borrowed(principal)),
            None if app_id == self.client_id => Some(Cow::Owned(blank(OWN_ID, app_id, "Cadastre"))),
            None => None,
        }
    }

    /// The same by object id.
    pub(crate) fn by_id<'t>(
        &self,
        tenant: &'t Tenant,
        id: Uuid,
    ) -> Option<Cow<'t, ServicePrincipal>> {
        [self.client_id, MICROSOFT_GRAPH]
            .into_iter()
            .filter_map(|app_id| self.by_app_id(tenant, app_id))
            .find(|principal| principal.id == id)
            .or_else(|| tenant.service_principals.get(&id).map(Cow::Borrowed))
    }

    /// The permissions of a service principal; only the crawler's own has any here.
    pub(crate) fn granted(&self, tenant: &Tenant, principal: &ServicePrincipal) -> Vec<Granted> {
        let graph = self.by_app_id(tenant, MICROSOFT_GRAPH);
        let Some(graph) = graph.filter(|_| principal.app_id == Some(self.client_id)) else {
            return Vec::new();
        };
        self.assigned
            .iter()
            .map(|name| {
                let known = graph
                    .app_roles
                    .iter()
                    .find(|role| role.value.as_ref() == Some(name));
                let app_role_id = known.map_or_else(|| app_role_id(name), |role| role.id);
                Granted {
                    id: crate::server::token::base64_url(app_role_id.as_bytes()),
                    app_role_id,
                    resource_id: graph.id,
                }
            })
            .collect()
    }

    fn graph_roles(&self) -> Vec<AppRole> {
        let assigned = self.assigned.iter().map(String::as_str);
        let names: BTreeSet<&str> = permissions::ALL
            .iter()
            .chain(FURTHER)
            .copied()
            .chain(assigned)
            .collect();
        names
            .into_iter()
            .map(|name| AppRole {
                id: app_role_id(name),
                display_name: name.to_owned(),
                value: Some(name.to_owned()),
                is_enabled: true,
                description: name.to_owned(),
                allowed_member_types: vec!["Application".to_owned()],
            })
            .collect()
    }
}

fn blank(id: Uuid, app_id: Uuid, name: &str) -> ServicePrincipal {
    ServicePrincipal {
        id,
        class: ServicePrincipalClass::Plain,
        app_id: Some(app_id),
        display_name: name.to_owned(),
        app_display_name: Some(name.to_owned()),
        service_principal_type: ServicePrincipalType::Application,
        account_enabled: Some(true),
        created_by_app_id: None,
        app_owner_organization_id: None,
        app_role_assignment_required: false,
        sign_in_audience: None,
        description: None,
        homepage: None,
        notes: None,
        tags: Vec::new(),
        service_principal_names: vec![app_id.to_string()],
        alternative_names: Vec::new(),
        reply_urls: Vec::new(),
        app_roles: Vec::new(),
        password_credentials: Vec::new(),
        key_credentials: Vec::new(),
        agent_identity_blueprint_id: None,
        created: None,
    }
}
