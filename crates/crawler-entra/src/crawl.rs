//! A crawl from start to end: sign in, learn the tenant, read the collections side by side, report.

use std::{future::Future, sync::Arc, time::Duration};

use chrono::Utc;
use contract::{
    CollectionReport, CollectionStatus, Entity, Permission, Promote, PromoteAll, RunOutcome,
    RunReport, SyncMode, SystemId,
};
use ingest_client::{BatchLimits, IngestClient};
use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    CrawlConfig, CrawlError, ProgressEvent, ProgressSink,
    collect::{self, GroupPlan, Run},
    delta::{self, Deltas},
    graph::{Graph, GraphError, OTHER},
    journal::Journal,
    plan::Plan,
    report::outcome_of,
    sink::Register,
    stopping::once_begun,
};

/// A batch is sent when its JSON is so long. Many sessions are open at once, each with a batch that fills up and some under
/// way, so batches of a server's full size would be most of what a crawler needs.
const BATCH_BYTES: usize = 384 * 1024;

/// Batches of a session under way at once.
const BATCHES_UNDER_WAY: usize = 2;

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
    let crawl = Crawl {
        client: client.clone(),
        may_promote,
        run_id,
        progress: progress.clone(),
        cancel: cancel.clone(),
    };
    let read = Box::pin(crawl.read(config, graph, &mut report)).await;
    let epoch = *read.as_ref().unwrap_or(&None);
    report.message = match read {
        Ok(_) => is_dry_run.then(|| "This was a dry run: nothing was sent.".to_owned()),
        Err(message) => Some(message),
    };
    if cancel.is_cancelled() {
        report.outcome = RunOutcome::Cancelled;
        report.message = Some("cancelled".to_owned());
    }
    report.finished_at = Utc::now();
    if let Some(client) = &client {
        let told = tell_register(client, &mut report, epoch, refresh_views, progress.as_ref());
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
    let network = config.network.clone();
    let client = IngestClient::builder(register.base_url.clone(), register.api_key.clone())
        .http(move |http| network.apply(http))
        .build()
        .map_err(unusable)?;
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
        other: contract::Cost::default(),
        traffic: contract::Traffic::default(),
    }
}

