//! Indexes of core fields are made beside loads, survive whoever dies, and refuse no row.

use std::time::Duration;

use ingest_api::attributes::{Settings, WORKER_LOCK};
use serde_json::{Value, json};

use crate::{
    app::{TestApp, id, until},
    attributes::{at_once, path, promoted_now, send, server, until_is},
    attributes_fields::{CREATED, ask, is_whole, people},
    attributes_work::Replica,
};

/// Ends the worker's connection.
async fn kill_worker(app: &TestApp) -> i64 {
    sqlx::query_scalar(
        "select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and granted \
         and database = (select oid from pg_database where datname = current_database()) \
         and classid::bigint = $1 >> 32 and objid::bigint = $1 & 4294967295",
    )
    .bind(WORKER_LOCK)
    .fetch_one(&app.pool)
    .await
    .expect("an answer")
}

#[tokio::test]
async fn an_index_whose_making_and_whose_going_were_killed_is_made_and_goes_all_the_same() {
    let mut app = server(at_once()).await;
    people(&app, 50).await;
    // Who has seen the table keeps the index from being finished, and the server from ending it.
    let mut reader = app.pool.begin().await.expect("a transaction");
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *reader)
        .await
        .expect("a level");
    sqlx::query("update principals set given_name = given_name where id = $1")
        .bind(id(1))
        .execute(&mut *reader)
        .await
        .expect("a row");
    let created = ask(&app, "principals", "createdDateTime").await.expect(201);
    until(async || is_whole(&app, CREATED).await == Some(false)).await;
    let told = app.get(&path(&created)).await.expect(200);
    assert_eq!(told["state"], "indexing");
    assert_eq!(kill_worker(&app).await, 1, "there is one worker");
    app.stop().await;
    assert_eq!(is_whole(&app, CREATED).await, Some(false), "half made");
    reader.rollback().await.expect("ends");
    let state = async |wanted: &str| {
        let is_so = async || {
            let state: String = sqlx::query_scalar("select state from promoted_attributes")
                .fetch_one(&app.pool)
                .await
                .expect("a promotion");
            state == wanted
        };
        until(is_so).await;
    };
    let replica = Replica::start(&app.pool, at_once()).await;
    state("ready").await;
    assert_eq!(is_whole(&app, CREATED).await, Some(true));
    replica.stop().await;

    // It goes while somebody reads by it; who makes it go is killed.
    let mut reader = app.pool.begin().await.expect("a transaction");
    sqlx::query("select count(*) from principals")
        .execute(&mut *reader)
        .await
        .expect("rows");
    sqlx::query("update promoted_attributes set state = 'demoting', wanted_by = '{}'")
        .execute(&app.pool)
        .await
        .expect("an update");
    let replica = Replica::start(&app.pool, at_once()).await;
    until(async || is_whole(&app, CREATED).await == Some(false)).await;
    assert_eq!(kill_worker(&app).await, 1, "there is one worker");
    replica.stop().await;
    assert_eq!(is_whole(&app, CREATED).await, Some(false), "half gone");
    reader.rollback().await.expect("ends");
    let replica = Replica::start(&app.pool, at_once()).await;
    state("demoted").await;
    assert_eq!(is_whole(&app, CREATED).await, None);
    replica.stop().await;
}

#[tokio::test]
async fn loads_go_on_beside_indexes_and_every_row_is_in_them() {
    let app = server(Settings {
        poll: Duration::from_millis(20),
        ..at_once()
    })
    .await;
    people(&app, 30).await;
    let wanted: Vec<Value> = [
        "createdDateTime",
        "department",
        "validFrom",
        "syncId",
        "deletedAt",
    ]
    .iter()
    .map(|field| json!({"entity": "principals", "field": field}))
    .collect();
    let answer = app
        .put("/api/attributes/promotions", &json!({"promotions": wanted}))
        .await
        .expect(200);
    assert_eq!(answer["refused"], json!([]));
    promoted_now(&app, "department", "text").await;
    let mut round = 0;
    for promotion in answer["items"].as_array().expect("a list") {
        loop {
            round += 1;
            people(&app, 30 + round).await;
            send(
                &app,
                round % 30,
                &json!({"department": format!("Ext {round}")}),
            )
            .await;
            if app.get(&path(promotion)).await.expect(200)["state"] == "ready" {
                break;
            }
        }
    }
    let gone = json!({"syncMode": "delta", "deletedIds": [id(1), id(2)]});
    app.ingest("principals", json!([]), gone).await.expect(201);
    // Read by the index alone, and by the table alone.
    for column in ["created_date_time", "valid_from", "sync_id", "deleted_at"] {
        let mut found = Vec::new();
        for off in ["seqscan", "indexscan"] {
            let mut transaction = app.pool.begin().await.expect("a transaction");
            let sql = format!(
                "set local enable_{off} = off; set local enable_bitmapscan = off; set local enable_sort = off; \
                 set local enable_indexonlyscan = {}",
                if off == "seqscan" { "on" } else { "off" }
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&mut *transaction)
                .await
                .expect("settings");
            let sql =
                format!("select id from principals where system_id = $1 order by {column}, id");
            let ids: Vec<uuid::Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(app.system_id)
                .fetch_all(&mut *transaction)
                .await
                .expect("rows");
            found.push(ids);
        }
        assert_eq!(found[0].len() as u32, 30 + round);
        assert_eq!(found[0], found[1], "{column}");
    }
}

/// As many bytes as so many characters can have, and none that repeats.
fn widest(chars: u32, seed: u32) -> String {
    (0..chars)
        .filter_map(|n| char::from_u32(0x2_0000 + (n * 7_919 + seed * 104_729) % 42_000))
        .collect()
}

#[tokio::test]
async fn no_row_is_refused_for_an_index_however_long_its_texts_are() {
    let app = server(at_once()).await;
    let wanted = json!({"promotions": [
        {"entity": "resource-assignments", "field": "sourceId"},
        {"entity": "resource-assignments", "field": "roleScope"},
        {"entity": "resource-assignments", "attribute": "note", "type": "text"},
        {"entity": "resource-relationships", "field": "roleName"},
        {"entity": "resource-relationships", "field": "sourceId"},
    ]});
    let answer = app
        .put("/api/attributes/promotions", &wanted)
        .await
        .expect(200);
    for promotion in answer["items"].as_array().expect("a list") {
        until_is(&app, promotion, "ready").await;
    }
    let (kind, scope) = ("T".repeat(50), widest(400, 1));
    let assignment = json!({"resourceId": id(1), "principalId": id(2), "assignmentType": kind, "roleScope": scope,
        "sourceId": widest(400, 2), "note": widest(9_000, 3)});
    let relationship = json!({"parentResourceId": id(1), "childResourceId": id(2), "relationshipType": kind,
        "roleName": scope, "sourceId": widest(400, 2)});
    for (entity, record) in [
        ("resource-assignments", assignment),
        ("resource-relationships", relationship),
    ] {
        let answer = app.ingest(entity, json!([record]), json!({})).await;
        assert_eq!(answer.expect(201)["inserted"], 1);
    }
}
