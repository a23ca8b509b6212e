//! The run report for people: an aligned table, what could not be read, what it cost, one sentence.

mod table;

use std::fmt::Write as _;

use contract::{CollectionReport, CollectionStatus, Recovered, RunOutcome, RunReport};

use self::table::table;

/// The word for how a run ended.
pub fn outcome_word(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Complete => "complete",
        RunOutcome::Partial => "partial",
        RunOutcome::Held => "held",
        RunOutcome::Failed => "failed",
        RunOutcome::Cancelled => "cancelled",
    }
}

/// The word for how the reading of a collection ended.
pub fn status_word(status: CollectionStatus) -> &'static str {
    match status {
        CollectionStatus::Complete => "complete",
        CollectionStatus::Partial => "partial",
        CollectionStatus::Forbidden => "forbidden",
        CollectionStatus::Unlicensed => "unlicensed",
        CollectionStatus::Unavailable => "unavailable",
        CollectionStatus::Skipped => "skipped",
        CollectionStatus::Failed => "failed",
    }
}

/// The word for how the reading of this collection ended. Somebody who stopped a crawl need not look for a fault.
pub(crate) fn ending_word(collection: &CollectionReport) -> &'static str {
    let is_cancelled = |failure: &contract::Failure| failure.reason == CANCELLED;
    match collection.status {
        CollectionStatus::Failed if collection.failures.first().is_some_and(is_cancelled) => {
            CANCELLED
        }
        status => status_word(status),
    }
}

/// The reason of whatever ended because the run was cancelled.
const CANCELLED: &str = "cancelled";

/// How a run with these collections ended.
pub(crate) fn outcome_of(collections: &[CollectionReport]) -> RunOutcome {
    let wanted = || {
        collections
            .iter()
            .filter(|c| c.status != CollectionStatus::Skipped)
    };
    let is_whole = |c: &CollectionReport| c.status == CollectionStatus::Complete && c.rejected == 0;
    let brought_something =
        |c: &CollectionReport| c.status == CollectionStatus::Complete || c.read > 0;
    if wanted().all(is_whole) {
        if wanted().any(|c| c.held.is_some()) {
            RunOutcome::Held
        } else {
            RunOutcome::Complete
        }
    } else if wanted().any(brought_something) {
        RunOutcome::Partial
    } else {
        RunOutcome::Failed
    }
}

/// The whole report as text.
pub fn render(report: &RunReport) -> String {
    if report.collections.is_empty() {
        // The run ended before anything was read: one sentence says it all.
        return sentence(report) + "\n";
    }
    let mut text = table(&report.collections);
    let is_cancelled = report.outcome == RunOutcome::Cancelled;
    text.push_str(&failures(&report.collections, is_cancelled));
    let traffic = &report.traffic;
    let _ = writeln!(
        text,
        "\nGraph: {} requests in {} calls, {} resource units, {:.1} MB, {} times throttled, {} sent again, {:.1} s waited",
        traffic.requests,
        traffic.http_calls,
        traffic.resource_units,
        traffic.received_bytes as f64 / 1e6,
        traffic.throttled,
        traffic.retries,
        traffic.waited_ms as f64 / 1000.0,
    );
    if !traffic.recovered.is_empty() {
        let _ = writeln!(text, "Recovered from: {}", kinds(&traffic.recovered));
    }
    let _ = writeln!(text, "{}", sentence(report));
    text
}

/// What was got over, in words.
fn kinds(recovered: &Recovered) -> String {
    let kinds = recovered.by_kind().into_iter();
    let met: Vec<String> = kinds
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{kind} ({count})"))
        .collect();
    met.join(", ")
}

/// Failures shown per collection; the report itself has more.
const SHOWN: usize = 10;

/// What to do about removals that wait.
const HOW_TO_DECIDE: &str = "To decide, with an admin key: GET /api/ingest/held shows what waits, POST /api/ingest/held/{id}/approve or \
     /api/ingest/held/{id}/reject with a reason settles it (docs/ingest-api.md).\n";

