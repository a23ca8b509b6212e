//! Crawls by sweeps lead to the same register as crawls without, at a fraction of the requests, whatever happens on the way.

use std::time::Duration;

use contract::{RunOutcome, RunReport};
use graph_sim::{Profile, SimOptions, TenantSpec, Throttle};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use crate::register::{Register, line, seed};

async fn crawl(register: &Register) -> RunReport {
    let mut config = register.config();
    config.sweeps = true;
    config.refresh_views = false;
    register.crawl_with(config).await
}

fn spec(seed: u64) -> TenantSpec {
    TenantSpec::new(seed, 1_000, 900, 600)
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_lead_to_the_truth_before_and_after_a_change_in_less_than_half_the_calls() {
    let seed = seed();
    let register = Register::start(&spec(seed), SimOptions::default()).await;
    let report = crawl(&register).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
    let by_sweeps = register.simulator.stats().http_calls;

    // The same crawl without sweeps finds nothing to change, and costs what it costs.
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    for line in &report.collections {
        let written = (line.inserted, line.updated, line.deleted);
        assert_eq!(written, (0, 0, 0), "{line:#?}");
    }
    let by_lists = register.simulator.stats().http_calls - by_sweeps;
    println!("{by_sweeps} calls by sweeps, {by_lists} without");
    assert!(by_sweeps * 2 < by_lists, "{by_sweeps} and {by_lists} calls");

    assert!(!register.simulator.change(seed, 0.03).is_empty());
    let report = crawl(&register).await;
    let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    assert!(is_whole, "{report:#?}");
    assert!(line(&report, "group members").deleted > 0, "{report:#?}");
    register.approve_all().await;
    register.assert_equals_truth().await;
    register.assert_no_false_removal().await;
}

/// Runs the command by sweeps; kills it when so many calls were made. The report of a run that came to its end.
async fn run(register: &Register, run_id: Uuid, kill_at: Option<u64>) -> Option<RunReport> {
    let run_id = run_id.to_string();
    let arguments = ["--progress", "json", "--sweeps", "--run-id", &run_id];
    let crawler = register.crawler(&arguments);
    let enough = async {
        let Some(calls) = kill_at else {
            return std::future::pending().await;
        };
        while register.simulator.stats().http_calls < calls {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let output = tokio::select! {
        // Dropping the command kills it (SIGKILL).
        () = enough => return None,
        output = crawler => output,
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = printed.lines().last().unwrap_or_default();
    let report = serde_json::from_str(last);
    Some(report.unwrap_or_else(|error| panic!("no report ({error}) in {printed}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_by_sweeps_that_is_killed_again_and_again_goes_on_to_the_truth() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed ^ 3);
    let options = SimOptions {
        throttle: Throttle::off(),
        latency: Duration::from_millis(20),
        ..SimOptions::default()
    };
    for _ in 0..2 {
        let register = Register::start(&spec(seed), options.clone()).await;
        let run_id = Uuid::new_v4();
        let mut kills = 0;
        let report = loop {
            let calls = register.simulator.stats().http_calls;
            let moment = calls + random.random_range(20..90);
            match run(&register, run_id, (kills < 6).then_some(moment)).await {
                Some(report) => break report,
                None => kills += 1,
            }
        };
        println!("killed {kills} times");
        assert!(kills > 0);
        assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
        register.assert_equals_truth().await;
        register.assert_no_false_removal().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_makes_a_crawl_by_sweeps_remove_what_is_there() {
    let seed = seed();
    // Those that sweeps meet in another way than lists do.
    for profile in [
        Profile::Flaky5,
        Profile::PoisonObjects,
        Profile::PageTokenExpiry,
        Profile::PartialPermissions,
        Profile::LoopsAndForeignHosts,
        Profile::Mixed(1),
        Profile::Mixed(2),
    ] {
        println!("{profile}");
        let options = SimOptions {
            time_scale: 50.0,
            ..SimOptions::default()
        };
        let register = Register::start(&TenantSpec::new(seed, 120, 60, 40), options).await;
        let report = impatient(&register).await;
        assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
        register.simulator.set_profile(profile);
        impatient(&register).await;
        register.assert_no_false_removal().await;
        assert!(!register.simulator.change(seed, 0.03).is_empty());
        impatient(&register).await;
        register.assert_no_false_removal().await;
        register.simulator.set_profile(Profile::Calm);
        let report = impatient(&register).await;
        let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
        assert!(is_whole, "{profile}: {report:#?}");
        register.approve_all().await;
        register.assert_equals_truth().await;
        register.assert_no_false_removal().await;
    }
}

/// In small pages, and without patience for bodies that stall.
async fn impatient(register: &Register) -> RunReport {
    let mut config = register.config();
    config.sweeps = true;
    config.tuning.page_size = 20;
    config.tuning.read_timeout = Duration::from_secs(2);
    config.refresh_views = false;
    register.crawl_with(config).await
}
