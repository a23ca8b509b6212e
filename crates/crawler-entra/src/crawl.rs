//! A crawl from start to end: sign in, learn the tenant, read the collections side by side, report.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use contract::{
    CollectionReport, Entity, Permission, Promote, PromoteAll, RunOutcome, RunReport, SyncMode,
    SystemId,
};
use ingest_client::{BatchLimits, IngestClient};
use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    CrawlConfig, CrawlError, ProgressEvent, ProgressSink,
    collect::{self, GroupsFound, Run},
    graph::{Graph, GraphError, Meter},
    plan::Plan,
    report::outcome_of,
    sink::Register,
    stopping::once_begun,
};

/// How long a cancelled run tries to post its report.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Reads what the configuration selects and sends it to the register.
///
/// Returns the report, also of a run that failed or was cancelled; it has been posted to the register by then, as far as
/// that could be reached. An error means that the run could not even begin.
pub async fn crawl(
    config: CrawlConfig,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<RunReport, CrawlError> {
    config.validate()?;
    let run_id = config.run_id.unwrap_or_else(Uuid::new_v4);
    progress.event(ProgressEvent::RunStarted { run_id });
    let connected = connect(&config, &cancel).await?;
    let may_promote = connected.as_ref().is_some_and(|(_, may)| *may);
    let client = connected.map(|(client, _)| client);
    let mut report = blank_report(run_id);
    let refresh_views = config.refresh_views;
    let is_dry_run = config.dry_run;
    let graph = Graph::new(&config, progress.clone(), cancel.clone())?;
    let read = Crawl {
        client: client.clone(),
        may_promote,
        run_id,
        progress: progress.clone(),
        cancel: cancel.clone(),
    }
    .read(config, graph, &mut report)
    .await;
    report.message = match read {
        Ok(()) => is_dry_run.then(|| "This was a dry run: nothing was sent.".to_owned()),
        Err(message) => Some(message),
    };
    if cancel.is_cancelled() {
        report.outcome = RunOutcome::Cancelled;
        report.message = Some("cancelled".to_owned());
    }
    report.finished_at = Utc::now();
    if let Some(client) = &client {
        let told = tell_register(client, &mut report, refresh_views, progress.as_ref());
        if cancel.is_cancelled() {
            // Whoever cancelled does not want to wait for a register that does not answer.
            let _ = tokio::time::timeout(LAST_WORDS, told).await;
        } else {
            told.await;
        }
    }
    progress.event(ProgressEvent::RunFinished {
        outcome: report.outcome,
    });
    Ok(report)
}

/// The register, once it has confirmed the key, and whether that may give attributes columns. `None` in a dry run and when
/// cancelled.
async fn connect(
    config: &CrawlConfig,
    cancel: &CancellationToken,
) -> Result<Option<(IngestClient, bool)>, CrawlError> {
    let Some(register) = config.register.as_ref().filter(|_| !config.dry_run) else {
        return Ok(None);
    };
    let unusable = |error| CrawlError::Register {
        address: register.base_url.clone(),
        error: Box::new(error),
    };
    let client =
        IngestClient::new(register.base_url.clone(), register.api_key.clone()).map_err(unusable)?;
    // Only a question: nothing remains of it when it is dropped.
    let known = tokio::select! {
        () = cancel.cancelled() => return Ok(None),
        known = client.whoami() => known.map_err(unusable)?,
    };
    let may = |permission| known.key.permissions.contains(&permission);
    if may(Permission::Ingest) {
        let may_promote = may(Permission::Schema) || may(Permission::Admin);
        Ok(Some((client, may_promote)))
    } else {
        Err(CrawlError::KeyMayNotIngest {
            name: known.key.name,
        })
    }
}

/// The report of a run that has read nothing yet.
fn blank_report(run_id: Uuid) -> RunReport {
    RunReport {
        run_id,
        system_id: None,
        crawler: concat!("crawler-entra ", env!("CARGO_PKG_VERSION")).to_owned(),
        mode: SyncMode::Full,
        outcome: RunOutcome::Failed,
        message: None,
        started_at: Utc::now(),
        finished_at: Utc::now(),
        collections: Vec::new(),
        traffic: contract::Traffic::default(),
    }
}

/// The last words to the register. Their failure does not undo what landed, but it is said.
async fn tell_register(
    client: &IngestClient,
    report: &mut RunReport,
    refresh_views: bool,
    progress: &dyn ProgressSink,
) {
    let something_landed = report.system_id.is_some() && report.outcome != RunOutcome::Cancelled;
    if refresh_views
        && something_landed
        && let Err(error) = client.refresh_views().await
    {
        let text = format!("the views could not be refreshed: {error}");
        progress.event(ProgressEvent::Message { text: text.clone() });
        report.message.get_or_insert(text);
    }
    if let Err(error) = client.post_run_report(report).await {
        let text = format!("the run report could not be posted: {error}");
        progress.event(ProgressEvent::Message { text });
    }
}

/// The parts of a crawl that outlive its reading.
struct Crawl {
    client: Option<IngestClient>,
    may_promote: bool,
    run_id: Uuid,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
}

impl Crawl {
    /// Reads everything into the report; an error says why nothing could be read.
    async fn read(
        self,
        config: CrawlConfig,
        graph: Graph,
        report: &mut RunReport,
    ) -> Result<(), String> {
        let known = self.know_tenant(&config, &graph).await;
        let (tenant_id, system_id) = match known {
            Ok(known) => known,
            Err(message) => {
                report.traffic = graph.traffic();
                return Err(message);
            }
        };
        report.system_id = system_id;
        if let Some(client) = self.client.as_ref().filter(|_| self.may_promote) {
            promote_custom(client, &config, self.progress.as_ref()).await;
        }
        let limits = BatchLimits {
            max_records: config.tuning.batch_records,
            ..BatchLimits::default()
        };
        let register = self
            .client
            .zip(system_id)
            .map(|(client, system_id)| Register {
                client,
                system_id,
                run_id: self.run_id,
                limits,
                take_over: config.take_over,
            });
        let plan = Plan::new(config.selection);
        let run = Arc::new(Run {
            graph,
            config,
            tenant_id,
            register,
            progress: self.progress,
            cancel: self.cancel,
        });
        report.collections = read_collections(&run, &plan).await;
        for (name, why) in &plan.skipped {
            report.collections.push(collect::skipped(name, why));
        }
        report.outcome = outcome_of(&report.collections);
        report.traffic = run.graph.traffic();
        Ok(())
    }

    /// Signs in, reads the tenant's id and name, and makes its system known.
    async fn know_tenant(
        &self,
        config: &CrawlConfig,
        graph: &Graph,
    ) -> Result<(Uuid, Option<SystemId>), String> {
        graph.sign_in().await.map_err(|error| error.to_string())?;
        let meter = Meter::default();
        let (tenant_id, system) = match collect::organization(graph, config, &meter).await {
            Ok(tenant) => tenant,
            // Its id is enough to go on with.
            Err(GraphError::Forbidden { .. })
                if Uuid::parse_str(&config.graph.tenant_id).is_ok() =>
            {
                let text = format!(
                    "the tenant's name may not be read: grant {}",
                    collect::ORGANIZATION_PERMISSION
                );
                self.progress.event(ProgressEvent::Message { text });
                let tenant_id = Uuid::parse_str(&config.graph.tenant_id).unwrap_or(Uuid::nil());
                (tenant_id, collect::unnamed_system(tenant_id, config))
            }
            Err(error @ GraphError::Forbidden { .. }) => {
                return Err(format!(
                    "the tenant could not be read: {error}; grant {} or configure the tenant's id instead of a domain name",
                    collect::ORGANIZATION_PERMISSION
                ));
            }
            Err(error) => return Err(format!("the tenant could not be read: {error}")),
        };
        self.progress.event(ProgressEvent::TenantKnown {
            tenant_id,
            display_name: system.display_name.clone(),
        });
        let Some(client) = &self.client else {
            return Ok((tenant_id, None));
        };
        once_begun(&self.cancel, client.upsert_system(&system))
            .await
            .map(|system_id| (tenant_id, Some(system_id)))
            .map_err(|stopped| stopped.to_string())
    }
}

/// Sees to it that the configured custom attributes have columns of their own. No crawl fails because one has none.
async fn promote_custom(client: &IngestClient, config: &CrawlConfig, progress: &dyn ProgressSink) {
    let wanted = PromoteAll {
        promotions: [
            (Entity::Principals, &config.custom_user_attributes),
            (Entity::Resources, &config.custom_group_attributes),
        ]
        .into_iter()
        .flat_map(|(entity, names)| custom_promotions(entity, names))
        .take(contract::MAX_PROMOTED)
        .collect(),
    };
    if wanted.promotions.is_empty() {
        return;
    }
    let text = match client.promote_attributes(&wanted).await {
        Ok(answer) => answer
            .refused
            .first()
            .map(|refused| format!("a custom attribute gets no column: {}", refused.detail)),
        Err(error) => Some(format!("custom attributes get no columns: {error}")),
    };
    if let Some(text) = text {
        progress.event(ProgressEvent::Message { text });
    }
}

/// The attributes that have no core column.
fn custom_promotions(entity: Entity, names: &[String]) -> Vec<Promote> {
    let schema = contract::record_schema(entity).to_value();
    names
        .iter()
        .filter(|name| schema["properties"].get(name.as_str()).is_none())
        .map(|name| Promote {
            entity,
            attribute: name.clone(),
            value_type: None,
        })
        .collect()
}

/// The place of a collection in the report, and its lines.
type Part = (usize, Vec<CollectionReport>);

/// Reads all planned collections side by side; the lines come in a fixed order.
async fn read_collections(run: &Arc<Run>, plan: &Plan) -> Vec<CollectionReport> {
    let mut tasks: JoinSet<Part> = JoinSet::new();
    if plan.users {
        let run = run.clone();
        tasks.spawn(async move { (0, collect::users(run).await) });
    }
    if plan.service_principals {
        let run = run.clone();
        tasks.spawn(async move { (1, collect::service_principals(run).await) });
    }
    spawn_groups(&mut tasks, run, plan);
    if plan.role_definitions {
        let run = run.clone();
        tasks.spawn(async move { (4, vec![collect::role_definitions(run).await]) });
    }
    if plan.role_assignments {
        let run = run.clone();
        tasks.spawn(async move { (5, vec![collect::role_assignments(run).await]) });
    }
    if plan.pim {
        let run = run.clone();
        tasks.spawn(async move { (6, vec![collect::role_eligibility(run).await]) });
    }
    if let Some(wanted) = plan.units {
        let run = run.clone();
        tasks.spawn(async move { (20, collect::administrative_units(run, wanted).await) });
    }
    if plan.deleted_users {
        let run = run.clone();
        tasks.spawn(async move { (22, collect::deleted_users(run).await) });
    }
    if plan.conditional_access {
        let run = run.clone();
        tasks.spawn(async move { (23, collect::conditional_access(run).await) });
    }
    if plan.sign_ins {
        let run = run.clone();
        tasks.spawn(async move { (21, collect::sign_ins(run).await) });
    }
    let mut parts: Vec<Part> = Vec::new();
    while let Some(task) = tasks.join_next().await {
        match task {
            Ok(part) => parts.push(part),
            Err(error) => parts.push((99, vec![collect::crashed(&error.to_string())])),
        }
    }
    parts.sort_by_key(|(place, _)| *place);
    parts.into_iter().flat_map(|(_, lines)| lines).collect()
}

/// Groups, their members and owners, and PIM for groups: the later ones live on what the list of groups brings.
fn spawn_groups(tasks: &mut JoinSet<Part>, run: &Arc<Run>, plan: &Plan) {
    let (feeder, groups) = collect::feed();
    let (found, was_found) = oneshot::channel();
    if plan.list_groups {
        let (run, is_posted) = (run.clone(), plan.post_groups);
        let feeder = plan.group_links.then_some(feeder);
        tasks.spawn(async move {
            let (report, groups_found) = collect::groups(run, is_posted, feeder).await;
            // Without PIM nobody waits for it.
            let _ = found.send(groups_found);
            (2, report.into_iter().collect())
        });
    } else {
        let _ = found.send(GroupsFound::default());
    }
    if plan.group_links {
        let run = run.clone();
        tasks.spawn(async move { (3, collect::group_links(run, groups).await) });
    }
    if plan.pim {
        let run = run.clone();
        tasks.spawn(async move { (7, vec![collect::pim_groups(run, was_found).await]) });
    }
}
