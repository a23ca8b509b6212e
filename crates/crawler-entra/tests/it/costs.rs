//! What each collection cost, and which faults it got over, is told in its own line.

use std::time::Duration;

use contract::{CollectionStatus, Recovered, RunOutcome, RunReport};
use crawler_entra::CrawlConfig;
use graph_sim::{Fault, FaultAction, FaultBody, RoutePattern};

use crate::support::{Bench, line, unlimited};

fn exact(path: &str) -> RoutePattern {
    RoutePattern::Exact(path.to_owned())
}

/// Everything but what has members and is no group.
fn config(bench: &Bench) -> CrawlConfig {
    let mut config = bench.config();
    config.selection.contexts = false;
    // Far longer than any answer takes that is not held back.
    config.tuning.read_timeout = Duration::from_secs(5);
    config
}

/// What the lines and the rest cost is what the run cost.
#[track_caller]
fn assert_sums(report: &RunReport) {
    let (sum, traffic) = (report.summed_cost(), report.traffic);
    assert_eq!(
        [
            sum.requests,
            sum.resource_units,
            sum.pages,
            sum.throttled,
            sum.retries
        ],
        [
            traffic.requests,
            traffic.resource_units,
            traffic.pages,
            traffic.throttled,
            traffic.retries
        ],
        "{report:#?}"
    );
    assert_eq!(sum.recovered, traffic.recovered, "{report:#?}");
}

#[tokio::test]
async fn an_undisturbed_crawl_tells_what_each_collection_asked_for_and_no_fault() {
    let bench = Bench::start(unlimited()).await;
    let report = bench.crawl(config(&bench)).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_sums(&report);
    let stats = bench.simulator.stats();
    assert_eq!(report.traffic.requests, stats.requests);
    assert_eq!(report.traffic.resource_units, stats.resource_units);
    assert_eq!(report.traffic.recovered, Recovered::default());
    assert_eq!((report.traffic.throttled, report.traffic.retries), (0, 0));
    // The lists of groups, and where their next changes begin.
    let asked = bench.simulator.requests().into_iter();
    let of_groups = ["/groups", "/groups/delta"];
    let asked: Vec<_> = asked
        .filter(|request| of_groups.contains(&request.path.as_str()))
        .collect();
    let groups = line(&report, "groups").cost;
    assert!(asked.len() > 2, "several pages");
    assert_eq!(groups.requests, asked.len() as u64);
    assert_eq!(groups.pages, groups.requests);
    let units: u64 = asked.iter().map(|one| u64::from(one.resource_units)).sum();
    assert_eq!(groups.resource_units, units);
    // Members come in batches; a list of several pages has further requests.
    let members = line(&report, "group members").cost;
    let of_groups = line(&report, "groups").read;
    assert!(members.pages >= of_groups, "{members:?}");
    assert_eq!(members.pages, members.requests);
    // The guests are in the list of users, which pays for it.
    assert_eq!(line(&report, "guests").cost.requests, 0);
    assert!(line(&report, "users").cost.requests > 0);
    // The tenant, its domains and its subscriptions.
    assert_eq!(report.other.requests, 3);
    bench.stop().await;
}

/// A fault, the collection that suffers it, and what its line is to say.
struct Case {
    fault: Fault,
    collection: &'static str,
    expected: Recovered,
}

fn of_groups(fault: Fault, expected: Recovered) -> Case {
    Case {
        fault,
        collection: "groups",
        expected,
    }
}

fn of_members(fault: Fault, expected: Recovered) -> Case {
    Case {
        fault: fault.inside_batches(),
        collection: "group members",
        expected,
    }
}

