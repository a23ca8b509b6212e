use std::{collections::BTreeMap, time::Duration};

use sqlx::Connection;
use views::ViewError;

use crate::register::Register;

/// Names and object ids: an object that was dropped and created again has another one.
async fn objects(register: &Register) -> BTreeMap<String, i64> {
    sqlx::query_as::<_, (String, i64)>(
        "select d.name, coalesce(to_regclass(d.name)::oid, to_regproc(d.name)::oid)::bigint
         from view_definitions d",
    )
    .fetch_all(&register.pool)
    .await
    .expect("objects")
    .into_iter()
    .collect()
}

async fn install(register: &Register) -> Result<(), ViewError> {
    let mut connection = register.pool.acquire().await.expect("a connection");
    views::install(&mut connection).await
}

#[tokio::test]
async fn installing_again_touches_nothing() {
    let register = Register::start().await;
    let before = objects(&register).await;
    let of_past = before
        .keys()
        .filter(|name| name.starts_with("past."))
        .count();
    // The tables with a history, what stands in for those without, and the catalogue but for what stands in.
    assert_eq!((before.len() - of_past, of_past), (30, 13 + 5 + 29));
    install(&register).await.expect("installs");
    assert_eq!(objects(&register).await, before);
}

#[tokio::test]
async fn every_view_can_be_read() {
    let register = Register::start().await;
    for statement in [
        "select group_id from membership_edges",
        "select group_id from group_nesting",
        "select resource_id from resource_access",
        "select tier from directory_role_tiers",
        "select role_id from role_holders",
        "select score from privileged_principals",
        "select kind from orphan_references",
        "select via_id from effective_access",
        "select package_id from package_contents",
        "select package_id from package_holders",
        "select package_id from package_gaps",
        "select finding from package_findings",
        "select is_governed from governed_access",
        "select last_activity_at from principal_sign_ins",
        "select remains from access_without_package(1, gen_random_uuid())",
        "select is_inactive from stale_principals(1)",
        "select via from permission_matrix(1, '{}', '{}')",
    ] {
        sqlx::raw_sql(statement)
            .execute(&register.pool)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[tokio::test]
async fn definitions_of_another_version_are_replaced_and_retired_ones_removed() {
    let register = Register::start().await;
    register.load_and_refresh().await;
    register
        .run(
            "drop view orphan_references;
             create view orphan_references as select 1 as old_column;
             update view_definitions set definition_hash = 'old' where name = 'orphan_references';
             create view retired as select 1 as one;
             insert into view_definitions (position, name, kind, definition_hash) values (99, 'retired', 'view', 'x');",
        )
        .await;
    install(&register).await.expect("installs");
    let columns: i64 = sqlx::query_scalar(
        "select count(*) from information_schema.columns
         where table_schema = 'public' and table_name = 'orphan_references' and column_name in ('missing_id', 'old_column')",
    )
    .fetch_one(&register.pool)
    .await
    .expect("columns");
    assert_eq!(columns, 1);
    assert!(!objects(&register).await.contains_key("retired"));
    sqlx::raw_sql("select one from retired")
        .execute(&register.pool)
        .await
        .expect_err("it is gone");
    let status = views::refresh_status(&register.pool).await.expect("status");
    assert!(status[0].is_stale, "the result came from other definitions");
}

#[tokio::test]
async fn a_column_that_a_table_and_its_history_got_is_there_in_the_past_too() {
    let register = Register::start().await;
    register
        .run(
            "alter table principals add column nick_name text;
             alter table history_principals add column nick_name text;
             call define_history_readers();",
        )
        .await;
    install(&register).await.expect("installs");
    register
        .run("set cadastre.as_of = '2026-01-31T08:00:00Z'; select nick_name from past.principals")
        .await;
}

#[tokio::test]
async fn columns_of_promoted_attributes_come_and_go_whatever_stands_on_the_table() {
    let register = Register::start().await;
    register
        .run(
            "alter table resource_assignments add column attr_text_1 text;
             call define_history_readers();
             alter table resource_assignments drop column attr_text_1;
             call define_history_readers();",
        )
        .await;
}

#[tokio::test]
async fn a_view_that_somebody_built_on_ours_is_named_and_everything_stays() {
    let register = Register::start().await;
    register
        .run(
            "create view their_report as select resource_name from resource_access;
             update view_definitions set definition_hash = 'old';",
        )
        .await;
    let before = objects(&register).await;
    let refused = install(&register).await.expect_err("is refused");
    assert!(
        matches!(&refused, ViewError::DependedUpon { name, .. } if name == "resource_access"),
        "{refused}"
    );
    assert_eq!(objects(&register).await, before);
    register.run("select resource_name from their_report").await;
}

#[tokio::test]
async fn a_reader_in_the_way_is_waited_for() {
    let register = Register::start().await;
    register
        .run("update view_definitions set definition_hash = 'old'")
        .await;
    let before = objects(&register).await;
    let mut reader = register.pool.acquire().await.expect("a connection");
    let mut reading = reader.begin().await.expect("begins");
    sqlx::query("select kind from orphan_references")
        .execute(&mut *reading)
        .await
        .expect("reads");
    let release = async {
        // Longer than one attempt waits, so that at least one is given up.
        tokio::time::sleep(Duration::from_millis(900)).await;
        reading.commit().await.expect("ends");
    };
    let (installed, ()) = tokio::join!(install(&register), release);
    installed.expect("installs");
    let after = objects(&register).await;
    assert!(
        after.iter().all(|(name, oid)| before[name] != *oid),
        "{after:?}"
    );
}
