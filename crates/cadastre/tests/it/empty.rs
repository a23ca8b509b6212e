//! A tenant that suddenly looks empty empties nothing.

use contract::{ChangeSetState, CollectionStatus, RunOutcome};
use graph_sim::{Fault, FaultAction, RoutePattern, SimOptions, TenantSpec};

use crate::register::{Register, line};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_answers_with_empty_lists_removes_nothing_and_waits_for_a_person() {
    let spec = TenantSpec::new(8, 150, 40, 30);
    let register = Register::start(&spec, SimOptions::default()).await;
    assert_eq!(register.crawl().await.outcome, RunOutcome::Complete);
    let versions = register.row_versions().await;

    let faults = register.simulator.faults();
    faults.set_empty_tenant(true);
    // The tenant itself can still be read: the first fault that fits wins, and the crawler takes one page of this list.
    let organization = RoutePattern::Exact("/organization".to_owned());
    faults.add(Fault::new(organization, FaultAction::RepeatPage));
    let (report, code) = register.crawl_by_command().await;

    assert_eq!((report.outcome, code), (RunOutcome::Held, 3), "{report:#?}");
    assert!(
        versions == register.row_versions().await,
        "an empty answer touched rows"
    );
    for name in ["users", "guests", "agents", "groups", "directory roles"] {
        let line = line(&report, name);
        assert_eq!(line.status, CollectionStatus::Complete, "{line:#?}");
        let held = line.held.as_ref().expect("its removals are held");
        assert_eq!(held.would_delete, held.of, "{line:#?}");
    }
    let listed = register.held().await;
    for line in &report.collections {
        assert_eq!(line.deleted, 0, "{line:#?}");
        let Some(held) = &line.held else { continue };
        let set = listed
            .iter()
            .find(|set| set.change_set_id == held.change_set_id)
            .expect("what the report names is listed");
        assert_eq!(set.would_delete, held.would_delete);
        assert_eq!(set.reason, "empty_source");
        assert_eq!(set.state, ChangeSetState::Held);
    }

    // The next sound crawl makes what waits void: nothing can be approved any more by mistake.
    register.simulator.faults().clear();
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert!(register.held().await.is_empty());
    register.assert_equals_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_even_tell_its_name_is_not_crawled() {
    let spec = TenantSpec::new(8, 150, 40, 30);
    let register = Register::start(&spec, SimOptions::default()).await;
    assert_eq!(register.crawl().await.outcome, RunOutcome::Complete);
    let versions = register.row_versions().await;

    register.simulator.faults().set_empty_tenant(true);
    let (report, code) = register.crawl_by_command().await;

    assert_eq!((report.outcome, code), (RunOutcome::Failed, 1));
    assert!(report.message.is_some(), "{report:#?}");
    assert!(versions == register.row_versions().await);
    assert!(register.held().await.is_empty());
}
