//! The roles that applications offer. Default access is a role without a definition: that an application gives it shows in
//! its assignments only, so the roles are known when those are.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use contract::{
    CheckpointEntry, CollectionReport, CollectionStatus, Entity,
    records::{Resource, ResourceRelationship, relationship_type, resource_type},
};
use serde_json::Value;
use uuid::Uuid;

use super::super::{collection::Run, shelf::Shelf};
use crate::{
    journal::entry,
    mapping::{ApplicationParts, app_role_id, default_access, has_app_role},
    sink::Target,
    stopping::Stopped,
};

/// What the list told about an application.
struct Application {
    app_id: Option<Uuid>,
    offers_default_access: bool,
    roles: Vec<Uuid>,
}

/// The applications that were read, and which of them turned out to give default access.
pub(super) struct Known {
    /// The list was asked for the roles.
    knows_roles: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    applications: HashMap<Uuid, Application>,
    give_default_access: BTreeSet<Uuid>,
    unsaved: Vec<Uuid>,
}

/// The stream of the run's checkpoint that has the applications that give default access.
const DEFAULT_ACCESS: &str = "default access";

impl Known {
    /// What an earlier attempt of the run found out about default access is known from the start.
    pub fn new(run: &Run, knows_roles: bool) -> Self {
        let given = run.journal.all_left(DEFAULT_ACCESS);
        let state = State {
            give_default_access: given
                .filter_map(|(id, _)| Uuid::parse_str(id).ok())
                .collect(),
            ..State::default()
        };
        Self {
            knows_roles,
            state: Mutex::new(state),
        }
    }

    /// What is to be remembered for whoever goes on with the run.
    pub fn unsaved(&self) -> Vec<CheckpointEntry> {
        let unsaved = std::mem::take(&mut self.state().unsaved);
        let entries = unsaved
            .into_iter()
            .map(|id| entry(DEFAULT_ACCESS, id.to_string(), Value::Bool(true)));
        entries.collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A map is valid after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, one: &ApplicationParts) {
        let application = Application {
            app_id: one.application.app_id,
            offers_default_access: one.needs_assignment(),
            roles: one.roles.iter().filter_map(|role| role.id).collect(),
        };
        self.state().applications.insert(one.id, application);
    }

    pub fn is_empty(&self) -> bool {
        self.state().applications.is_empty()
    }

    /// Somebody holds this role of the application.
    pub fn note_held(&self, application: Uuid, role: Option<Uuid>) {
        if role == Some(app_role_id(application, Uuid::nil())) {
            let mut state = self.state();
            if state.give_default_access.insert(application) {
                state.unsaved.push(application);
            }
        }
    }

    /// All roles of the application: the keys of its assignments, where they are known. An assignment of a role that the
    /// application no longer defines gives nothing any more.
    pub fn roles_of(&self, application: Uuid) -> Option<Vec<Uuid>> {
        if !self.knows_roles {
            return None;
        }
        let state = self.state();
        let mut roles = state.applications.get(&application)?.roles.clone();
        roles.push(app_role_id(application, Uuid::nil()));
        roles.sort_unstable();
        roles.dedup();
        Some(roles)
    }

    /// Default access of applications that give it although they need not.
    fn default_roles(&self) -> Vec<Resource> {
        let state = self.state();
        let given = state.give_default_access.iter();
        given
            .filter_map(|id| Some((*id, state.applications.get(id)?)))
            .filter(|(_, application)| !application.offers_default_access)
            .map(|(id, application)| default_access(id, application.app_id))
            .collect()
    }
}

/// The scopes of app roles.
pub(super) struct RoleShelves {
    roles: Shelf<Resource>,
    offers: Shelf<ResourceRelationship>,
}

impl RoleShelves {
    pub fn new(run: &Run, permission: &'static str) -> Self {
        let filter = "entra:servicePrincipals:appRoles";
        let scope = [("resourceType", &resource_type::ENTRA_APP_ROLE)];
        let roles = Target::new(Entity::Resources, &scope, filter);
        let scope = [("relationshipType", &relationship_type::HAS_APP_ROLE)];
        let offers = Target::new(Entity::ResourceRelationships, &scope, filter);
        Self {
            roles: Shelf::new(run, "app roles", permission, roles),
            offers: Shelf::new(run, "roles of applications", permission, offers),
        }
    }

    pub async fn put(&self, roles: Vec<Resource>) -> Result<(), Stopped> {
        let offers: Vec<ResourceRelationship> = roles.iter().filter_map(offer).collect();
        self.roles.put(&roles).await?;
        self.offers.put(&offers).await
    }

    /// Adds default access and commits. While it is not known who gives that, nothing can be removed.
    pub async fn end(
        self,
        run: &Run,
        ended: Result<&(), &Stopped>,
        known: &Known,
        knows_default_access: Option<bool>,
    ) -> [CollectionReport; 2] {
        let added = if ended.is_ok() {
            self.put(known.default_roles()).await
        } else {
            Ok(())
        };
        let ended = ended.and(added.as_ref());
        let doubt = match (ended, knows_default_access) {
            (Err(_), _) | (_, Some(true)) => None,
            (_, Some(false)) => Some((
                CollectionStatus::Partial,
                "the assignments of some applications are not known",
            )),
            // As it was asked for.
            (_, None) => Some((CollectionStatus::Complete, "assignments are not asked for")),
        };
        let Some((status, doubt)) = doubt else {
            let (roles, offers) =
                tokio::join!(self.roles.end(run, ended), self.offers.end(run, ended),);
            return [roles, offers];
        };
        let message = format!(
            "{doubt}, so it is not known which give default access, and nothing was removed"
        );
        let (roles, offers) = tokio::join!(
            self.roles.end_incomplete(run, status, message.clone()),
            self.offers.end_incomplete(run, status, message.clone()),
        );
        [roles, offers]
    }
}

/// The relationship of a role with its application.
fn offer(role: &Resource) -> Option<ResourceRelationship> {
    let application = role.external_id.as_deref()?.split('/').next()?;
    Some(has_app_role(application.parse().ok()?, role.id?))
}
