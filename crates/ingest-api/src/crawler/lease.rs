//! The one way out for secrets: with a crawler, to the worker that holds the lease of its job.

use std::collections::BTreeMap;

use contract::crawler::{LeasedCrawler, LeasedSecret, SecretField, SecretText};
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::{self, SecretNote};
use crate::{
    error::ApiError,
    secret::{self, Keyring, SecretError, SecretPlace},
};

/// Why a crawler cannot be handed out.
#[derive(Debug, thiserror::Error)]
pub enum CrawlerError {
    /// A secret does not open. The crawler is marked so on the connection: commit it, and do not run the crawler.
    #[error("the secret '{}' of the crawler cannot be used: {error}", .field.wire_name())]
    Secret {
        /// The field.
        field: SecretField,
        /// Why.
        error: SecretError,
    },
    /// PostgreSQL refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<CrawlerError> for ApiError {
    fn from(error: CrawlerError) -> Self {
        match error {
            CrawlerError::Database(error) => error.into(),
            CrawlerError::Secret { .. } => Self::Conflict {
                detail: error.to_string(),
                sync_id: None,
            },
        }
    }
}

/// The newest settings of a crawler with their secrets; `None` when there is no such crawler in the workspace. Whether it
/// may run (`enabled`) is asked when its job is made.
///
/// To be called in the transaction that gives the lease, and committed with it whatever comes back: that the secrets were
/// opened is in the audit log, and that one does not open is a state of the crawler.
pub async fn leased(
    connection: &mut PgConnection,
    keyring: &Keyring,
    workspace_id: i32,
    crawler_id: Uuid,
) -> Result<Option<LeasedCrawler>, CrawlerError> {
    let Some(kept) = store::of_workspace(connection, workspace_id, crawler_id).await? else {
        return Ok(None);
    };
    let mut secrets = BTreeMap::new();
    for (field, note) in &kept.secrets {
        let found = find(connection, keyring, workspace_id, crawler_id, *field, note).await;
        match found {
            Ok(secret) => secrets.insert(*field, secret),
            Err(error) => {
                if let CrawlerError::Secret { .. } = &error {
                    let reason = error.to_string();
                    store::note_secret_error(connection, crawler_id, Some(&reason)).await?;
                }
                return Err(error);
            }
        };
    }
    if kept.secret_error.is_some() {
        store::note_secret_error(connection, crawler_id, None).await?;
    }
    let opened: Vec<&str> = secrets
        .iter()
        .filter(|(_, secret)| matches!(secret, LeasedSecret::Value(_)))
        .map(|(field, _)| field.wire_name())
        .collect();
    if !opened.is_empty() {
        audit_opening(connection, workspace_id, crawler_id, &opened).await?;
    }
    Ok(Some(LeasedCrawler {
        crawler_id,
        kind: kept.kind,
        name: kept.name,
        system_id: kept.system_id,
        version: kept.version,
        settings: kept.settings,
        secrets,
    }))
}

async fn find(
    connection: &mut PgConnection,
    keyring: &Keyring,
    workspace_id: i32,
    crawler_id: Uuid,
    field: SecretField,
    note: &SecretNote,
) -> Result<LeasedSecret, CrawlerError> {
    if let Some(reference) = &note.reference {
        return Ok(LeasedSecret::Reference(reference.clone()));
    }
    let refused = |error| CrawlerError::Secret { field, error };
    let place = SecretPlace {
        workspace_id,
        crawler_id,
        field: field.wire_name(),
        version: note.version.ok_or_else(|| refused(SecretError::Missing))?,
    };
    let sealed = secret::get(connection, place).await?;
    let sealed = sealed.ok_or_else(|| refused(SecretError::Missing))?;
    let opened = keyring.open(place, &sealed).await.map_err(refused)?;
    Ok(LeasedSecret::Value(SecretText(opened)))
}

async fn audit_opening(
    connection: &mut PgConnection,
    workspace_id: i32,
    crawler_id: Uuid,
    fields: &[&str],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit_log (workspace_id, actor, action, target, detail) \
         values ($1, 'server (lease of a job)', 'secret.open', $2, jsonb_build_object('fields', to_jsonb($3::text[])))",
    )
    .bind(workspace_id)
    .bind(crawler_id.to_string())
    .bind(fields)
    .execute(connection)
    .await?;
    Ok(())
}
