//! What the application's own service principal was granted, read from Graph: role ids become names through the service
//! principal of Graph itself, never through a list of ours.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use uuid::Uuid;

use crate::graph::{Answered, Graph, GraphError, Meter, Version};

/// Application id of Microsoft Graph, the same in every tenant and cloud.
const MICROSOFT_GRAPH: &str = "00000003-0000-0000-c000-000000000000";
/// Pages of assignments that are read; an application has some dozens of assignments.
const MOST_PAGES: usize = 50;

/// The application as the tenant sees it.
pub(super) struct Granted {
    pub display_name: Option<String>,
    /// Names of Graph's permissions, each once, in order.
    pub permissions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Principal {
    id: Uuid,
    display_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphPrincipal {
    id: Uuid,
    app_roles: Vec<AppRole>,
}

impl Answered for Principal {}
impl Answered for GraphPrincipal {}

#[derive(Deserialize)]
struct AppRole {
    id: Uuid,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assignment {
    app_role_id: Uuid,
    resource_id: Uuid,
}

/// Reads what the application with this client id was granted.
pub(super) async fn read(
    graph: &Graph,
    client_id: &str,
    meter: &Meter,
) -> Result<Granted, GraphError> {
    let by_app_id = |app_id: &str, properties: &str| {
        format!("servicePrincipals(appId='{app_id}')?$select={properties}")
    };
    let own: Principal = graph
        .get(Version::V1, &by_app_id(client_id, "id,displayName"), meter)
        .await?;
    let microsoft: GraphPrincipal = graph
        .get(
            Version::V1,
            &by_app_id(MICROSOFT_GRAPH, "id,appRoles"),
            meter,
        )
        .await?;
    let names: HashMap<Uuid, &str> = microsoft
        .app_roles
        .iter()
        .filter_map(|role| Some((role.id, role.value.as_deref()?)))
        .collect();
    let relative = format!("servicePrincipals/{}/appRoleAssignments?$top=999", own.id);
    let assignments = graph
        .short_list(Version::V1, &relative, MOST_PAGES, meter)
        .await?;
    let permissions: BTreeSet<String> = assignments
        .into_iter()
        .filter_map(|value| serde_json::from_value::<Assignment>(value).ok())
        .filter(|assignment| assignment.resource_id == microsoft.id)
        .filter_map(|assignment| names.get(&assignment.app_role_id).map(ToString::to_string))
        .collect();
    Ok(Granted {
        display_name: own.display_name,
        permissions: permissions.into_iter().collect(),
    })
}