fn failures(collections: &[CollectionReport], is_cancelled: bool) -> String {
    let (skipped, read): (Vec<_>, Vec<_>) = collections
        .iter()
        .partition(|collection| collection.status == CollectionStatus::Skipped);
    let said = read.iter().filter(|line| line.message.is_some()).copied();
    let mut text = by_message(said, |message, names| format!("{names}: {message}\n"));
    for collection in read {
        let name = &collection.collection;
        if let Some(permission) = &collection.missing_permission {
            let _ = writeln!(
                text,
                "{name}: grant {permission} (application permission, with admin consent)"
            );
        }
        // That everything was cancelled is said once, at the end.
        if !is_cancelled {
            text.push_str(&objects_that_failed(collection));
        }
        if let Some(held) = &collection.held {
            let _ = writeln!(
                text,
                "{name}: {} of {} removals wait for a decision ({})",
                held.would_delete, held.of, held.change_set_id
            );
        }
    }
    if collections.iter().any(|c| c.held.is_some()) {
        text.push_str(HOW_TO_DECIDE);
    }
    let skipped = skipped.into_iter();
    text.push_str(&by_message(skipped, |reason, names| {
        format!("{reason}: {names}\n")
    }));
    if text.is_empty() {
        text
    } else {
        format!("\n{text}")
    }
}

fn objects_that_failed(collection: &CollectionReport) -> String {
    let mut text = String::new();
    let name = &collection.collection;
    if collection.failed_parents > 0 {
        let _ = writeln!(text, "{name}: not read in full:");
    }
    for failure in collection.failures.iter().take(SHOWN) {
        let reason = &failure.reason;
        let _ = match (&failure.display_name, failure.id) {
            (Some(of), Some(id)) => writeln!(text, "  {of} ({id}): {reason}"),
            (Some(of), None) => writeln!(text, "  {of}: {reason}"),
            (None, Some(id)) => writeln!(text, "  {id}: {reason}"),
            (None, None) => writeln!(text, "{name}: {reason}"),
        };
    }
    let known = collection
        .failed_parents
        .max(collection.failures.len() as u64);
    let hidden = known.saturating_sub(collection.failures.len().min(SHOWN) as u64);
    if hidden > 0 {
        let _ = writeln!(text, "  and {hidden} more");
    }
    text
}

/// A line for each message, with the names of the collections that have it.
fn by_message<'a>(
    collections: impl Iterator<Item = &'a CollectionReport>,
    line: impl Fn(&str, &str) -> String,
) -> String {
    let mut by_message: Vec<(&str, Vec<&str>)> = Vec::new();
    for collection in collections {
        let message = collection.message.as_deref().unwrap_or("skipped");
        match by_message.iter_mut().find(|(known, _)| *known == message) {
            Some((_, names)) => names.push(&collection.collection),
            None => by_message.push((message, vec![&collection.collection])),
        }
    }
    let lines = by_message.into_iter();
    lines
        .map(|(message, names)| line(message, &names.join(", ")))
        .collect()
}

