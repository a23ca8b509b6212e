//! Crawls that are not alone: what another load writes meanwhile stays, and is looked at again.

use std::time::Duration;

use contract::{CollectionStatus, RunOutcome};
use crawler_entra::Mode;
use graph_sim::{SimOptions, TenantSpec};
use serde_json::{Value, json};

use crate::register::{Register, line};

/// Two crawls overlap: the other one read a membership before it ended, and writes it while this one reads. Neither the
/// changes of groups nor anything else would ever tell that it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_another_load_wrote_meanwhile_is_looked_at_by_the_next_run() {
    let options = SimOptions {
        latency: Duration::from_millis(20),
        ..SimOptions::default()
    };
    let register = Register::start(&TenantSpec::new(90, 200, 120, 20), options).await;
    let mut full = register.config();
    full.mode = Mode::Full;
    let first = register.crawl_with(full.clone()).await;
    assert_eq!(first.outcome, RunOutcome::Complete, "{first:#?}");
    let (group, user) = register.simulator.with_tenant(|tenant| {
        let has_members = |group: &&uuid::Uuid| !tenant.members.of(**group).is_empty();
        let group = *tenant.groups.keys().find(has_members).expect("a group");
        let mut users = tenant.users.keys().copied();
        let is_no_member = |user: &uuid::Uuid| !tenant.members.contains(group, *user);
        (group, users.find(is_no_member).expect("no member"))
    });
    let system_id: i32 = sqlx::query_scalar("select distinct system_id from principals")
        .fetch_one(&register.pool)
        .await
        .expect("a system");
    let stale = json!({"systemId": system_id, "records":
        [{"resourceId": group, "principalId": user, "assignmentType": "Direct",
          "resourceType": "EntraGroup"}]});

    register.simulator.reset_stats();
    let (report, ()) = tokio::join!(register.crawl_with(full), async {
        while !has_read_members(&register) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let written: Value = register
            .post("/api/ingest/resource-assignments", &stale)
            .await;
        assert_eq!(written["inserted"], 1, "{written}");
    });
    let members = line(&report, "group members");
    assert_eq!(members.status, CollectionStatus::Partial, "{members:#?}");
    let told = members.message.as_deref().unwrap_or_default();
    assert!(
        told.contains("another load wrote them meanwhile: 1"),
        "{told}"
    );

    let mut auto = register.config();
    auto.mode = Mode::Auto;
    let report = register.crawl_with(auto.clone()).await;
    assert_eq!(line(&report, "group members").deleted, 1, "{report:#?}");
    register.assert_equals_truth().await;
    // And from there on changes are followed again.
    let report = register.crawl_with(auto).await;
    let told = line(&report, "group members").message.as_deref();
    assert!(
        told.is_some_and(|told| told.contains("nothing changed")),
        "{told:?}"
    );
}

fn has_read_members(register: &Register) -> bool {
    let asked = register.simulator.requests();
    asked.iter().any(|call| call.path.ends_with("/members"))
}