fn cases() -> Vec<Case> {
    let none = Recovered::default();
    let groups = || exact("/groups");
    let members = || RoutePattern::Suffix("/members".to_owned());
    let nonsense = FaultAction::Answer {
        status: 200,
        body: FaultBody::Html,
        retry_after: None,
    };
    let stalled = FaultAction::SlowBody {
        parts: 2,
        pause: Duration::from_mins(10),
    };
    vec![
        of_groups(
            Fault::status(groups(), 429, "TooManyRequests")
                .retry_after("0.01")
                .times(3),
            Recovered {
                throttled: 3,
                ..none
            },
        ),
        of_groups(
            Fault::html(groups(), 502).times(2),
            Recovered {
                server_error: 2,
                ..none
            },
        ),
        of_groups(
            Fault::status(groups(), 503, "ServiceUnavailable")
                .retry_after("0.01")
                .times(1),
            Recovered {
                server_error: 1,
                ..none
            },
        ),
        of_groups(
            Fault::new(groups(), FaultAction::TruncateBody).times(2),
            Recovered {
                connection: 2,
                ..none
            },
        ),
        of_groups(
            Fault::new(groups(), FaultAction::ResetConnection).times(1),
            Recovered {
                connection: 1,
                ..none
            },
        ),
        of_groups(
            Fault::new(groups(), stalled).times(1),
            Recovered { timeout: 1, ..none },
        ),
        of_groups(
            Fault::new(groups(), nonsense).times(2),
            Recovered {
                unreadable_answer: 2,
                ..none
            },
        ),
        of_groups(
            Fault::status(groups(), 401, "InvalidAuthenticationToken").times(1),
            Recovered {
                rejected_token: 1,
                ..none
            },
        ),
        of_groups(
            Fault::status(groups(), 400, "Directory_ExpiredPageToken")
                .on_later_pages()
                .times(2),
            Recovered {
                expired_page_token: 2,
                ..none
            },
        ),
        of_groups(
            // A page that leads to itself once is only read twice.
            Fault::new(groups(), FaultAction::RepeatPage).times(2),
            Recovered {
                paging_loop: 1,
                ..none
            },
        ),
        of_members(
            Fault::status(members(), 429, "TooManyRequests")
                .retry_after("0.01")
                .times(3),
            Recovered {
                throttled: 3,
                ..none
            },
        ),
        of_members(
            Fault::status(members(), 503, "ServiceUnavailable")
                .retry_after("0.01")
                .times(2),
            Recovered {
                server_error: 2,
                ..none
            },
        ),
        of_members(
            Fault::new(members(), FaultAction::OmitFromBatch).times(4),
            Recovered {
                missing_batch_item: 4,
                ..none
            },
        ),
        of_members(
            Fault::new(members(), FaultAction::RepeatInBatch).times(4),
            Recovered {
                repeated_batch_item: 4,
                ..none
            },
        ),
    ]
}

#[tokio::test]
async fn each_kind_of_fault_is_told_by_the_collection_that_got_over_it_and_by_no_other() {
    let bench = Bench::start(unlimited()).await;
    for case in cases() {
        let told = format!("{:?}", case.expected);
        bench.simulator.faults().add(case.fault);
        let report = bench.crawl(config(&bench)).await;
        assert_eq!(report.outcome, RunOutcome::Complete, "{told}: {report:#?}");
        for line in &report.collections {
            let expected = if line.collection == case.collection {
                case.expected
            } else {
                Recovered::default()
            };
            assert_eq!(line.cost.recovered, expected, "{told}: {line:#?}");
            assert_eq!(line.cost.throttled, expected.throttled, "{told}: {line:#?}");
        }
        assert_eq!(report.other.recovered, Recovered::default());
        assert_sums(&report);
        let line = line(&report, case.collection).cost;
        let lists_begun_again = case.expected.expired_page_token + case.expected.paging_loop;
        let sent_again =
            case.expected.total() - lists_begun_again - case.expected.repeated_batch_item;
        assert_eq!(line.retries, sent_again, "{told}");
        let waits = case.expected.throttled + case.expected.server_error;
        assert!(waits == 0 || line.waited_ms > 0, "{told}: {line:?}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_fault_that_lasts_is_a_failure_and_not_got_over() {
    let bench = Bench::start(unlimited()).await;
    let fault = Fault::status(exact("/groups"), 500, "InternalServerError");
    bench.simulator.faults().add(fault);
    let circle = Fault::new(exact("/users"), FaultAction::RepeatPage);
    bench.simulator.faults().add(circle);
    let report = bench.crawl(config(&bench)).await;
    assert_sums(&report);
    for name in ["groups", "users"] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Failed, "{line:#?}");
        assert_eq!(line.cost.recovered, Recovered::default(), "{line:#?}");
    }
    assert!(line(&report, "groups").cost.retries > 0, "{report:#?}");
    bench.stop().await;
}
