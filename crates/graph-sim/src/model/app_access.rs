//! Access to and through applications: who holds their roles, what they may do on behalf of users, whom they trust.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{LinkMap, MemberKind, Tenant};

/// An app role given to somebody; the nil role is "default access".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppRoleAssignment {
    /// Assignment id, an opaque word.
    pub id: String,
    /// The role, or nil for default access.
    pub app_role_id: Uuid,
    /// Who holds it.
    pub principal_id: Uuid,
    /// What kind of object that is.
    pub principal_kind: MemberKind,
    /// The service principal of the application that offers the role.
    pub resource_id: Uuid,
    /// Since when.
    pub created: DateTime<Utc>,
}

/// A delegated grant: the client may act at the resource on behalf of one user, or of all where there is no principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PermissionGrant {
    /// Grant id, an opaque word.
    pub id: String,
    /// The service principal that acts.
    pub client_id: Uuid,
    /// The service principal that is acted at.
    pub resource_id: Uuid,
    /// The user, or nobody for all users.
    pub principal_id: Option<Uuid>,
    /// Scopes as Graph writes them, stray blanks included.
    pub scope: String,
}

/// An identity of another issuer that may sign in as the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FederatedCredential {
    /// Credential id.
    pub id: Uuid,
    /// Name.
    pub name: String,
    /// Who issues the tokens.
    pub issuer: String,
    /// Whom they must name.
    pub subject: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whom they must be for.
    pub audiences: Vec<String>,
}

/// The permissions of one resource that a registration asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestedAccess {
    /// Application id of the resource.
    pub resource_app_id: Uuid,
    /// App roles.
    pub roles: Vec<Uuid>,
    /// Delegated scopes.
    pub scopes: Vec<Uuid>,
}

/// Everything about access to and through applications that is no attribute of theirs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppAccess {
    /// App role assignments by resource and id.
    pub assignments: BTreeMap<(Uuid, String), AppRoleAssignment>,
    /// Delegated grants by id.
    pub grants: BTreeMap<String, PermissionGrant>,
    /// Federated credentials by application and id.
    pub federated_credentials: BTreeMap<(Uuid, Uuid), FederatedCredential>,
    /// Sponsors by agent identity.
    pub sponsors: LinkMap,
}

impl AppAccess {
    /// Adds an assignment.
    pub fn assign(&mut self, assignment: AppRoleAssignment) {
        let key = (assignment.resource_id, assignment.id.clone());
        self.assignments.insert(key, assignment);
    }

    /// The assignments of one resource behind an id.
    pub fn assigned_to(
        &self,
        resource: Uuid,
        after: Option<&str>,
    ) -> impl Iterator<Item = &AppRoleAssignment> + '_ {
        let start = match after {
            Some(id) => Bound::Excluded((resource, id.to_owned())),
            None => Bound::Included((resource, String::new())),
        };
        self.assignments
            .range((start, Bound::Unbounded))
            .take_while(move |((from, _), _)| *from == resource)
            .map(|(_, assignment)| assignment)
    }

    /// The federated credentials of one application behind an id.
    pub fn credentials_of(
        &self,
        application: Uuid,
        after: Option<Uuid>,
    ) -> impl Iterator<Item = &FederatedCredential> + '_ {
        let start = match after {
            Some(id) => Bound::Excluded((application, id)),
            None => Bound::Included((application, Uuid::nil())),
        };
        self.federated_credentials
            .range((start, Bound::Unbounded))
            .take_while(move |((from, _), _)| *from == application)
            .map(|(_, credential)| credential)
    }

    /// Forgets deleted objects.
    pub(crate) fn forget(&mut self, gone: &HashSet<Uuid>) {
        self.assignments.retain(|_, held| {
            !gone.contains(&held.resource_id) && !gone.contains(&held.principal_id)
        });
        self.grants.retain(|_, grant| {
            !gone.contains(&grant.client_id)
                && !gone.contains(&grant.resource_id)
                && grant.principal_id.is_none_or(|id| !gone.contains(&id))
        });
        self.federated_credentials
            .retain(|(application, _), _| !gone.contains(application));
        self.sponsors.forget(gone);
    }
}

impl Tenant {
    /// References of applications' access that point at nothing.
    pub(super) fn dangling_app_access(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, from: &str, id: Uuid, kind: MemberKind| {
            if self.kind_of(id) != Some(kind) {
                found.push(format!(
                    "{what} of {from} refers to {id}, which is no {kind:?}"
                ));
            }
        };
        let application = MemberKind::ServicePrincipal;
        for held in self.app_access.assignments.values() {
            check(
                "app role holder",
                &held.id,
                held.principal_id,
                held.principal_kind,
            );
            check("app role resource", &held.id, held.resource_id, application);
        }
        for grant in self.app_access.grants.values() {
            check("client", &grant.id, grant.client_id, application);
            check("resource", &grant.id, grant.resource_id, application);
            if let Some(user) = grant.principal_id {
                check("grantor", &grant.id, user, MemberKind::User);
            }
        }
        for (agent, sponsor) in self.app_access.sponsors.iter() {
            check("sponsor", &agent.to_string(), sponsor.id, sponsor.kind);
            check("sponsored", &agent.to_string(), agent, application);
        }
        for held in self.app_access.assignments.values() {
            let offers = self
                .service_principals
                .get(&held.resource_id)
                .is_some_and(|one| {
                    held.app_role_id.is_nil()
                        || one.app_roles.iter().any(|role| role.id == held.app_role_id)
                });
            if !offers {
                found.push(format!(
                    "{} gives role {}, which is not offered",
                    held.id, held.app_role_id
                ));
            }
        }
        for (application, _) in self.app_access.federated_credentials.keys() {
            if !self.applications.contains_key(application) {
                found.push(format!(
                    "a federated credential belongs to {application}, which is no application"
                ));
            }
        }
        found
    }
}
