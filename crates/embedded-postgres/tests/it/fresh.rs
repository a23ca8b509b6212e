//! Test databases.

use embedded_postgres::testing;
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn every_call_gives_an_empty_database_of_its_own() {
    let first = testing::fresh_database().await;
    let second = testing::fresh_database().await;
    let mut connection = PgConnection::connect(first.url()).await.expect("connected");
    sqlx::raw_sql("CREATE TABLE only_in_first ()")
        .execute(&mut connection)
        .await
        .expect("created");
    let mut other = PgConnection::connect(second.url())
        .await
        .expect("connected");
    let found: Option<String> = sqlx::query_scalar("SELECT to_regclass('only_in_first')::text")
        .fetch_one(&mut other)
        .await
        .expect("asked");
    assert_eq!(found, None);
}

#[tokio::test]
async fn copies_start_from_what_was_prepared_once_and_are_apart() {
    let mut times_prepared = 0;
    let mut databases = Vec::new();
    for _ in 0..2 {
        let copy = testing::copy_of("with_table", async |url| {
            times_prepared += 1;
            let mut connection = PgConnection::connect(url).await.expect("connected");
            let done = sqlx::raw_sql("CREATE TABLE prepared ()")
                .execute(&mut connection)
                .await;
            done.expect("created");
            // Left connected: preparing code may hold a pool.
            std::mem::forget(connection);
        });
        databases.push(copy.await);
    }
    for database in &databases {
        let url = database.url().to_owned().into();
        // Fails where the table is missing, and where another copy's is seen as well.
        crate::run(&url, "ALTER TABLE prepared ADD COLUMN own int").await;
    }
    assert_eq!(times_prepared, 1);
}

#[tokio::test]
async fn the_database_of_a_test_that_has_ended_is_removed_later() {
    let first = testing::fresh_database().await;
    let name = first.name().to_owned();
    drop(first);
    let second = testing::fresh_database().await;
    let gone = format!("SELECT (count(*) = 0)::text FROM pg_database WHERE datname = '{name}'");
    // Another test's call may be the one that removes it.
    let url = second.url().to_owned().into();
    let mut tries = 0;
    while crate::ask(&url, &gone).await != "true" {
        tries += 1;
        assert!(tries < 1000, "{name} is still there");
    }
}
