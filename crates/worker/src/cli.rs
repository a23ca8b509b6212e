//! The `cadastre-worker` command: flags in, runs, an exit code.
//!
//! Exit codes: of `--once` 0 complete, 1 failed or stopped, 2 wrong usage or configuration, 3 partial or held; of
//! `--every` and `--claim` 0 once it was told to stop.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{ArgGroup, Parser, ValueEnum};
use crawler_entra::{ConfigFile, LeasePolicy, Overrides, RegisterConfig, keep_memory_private};
use rand::RngExt as _;
use secrecy::SecretString;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use url::Url;

use crate::{Job, RunEnd, Schedule, SystemClock, claim::Claiming, repeat};

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const PARTIAL: u8 = 3;

/// The client secret has no flag: a command line is visible to every user of the machine.
const CLIENT_SECRET_VARIABLE: &str = "CADASTRE_GRAPH_CLIENT_SECRET";
/// Shorter intervals ask the source for the same again before it can have changed much.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);
const LONGEST_INTERVAL: Duration = Duration::from_secs(366 * 86_400);

/// Runs crawls, once or again and again, and posts what they read to the register.
#[derive(Debug, Parser)]
#[command(
    name = "cadastre-worker",
    version,
    group(ArgGroup::new("when").required(true).args(["once", "every", "claim"])),
    after_help = "Environment: CADASTRE_GRAPH_CLIENT_SECRET is the application's secret, instead of Graph.ClientSecret in the file (with one --config-file only).\nExit codes of --once: 0 complete, 1 failed or stopped, 2 wrong usage, 3 partial or held. --every and --claim end with 0 when told to stop (SIGTERM, Ctrl-C)."
)]
struct Args {
    /// The ingest API's address, with or without /api
    #[arg(long, env = "CADASTRE_API_BASE_URL", value_name = "URL")]
    api_base_url: Option<Url>,

    /// The API key (fgc_…); better given in the environment, where other users of the machine do not see it
    #[arg(
        long,
        env = "CADASTRE_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_key: Option<SecretString>,

    /// A crawl's configuration, as the crawler's; may be given several times: they run one after the other
    #[arg(
        long = "config-file",
        required_unless_present = "claim",
        conflicts_with = "claim",
        value_name = "FILE"
    )]
    config_files: Vec<PathBuf>,

    /// Run every configuration once, then exit
    #[arg(long)]
    once: bool,

    /// Run again and again; each run begins this long after the one before began: 15m, 1h30m, 1d
    #[arg(long, value_parser = interval, value_name = "DURATION")]
    every: Option<Duration>,

    /// Claim jobs from the register and run them, until told to stop; what is crawled comes with the job
    #[arg(long)]
    claim: bool,

    /// With --claim: how many jobs are run at once
    #[arg(long, requires = "claim", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32), value_name = "JOBS")]
    parallel: u8,

    /// With --claim: a host that crawlers may call beside those of Microsoft's clouds; may be given several times
    #[arg(
        long = "allow-host",
        env = "CADASTRE_ALLOW_HOSTS",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    allowed_hosts: Vec<String>,

    /// With --claim: a folder whose files crawlers may name, instead of /run/secrets; may be given several times
    #[arg(
        long = "allow-folder",
        env = "CADASTRE_ALLOW_FOLDERS",
        value_delimiter = ',',
        value_name = "FOLDER"
    )]
    allowed_folders: Vec<PathBuf>,

    /// Abort sessions of the same scope that an earlier crawl with this key left open, instead of failing
    #[arg(long)]
    take_over: bool,

    /// How the log is written (to the standard error)
    #[arg(long, value_enum, default_value_t = LogFormat::Plain)]
    log_format: LogFormat,

    /// How much is logged: error, warn, info, debug, trace or off
    #[arg(long, default_value_t = LevelFilter::INFO, value_name = "LEVEL")]
    log_level: LevelFilter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Plain,
    Json,
}

/// Why the worker cannot begin.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    /// Configurations cannot be used; one line each.
    #[error("{}", .0.join("\n"))]
    Configurations(Vec<String>),
    /// Jobs come from a register.
    #[error(
        "--claim needs the register: --api-base-url and --api-key, or CADASTRE_API_BASE_URL and CADASTRE_API_KEY"
    )]
    NoRegister,
    /// The register's address or the key cannot be used.
    #[error(transparent)]
    Register(#[from] ingest_client::ClientError),
    /// One secret for several applications.
    #[error(
        "{CLIENT_SECRET_VARIABLE} is for one --config-file; with several, give each its Graph.ClientSecret"
    )]
    OneSecretForMany,
}

/// A length of time such as `15m`, `90s` or `1h30m`.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "give a number with s, m, h or d, such as 15m, 1h30m or 1d".to_owned();
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u32 = rest[..end].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[end] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            _ => return Err(wrong()),
        };
        total += Duration::from_secs(u64::from(number) * unit);
        rest = &rest[end + 1..];
    }
    if (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&total) {
        Ok(total)
    } else {
        Err("the interval must lie between 10s and 366d".to_owned())
    }
}

