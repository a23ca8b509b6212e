//! Throttling, broken connections, expired tokens, busy registers: the crawl arrives.

use std::time::Duration;

use contract::{CollectionStatus, Entity, Held, RunOutcome, session::SessionState};
use crawler_entra::ProgressEvent;
use graph_sim::{Fault, FaultAction, RetryAfterForm, RoutePattern, SimOptions, Throttle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Bench, line, unlimited};

fn members_read(report: &contract::RunReport, bench: &Bench) {
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let truth = bench.simulator.truth();
    assert_eq!(
        line(report, "group members").read,
        truth.members.len() as u64
    );
    assert_eq!(line(report, "groups").read, truth.groups.len() as u64);
    let users = line(report, "users").read + line(report, "guests").read;
    assert_eq!(users, truth.users.len() as u64);
}

#[tokio::test]
async fn a_throttled_tenant_is_still_read_in_full() {
    for (form, retry_after) in [
        (RetryAfterForm::Fractional, Some("0.2")),
        (RetryAfterForm::Absent, None),
    ] {
        let throttle = Throttle {
            retry_after: form,
            ..Throttle::units(150, Duration::from_millis(250))
        };
        let bench = Bench::start(SimOptions {
            throttle,
            ..SimOptions::default()
        })
        .await;
        // The quota may never be reached on a slow machine; these refusals come on any.
        let members = RoutePattern::Suffix("/members".to_owned());
        let mut refusal = Fault::status(members, 429, "TooManyRequests").times(6);
        if let Some(pause) = retry_after {
            refusal = refusal.retry_after(pause);
        }
        bench.simulator.faults().add(refusal);
        let mut config = bench.config();
        // The refusals are all for members of groups, not of units.
        config.selection.contexts = false;
        // Long enough to show, whatever chance says.
        config.tuning.first_backoff = Duration::from_millis(20);
        // As long as the window, as the default is longer than Graph's.
        config.tuning.max_backoff = Duration::from_millis(250);
        // Long enough to be seen in milliseconds, wherever in its jitter the pause falls.
        config.tuning.first_backoff = Duration::from_millis(100);
        let report = bench.crawl(config).await;
        members_read(&report, &bench);
        assert!(report.traffic.throttled >= 6, "{form:?}");
        assert!(report.traffic.waited_ms > 0, "{form:?}");
        let events = bench.events.lock().expect("events").clone();
        assert!(
            events
                .iter()
                .any(|e| matches!(e, ProgressEvent::Waiting { .. }))
        );
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_token_that_is_rejected_in_the_middle_costs_one_sign_in() {
    let bench = Bench::start(unlimited()).await;
    let route = RoutePattern::Exact("/users".to_owned());
    bench.simulator.faults().add(
        Fault::status(route, 401, "InvalidAuthenticationToken")
            .on_later_pages()
            .times(1),
    );
    let mut config = bench.config();
    config.selection.assignments = false;
    let report = bench.crawl(config).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(bench.simulator.stats().token_requests, 2);
    bench.stop().await;
}

#[tokio::test]
async fn a_token_that_is_rejected_inside_a_batch_is_renewed_too() {
    let bench = Bench::start(unlimited()).await;
    let members = RoutePattern::Suffix("/members".to_owned());
    let fault = Fault::status(members, 401, "InvalidAuthenticationToken");
    bench.simulator.faults().add(fault.times(3));
    let report = bench.crawl(bench.config()).await;
    members_read(&report, &bench);
    let sign_ins = bench.simulator.stats().token_requests;
    assert!((2..=4).contains(&sign_ins), "{sign_ins}");
    bench.stop().await;
}

#[tokio::test]
async fn every_token_expiring_in_the_middle_is_survived() {
    let bench = Bench::start(SimOptions {
        latency: Duration::from_millis(3),
        token_lifetime: Duration::from_secs(1),
        ..unlimited()
    })
    .await;
    let reading = bench.crawl(bench.config());
    let expiring = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            bench.simulator.expire_tokens();
        }
    };
    let (report, ()) = tokio::join!(reading, expiring);
    members_read(&report, &bench);
    bench.stop().await;
}

#[tokio::test]
async fn broken_answers_are_asked_for_again() {
    let bench = Bench::start(unlimited()).await;
    let faults = bench.simulator.faults();
    let on = |path: &str| RoutePattern::Exact(path.to_owned());
    let members = || RoutePattern::Suffix("/members".to_owned());
    faults.add(Fault::html(on("/users"), 504).times(2));
    faults.add(
        Fault::new(on("/users"), FaultAction::TruncateBody)
            .after(2)
            .times(2),
    );
    faults.add(Fault::new(on("/groups"), FaultAction::ResetConnection).times(2));
    faults.add(Fault::new(on("/groups"), FaultAction::RepeatPage).times(1));
    faults.add(
        Fault::status(on("/groups"), 400, "Directory_ExpiredPageToken")
            .on_later_pages()
            .times(2),
    );
    faults.add(Fault::new(members(), FaultAction::OmitFromBatch).times(5));
    faults.add(
        Fault::status(members(), 503, "ServiceUnavailable")
            .retry_after("0.05")
            .times(3),
    );
    faults.add(
        Fault::new(members(), FaultAction::TruncateBody)
            .after(10)
            .times(2),
    );
    faults.add(Fault::status(members(), 429, "TooManyRequests").times(4));
    faults.add(Fault::status(on("/$batch"), 503, "ServiceUnavailable").times(2));
    let report = bench.crawl(bench.config()).await;
    members_read(&report, &bench);
    assert!(report.traffic.retries > 0);
    bench.stop().await;
}

