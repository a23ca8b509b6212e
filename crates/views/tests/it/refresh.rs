use std::time::Duration;

use sqlx::Connection;
use uuid::Uuid;
use views::{SkipReason, ViewStatus};

use crate::register::{DEFAULT_WORKSPACE, Holder, Register, id};

async fn status(register: &Register) -> ViewStatus {
    let mut all = views::refresh_status(&register.pool).await.expect("status");
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// The kept pairs with the transaction that wrote each.
async fn row_versions(register: &Register) -> Vec<(i32, Uuid, Uuid, String)> {
    sqlx::query_as(
        "select system_id, from_id, to_id, xmin::text from access_closure
         order by system_id, from_id, to_id, is_eligible",
    )
    .fetch_all(&register.pool)
    .await
    .expect("rows")
}

/// A group in a group, which makes three pairs: each with itself, and the inner with the outer.
async fn nest(register: &Register, inner: u128, outer: u128) {
    let (inner, outer) = (id(inner), id(outer));
    register.hold(Holder::Group(inner), "Direct", outer).await;
    register.hold(Holder::Group(outer), "Direct", id(201)).await;
}

#[tokio::test]
async fn a_refresh_that_finds_nothing_new_writes_no_row() {
    let register = Register::start().await;
    nest(&register, 101, 102).await;
    assert_eq!(register.load_and_refresh().await, 3);
    let before = row_versions(&register).await;
    assert_eq!(register.load_and_refresh().await, 0);
    assert_eq!(row_versions(&register).await, before);
}

#[tokio::test]
async fn memberships_of_people_change_nothing_that_is_kept() {
    let register = Register::start().await;
    nest(&register, 101, 102).await;
    register.load_and_refresh().await;
    // Were anything computed, these would go.
    register
        .run(
            "insert into access_closure values
                 (1, gen_random_uuid(), gen_random_uuid(), false, false, false, false)",
        )
        .await;
    register.hold(Holder::User(id(1)), "Direct", id(101)).await;
    assert_eq!(register.load_and_refresh().await, 0);
    assert_eq!(row_versions(&register).await.len(), 4);
    nest(&register, 103, 102).await;
    assert_eq!(register.load_and_refresh().await, 3);
    assert_eq!(row_versions(&register).await.len(), 5);
}

#[tokio::test]
async fn only_rows_that_differ_are_written() {
    let register = Register::start().await;
    for inner in 101..=120 {
        nest(&register, inner, 150).await;
    }
    assert_eq!(register.load_and_refresh().await, 41);
    let before = row_versions(&register).await;
    register
        .run(
            "update resource_assignments set deleted_at = now()
             where principal_id = '00000000-0000-0000-0000-000000000065'",
        )
        .await;
    nest(&register, 121, 150).await;
    assert_eq!(register.load_and_refresh().await, 4);
    let after = row_versions(&register).await;
    let kept = after.iter().filter(|row| before.contains(row)).count();
    assert_eq!((after.len(), kept), (41, 39));
}

#[tokio::test]
async fn after_a_restore_into_another_cluster_everything_is_computed_again() {
    let register = Register::start().await;
    nest(&register, 101, 102).await;
    register.load_and_refresh().await;
    // What a dump brings: another cluster's numbers, which say that all was seen, and changes of its future.
    register
        .run(
            "update view_refreshes set cluster_id = 7, seen = '900000000:900000000:';
             insert into changes (change_xid, system_id, entity, sync_id)
                 values ('950000000', 1, 'resource-assignments', gen_random_uuid());",
        )
        .await;
    nest(&register, 103, 102).await;
    assert!(status(&register).await.is_stale);
    let is_fresh: bool = sqlx::query_scalar("select access_closure_is_fresh(1)")
        .fetch_one(&register.pool)
        .await
        .expect("an answer");
    assert!(!is_fresh);
    let outcome = views::refresh(&register.pool).await.expect("refreshes");
    assert_eq!(outcome.refreshed[0].rows_changed, 2);
    assert!(!status(&register).await.is_stale);
    let again = views::refresh(&register.pool).await.expect("refreshes");
    assert_eq!(again.skipped_because, Some(SkipReason::UpToDate));
}

#[tokio::test]
async fn progress_is_told_while_a_refresh_runs() {
    let register = Register::start().await;
    register.add_system(DEFAULT_WORKSPACE, "EntraID:two").await;
    nest(&register, 101, 102).await;
    let mut connection = register.pool.acquire().await.expect("a connection");
    let mut obstacle = connection.begin().await.expect("begins");
    sqlx::raw_sql("lock table access_closure in share mode")
        .execute(&mut *obstacle)
        .await
        .expect("locks");
    let pool = register.pool.clone();
    let running = tokio::spawn(async move { views::refresh(&pool).await });
    while status(&register).await.systems_total.is_none() {
        assert!(!running.is_finished(), "it waits for the obstacle");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let during = status(&register).await;
    assert!(during.is_running && during.is_stale);
    assert_eq!(
        (during.systems_total, during.systems_done),
        (Some(2), Some(0))
    );
    obstacle.commit().await.expect("ends");
    running.await.expect("joins").expect("refreshes");
    let after = status(&register).await;
    assert_eq!(
        (after.systems_total, after.systems_done),
        (Some(2), Some(2))
    );
}

#[tokio::test]
async fn a_view_is_stale_until_refreshed_and_again_after_a_load() {
    let register = Register::start().await;
    let never = status(&register).await;
    assert!(never.is_stale && never.refreshed_at.is_none());
    let first = views::refresh(&register.pool).await.expect("refreshes");
    assert_eq!(first.refreshed.len(), 1);
    assert!(!status(&register).await.is_stale);
    let second = views::refresh(&register.pool).await.expect("refreshes");
    assert_eq!(second.skipped_because, Some(SkipReason::UpToDate));
    assert!(second.refreshed.is_empty());
    register.note_load(register.system_id).await;
    assert!(status(&register).await.is_stale);
}

#[tokio::test]
async fn a_load_of_something_that_no_view_depends_on_makes_nothing_stale() {
    let register = Register::start().await;
    views::refresh(&register.pool).await.expect("refreshes");
    register.note_load(register.system_id).await;
    register
        .run("update changes set entity = 'principal-activity'")
        .await;
    assert!(!status(&register).await.is_stale);
}

#[tokio::test]
async fn a_load_that_was_still_open_during_the_refresh_keeps_the_view_stale() {
    let register = Register::start().await;
    let mut connection = register.pool.acquire().await.expect("a connection");
    let mut load = connection.begin().await.expect("begins");
    sqlx::raw_sql(
        "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope,
             principal_type, content_hash, first_seen_at, valid_from, sync_id)
         values (1, gen_random_uuid(), gen_random_uuid(), 'Direct', '/', 'Group', '\\x00', now(), now(),
                 gen_random_uuid());
         insert into changes (system_id, entity, sync_id) values (1, 'resource-assignments', gen_random_uuid());",
    )
    .execute(&mut *load)
    .await
    .expect("loads");
    // Something else begins later and is done before: what a refresh saw is not a matter of the newest number.
    register.run("update workspaces set name = name").await;
    let during = views::refresh(&register.pool).await.expect("refreshes");
    assert_eq!(during.refreshed[0].rows_total, 0);
    load.commit().await.expect("commits");
    assert!(status(&register).await.is_stale);
    let after = views::refresh(&register.pool).await.expect("refreshes");
    assert_eq!(after.refreshed[0].rows_total, 1);
    assert!(!status(&register).await.is_stale);
}

#[tokio::test]
async fn only_systems_that_changed_are_computed() {
    let register = Register::start().await;
    let other = register.add_system(DEFAULT_WORKSPACE, "EntraID:two").await;
    views::refresh(&register.pool).await.expect("refreshes");
    register
        .hold(Holder::Group(id(101)), "Direct", id(201))
        .await;
    // Written behind the register's back: nothing says that this system changed.
    register
        .hold_at(other, Holder::Group(id(101)), "Direct", "/", id(201))
        .await;
    assert_eq!(register.load_and_refresh().await, 1);
    register.note_load(other).await;
    assert_eq!(register.load_and_refresh().await, 1);
}

#[tokio::test]
async fn a_second_refresh_leaves_it_to_the_first_and_readers_do_not_wait() {
    let register = Register::start().await;
    nest(&register, 101, 102).await;
    register.load_and_refresh().await;
    nest(&register, 103, 102).await;
    register.note_load(register.system_id).await;
    let mut connection = register.pool.acquire().await.expect("a connection");
    let mut obstacle = connection.begin().await.expect("begins");
    sqlx::raw_sql("lock table access_closure in share mode")
        .execute(&mut *obstacle)
        .await
        .expect("locks");
    let pool = register.pool.clone();
    let first = tokio::spawn(async move { views::refresh(&pool).await });
    while !status(&register).await.is_running {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = views::refresh(&register.pool).await.expect("answers");
    assert_eq!(second.skipped_because, Some(SkipReason::AlreadyRunning));
    assert_eq!(row_versions(&register).await.len(), 3);
    obstacle.commit().await.expect("ends");
    let first = first.await.expect("joins").expect("refreshes");
    assert_eq!(first.refreshed[0].rows_changed, 2);
    assert!(!status(&register).await.is_running);
}

#[tokio::test]
async fn a_failed_refresh_is_noted_and_the_earlier_result_stays() {
    let register = Register::start().await;
    nest(&register, 101, 102).await;
    register.load_and_refresh().await;
    let before = status(&register).await;
    register.note_load(register.system_id).await;
    register
        .run("alter view access_edges rename to mislaid")
        .await;
    views::refresh(&register.pool).await.expect_err("fails");
    let failed = status(&register).await;
    let shown = failed.error.expect("an error");
    assert_eq!(shown, "the database refused (SQLSTATE 42P01)");
    assert!(failed.is_stale);
    assert_eq!(failed.refreshed_at, before.refreshed_at);
    assert_eq!(row_versions(&register).await.len(), 3);
    register
        .run(
            "alter view mislaid rename to access_edges;
             update view_definitions set definition_hash = 'lost';",
        )
        .await;
    let mut connection = register.pool.acquire().await.expect("a connection");
    views::install(&mut connection).await.expect("installs");
    views::refresh(&register.pool).await.expect("refreshes");
    assert_eq!(status(&register).await.error, None);
}
