//! Crawls that are killed, and crawls that meet.

use std::{sync::Arc, time::Duration};

use contract::{CollectionStatus, RunOutcome};
use crawler_entra::{crawl, progress::Quiet};
use graph_sim::{SimOptions, TenantSpec};
use tokio_util::sync::CancellationToken;

use crate::register::Register;

fn slow(latency_ms: u64) -> SimOptions {
    SimOptions {
        latency: Duration::from_millis(latency_ms),
        ..SimOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_that_is_killed_leaves_nothing_removed_and_the_next_takes_over() {
    let spec = TenantSpec::new(41, 150, 40, 30);
    let mut register = Register::start(&spec, SimOptions::default()).await;
    assert_eq!(register.crawl().await.outcome, RunOutcome::Complete);
    register.simulator.change(41, 0.03);

    // Slow enough to be caught in the middle: a process that is killed says goodbye to nobody.
    register.restart_simulator(slow(400)).await;
    let open = "select count(*) from sync_sessions where state = 'open'";
    {
        let crawler = register.crawler(&[]);
        tokio::pin!(crawler);
        let caught = async {
            while register.count(open).await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            output = &mut crawler => panic!("it ended before it was killed: {output:?}"),
            () = caught => {}
        }
        // Dropping it kills it.
    }
    assert!(register.count(open).await > 0, "it left loads open");
    register.restart_simulator(SimOptions::default()).await;

    // Somebody else may still be at work for all the register knows: the next crawl does not push in by itself …
    let refused = register.crawl().await;
    assert_ne!(refused.outcome, RunOutcome::Complete, "{refused:#?}");
    register.assert_no_false_removal().await;
    // … but does when told.
    let mut config = register.config();
    config.take_over = true;
    let report = register.crawl_with(config).await;
    let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    assert!(is_whole, "{report:#?}");
    register.approve_all().await;
    register.assert_equals_truth().await;
    register.assert_no_false_removal().await;
    assert_eq!(register.count(open).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_crawls_at_once_do_not_disturb_each_other() {
    let spec = TenantSpec::new(42, 150, 40, 30);
    let register = Register::start(&spec, slow(30)).await;
    assert_eq!(register.crawl().await.outcome, RunOutcome::Complete);
    register.simulator.change(42, 0.03);
    let one = || crawl(register.config(), Arc::new(Quiet), CancellationToken::new());
    let (first, second) = tokio::join!(one(), one());
    register.assert_no_false_removal().await;
    for report in [first, second] {
        let report = report.expect("it begins");
        for line in &report.collections {
            // What the other one is reading is refused, and said.
            let is_told = line.status != CollectionStatus::Failed || !line.failures.is_empty();
            assert!(is_told, "{line:#?}");
        }
    }
    let report = register.crawl().await;
    let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    assert!(is_whole, "{report:#?}");
    register.approve_all().await;
    register.assert_equals_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_that_is_cancelled_gives_up_its_loads() {
    let spec = TenantSpec::new(43, 150, 40, 30);
    let mut register = Register::start(&spec, SimOptions::default()).await;
    assert_eq!(register.crawl().await.outcome, RunOutcome::Complete);
    register.restart_simulator(slow(400)).await;
    let cancel = CancellationToken::new();
    let open = "select count(*) from sync_sessions where state = 'open'";
    let cancelling = async {
        while register.count(open).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let crawling = crawl(register.config(), Arc::new(Quiet), cancel.clone());
    let (report, ()) = tokio::join!(crawling, cancelling);
    assert_eq!(report.expect("it begins").outcome, RunOutcome::Cancelled);
    assert_eq!(register.count(open).await, 0);
    assert_eq!(register.removed().await, []);
    register.restart_simulator(SimOptions::default()).await;
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
}