/// The end of the report.
fn sentence(report: &RunReport) -> String {
    let seconds = (report.finished_at - report.started_at).as_seconds_f64();
    let read: u64 = report.collections.iter().map(|c| c.read).sum();
    let what = match report.outcome {
        RunOutcome::Complete => "Complete: everything that was asked for was read",
        RunOutcome::Partial => "Partial: what could not be read was left as it was",
        RunOutcome::Held => "Held: everything was read, removals wait for a decision",
        RunOutcome::Failed => "Failed: nothing useful could be read",
        RunOutcome::Cancelled => "Cancelled: what had not been committed removed nothing",
    };
    let mut sentence = format!("{what} ({read} objects in {seconds:.1} s).");
    if let Some(message) = report.message.as_ref().filter(|text| *text != CANCELLED) {
        let _ = write!(sentence, " {message}");
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn collection(name: &str, status: CollectionStatus, read: u64) -> CollectionReport {
        CollectionReport {
            collection: name.into(),
            status,
            read,
            inserted: read,
            updated: 0,
            unchanged: 0,
            deleted: 0,
            rejected: 0,
            spared: 0,
            held: None,
            cost: contract::Cost {
                requests: 1,
                ..contract::Cost::default()
            },
            failed_parents: 0,
            failures: vec![],
            missing_permission: None,
            message: None,
            duration_ms: 1,
        }
    }

    pub(super) fn held() -> contract::Held {
        contract::Held {
            change_set_id: uuid::Uuid::nil(),
            would_delete: 11,
            of: 12,
            reason: None,
        }
    }

    #[test]
    fn an_outcome_says_the_worst_that_happened() {
        use CollectionStatus::{Complete, Failed, Forbidden, Skipped};
        let done = collection("users", Complete, 5);
        let skipped = collection("governance", Skipped, 0);
        let mut waiting = done.clone();
        waiting.held = Some(held());
        let mut refused = done.clone();
        refused.rejected = 1;
        let forbidden = collection("groups", Forbidden, 0);
        let of = |list: &[&CollectionReport]| {
            outcome_of(&list.iter().map(|c| (*c).clone()).collect::<Vec<_>>())
        };
        assert_eq!(of(&[&done, &skipped]), RunOutcome::Complete);
        assert_eq!(of(&[&done, &waiting]), RunOutcome::Held);
        assert_eq!(of(&[&refused]), RunOutcome::Partial);
        assert_eq!(of(&[&waiting, &forbidden]), RunOutcome::Partial);
        assert_eq!(of(&[&forbidden, &skipped]), RunOutcome::Failed);
        assert_eq!(of(&[&collection("users", Failed, 3)]), RunOutcome::Partial);
    }

    #[test]
    fn the_table_is_aligned_and_names_what_could_not_be_read() {
        let mut members = collection("group members", CollectionStatus::Partial, 123_456);
        members.failed_parents = 12;
        members.failures = vec![contract::Failure {
            id: Some(uuid::Uuid::nil()),
            display_name: Some("Poison".into()),
            reason: "HTTP 500".into(),
        }];
        members.missing_permission = Some("Member.Read.Hidden".into());
        let now = chrono::Utc::now();
        let text = render(&RunReport {
            run_id: uuid::Uuid::nil(),
            system_id: None,
            crawler: "c".into(),
            mode: contract::SyncMode::Full,
            outcome: RunOutcome::Partial,
            message: None,
            started_at: now,
            finished_at: now,
            collections: vec![collection("users", CollectionStatus::Complete, 7), members],
            other: contract::Cost::default(),
            traffic: contract::Traffic::default(),
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0].find("read").map(|at| at + 4),
            lines[1].find(" 7 ").map(|at| at + 2)
        );
        assert!(text.contains("Poison (00000000"), "{text}");
        assert!(text.contains("and 11 more"), "{text}");
        assert!(text.contains("grant Member.Read.Hidden"), "{text}");
        assert!(text.contains("Partial:"), "{text}");
    }

    #[test]
    fn what_was_got_over_is_told_by_kind_with_numbers() {
        let recovered = Recovered {
            throttled: 3,
            missing_batch_item: 1,
            ..Recovered::default()
        };
        assert_eq!(
            kinds(&recovered),
            "throttled (3), missing part of a batch (1)"
        );
    }

    #[test]
    fn removals_that_wait_are_named_and_what_to_do_about_them_is_said_once() {
        let mut users = collection("users", CollectionStatus::Complete, 3);
        users.held = Some(held());
        let text = failures(&[users.clone(), users.clone()], false);
        let line = format!(
            "users: 11 of 12 removals wait for a decision ({})",
            uuid::Uuid::nil()
        );
        assert_eq!(text.matches(&line).count(), 2, "{text}");
        assert_eq!(text.matches("GET /api/ingest/held ").count(), 1, "{text}");
        for call in ["approve", "reject"] {
            assert!(
                text.contains(&format!("/api/ingest/held/{{id}}/{call}")),
                "{text}"
            );
        }
        assert!(text.contains("admin key"), "{text}");
        users.held = None;
        assert_eq!(failures(&[users], false), "");
    }

    #[test]
    fn what_was_cancelled_is_not_called_a_failure_and_is_said_once() {
        let mut users = collection("users", CollectionStatus::Failed, 3);
        users.failures = vec![contract::Failure {
            id: None,
            display_name: None,
            reason: CANCELLED.into(),
        }];
        assert_eq!(ending_word(&users), "cancelled");
        assert_eq!(failures(&[users.clone()], true), "");
        users.failures[0].reason = "HTTP 500".into();
        assert_eq!(ending_word(&users), "failed");
        assert_eq!(failures(&[users], false), "\nusers: HTTP 500\n");
    }
}
