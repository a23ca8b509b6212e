//! The log of a program: to the standard error, for people or one JSON object a line.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Plain,
    /// One object a line.
    Json,
}

/// Logs to the standard error from now on: the programs' own crates (`ours`) at a level, libraries only from warnings on,
/// whatever the environment says, for their traces may hold headers and values. Of a panic, only the place is logged: what it
/// says may hold data.
pub fn log_to_stderr(format: LogFormat, level: LevelFilter, ours: &[&str]) {
    let others = level.min(LevelFilter::WARN);
    let ours: Vec<String> = ours.iter().map(|name| format!("{name}={level}")).collect();
    let filter = EnvFilter::new(format!("{others},{}", ours.join(",")));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Plain => subscriber.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a task panicked");
    }));
}
