//! `cadastre runs`: crawls that the register asks its workers for; over a server's API.

use std::{fmt::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use contract::{CrawlMode, CreateJob, Job, JobKind, JobPage, JobState, LogPage};
use reqwest::Method;
use uuid::Uuid;

use crate::{
    ask::{Questions, ServerArgs},
    crawlers::id_of,
    text::{clean, number, show, table},
};

/// Between two looks at a log that is followed.
const LOOK: Duration = Duration::from_secs(1);

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Run a crawler now
    Start(StartArgs),
    /// List runs, newest first
    List(ListArgs),
    /// Show a run
    Show(OneArgs),
    /// End a run
    Cancel(OneArgs),
    /// Show the log of a run
    Logs(LogsArgs),
}

/// Flags of `runs start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The crawler: its id, or its name
    crawler: String,
    /// How to read: auto, delta, full (everything, whatever could be told to have changed)
    #[arg(long, default_value = "auto", value_parser = mode)]
    mode: CrawlMode,
    /// Runs with a higher one go first, from -100 to 100
    #[arg(long, default_value_t = 0, allow_hyphen_values = true, value_parser = clap::value_parser!(i16).range(-100..=100))]
    priority: i16,
}

/// Flags of `runs list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Only those of this crawler: its id, or its name
    #[arg(long)]
    crawler: Option<String>,
    /// Only those that stand so: queued, running, succeeded, dead, …
    #[arg(long, value_parser = state)]
    state: Option<JobState>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Which run.
#[derive(Debug, Args)]
pub struct OneArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The job's id, as in the list
    job: Uuid,
}

/// Flags of `runs logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Go on until the run has ended
    #[arg(short, long)]
    follow: bool,
}

fn mode(text: &str) -> Result<CrawlMode, String> {
    let known = CrawlMode::ALL.map(CrawlMode::wire_name);
    CrawlMode::ALL
        .into_iter()
        .find(|mode| mode.wire_name() == text)
        .ok_or_else(|| format!("known are: {}", known.join(", ")))
}

fn state(text: &str) -> Result<JobState, String> {
    let known = JobState::ALL.map(JobState::wire_name);
    JobState::ALL
        .into_iter()
        .find(|state| state.wire_name() == text)
        .ok_or_else(|| format!("known are: {}", known.join(", ")))
}

/// Runs a `runs` command.
pub async fn run(command: RunsCommand) -> anyhow::Result<()> {
    match command {
        RunsCommand::Start(args) => start(args).await,
        RunsCommand::List(args) => list(args).await,
        RunsCommand::Show(args) => {
            let server = Questions::of(args.server)?;
            let job: Job = server.get(&format!("jobs/{}", args.job), &[]).await?;
            Ok(show(&details(&job))?)
        }
        RunsCommand::Cancel(args) => cancel(args).await,
        RunsCommand::Logs(args) => logs(args).await,
    }
}

async fn start(args: StartArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let wanted = CreateJob {
        crawler_id: id_of(&server, &args.crawler).await?,
        kind: JobKind::Crawl,
        mode: args.mode,
        priority: args.priority,
        not_before: None,
    };
    let job: Job = server.send(Method::POST, "jobs", Some(&wanted)).await?;
    show(&format!(
        "{}\n\nIt waits for a worker. Follow it: cadastre runs logs -f {}\n",
        job.job_id, job.job_id
    ))?;
    Ok(())
}

async fn list(args: ListArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let limit = args.limit.to_string();
    let crawler = match &args.crawler {
        Some(text) => Some(id_of(&server, text).await?.to_string()),
        None => None,
    };
    let mut query = vec![("limit", limit.as_str())];
    query.extend(crawler.as_deref().map(|crawler| ("crawlerId", crawler)));
    query.extend(args.state.map(|state| ("state", state.wire_name())));
    let page: JobPage = server.get("jobs", &query).await?;
    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
    let head = [
        "Job",
        "Crawler",
        "Kind",
        "State",
        "Attempt",
        "Asked for",
        "Ended",
    ];
    show(&table(&head, &rows))?;
    Ok(())
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

fn second(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// How it reads, or what it looks for.
const fn kind(job: &Job) -> &'static str {
    if job.kind.only_looks() {
        job.kind.wire_name()
    } else {
        job.mode.wire_name()
    }
}

fn row(job: &Job) -> Vec<String> {
    vec![
        job.job_id.to_string(),
        clean(&job.crawler, 30),
        kind(job).to_owned(),
        job.state.wire_name().replace('_', " "),
        format!("{}/{}", job.attempt, job.max_attempts),
        minute(job.created_at),
        job.finished_at.map_or_else(|| "-".to_owned(), minute),
    ]
}

/// A run, a fact a line.
fn details(job: &Job) -> String {
    let mut facts = vec![
        ("Job", job.job_id.to_string()),
        ("Run", job.run_id.to_string()),
        (
            "Crawler",
            format!("{} ({})", clean(&job.crawler, 60), job.crawler_id),
        ),
        ("Kind", kind(job).to_owned()),
        ("State", job.state.wire_name().replace('_', " ")),
        (
            "Attempt",
            format!("{} of {}", job.attempt, job.max_attempts),
        ),
        (
            "Asked for",
            format!(
                "{} by {}",
                minute(job.created_at),
                clean(&job.created_by, 80)
            ),
        ),
    ];
    let waits = job.state == JobState::Queued && job.not_before > Utc::now();
    facts.extend(waits.then(|| ("Waits for", second(job.not_before))));
    let worker = job.worker.as_ref().map(|worker| clean(worker, 120));
    facts.extend(worker.map(|worker| ("Worker", worker)));
    facts.extend(job.finished_at.map(|at| ("Ended", minute(at))));
    facts.extend(
        job.message
            .as_ref()
            .map(|text| ("Message", clean(text, 400))),
    );
    let mut text = String::new();
    for (name, value) in facts {
        let _ = writeln!(text, "{name:<10} {value}");
    }
    for (collection, at) in &job.progress {
        let end = if at.is_done { "" } else { " so far" };
        let _ = writeln!(
            text,
            "  {}: {} read{end}",
            clean(collection, 60),
            number(at.read)
        );
    }
    text
}

async fn cancel(args: OneArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let path = format!("jobs/{}/cancel", args.job);
    let job: Job = server.send(Method::POST, &path, None::<&()>).await?;
    let end = if job.state.is_ended() {
        "It is cancelled."
    } else {
        "Its worker is told, and ends it within seconds."
    };
    show(&format!("{end}\n"))?;
    Ok(())
}

async fn logs(args: LogsArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.one.server)?;
    let path = format!("jobs/{}/log", args.one.job);
    let mut after = 0_i64;
    loop {
        let place = after.to_string();
        let page: LogPage = server
            .get(&path, &[("after", place.as_str()), ("limit", "1000")])
            .await?;
        let mut text = String::new();
        for line in &page.items {
            let at = second(line.at);
            let level = line.level.wire_name();
            let _ = writeln!(text, "{at} {level:<5} {}", clean(&line.message, 2_000));
        }
        show(&text)?;
        after = page.next.unwrap_or(after);
        if page.items.is_empty() {
            if !args.follow || page.state.is_ended() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
