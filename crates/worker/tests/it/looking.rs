//! Jobs that only look at a tenant: what the worker found out is kept on the job, and the register stays as it is.

use std::sync::Arc;

use contract::{JobResult, JobState, PermissionCheck};
use crawler_entra::{
    ConfigFile, CrawlConfig, IdentityFilter, Overrides, check, discover_attributes,
    preview_identities, progress::Quiet,
};
use graph_sim::{Fault, RoutePattern};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use crate::bench::Bench;

fn worker(bench: &Bench) -> Child {
    let flags = ["--claim", "--parallel", "2", "--log-level", "off"];
    bench.worker(&flags).spawn().expect("starts")
}

fn filter() -> Value {
    json!({"property": "department", "operator": "isNotNull"})
}

/// The same configuration, for the library.
fn config(bench: &Bench) -> CrawlConfig {
    let file = ConfigFile::read(bench.good_file().as_ref()).expect("reads");
    let mut config = file
        .resolve_reading(Overrides::default())
        .expect("resolves");
    config.identity_filter = Some(IdentityFilter::parse(&filter()).expect("a filter"));
    config
}

/// What a look found out, by the worker.
async fn looked(bench: &Bench, kind: &str) -> JobResult {
    let settings = json!({"identityFilter": filter()});
    let job = bench
        .look(kind, bench.simulator.client_secret(), &settings)
        .await;
    bench.until(job, "succeeded").await;
    let shown = bench.shown(job).await;
    let text = serde_json::to_string(&shown).expect("JSON");
    assert!(!text.contains(bench.simulator.client_secret()) && !text.contains(&bench.key));
    assert_eq!((shown.attempt, shown.epoch), (1, 1));
    shown.result.expect("a result")
}

#[tokio::test]
async fn what_a_look_finds_out_is_what_the_crawler_itself_would_say() {
    let bench = Bench::start(60).await;
    let worker = worker(&bench);
    let cancel = CancellationToken::new();
    let report = check(&config(&bench)).await.expect("checks");
    let expected = JobResult::Check(Box::new(PermissionCheck::from(&report)));
    assert_eq!(looked(&bench, "check").await, expected);
    let found = discover_attributes(config(&bench), 999, Arc::new(Quiet), cancel.clone());
    let expected = JobResult::Discover(found.await.expect("finds"));
    assert_eq!(looked(&bench, "discover").await, expected);
    let wanted = IdentityFilter::parse(&filter()).expect("a filter");
    let preview = preview_identities(config(&bench), &wanted, Arc::new(Quiet), cancel);
    let preview = preview.await.expect("counts");
    assert_eq!(preview.users as usize, bench.simulator.truth().users.len());
    assert_eq!(looked(&bench, "preview").await, JobResult::Preview(preview));
    for table in [
        "select count(*) from principals",
        "select count(*) from systems",
        "select count(*) from sync_sessions",
        "select count(*) from run_reports",
        "select count(*) from runs_under_way",
    ] {
        assert_eq!(bench.count(table).await, 0, "{table}");
    }
    drop(worker);
    bench.stop().await;
}

#[tokio::test]
async fn a_look_that_fails_says_why_at_once_and_tells_no_secret() {
    let bench = Bench::start(10).await;
    let worker = worker(&bench);
    for kind in ["check", "discover", "preview"] {
        let settings = json!({"identityFilter": filter()});
        let job = bench.look(kind, "CANARY-wrong", &settings).await;
        bench.until(job, "failed").await;
        let shown = bench.shown(job).await;
        let why = shown.message.expect("a reason");
        assert!(!why.is_empty() && !why.contains("CANARY"), "{kind}: {why}");
        assert_eq!((shown.attempt, shown.result), (1, None));
    }
    let secret = bench.simulator.client_secret();
    let job = bench.look("preview", secret, &json!({})).await;
    let row = bench.until(job, "failed").await;
    assert!(
        row["message"]
            .as_str()
            .is_some_and(|why| why.contains("identityFilter")),
        "{row:#}"
    );
    drop(worker);
    bench.stop().await;
}

#[tokio::test]
async fn a_look_is_taken_while_a_crawl_of_the_tenant_goes_on_and_can_be_cancelled() {
    let bench = Bench::start(30).await;
    let groups = RoutePattern::Prefix("/groups".into());
    bench
        .simulator
        .faults()
        .add(Fault::status(groups, 429, "TooManyRequests").retry_after("600"));
    let crawl = bench.queue(bench.simulator.client_secret()).await;
    let worker = worker(&bench);
    bench.until(crawl, "running").await;
    let discover = bench.look_of(crawl, "discover").await;
    bench.until(discover, "succeeded").await;
    // It asks for a group, and waits as the crawl does.
    let check = bench.look_of(crawl, "check").await;
    bench.until(check, "running").await;
    bench.cancel(check).await;
    bench.until(check, "cancelled").await;
    assert_eq!(bench.shown(crawl).await.state, JobState::Running);
    drop(worker);
    bench.stop().await;
}
