//! Finds out, before a crawl, what can be read and what is missing.
//!
//! In goes the configuration of a crawl; out comes a [`CheckReport`]: a fresh token's permissions, what the service
//! principal was really granted, and per feature how Graph answers one small question. Nothing is written anywhere, and the
//! register is not needed.

mod feature;
mod granted;
mod judge;
mod render;
mod report;
mod requirements;
mod told;

use std::sync::Arc;

use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use feature::{Feature, Licence, Requirement, SelectedBy};
pub use render::{permissions_table, render};
pub use report::{
    CheckOutcome, CheckReport, FeatureReport, FeatureStatus, GrantsReport, TokenReport,
};
pub use requirements::REQUIREMENTS;

use crate::{
    ConfigError, CrawlConfig, CrawlError,
    auth::Claims,
    graph::{Graph, GraphError, Meter, Version},
    progress::Quiet,
};
use judge::{Answer, Known, judge};

/// Questions to Graph under way at once.
const AT_ONCE: usize = 4;

/// A check that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The configuration cannot be used; correct it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Setup(#[from] CrawlError),
    /// No token: the sign-in was refused or not reached. Says what to correct, and no secret.
    #[error("{0}")]
    SignIn(String),
}

#[derive(Deserialize)]
struct AnyGroup {
    id: Uuid,
}

/// Checks what a crawl with this configuration could read. The register of the configuration is not asked.
pub async fn check(config: &CrawlConfig) -> Result<CheckReport, CheckError> {
    config.validate_reading()?;
    let graph = Graph::new(config, Arc::new(Quiet), CancellationToken::new())?;
    // The source is new, so the token is as fresh as its issuer gives it out.
    graph
        .sign_in()
        .await
        .map_err(|error| CheckError::SignIn(error.to_string()))?;
    let meter = Meter::default();
    let claims = graph.claims().await;
    let configured = &config.graph.client_id;
    let client_id = Some(configured.clone())
        .filter(|id| !id.is_empty())
        .or_else(|| claims.as_ref()?.app_id.clone())
        // It becomes a part of an address.
        .filter(|id| Uuid::parse_str(id).is_ok());
    let roles = claims.as_ref().map(|claims| claims.roles.clone());
    let grants = grants(&graph, client_id.as_deref(), roles.as_deref(), &meter).await;
    let answers = ask(&graph, &meter).await;
    let known = Known {
        in_token: roles.as_deref(),
        assigned: grants.assigned.as_deref(),
    };
    let features: Vec<FeatureReport> = REQUIREMENTS
        .iter()
        .zip(&answers)
        .map(|(requirement, answer)| {
            judge(
                requirement,
                requirement.selected_by.holds(config),
                &known,
                answer,
            )
        })
        .collect();
    Ok(CheckReport {
        outcome: report::outcome_of(&features),
        checked_at: Utc::now(),
        tenant_id: config.graph.tenant_id.clone(),
        client_id,
        cloud: config.graph.cloud,
        graph: config
            .graph
            .base_url
            .as_str()
            .trim_end_matches('/')
            .to_owned(),
        method: config.graph.credential.method(),
        token: token_report(claims),
        grants,
        features,
    })
}

fn token_report(claims: Option<Claims>) -> TokenReport {
    match claims {
        Some(claims) => TokenReport {
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            roles: Some(claims.roles),
        },
        None => TokenReport {
            roles: None,
            issued_at: None,
            expires_at: None,
        },
    }
}

async fn grants(
    graph: &Graph,
    client_id: Option<&str>,
    roles: Option<&[String]>,
    meter: &Meter,
) -> GrantsReport {
    let read =
        match client_id {
            Some(client_id) => granted::read(graph, client_id, meter)
                .await
                .map_err(|error| match error {
                    GraphError::Forbidden { .. } => {
                        "reading them needs Application.Read.All".to_owned()
                    }
                    other => other.to_string(),
                }),
            None => Err("neither the configuration nor the token says the client id".to_owned()),
        };
    let (display_name, assigned, unreadable_because) = match read {
        Ok(granted) => (granted.display_name, Some(granted.permissions), None),
        Err(why) => (None, None, Some(why)),
    };
    let is_in = |list: Option<&[String]>, name: &String| list.is_some_and(|l| l.contains(name));
    let not_in_token = assigned.iter().flatten();
    let not_in_token = not_in_token
        .filter(|name| roles.is_some() && !is_in(roles, name))
        .cloned()
        .collect();
    let mut can_write: Vec<String> = assigned
        .iter()
        .flatten()
        .chain(roles.into_iter().flatten())
        .filter(|name| name.contains("Write"))
        .cloned()
        .collect();
    can_write.sort_unstable();
    can_write.dedup();
    GrantsReport {
        display_name,
        assigned,
        unreadable_because,
        not_in_token,
        can_write,
    }
}

/// Asks Graph about every feature, in the order of the table.
async fn ask(graph: &Graph, meter: &Meter) -> Vec<Answer> {
    let group = any_group(graph, meter).await;
    // Made before the stream: a closure in it would keep the whole from being sent between threads.
    let questions: Vec<_> = REQUIREMENTS
        .iter()
        .map(|requirement| ask_one(graph, requirement, group, meter))
        .collect();
    stream::iter(questions).buffered(AT_ONCE).collect().await
}

async fn ask_one(
    graph: &Graph,
    requirement: &Requirement,
    group: Option<Uuid>,
    meter: &Meter,
) -> Answer {
    let Some(probe) = requirement.probe else {
        return Answer::NotAsked;
    };
    let relative = if probe.relative.contains("{group}") {
        // Graph refuses a group that does not exist.
        match group {
            Some(id) => probe.relative.replace("{group}", &id.to_string()),
            None => return Answer::NotAsked,
        }
    } else {
        probe.relative.to_owned()
    };
    Answer::of(graph.get::<Value>(probe.version, &relative, meter).await)
}

/// Any group, to ask about its PIM.
async fn any_group(graph: &Graph, meter: &Meter) -> Option<Uuid> {
    let relative = "groups?$top=1&$select=id";
    let page: Value = graph.get(Version::V1, relative, meter).await.ok()?;
    let first = page["value"].get(0)?.clone();
    serde_json::from_value::<AnyGroup>(first)
        .ok()
        .map(|group| group.id)
}