/// The last words to the register. Their failure does not undo what landed, but it is said.
async fn tell_register(
    client: &IngestClient,
    report: &mut RunReport,
    epoch: Option<i32>,
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
    let posted = match epoch {
        Some(epoch) => client.post_report_of_claim(report, epoch).await,
        None => client.post_run_report(report).await,
    };
    if let Err(error) = posted {
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
    /// Reads everything into the report and answers the claim of the run under which it was read; an error says why nothing
    /// could be read.
    async fn read(
        self,
        config: CrawlConfig,
        graph: Graph,
        report: &mut RunReport,
    ) -> Result<Option<i32>, String> {
        let known = self.know_tenant(&config, &graph).await;
        let (tenant_id, system_id) = match known {
            Ok(known) => known,
            Err(message) => {
                report.other = graph.ledger.settle(&mut []);
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
            max_bytes: BATCH_BYTES,
            in_flight: BATCHES_UNDER_WAY,
        };
        let journal = Arc::new(self.journal(&config, system_id).await?);
        let register = self
            .client
            .zip(system_id)
            .map(|(client, system_id)| Register {
                client: match journal.epoch() {
                    Some(epoch) => client.under_claim(self.run_id, epoch),
                    None => client,
                },
                system_id,
                run_id: self.run_id,
                limits,
                take_over: config.take_over,
                journal: journal.clone(),
            });
        (journal.costs_before()).for_each(|(of, cost)| graph.ledger.restore(of, cost));
        let plan = Plan::new(config.selection);
        let deltas = Deltas::new(known_tokens(register.as_ref(), self.progress.as_ref()).await);
        let run = Arc::new(Run {
            graph,
            config,
            tenant_id,
            register,
            progress: self.progress,
            cancel: self.cancel,
            journal,
            deltas,
        });
        report.collections = read_collections(&run, &plan).await;
        delta::keep_tokens(&run, &mut report.collections).await;
        if run.deltas.any() {
            report.mode = SyncMode::Delta;
        }
        for (name, why) in &plan.skipped {
            report.collections.push(collect::skipped(name, why));
        }
        report.outcome = outcome_of(&report.collections);
        report.other = run.graph.ledger.settle(&mut report.collections);
        report.traffic = run.traffic();
        if report.outcome == RunOutcome::Failed {
            // Somebody may go on with it, and is to know what it cost. That it cannot be saved is said when it is reported.
            let _ = run.save(Vec::new()).await;
        }
        Ok(run.journal.epoch())
    }

    /// Takes the run, and what an earlier attempt left of it.
    async fn journal(
        &self,
        config: &CrawlConfig,
        system_id: Option<SystemId>,
    ) -> Result<Journal, String> {
        let (Some(client), Some(system_id)) = (&self.client, system_id) else {
            return Ok(Journal::none(self.cancel.clone()));
        };
        let fingerprint = fingerprint(config);
        let cancel = self.cancel.clone();
        let run = (self.run_id, config.lease_epoch);
        let journal = Journal::claim(client, run, system_id, &fingerprint, cancel)
            .await
            .map_err(|error| {
                let reason = format!("the run {} cannot go on: {error}", self.run_id);
                if error.is_final() {
                    let reason = reason.clone();
                    self.progress.event(ProgressEvent::RunIsLost { reason });
                }
                reason
            })?;
        if journal.is_resumed() {
            let text = "going on where an earlier attempt of this run was interrupted".to_owned();
            self.progress.event(ProgressEvent::Message { text });
        }
        Ok(journal)
    }

    /// Signs in, reads the tenant's id and name, and makes its system known.
    async fn know_tenant(
        &self,
        config: &CrawlConfig,
        graph: &Graph,
    ) -> Result<(Uuid, Option<SystemId>), String> {
        graph.sign_in().await.map_err(|error| error.to_string())?;
        let meter = graph.ledger.meter(OTHER);
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

/// What the answers of Graph depend on, for an attempt that goes on with a run: places in lists and what they mean.
fn fingerprint(config: &CrawlConfig) -> String {
    let asked = format!(
        "{} {:?} {:?} {:?} {:?} {:?} {} {} {} {}",
        config.graph.tenant_id,
        config.selection,
        config.identity_filter,
        config.identity_key,
        config.custom_user_attributes,
        config.custom_group_attributes,
        config.request_window_days,
        config.tuning.page_size,
        config.sweeps,
        env!("CARGO_PKG_VERSION"),
    );
    Uuid::new_v5(&Uuid::NAMESPACE_OID, asked.as_bytes()).to_string()
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
        .map(|name| Promote::attribute(entity, name))
        .collect()
}

/// Where the last runs left off. Without them everything is read.
async fn known_tokens(
    register: Option<&Register>,
    progress: &dyn ProgressSink,
) -> Vec<contract::DeltaToken> {
    let Some(register) = register else {
        return Vec::new();
    };
    match register.client.delta_tokens(register.system_id).await {
        Ok(tokens) => tokens,
        Err(error) => {
            let text = format!("where the last runs left off is not known: {error}");
            progress.event(ProgressEvent::Message { text });
            Vec::new()
        }
    }
}

/// The place of a collection in the report, and its lines.
type Part = (usize, Vec<CollectionReport>);

/// Reads all planned collections side by side; the lines come in a fixed order.
async fn read_collections(run: &Arc<Run>, plan: &Plan) -> Vec<CollectionReport> {
    let mut tasks: JoinSet<Part> = JoinSet::new();
    if plan.users {
        part(&mut tasks, run, 0, &[], collect::users);
    }
    spawn_applications(&mut tasks, run, plan);
    spawn_groups(&mut tasks, run, plan);
    if plan.role_definitions {
        part(&mut tasks, run, 4, &["directory roles"], |run| async {
            vec![collect::role_definitions(run).await]
        });
    }
    if plan.role_assignments {
        part(&mut tasks, run, 5, &["role assignments"], |run| async {
            vec![collect::role_assignments(run).await]
        });
    }
    if plan.pim {
        part(&mut tasks, run, 6, &["role eligibility"], |run| async {
            vec![collect::role_eligibility(run).await]
        });
    }
    if plan.governance {
        part(&mut tasks, run, 11, collect::NAMES_OF_ENTITLEMENTS, |run| {
            Box::pin(collect::entitlements(run))
        });
        part(&mut tasks, run, 12, &["review decisions"], |run| async {
            vec![collect::review_decisions(run).await]
        });
    }
    if let Some(wanted) = plan.units {
        part(&mut tasks, run, 20, &[], move |run| {
            collect::administrative_units(run, wanted)
        });
    }
    if plan.deleted_users {
        part(&mut tasks, run, 22, &[], collect::deleted_users);
    }
    if plan.conditional_access {
        part(&mut tasks, run, 23, &[], collect::conditional_access);
    }
    if plan.sign_ins {
        let names = collect::NAMES_OF_SIGN_INS;
        part(&mut tasks, run, 21, &names, collect::sign_ins);
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

/// Reads a part of the collections in a task of its own, unless an earlier attempt finished all that is named. What has no
/// names is read by every attempt.
fn part<Reading>(
    tasks: &mut JoinSet<Part>,
    run: &Arc<Run>,
    place: usize,
    names: &[&str],
    read: impl FnOnce(Arc<Run>) -> Reading,
) where
    Reading: Future<Output = Vec<CollectionReport>> + Send + 'static,
{
    let finished: Option<Vec<CollectionReport>> =
        names.iter().map(|name| run.journal.report(name)).collect();
    let reading = match finished {
        Some(lines) if !lines.is_empty() => Err(lines),
        _ => Ok(read(run.clone())),
    };
    let run = run.clone();
    tasks.spawn(async move {
        let lines = match reading {
            Ok(reading) => finish(&run, reading.await).await,
            Err(lines) => lines,
        };
        (place, lines)
    });
}

/// Remembers how collections ended. What was finished by an earlier attempt already stays as it was told there.
async fn finish(run: &Run, lines: Vec<CollectionReport>) -> Vec<CollectionReport> {
    let mut told = Vec::with_capacity(lines.len());
    for line in lines {
        if let Some(earlier) = run.journal.report(&line.collection) {
            told.push(earlier);
            continue;
        }
        // A run that ends here tells it itself; one that does not finds the session committed. What failed may go better
        // the next time.
        if line.status != CollectionStatus::Failed
            && let Err(stopped) = run.save(vec![Journal::report_entry(&line)]).await
        {
            tracing::debug!(%stopped, "the end of a collection was not remembered");
        }
        told.push(line);
    }
    told
}

/// Service principals, application registrations and delegated grants, with what hangs on them.
fn spawn_applications(tasks: &mut JoinSet<Part>, run: &Arc<Run>, plan: &Plan) {
    let wanted = plan.applications;
    let names: Vec<&str> = [
        (wanted.principals, collect::NAMES_OF_SERVICE_PRINCIPALS),
        (wanted.resources, collect::NAMES_OF_APPLICATIONS),
        (wanted.links, collect::NAMES_OF_APPLICATION_LINKS),
    ]
    .into_iter()
    .filter(|(is_wanted, _)| *is_wanted)
    .flat_map(|(_, names)| names.iter().copied())
    .collect();
    if !names.is_empty() {
        part(tasks, run, 1, &names, |run| {
            Box::pin(collect::applications(run, wanted))
        });
    }
    let (with_resources, with_links) = (plan.registrations, plan.registration_owners);
    let names: Vec<&str> = [
        (with_resources, "app registrations"),
        (with_links, "app registration owners"),
        (with_resources, "federated credentials"),
    ]
    .into_iter()
    .filter_map(|(is_wanted, name)| is_wanted.then_some(name))
    .collect();
    if !names.is_empty() {
        part(tasks, run, 8, &names, |run| {
            collect::registrations(run, with_resources, with_links)
        });
    }
    if plan.grants {
        let names = ["delegated grants", "tenant-wide grants"];
        part(tasks, run, 10, &names, collect::grants);
    }
}

/// Groups, their members and owners, and PIM for groups: the later ones live on what the list of groups brings.
fn spawn_groups(tasks: &mut JoinSet<Part>, run: &Arc<Run>, plan: &Plan) {
    let (found, was_found) = oneshot::channel();
    if plan.list_groups {
        let wanted = GroupPlan {
            is_posted: plan.post_groups,
            with_links: plan.group_links,
            for_pim: plan.pim,
        };
        let run = run.clone();
        tasks.spawn(async move {
            let lines = Box::pin(collect::groups_and_links(run.clone(), wanted, found)).await;
            (2, finish(&run, lines).await)
        });
    } else {
        drop(found);
    }
    if plan.pim {
        let names = ["group eligibility", "group schedules"];
        part(tasks, run, 7, &names, |run| {
            collect::pim_groups(run, was_found)
        });
    }
}
