//! Looks at a source that a worker takes for us.

use std::{fmt::Write as _, time::Duration};

use anyhow::{bail, ensure};
use clap::Args;
use contract::{
    AttributesFound, CheckOutcome, CrawlMode, CreateJob, FeatureStatus, IdentityPreview, Job,
    JobKind, JobResult, JobState, PermissionCheck, UserSample,
};
use reqwest::Method;

use super::{OneArgs, find, show_json};
use crate::{
    ask::Questions,
    text::{clean, number, show, table},
};

/// Between two looks at the job.
const LOOK: Duration = Duration::from_millis(500);
/// Something selected cannot be read.
const MISSING: u8 = 2;
const UNDECIDED: u8 = 1;

/// Flags of `crawlers check`, `discover` and `preview`.
#[derive(Debug, Args)]
pub struct LookArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Print what was found out as JSON
    #[arg(long)]
    json: bool,
}

/// Asks for a look, and waits for what was found out.
async fn look(args: LookArgs, kind: JobKind) -> anyhow::Result<JobResult> {
    let server = Questions::of(args.one.server)?;
    let crawler = find(&server, &args.one.crawler).await?;
    let wanted = CreateJob {
        crawler_id: crawler.crawler_id,
        kind,
        mode: CrawlMode::Auto,
        priority: 0,
        not_before: None,
    };
    let mut job: Job = server.send(Method::POST, "jobs", Some(&wanted)).await?;
    let path = format!("jobs/{}", job.job_id);
    let mut has_waited = false;
    while !job.state.is_ended() {
        tokio::time::sleep(LOOK).await;
        job = server.get(&path, &[]).await?;
        if job.state == JobState::Queued && !has_waited {
            has_waited = true;
            eprintln!(
                "Waiting for a worker; give up with: cadastre runs cancel {}",
                job.job_id
            );
        }
    }
    let message = job.message.as_deref().map(|text| clean(text, 400));
    ensure!(
        job.state == JobState::Succeeded,
        "the {} is {}{}",
        kind.wire_name(),
        job.state.wire_name(),
        message.map_or_else(String::new, |text| format!(": {text}"))
    );
    let Some(result) = job.result else {
        bail!("the job has no result for this key: it needs the permission 'read' or 'admin'");
    };
    if args.json {
        show_json(&result)?;
    }
    Ok(result)
}

/// `crawlers check`; answers the exit code.
pub async fn check(args: LookArgs) -> anyhow::Result<u8> {
    let is_json = args.json;
    let JobResult::Check(report) = look(args, JobKind::Check).await? else {
        bail!("the server answered another question");
    };
    if !is_json {
        show(&check_text(&report))?;
    }
    Ok(match report.outcome {
        CheckOutcome::Ready => 0,
        CheckOutcome::Missing => MISSING,
        CheckOutcome::Undecided => UNDECIDED,
    })
}

/// `crawlers discover`.
pub async fn discover(args: LookArgs) -> anyhow::Result<()> {
    let is_json = args.json;
    let JobResult::Discover(found) = look(args, JobKind::Discover).await? else {
        bail!("the server answered another question");
    };
    if !is_json {
        show(&attributes_text(&found))?;
    }
    Ok(())
}

/// `crawlers preview`.
pub async fn preview(args: LookArgs) -> anyhow::Result<()> {
    let is_json = args.json;
    let JobResult::Preview(preview) = look(args, JobKind::Preview).await? else {
        bail!("the server answered another question");
    };
    if !is_json {
        show(&preview_text(&preview))?;
    }
    Ok(())
}

const fn word(status: FeatureStatus) -> &'static str {
    match status {
        FeatureStatus::Granted => "granted",
        FeatureStatus::Missing => "missing",
        FeatureStatus::StaleToken => "not in the token yet",
        FeatureStatus::Unlicensed => "no licence",
        FeatureStatus::Unavailable => "unavailable",
        FeatureStatus::Refused => "refused",
        FeatureStatus::Unknown => "unknown",
    }
}

fn check_text(report: &PermissionCheck) -> String {
    let rows: Vec<Vec<String>> = report
        .features
        .iter()
        .map(|feature| {
            let missing = feature.missing_permissions.join(", ");
            let more = feature.detail.as_deref().unwrap_or_default();
            vec![
                clean(&feature.title, 60),
                if feature.is_selected { "yes" } else { "no" }.to_owned(),
                word(feature.status).to_owned(),
                clean(&missing, 120),
                clean(more, 200),
            ]
        })
        .collect();
    let head = ["Feature", "Selected", "Status", "Grant", "More"];
    let mut text = table(&head, &rows);
    let grant: Vec<String> = report
        .permissions_to_grant
        .iter()
        .map(|name| clean(name, 80))
        .collect();
    let end = match report.outcome {
        CheckOutcome::Ready => "Everything that is selected can be read.".to_owned(),
        CheckOutcome::Missing if grant.is_empty() => {
            "Something that is selected cannot be read.".to_owned()
        }
        CheckOutcome::Missing => format!("To grant: {}", grant.join(", ")),
        CheckOutcome::Undecided => "Something could not be found out.".to_owned(),
    };
    let _ = writeln!(text, "\n{end}");
    for name in &report.grants.can_write {
        let _ = writeln!(text, "Not needed, and allows changes: {}", clean(name, 80));
    }
    text
}

fn attributes_text(found: &AttributesFound) -> String {
    let rows: Vec<Vec<String>> = found
        .attributes
        .iter()
        .map(|one| {
            let filled = match &one.unreadable {
                Some(reason) => format!("not readable: {}", clean(reason, 120)),
                None if found.sampled == 0 => "-".to_owned(),
                None => format!("{} %", one.filled * 100 / found.sampled),
            };
            vec![
                clean(&one.name, 80),
                clean(&one.value_type, 20),
                filled,
                clean(&one.samples.join(" | "), 80),
            ]
        })
        .collect();
    let mut text = format!("{} users were looked at\n\n", number(found.sampled));
    text.push_str(&table(&["Attribute", "Type", "Have it", "Such as"], &rows));
    for gap in &found.gaps {
        let _ = writeln!(text, "{}", clean(gap, 200));
    }
    text
}

fn preview_text(preview: &IdentityPreview) -> String {
    let mut text = format!(
        "{} of {} users become {} identities\n",
        number(preview.matching),
        number(preview.users),
        number(preview.identities)
    );
    for (title, samples) in [
        ("such as", &preview.matching_samples),
        ("but not", &preview.other_samples),
    ] {
        for UserSample {
            display_name,
            user_principal_name,
            ..
        } in samples
        {
            let sign_in = user_principal_name.as_deref().unwrap_or("-");
            let _ = writeln!(
                text,
                "  {title} {} ({})",
                clean(display_name, 80),
                clean(sign_in, 80)
            );
        }
    }
    text
}