#[tokio::test]
async fn a_list_that_leads_in_circles_ends_and_is_incomplete() {
    let bench = Bench::start(unlimited()).await;
    bench.simulator.faults().add(Fault::new(
        RoutePattern::Exact("/users".to_owned()),
        FaultAction::RepeatPage,
    ));
    let report = bench.crawl(bench.config()).await;
    assert_eq!(line(&report, "users").status, CollectionStatus::Failed);
    assert!(
        line(&report, "users").failures[0]
            .reason
            .contains("does not advance")
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_wait_that_is_too_long_ends_the_collection_and_not_the_run() {
    let bench = Bench::start(unlimited()).await;
    let route = RoutePattern::Exact("/users".to_owned());
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 429, "TooManyRequests").retry_after("86400"));
    let report = bench.crawl(bench.config()).await;
    assert_eq!(line(&report, "users").status, CollectionStatus::Failed);
    assert!(line(&report, "users").failures[0].reason.contains("86400"));
    assert_eq!(line(&report, "groups").status, CollectionStatus::Complete);
    bench.stop().await;
}

#[tokio::test]
async fn a_busy_register_gets_every_record_once() {
    let bench = Bench::start(unlimited()).await;
    bench.register.be_busy(12);
    let report = bench.crawl(bench.config()).await;
    members_read(&report, &bench);
    let members = [("assignmentType", "Direct"), ("resourceType", "EntraGroup")];
    let session = bench.register.session("resource-assignments", &members);
    assert_eq!(
        session.records().count(),
        bench.simulator.truth().members.len()
    );
    bench.stop().await;
}

#[tokio::test]
async fn another_crawls_session_stops_only_its_collection_unless_it_is_taken_over() {
    let scope = [("principalType", "User")];
    let bench = Bench::start(unlimited()).await;
    let other = bench.register.occupy(Entity::Principals, &scope);
    let report = bench.crawl(bench.config()).await;
    assert_eq!(line(&report, "users").status, CollectionStatus::Failed);
    let reason = &line(&report, "users").failures[0].reason;
    for next_step in [&other.to_string(), "--take-over", "2027-01-01 00:00 UTC"] {
        assert!(reason.contains(next_step), "{next_step} in {reason}");
    }
    assert_eq!(line(&report, "groups").status, CollectionStatus::Complete);
    assert_eq!(bench.register.state_of(other), SessionState::Open);
    let scope = [("resourceType", "EntraGroup")];
    let groups = bench.register.occupy(Entity::Resources, &scope);
    let scope = [("assignmentType", "Owner"), ("resourceType", "EntraGroup")];
    let owners = bench.register.occupy(Entity::ResourceAssignments, &scope);
    let report = bench.crawl(bench.config()).await;
    // Members are read all the same, though not to the end: the list of groups broke off.
    let members = line(&report, "group members");
    assert_eq!(members.status, CollectionStatus::Partial, "{members:#?}");
    assert!(
        members.read > 0 && members.failures.is_empty(),
        "{members:#?}"
    );
    for (collection, session) in [("groups", groups), ("group owners", owners)] {
        let failures = &line(&report, collection).failures;
        assert_eq!(failures.len(), 1, "said once: {failures:#?}");
        assert!(failures[0].reason.contains(&session.to_string()));
    }

    let mut config = bench.config();
    config.take_over = true;
    let report = bench.crawl(config).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(bench.register.state_of(other), SessionState::Aborted);
    bench.stop().await;
}

#[tokio::test]
async fn held_removals_make_the_run_held() {
    let bench = Bench::start(unlimited()).await;
    bench.register.hold_removals(Held {
        change_set_id: Uuid::from_u128(5),
        would_delete: 40,
        of: 100,
        reason: None,
    });
    let report = bench.crawl(bench.config()).await;
    assert_eq!(report.outcome, RunOutcome::Held);
    assert_eq!(
        line(&report, "users").held.as_ref().map(|h| h.would_delete),
        Some(40)
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_cancelled_crawl_leaves_no_session_open_and_commits_nothing_more() {
    let bench = Bench::start(SimOptions {
        latency: Duration::from_millis(30),
        ..unlimited()
    })
    .await;
    let cancel = CancellationToken::new();
    let watcher = {
        let (events, cancel) = (bench.events.clone(), cancel.clone());
        tokio::spawn(async move {
            loop {
                let is_reading_members = events.lock().expect("events").iter().any(|event| {
                    matches!(event, ProgressEvent::Read { collection, records } if collection == "group members" && *records > 0)
                });
                if is_reading_members {
                    cancel.cancel();
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    };
    let report = bench.crawl_until(bench.config(), cancel).await;
    watcher.await.expect("the watcher ends");
    assert_eq!(report.outcome, RunOutcome::Cancelled);
    let sessions = bench.register.sessions();
    assert!(sessions.iter().any(|s| s.state == SessionState::Aborted));
    assert!(
        sessions.iter().all(|s| s.state != SessionState::Open),
        "{sessions:#?}"
    );
    bench.stop().await;
}
