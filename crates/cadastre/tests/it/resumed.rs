//! A crawl that is killed goes on where it was, on whatever machine, and costs little more than one that was left alone.

use std::time::Duration;

use contract::{CollectionStatus, RunOutcome, RunReport};
use graph_sim::{SimOptions, TenantSpec, Throttle};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use crate::register::{Register, assert_costs_add_up, line, seed};

/// How often the crawler is killed: `CADASTRE_TEST_KILLS`, or 5.
fn kills() -> u64 {
    let chosen = std::env::var("CADASTRE_TEST_KILLS").ok();
    chosen.map_or(5, |text| text.parse().expect("a number"))
}

/// A tenant of which most is children to be read group by group.
fn spec(seed: u64) -> TenantSpec {
    TenantSpec::new(seed, 700, 7_000, 200)
        .with_access_packages(20)
        .with_administrative_units(20)
}

fn options() -> SimOptions {
    SimOptions {
        throttle: Throttle::off(),
        latency: Duration::from_millis(20),
        ..SimOptions::default()
    }
}

async fn start(seed: u64) -> Register {
    Register::start(&spec(seed), options()).await
}

/// The run as the command tells it, to its end.
async fn run(register: &Register, run_id: Uuid) -> RunReport {
    let run_id = run_id.to_string();
    let output = register
        .crawler(&["--progress", "json", "--run-id", &run_id])
        .await;
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = printed.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| {
        let complaints = String::from_utf8_lossy(&output.stderr);
        panic!("no report ({error}) in\n{printed}\n{complaints}")
    })
}

/// Runs until so many calls were made, then kills. False when it had ended before.
async fn run_until(register: &Register, run_id: Uuid, calls: u64) -> bool {
    let run_id = run_id.to_string();
    let arguments = ["--progress", "json", "--run-id", &run_id];
    let crawler = register.crawler(&arguments);
    let enough = async {
        while register.simulator.stats().http_calls < calls {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        // Dropping the command kills it (SIGKILL).
        () = enough => true,
        _ = crawler => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_that_is_killed_at_any_moment_goes_on_and_asks_for_hardly_anything_twice() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let undisturbed = start(seed).await;
    let undisturbed_report = run(&undisturbed, Uuid::new_v4()).await;
    let report = &undisturbed_report;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    undisturbed.assert_equals_truth().await;
    let routes = undisturbed.simulator.stats().routes;
    let calls = undisturbed.simulator.stats().http_calls;
    assert!(calls > 700, "{calls} calls are too few to mean anything");
    drop(undisturbed);

    for _ in 0..kills() {
        let register = start(seed).await;
        let run_id = Uuid::new_v4();
        let moment = random.random_range(1..calls);
        println!("killed at call {moment} of {calls}");
        assert!(run_until(&register, run_id, moment).await, "it had ended");
        let report = run(&register, run_id).await;
        assert_eq!(report.run_id, run_id);
        assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
        register.assert_equals_truth().await;
        let removed = "select count(*) from sync_sessions where state = 'open'";
        assert_eq!(register.count(removed).await, 0, "loads were left open");
        let spent = register.simulator.stats().http_calls;
        let again: Vec<String> = register
            .simulator
            .stats()
            .routes
            .into_iter()
            .map(|(route, asked)| (asked.requests, routes.get(&route), route))
            .filter_map(|(asked, usual, route)| {
                let more = asked.saturating_sub(usual.map_or(0, |usual| usual.requests));
                (more > 0).then(|| format!("{route}: {more} more"))
            })
            .collect();
        assert!(
            spent * 10 <= calls * 11,
            "killed at call {moment}, it took {spent} calls instead of {calls}: {again:#?}"
        );
        // What the report says of the run counts both attempts.
        let told = report.traffic.http_calls;
        assert!(told <= spent && told * 10 >= calls * 9, "{told} of {spent}");
        assert_costs_add_up(&report);
        let members = line(&report, "group members").cost;
        let whole = line(&undisturbed_report, "group members").cost;
        let pages = (members.pages, whole.pages);
        assert!(
            pages.0 * 10 >= pages.1 * 9 && pages.0 * 10 <= pages.1 * 11,
            "{pages:?}"
        );
        for line in &report.collections {
            let is_whole = matches!(
                line.status,
                CollectionStatus::Complete | CollectionStatus::Skipped
            );
            assert!(is_whole, "{line:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_that_is_killed_again_and_again_removes_nothing_and_comes_to_its_end() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed ^ 1);
    let register = start(seed).await;
    let report = run(&register, Uuid::new_v4()).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.simulator.change(seed, 0.02);
    // When a run began is known to the second, and what another load met since then is not removed. What the first crawl met
    // last must be older than that, or it stays until the crawl after this one.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let run_id = Uuid::new_v4();
    loop {
        let calls = register.simulator.stats().http_calls;
        let more = random.random_range(20..150);
        if !run_until(&register, run_id, calls + more).await {
            break;
        }
        register.assert_no_false_removal().await;
    }
    register.approve_all().await;
    register.assert_equals_truth().await;
    register.assert_no_false_removal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_begun_with_another_configuration_is_not_gone_on_with() {
    let register = Register::start(&TenantSpec::new(51, 200, 60, 20), options()).await;
    let run_id = Uuid::new_v4();
    assert!(run_until(&register, run_id, 5).await, "it had ended");
    let mut other = register.config();
    other.run_id = Some(run_id);
    other.selection.pim = false;
    let report = register.crawl_with(other).await;
    assert_eq!(report.outcome, RunOutcome::Failed, "{report:#?}");
    let message = report.message.expect("it says why");
    assert!(message.contains("another configuration"), "{message}");
    register.assert_no_false_removal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_loads_are_gone_is_not_gone_on_with() {
    let register = Register::start(&TenantSpec::new(52, 200, 60, 20), options()).await;
    let run_id = Uuid::new_v4();
    assert!(run_until(&register, run_id, 40).await, "it had ended");
    let forgotten = sqlx::query("delete from sync_sessions where run_id = $1")
        .bind(run_id)
        .execute(&register.pool)
        .await;
    assert!(forgotten.expect("forgets").rows_affected() > 0);
    let report = run(&register, run_id).await;
    assert_eq!(report.outcome, RunOutcome::Failed, "{report:#?}");
    let message = report.message.expect("it says why");
    assert!(message.contains("a load of it has expired"), "{message}");
    register.assert_no_false_removal().await;
}
