//! The `crawler-entra` command: flags in, a crawl, a report out.
//!
//! Exit codes: 0 complete, 1 failed or cancelled, 2 wrong usage or configuration, 3 partial or held.

mod args;
mod check;
mod display;
mod look;

use std::{io::Write as _, process::ExitCode, sync::Arc};

use clap::Parser as _;
use contract::{RunOutcome, RunReport};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    ConfigError, ConfigFile, CrawlConfig, CrawlError, Overrides, ProgressEvent, ProgressSink as _,
    crawl, report,
};
use args::{Args, Cli, Command};
use display::LogLine;
pub use display::{Display, ProgressForm};
use look::Look;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const PARTIAL: u8 = 3;

/// Runs the command with the process' arguments.
pub fn main() -> ExitCode {
    // Before any secret is read.
    if let Err(error) = crate::keep_memory_private() {
        eprintln!("error: the memory of the process cannot be kept private: {error}");
        return ExitCode::from(FAILED);
    }
    // Ends the process itself on `--help` and on flags that do not exist (with 2).
    let cli = Cli::parse();
    let (mut args, to_look) = match cli.command {
        None => (cli.args, None),
        Some(Command::Check(args)) => return check::main(*args),
        Some(Command::Identities { args, .. }) => (*args, Some(Look::Identities)),
        Some(Command::Attributes { sample, args }) => (*args, Some(Look::Attributes { sample })),
    };
    // A look sends nothing, so it needs no register.
    args.dry_run |= to_look.is_some();
    let form = args.progress.resolved();
    let config = match configuration(args) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(USAGE);
        }
    };
    let display = Arc::new(Display::new(form));
    log_warnings(display.clone());
    // One thread has time to spare for what Graph sends in a second, and one heap stays smaller than several.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => ExitCode::from(runtime.block_on(async {
            let Some(to_look) = to_look else {
                return run(config, display, form).await;
            };
            match look::look(to_look, config, display, form).await {
                Ok(()) => 0,
                Err(reason) => {
                    eprintln!("error: {reason}");
                    FAILED
                }
            }
        })),
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Warnings of our own crates, and of nobody else: the libraries below log what they send.
fn log_warnings(display: Arc<Display>) {
    let ours = tracing_subscriber::EnvFilter::new("crawler_entra=warn,ingest_client=warn");
    tracing_subscriber::fmt()
        .with_env_filter(ours)
        .with_writer(move || LogLine(display.clone()))
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
}

/// The configuration out of flags, environment and file, whole.
fn configuration(args: Args) -> Result<CrawlConfig, String> {
    resolved(args, ConfigFile::resolve)
}

/// The configuration out of flags, environment and file.
fn resolved(
    args: Args,
    resolve: impl FnOnce(ConfigFile, Overrides) -> Result<CrawlConfig, ConfigError>,
) -> Result<CrawlConfig, String> {
    let file = match &args.config_file {
        Some(path) => ConfigFile::read(path),
        None => Ok(ConfigFile::default()),
    };
    let no_file = args.config_file.is_none();
    file.and_then(|file| resolve(file, args.overrides()))
        .map_err(|error: ConfigError| {
            let hint = if no_file {
                " (no --config-file was given)"
            } else {
                ""
            };
            format!("{error}{hint}")
        })
}

async fn run(config: CrawlConfig, display: Arc<Display>, form: ProgressForm) -> u8 {
    let cancel = CancellationToken::new();
    let stop = tokio::spawn(cancel_on_signal(cancel.clone(), display.clone()));
    let ended = crawl(config, display.clone(), cancel).await;
    stop.abort();
    display.finish();
    match ended {
        Ok(report) => {
            print_report(&report, form);
            exit_code(report.outcome)
        }
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                CrawlError::Config(_) => USAGE,
                CrawlError::Register { .. }
                | CrawlError::KeyMayNotIngest { .. }
                | CrawlError::Setup(_) => FAILED,
            }
        }
    }
}

/// The first Ctrl-C or SIGTERM ends the crawl in order, the second at once.
async fn cancel_on_signal(cancel: CancellationToken, display: Arc<Display>) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    let mut signalled = async || {
        tokio::select! {
            _ = interrupt.recv() => true,
            _ = terminate.recv() => false,
        }
    };
    if signalled().await {
        display.forget_ctrl_c();
    }
    display.event(ProgressEvent::Message {
        text: "cancelling: giving up the open sessions (Ctrl-C again to stop at once)".to_owned(),
    });
    cancel.cancel();
    signalled().await;
    std::process::exit(i32::from(FAILED));
}

/// A reader that went away (`| head`) is no failure of the crawl.
fn print_report(report: &RunReport, form: ProgressForm) {
    let text = match form {
        ProgressForm::Json => serde_json::to_string(report).map(|json| json + "\n"),
        _ => Ok(report::render(report)),
    };
    if let Ok(text) = text {
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

fn exit_code(outcome: RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Complete => 0,
        RunOutcome::Partial | RunOutcome::Held => PARTIAL,
        RunOutcome::Failed | RunOutcome::Cancelled => FAILED,
    }
}
