//! `crawler-entra check`: what a crawl could read, as a table or as JSON.
//!
//! Exit codes: 0 everything selected can be read, 1 it could not be found out, 2 something is missing or wrong usage.

use std::{io::Write as _, process::ExitCode};

use super::{FAILED, USAGE, args::CheckArgs, resolved};
use crate::{
    ConfigFile, CrawlConfig,
    check::{self, CheckError, CheckOutcome, CheckReport},
};

/// Something selected cannot be read.
const MISSING: u8 = 2;

/// Tries per question.
const TRIES: u32 = 3;

pub(super) fn main(args: CheckArgs) -> ExitCode {
    let is_json = args.json;
    let config = match configuration(args) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let checked = match runtime {
        Ok(runtime) => runtime.block_on(check::check(&config)),
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::from(FAILED);
        }
    };
    match checked {
        Ok(report) => {
            print(&report, is_json);
            ExitCode::from(exit_code(report.outcome))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(match error {
                CheckError::Config(_) => USAGE,
                CheckError::Setup(_) | CheckError::SignIn(_) => FAILED,
            })
        }
    }
}

/// The configuration of the crawl; the register may be left out.
fn configuration(args: CheckArgs) -> Result<CrawlConfig, String> {
    let mut config = resolved(args.args, ConfigFile::resolve_reading)?;
    // Somebody waits for the answer.
    config.tuning.max_tries = TRIES;
    Ok(config)
}

/// A reader that went away (`| head`) is no failure of the check.
fn print(report: &CheckReport, is_json: bool) {
    let text = if is_json {
        serde_json::to_string_pretty(report).map(|json| json + "\n")
    } else {
        Ok(check::render(report))
    };
    if let Ok(text) = text {
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

fn exit_code(outcome: CheckOutcome) -> u8 {
    match outcome {
        CheckOutcome::Ready => 0,
        CheckOutcome::Missing => MISSING,
        CheckOutcome::Undecided => FAILED,
    }
}
