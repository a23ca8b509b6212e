//! What happens to accounts over the years must not look like people coming and going.

use contract::RunOutcome;
use graph_sim::{GroupAccess, MemberKind, SimOptions, TenantSpec, UserType};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    oracle::Rows,
    register::{Register, line},
};

async fn filled(seed: u64) -> Register {
    let spec = TenantSpec::new(seed, 150, 40, 30);
    let register = Register::start(&spec, SimOptions::default()).await;
    assert_eq!(register.crawl().await.outcome, RunOutcome::Complete);
    register
}

/// The versions of a row that ended, by operation.
async fn operations(register: &Register, entity: &str, key: &str) -> Vec<String> {
    let history = register.history().await.into_iter();
    history
        .filter(|ended| ended.entity == entity && ended.row_key == key)
        .map(|ended| ended.operation)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_sides_between_members_and_guests_is_updated_and_not_removed() {
    let register = filled(31).await;
    let changed = register.simulator.with_tenant(|tenant| {
        let of_type = |wanted| {
            let users = tenant.users.values();
            let fitting = users.filter(|user| user.user_type == wanted);
            fitting.map(|user| user.id).take(3).collect::<Vec<Uuid>>()
        };
        let (members, guests) = (of_type(UserType::Member), of_type(UserType::Guest));
        for (ids, becomes) in [(&members, UserType::Guest), (&guests, UserType::Member)] {
            for id in ids {
                tenant.users.get_mut(id).expect("a user").user_type = becomes;
            }
        }
        [members, guests].concat()
    });
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    for name in ["users", "guests"] {
        let line = line(&report, name);
        assert_eq!((line.inserted, line.deleted), (0, 0), "{line:#?}");
        assert_eq!(line.updated, 3, "{line:#?}");
    }
    for id in changed {
        let found = operations(&register, "principals", &id.to_string()).await;
        assert_eq!(found, ["update"]);
    }
    assert_eq!(register.removed().await, []);
    register.assert_equals_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_restored_goes_on_as_the_same_row() {
    let register = filled(32).await;
    let whole = register.simulator.with_tenant(|tenant| tenant.clone());
    let employee = whole.users.values().find(|user| user.manager_id.is_some());
    let (id, place) = employee
        .map(|user| (user.id, ("principals", user.id.to_string())))
        .expect("an employee");
    let (_, first) = register.all_rows().await.remove(&place).expect("a row");

    register
        .simulator
        .with_tenant(|tenant| tenant.remove_objects([id]));
    register.crawl().await;
    register.approve_all().await;
    register.assert_equals_truth().await;
    assert!(register.removed().await.contains(&place));

    register.simulator.with_tenant(|tenant| *tenant = whole);
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
    let removed = register.removed().await;
    // It left the recycle bin, and nothing else went.
    let [("context_members", left)] = &removed[..] else {
        panic!("{removed:?}");
    };
    assert!(left.ends_with(&id.to_string()), "{left}");
    let (_, again) = register.all_rows().await.remove(&place).expect("a row");
    assert_eq!(again.first_seen_at, first.first_seen_at);
    assert!(register.loads_of(&report).await.contains(&again.sync_id));
    // The time in between is a gap: one version ended, and none is made up for the absence.
    let found = operations(&register, "principals", &place.1).await;
    assert_eq!(found, ["delete"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_time_windows_of_one_eligibility_are_one_row_that_stands_still() {
    let register = filled(33).await;
    register.simulator.with_tenant(|tenant| {
        let held = tenant.role_eligibilities.values().next().cloned();
        let mut later = held.expect("an eligibility");
        later.id = Uuid::from_u128(u128::MAX - 7);
        later.instance_id = "a-later-window-1-e".to_owned();
        later.start += chrono::TimeDelta::days(365);
        tenant.role_eligibilities.insert(later.id, later);
        let mut held = tenant.group_eligibilities.values();
        let mut later = held.next().cloned().expect("an eligibility");
        later.id = format!("{}_{}_z", later.group_id, later.access.as_str());
        later.start += chrono::TimeDelta::days(365);
        tenant.group_eligibilities.insert(later.id.clone(), later);
    });
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
    let versions = register.row_versions().await;
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert!(versions == register.row_versions().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn eligibility_as_member_and_as_owner_of_one_group_are_two_rows() {
    let register = filled(34).await;
    let (group, principal) = register.simulator.with_tenant(|tenant| {
        let mut held = tenant.group_eligibilities.values();
        let held = held.find(|held| held.access == GroupAccess::Member);
        let mut other = held.cloned().expect("an eligibility as member");
        assert_eq!(other.principal_kind, MemberKind::User);
        other.access = GroupAccess::Owner;
        other.id = format!("{}_owner_z", other.group_id);
        let ends = (other.group_id, other.principal_id);
        tenant.group_eligibilities.insert(other.id.clone(), other);
        ends
    });
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    register.assert_equals_truth().await;
    let live = register.live_rows().await;
    for scope in ["/", "/owner"] {
        let key = format!("{group}|{principal}|Eligible|{scope}");
        assert!(live.contains_key(&("resource_assignments", key)), "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_decisions_outlive_what_they_are_about() {
    let register = filled(36).await;
    let tables = ["assignment_requests", "certification_decisions"];
    let of_history = |rows: Rows| -> Rows {
        let rows = rows.into_iter();
        rows.filter(|((table, _), _)| tables.contains(table))
            .collect()
    };
    let before = of_history(register.live_rows().await);
    for table in tables {
        assert!(before.keys().any(|place| place.0 == table), "{table}");
    }
    register.simulator.with_tenant(|tenant| {
        tenant.governance.requests.clear();
        tenant.governance.reviews.clear();
    });
    let report = register.crawl().await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    assert!(register.held().await.is_empty());
    assert_eq!(register.removed().await, []);
    assert_eq!(of_history(register.live_rows().await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_is_one_more_row_that_dates_the_membership_and_names_its_eligibility() {
    let register = filled(37).await;
    let held = register.simulator.with_tenant(|tenant| {
        let mut held = tenant.governance.group_assignments.values();
        let held = held.find(|held| held.activated_using.is_some());
        held.expect("somebody is active").clone()
    });
    let rows = register.live_rows().await;
    let row = |kind: &str, scope: &str| {
        let key = format!("{}|{}|{kind}|{scope}", held.group_id, held.principal_id);
        rows.get(&("resource_assignments", key))
            .unwrap_or_else(|| panic!("no {kind}"))
    };
    assert_eq!(row("Direct", "/")["state"], Value::Null);
    let scheduled = row("Scheduled", "/");
    assert_eq!(scheduled["state"], "Activated");
    // Several eligibilities may share a row, which shows one of them; the activation names its own.
    let eligibility = &scheduled["extended_attributes"]["activatedUsing"];
    assert_eq!(eligibility.as_str(), held.activated_using.as_deref());
    assert_eq!(row("Eligible", "/")["resource_type"], "EntraGroup");
    let counted = sqlx::query_scalar::<_, i64>(
        "select count(*) from effective_access where resource_id = $1 and principal_id = $2 \
         and assignment_type not in ('Eligible', 'Owner') and via_kind = 'Direct'",
    )
    .bind(held.group_id)
    .bind(held.principal_id)
    .fetch_one(&register.pool)
    .await;
    assert_eq!(counted.expect("a number"), 1, "it is one access");
}
