use std::time::Duration;

use crate::register::{DEFAULT_WORKSPACE, Holder, Register, id};

const LONG: Duration = Duration::from_secs(60);

/// 25 users in a group, every second one also in a group inside it; one user is removed again.
async fn populated() -> Register {
    let register = Register::start().await;
    for user in 1..=25 {
        let name = format!("User {user}");
        register.user(register.system_id, id(user), &name).await;
        let member = Holder::User(id(user));
        register.hold(member, "Direct", id(101)).await;
        if user % 2 == 0 {
            let member = Holder::User(id(user));
            register.hold(member, "Direct", id(102)).await;
        }
    }
    let nested = Holder::Group(id(102));
    register.hold(nested, "Direct", id(101)).await;
    register
        .run("update principals set deleted_at = now() where display_name = 'User 1'")
        .await;
    register.load_and_refresh().await;
    register
}

#[tokio::test]
async fn totals_are_the_live_rows_where_there_is_time_to_count() {
    let register = populated().await;
    let totals = views::totals(&register.pool, DEFAULT_WORKSPACE, LONG).await;
    let totals = totals.expect("counts");
    assert_eq!(totals.estimated, [""; 0]);
    assert_eq!(totals.systems, 1);
    assert_eq!(totals.principals, 24);
    assert_eq!(totals.resource_assignments, 38);
    assert_eq!(totals.effective_access, Some(49));
    assert_eq!(totals.contexts, 0);
}

#[tokio::test]
async fn what_is_not_counted_is_said_to_be_estimated() {
    let register = populated().await;
    register.run("analyze").await;
    let totals = views::totals(&register.pool, DEFAULT_WORKSPACE, Duration::ZERO).await;
    let totals = totals.expect("estimates");
    assert_eq!(totals.estimated.len(), 14);
    assert!(totals.estimated.contains(&"resourceAssignments".to_owned()));
    // Fresh statistics of a table that one system fills know its rows.
    assert_eq!(totals.resource_assignments, 38);
    assert_eq!(totals.effective_access, None);
    // Every name is one of the answer's.
    let answer = serde_json::to_value(&totals).expect("JSON");
    for name in &totals.estimated {
        assert!(answer[name].is_i64(), "{name}");
    }
}

#[tokio::test]
async fn what_takes_too_long_to_count_is_given_up_and_keeps_nothing_else_from_being_counted() {
    let register = populated().await;
    register
        .run("alter view effective_access rename to quick")
        .await;
    register
        .run("create view effective_access as select q.* from quick q cross join pg_sleep(600)")
        .await;
    let patience = Duration::from_secs(5);
    let totals = views::totals(&register.pool, DEFAULT_WORKSPACE, patience).await;
    let totals = totals.expect("answers");
    assert_eq!(totals.effective_access, None);
    assert_eq!(totals.resource_assignments, 38);
    assert_eq!(totals.estimated, [""; 0]);
}
