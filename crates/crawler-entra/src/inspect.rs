//! Looking at a tenant without sending anything: what a filter would do, which attributes there are.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    AttributesFound, CrawlConfig, CrawlError, IdentityFilter, IdentityPreview, ProgressSink,
    collect::{self, Run},
    graph::{Graph, GraphError},
    journal::Journal,
    stopping::Stopped,
};

/// Why a look at the tenant brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Setup(#[from] CrawlError),
    /// Microsoft Graph did not answer as it should.
    #[error("{reason}{}", missing(.missing_permission.as_deref()))]
    Source {
        /// What happened.
        reason: String,
        /// The permission to grant, where one is missing.
        missing_permission: Option<String>,
    },
}

fn missing(permission: Option<&str>) -> String {
    permission.map_or_else(String::new, |permission| format!("; grant {permission}"))
}

/// Counts the users that a filter makes identities. Reads all users; sends nothing.
pub async fn preview_identities(
    config: CrawlConfig,
    filter: &IdentityFilter,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<IdentityPreview, InspectError> {
    let config = CrawlConfig {
        identity_filter: Some(filter.clone()),
        ..config
    };
    let run = look(config, progress, cancel).await?;
    collect::preview_identities(&run, filter)
        .await
        .map_err(|stopped| no_answer(&stopped, "User.Read.All"))
}

/// Finds the custom attributes of users, and how many of a sample have them.
pub async fn discover_attributes(
    config: CrawlConfig,
    sample: usize,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<AttributesFound, InspectError> {
    let run = look(config, progress, cancel).await?;
    collect::attributes(&run, sample)
        .await
        .map_err(|stopped| no_answer(&stopped, "User.Read.All"))
}

/// A run that reads and nothing else.
async fn look(
    config: CrawlConfig,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<Run, InspectError> {
    let config = CrawlConfig {
        register: None,
        dry_run: true,
        ..config
    };
    config.validate().map_err(CrawlError::from)?;
    let graph = Graph::new(&config, progress.clone(), cancel.clone())?;
    graph
        .sign_in()
        .await
        .map_err(|error| no_answer(&error.into(), ""))?;
    Ok(Run {
        graph,
        config,
        tenant_id: Uuid::nil(),
        register: None,
        progress,
        journal: Arc::new(Journal::none(cancel.clone())),
        cancel,
        deltas: crate::delta::Deltas::default(),
    })
}

fn no_answer(stopped: &Stopped, needed: &str) -> InspectError {
    let missing_permission = match stopped {
        Stopped::Source(GraphError::Forbidden { permission, .. }) => {
            Some(permission.clone().unwrap_or_else(|| needed.to_owned()))
        }
        _ => None,
    };
    InspectError::Source {
        reason: stopped.to_string(),
        missing_permission,
    }
}