/// Runs the command with the process' arguments.
pub fn main() -> ExitCode {
    // Before any secret is read.
    if let Err(error) = keep_memory_private() {
        eprintln!("error: the memory of the process cannot be kept private: {error}");
        return ExitCode::from(FAILED);
    }
    // Ends the process itself on `--help` and on flags that do not exist (with 2).
    let args = Args::parse();
    log_to_stderr(args.log_format, args.log_level);
    let task = match task(args) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| runtime.block_on(run(task)));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: the worker could not be started: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Our own crates at the level that was asked for; libraries only from warnings on, for their traces may hold headers.
fn log_to_stderr(format: LogFormat, level: LevelFilter) {
    let ours = ["worker", "crawler_entra", "ingest_client"].map(|name| format!("{name}={level}"));
    let others = level.min(LevelFilter::WARN);
    let filter = EnvFilter::new(format!("{others},{}", ours.join(",")));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Plain => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}

/// What the process is to do.
enum Task {
    /// Every configuration once.
    Once(Vec<Job>),
    /// Every configuration, again and again.
    Every(Duration, Vec<Job>),
    /// What the register has to do, so many at once.
    Claim(Claiming, usize),
}

fn task(args: Args) -> Result<Task, SetupError> {
    if args.claim {
        let (Some(base_url), Some(api_key)) = (args.api_base_url, args.api_key) else {
            return Err(SetupError::NoRegister);
        };
        let mut policy = LeasePolicy {
            hosts: args.allowed_hosts,
            ..LeasePolicy::default()
        };
        if !args.allowed_folders.is_empty() {
            policy.folders = args.allowed_folders;
        }
        let worker = Claiming::new(RegisterConfig { base_url, api_key }, policy)?;
        return Ok(Task::Claim(worker, args.parallel.into()));
    }
    Ok(match args.every {
        Some(every) => Task::Every(every, jobs(args)?),
        None => Task::Once(jobs(args)?),
    })
}

/// Every configuration, checked; all that is wrong is named at once.
fn jobs(args: Args) -> Result<Vec<Job>, SetupError> {
    let client_secret = std::env::var(CLIENT_SECRET_VARIABLE)
        .ok()
        .filter(|secret| !secret.is_empty())
        .map(SecretString::from);
    if client_secret.is_some() && args.config_files.len() > 1 {
        return Err(SetupError::OneSecretForMany);
    }
    let (mut jobs, mut wrong) = (Vec::new(), Vec::new());
    for path in args.config_files {
        let over = Overrides {
            api_base_url: args.api_base_url.clone(),
            api_key: args.api_key.clone(),
            client_secret: client_secret.clone(),
            take_over: args.take_over,
            ..Overrides::default()
        };
        let name = path.display().to_string();
        match ConfigFile::read(&path).and_then(|file| file.resolve(over)) {
            Ok(config) => jobs.push(Job { name, config }),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    if wrong.is_empty() {
        Ok(jobs)
    } else {
        Err(SetupError::Configurations(wrong))
    }
}

async fn run(task: Task) -> std::io::Result<u8> {
    let stop = CancellationToken::new();
    let watch = tokio::spawn(stop_on_signal(
        stop.clone(),
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ));
    let code = match task {
        Task::Claim(worker, parallel) => {
            worker.run(parallel, &stop).await;
            0
        }
        Task::Once(jobs) => once(&jobs, &stop).await,
        Task::Every(every, jobs) => {
            let schedule = Schedule::new(jobs.len(), every);
            let chance = || rand::rng().random_range(0.0..1.0);
            let clock = SystemClock::start();
            repeat(schedule, &clock, chance, &stop, async |which| {
                jobs[which].run(&stop).await
            })
            .await;
            0
        }
    };
    watch.abort();
    Ok(code)
}

/// Every configuration once; the worst end decides the exit code.
async fn once(jobs: &[Job], stop: &CancellationToken) -> u8 {
    let mut worst = RunEnd::Complete;
    for job in jobs {
        if stop.is_cancelled() {
            worst = RunEnd::Cancelled;
            break;
        }
        worst = worst.max(job.run(stop).await);
    }
    match worst {
        RunEnd::Complete => 0,
        RunEnd::Partial => PARTIAL,
        RunEnd::Failed | RunEnd::Cancelled => FAILED,
    }
}

/// The first signal ends in order (runs give up their sessions, jobs are handed back), the second at once.
async fn stop_on_signal(stop: CancellationToken, mut terminate: Signal, mut interrupt: Signal) {
    for count in 0.. {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if count > 0 {
            std::process::exit(i32::from(FAILED));
        }
        tracing::info!("stopping");
        stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("15m", 900),
            ("90s", 90),
            ("1h30m", 5_400),
            ("1d", 86_400),
            (" 2h ", 7_200),
        ] {
            assert_eq!(interval(text).map(|every| every.as_secs()), Ok(seconds));
        }
        for text in [
            "",
            "15",
            "m",
            "15 m",
            "-5m",
            "1.5h",
            "9s",
            "0d",
            "400d",
            "99999999999d",
            "5é",
        ] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_of_once_and_every_is_needed() {
        let parse = |flags: &[&str]| {
            let all = ["x", "--config-file", "f"].iter().chain(flags).copied();
            Args::try_parse_from(all).map(|args| args.every)
        };
        assert_eq!(parse(&["--once"]).expect("parses"), None);
        let every = parse(&["--every", "15m"]).expect("parses");
        assert_eq!(every, Some(Duration::from_secs(900)));
        assert!(parse(&[]).is_err());
        assert!(parse(&["--once", "--every", "15m"]).is_err());
    }
}
