//! Whatever the simulated Graph does to a crawl: nothing is removed that the tenant still has, no gap stays unsaid, no token
//! leaves the configured origin, and once it is over, one more crawl leads to the truth.

use std::time::Duration;

use contract::{CollectionStatus, RunOutcome, RunReport};
use graph_sim::{Profile, SimOptions, TenantSpec};

use crate::{
    oracle,
    register::{Register, seed},
};

/// How many seeds of mixed faults are tried: `CADASTRE_TEST_MIXED`, or 20.
fn mixed() -> u64 {
    let chosen = std::env::var("CADASTRE_TEST_MIXED").ok();
    chosen.map_or(20, |text| text.parse().expect("a number"))
}

/// Time in the simulator goes this much faster than ours, or every wait would be waited for.
const TIME_SCALE: f64 = 50.0;

async fn filled(seed: u64) -> Register {
    let options = SimOptions {
        time_scale: TIME_SCALE,
        ..SimOptions::default()
    };
    let spec = TenantSpec::new(seed, 120, 35, 24);
    let register = Register::start(&spec, options).await;
    let report = crawl(&register).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
    register
}

async fn crawl(register: &Register) -> RunReport {
    let mut config = register.config();
    config.tuning.page_size = 20;
    config.tuning.read_timeout = Duration::from_secs(2);
    config.refresh_views = false;
    register.crawl_with(config).await
}

/// Every line that is not complete says why.
#[track_caller]
fn assert_no_gap_is_silent(report: &RunReport) {
    for line in &report.collections {
        let is_told = !line.failures.is_empty()
            || line.message.is_some()
            || line.missing_permission.is_some();
        let is_whole = line.status == CollectionStatus::Complete;
        assert!(
            is_whole || is_told || line.status == CollectionStatus::Unlicensed,
            "{line:#?}"
        );
    }
}

/// The promises, under one profile.
async fn hold_under(profile: Profile, seed: u64) {
    println!("{profile}");
    let register = filled(seed).await;
    let simulator = register.simulator.clone();
    let before = oracle::expected(&simulator.truth());
    simulator.set_profile(profile);
    let is_unchanged = oracle::expected(&simulator.truth()) == before;

    let report = crawl(&register).await;
    register.assert_no_false_removal().await;
    if is_unchanged {
        // Nothing is to be removed, not even proposed.
        assert_eq!(register.removed().await, [], "{profile}: {report:#?}");
        let held = register.held().await;
        assert!(held.is_empty(), "{profile}: {held:#?}");
    }
    assert_no_gap_is_silent(&report);

    assert!(!simulator.change(seed, 0.03).is_empty());
    let report = crawl(&register).await;
    register.assert_no_false_removal().await;
    assert_no_gap_is_silent(&report);
    let strikes = simulator.stats().faults;
    // Somebody of a type that nobody knows is a row like any other, and not in the tenant's truth.
    let is_invented = strikes.keys().any(|fault| fault.contains("unknown type"));
    let claims_all = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    if claims_all && !is_invented {
        register.approve_all().await;
        register.assert_equals_truth().await;
    }

    simulator.set_profile(Profile::Calm);
    let report = crawl(&register).await;
    let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    assert!(is_whole, "{profile}: {report:#?}");
    register.approve_all().await;
    register.assert_equals_truth().await;
    register.assert_no_false_removal().await;

    let abroad = simulator.foreign_requests();
    assert!(
        abroad.iter().all(|request| !request.has_token),
        "{profile}: {abroad:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_profile_of_faults_makes_a_crawl_remove_what_is_there_or_hide_what_it_missed() {
    let seed = seed();
    for profile in Profile::ALL {
        hold_under(*profile, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mixture_of_faults_makes_a_crawl_remove_what_is_there_or_hide_what_it_missed() {
    let seed = seed();
    for number in 1..=mixed() {
        hold_under(Profile::Mixed(number), seed.wrapping_add(number)).await;
    }
}
