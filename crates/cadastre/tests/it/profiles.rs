//! Whatever the simulated Graph does to a crawl: nothing is removed that the tenant still has, no gap stays unsaid, no token
//! leaves the configured origin, and once it is over, one more crawl leads to the truth.

use std::{collections::BTreeMap, time::Duration};

use contract::{CollectionStatus, Recovered, RunOutcome, RunReport};
use crawler_entra::Mode;
use graph_sim::{Profile, SimOptions, TenantSpec};
use serde_json::Value;

use crate::{
    oracle,
    register::{Register, assert_costs_add_up, line, seed},
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
    let (report, _) = crawl(&register).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(report.traffic.recovered, Recovered::default());
    assert_eq!((report.traffic.throttled, report.traffic.retries), (0, 0));
    register.assert_equals_truth().await;
    register
}

/// How often each fault struck, by the name that the simulator has for it.
type Strikes = BTreeMap<String, u64>;

/// A crawl, and what it met. What it tells of it is the same everywhere.
async fn crawl(register: &Register) -> (RunReport, Strikes) {
    let simulator = &register.simulator;
    let before = simulator.stats();
    let report = crawl_in_small_pages(register).await;
    let now = simulator.stats();
    let earlier = |name: &String| before.faults.get(name).copied().unwrap_or(0);
    let strikes = now.faults.iter();
    let strikes = strikes.map(|(name, count)| (name.clone(), count - earlier(name)));
    let strikes: Strikes = strikes.filter(|(_, count)| *count > 0).collect();
    assert_costs_add_up(&report);
    assert_faults_are_told(&report, &strikes, now.throttled - before.throttled);
    let stored: Value = register.get("/api/ingest/sync-log?limit=1").await;
    let told = serde_json::to_value(&report).expect("JSON");
    for part in ["runId", "collections", "other", "traffic"] {
        assert_eq!(stored["items"][0][part], told[part], "{part}");
    }
    (report, strikes)
}

/// What was got over happened, and where everything was read, all that happened was got over.
#[track_caller]
fn assert_faults_are_told(report: &RunReport, strikes: &Strikes, throttled: u64) {
    let struck = |names: &[&str]| -> u64 {
        let is_one = |name: &str| names.contains(&name);
        let strikes = strikes.iter().filter(|(name, _)| is_one(name.as_str()));
        strikes.map(|(_, count)| count).sum()
    };
    let servers = ["status 500", "status 502", "status 503", "status 504"];
    let breaks = struck(&["connection reset", "truncated body"]);
    let late = struck(&["stalled body", "slow body"]);
    let tokens = struck(&["expired token", "refused token", "status 401"]);
    let pages = struck(&["expired page token"]);
    let circles = struck(&["repeated page", "cycle of pages"]);
    let missing = struck(&["omitted from batch"]);
    let repeated = struck(&["repeated in batch"]);
    let told = report.traffic.recovered;
    for (told, most) in [
        (report.traffic.throttled, throttled),
        (told.throttled, throttled),
        (told.server_error, struck(&servers)),
        (told.connection, breaks),
        (told.timeout, late),
        (told.unreadable_answer, 0),
        (told.expired_page_token, pages),
        (told.paging_loop, circles),
        (told.missing_batch_item, missing),
        (told.repeated_batch_item, repeated),
        // These runs do not ask for changes.
        (told.refused_delta, 0),
    ] {
        assert!(told <= most, "{told} of {most}: {strikes:#?} {report:#?}");
    }
    // One token that expires is refused to all who had it.
    assert!(told.rejected_token == 0 || tokens > 0, "{report:#?}");
    // What came with an answer that was lost on its way was not met.
    let is_whole = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    if is_whole && breaks + told.timeout == 0 {
        let got_over = [
            told.throttled,
            told.expired_page_token,
            told.missing_batch_item,
            told.repeated_batch_item,
        ];
        let struck = [throttled, pages, missing, repeated];
        assert_eq!(got_over, struck, "{strikes:#?} {report:#?}");
        assert!(told.rejected_token > 0 || tokens == 0, "{report:#?}");
    }
}

async fn crawl_in_small_pages(register: &Register) -> RunReport {
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

    let (report, strikes) = crawl(&register).await;
    register.assert_no_false_removal().await;
    if is_unchanged {
        // Nothing is to be removed, not even proposed.
        assert_eq!(register.removed().await, [], "{profile}: {report:#?}");
        let held = register.held().await;
        assert!(held.is_empty(), "{profile}: {held:#?}");
    }
    assert_no_gap_is_silent(&report);

    assert!(!simulator.change(seed, 0.03).is_empty());
    let (report, further) = crawl(&register).await;
    register.assert_no_false_removal().await;
    assert_no_gap_is_silent(&report);
    // Somebody of a type that nobody knows is a row like any other, and not in the tenant's truth.
    let mut strikes = strikes.keys().chain(further.keys());
    let is_invented = strikes.any(|fault| fault.contains("unknown type"));
    let claims_all = matches!(report.outcome, RunOutcome::Complete | RunOutcome::Held);
    if claims_all && !is_invented {
        register.approve_all().await;
        register.assert_equals_truth().await;
    }

    simulator.set_profile(Profile::Calm);
    let (report, _) = crawl(&register).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_are_refused_are_told_where_everything_is_read_instead() {
    let register = Register::start(&TenantSpec::new(31, 120, 35, 24), SimOptions::default()).await;
    let mut config = register.config();
    config.mode = Mode::Auto;
    // Nothing else is made of users, so that they are followed.
    config.selection.contexts = false;
    config.identity_filter = None;
    config.refresh_views = false;
    let report = register.crawl_with(config.clone()).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_eq!(report.traffic.recovered, Recovered::default());
    register.simulator.expire_delta_tokens();
    let report = register.crawl_with(config).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert_costs_add_up(&report);
    let refused = Recovered {
        refused_delta: 1,
        ..Recovered::default()
    };
    for name in ["users", "groups"] {
        let line = line(&report, name);
        assert_eq!(line.cost.recovered, refused, "{line:#?}");
    }
    let told = report.traffic.recovered;
    assert_eq!(told.total(), told.refused_delta, "{told:?}");
}
