//! The envelope of a call, without its records.

use contract::{
    Completeness, Entity, IdGeneration, Scope, SyncMode, SyncStep, SystemId, session::OpenSession,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{body, error::ApiError};

/// The fields of a call; see `contract::IngestRequest`. An unknown field is an error: a mistyped `scope` would make a
/// full load speak of everything.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    pub system_id: Option<SystemId>,
    #[serde(default)]
    pub sync_mode: SyncMode,
    pub scope: Option<Scope>,
    #[serde(default)]
    pub deleted_ids: Vec<serde_json::Value>,
    #[serde(default)]
    pub id_generation: IdGeneration,
    pub id_prefix: Option<String>,
    pub sync_session: Option<SyncStep>,
    pub sync_id: Option<Uuid>,
    #[serde(default)]
    pub atomic: bool,
    pub complete: Option<bool>,
    #[serde(default)]
    pub incomplete_parents: Vec<Uuid>,
    #[serde(default)]
    pub complete_parents: Vec<Uuid>,
    pub source_filter: Option<String>,
    pub read_began_ms_ago: Option<u64>,
}

impl body::Envelope for Envelope {
    /// Every field that a record's reading depends on must have been there: one that is absent so far may follow.
    fn is_settled(fields: &Map<String, Value>) -> bool {
        let is_known = |name: &str| fields.contains_key(name);
        [
            "systemId",
            "syncMode",
            "scope",
            "idGeneration",
            "syncSession",
        ]
        .into_iter()
        .all(is_known)
            && (fields["idGeneration"] == "native" || is_known("idPrefix"))
            && (fields["syncSession"].is_null() || is_known("syncId"))
    }
}

impl Envelope {
    /// The load that the call makes.
    pub fn load(&self, entity: Entity) -> Result<OpenSession, ApiError> {
        let system_id = self
            .system_id
            .ok_or_else(|| ApiError::bad_field("systemId", "'systemId' is missing"))?;
        Ok(OpenSession {
            system_id,
            entity,
            sync_mode: self.sync_mode,
            scope: self
                .scope
                .iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            id_generation: self.id_generation,
            id_prefix: self.id_prefix.clone(),
            source_filter: self.source_filter.clone(),
            run_id: None,
            read_began_ms_ago: self.read_began_ms_ago,
        })
    }

    /// What was read to the end: everything, unless the call says otherwise.
    pub fn completeness(&self) -> Completeness {
        Completeness {
            complete: self.complete.unwrap_or(true),
            incomplete_parents: self.incomplete_parents.clone(),
            complete_parents: self.complete_parents.clone(),
        }
    }
}
