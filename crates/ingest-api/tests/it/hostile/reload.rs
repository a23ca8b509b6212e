//! A first load in batches of 500, four on their way at once, then the same again (L01, L02). Times are measured by
//! `make bench-small`; here it is what must hold on any machine.

use std::{collections::BTreeMap, ops::Range};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::Register;
use crate::{
    app::{id, until},
    client::Call,
    size::sized,
};

const BATCH: u32 = 500;
const AT_ONCE: usize = 4;

/// People of 1.2 KB each.
fn large_people(range: Range<u32>) -> Value {
    let about = "Lorem ipsum dolor sit amet. ".repeat(36);
    range
        .map(|n| {
            json!({"id": id(n), "displayName": format!("Ada {n}"), "department": format!("Department {}", n % 100),
                   "jobTitle": "Analyst", "about": format!("{n} {about}")})
        })
        .collect()
}

/// Loads everything once; every answer must be a good one at the first try.
async fn load(register: &Register, people: u32) -> Value {
    let body = json!({"systemId": register.system_id, "entity": "principals", "syncMode": "full"});
    let opening = Call::post("/api/ingest/sessions", &body);
    let opened = register
        .client
        .once(&opening)
        .await
        .expect("an answer")
        .expect(201);
    let session = format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    );
    let batches = people / BATCH;
    stream::iter(0..batches)
        .for_each_concurrent(AT_ONCE, async |batch| {
            let records = large_people(batch * BATCH..(batch + 1) * BATCH);
            let call = Call::put(
                &format!("{session}/batches/{batch}"),
                &json!({"records": records}),
            );
            register
                .client
                .once(&call)
                .await
                .expect("an answer")
                .expect(200);
        })
        .await;
    let end = Call::post(
        &format!("{session}/commit"),
        &json!({"batches": batches, "complete": true}),
    );
    register
        .client
        .once(&end)
        .await
        .expect("an answer")
        .expect(200)
}

/// What PostgreSQL counted for a table: rows inserted, updated and deleted.
type Writes = BTreeMap<String, (i64, i64, i64)>;

/// The counters of the entities' tables and of the history. They are complete once the server's connections have ended.
async fn writes(register: &mut Register) -> Writes {
    register.server.kill();
    let mut connection = register.postgres.connect().await;
    until(async || {
        let others: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend' \
             and pid <> pg_backend_pid()",
        )
        .fetch_one(&mut connection)
        .await
        .expect("an answer");
        others == 0
    })
    .await;
    let tables: Vec<String> = ingest_api::entity::ALL
        .iter()
        .map(|spec| spec.table.to_owned())
        .collect();
    let counted: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "select relname::text, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where relname = any($1) or relname like 'history\\_%'",
    )
    .bind(tables)
    .fetch_all(&mut connection)
    .await
    .expect("counters");
    connection.close().await.expect("closes");
    register.server.start_again().await;
    counted
        .into_iter()
        .map(|(table, inserted, updated, deleted)| (table, (inserted, updated, deleted)))
        .collect()
}

/// The bytes that PostgreSQL wrote to its log so far.
async fn log_position(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select (pg_current_wal_lsn() - '0/0')::bigint")
        .fetch_one(connection)
        .await
        .expect("a position")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_load_again_writes_no_row_and_no_history_and_a_tenth_of_the_log_at_most() {
    let people = sized(5_000);
    let mut register = Register::start().await;
    let mut connection = register.postgres.connect().await;
    let empty = log_position(&mut connection).await;
    let first = load(&register, people).await;
    assert_eq!(
        (&first["inserted"], &first["rejected"]),
        (&json!(people), &json!(0))
    );
    let is_there: i64 =
        sqlx::query_scalar("select count(*) from principals where deleted_at is null")
            .fetch_one(&mut connection)
            .await
            .expect("a number");
    assert_eq!(is_there, i64::from(people));
    let loaded = log_position(&mut connection).await;
    connection.close().await.expect("closes");
    let before = writes(&mut register).await;
    assert_eq!(
        before["principals"],
        (i64::from(people), 0, 0),
        "they do count"
    );

    let mut connection = register.postgres.connect().await;
    let start = log_position(&mut connection).await;
    let second = load(&register, people).await;
    assert_eq!(second["unchanged"], people, "{second}");
    let end = log_position(&mut connection).await;
    connection.close().await.expect("closes");
    assert_eq!(writes(&mut register).await, before);
    let (first, second) = (loaded - empty, end - start);
    println!("{first} bytes of log at first, then {second}");
    assert!(second * 10 <= first, "{first} bytes, then {second}");
}
