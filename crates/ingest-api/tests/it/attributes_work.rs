//! Columns are made beside loads and readers, by one worker, and nothing is lost when it dies.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ingest_api::{
    AppState, ServerSettings,
    attributes::{Settings, WORKER_LOCK},
    serve,
};
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{TestApp, id, until},
    attributes::{at_once, demote, held, path, promote, promoted_now, send, server, until_is},
};

/// One page after the other, with time in between.
fn slowly() -> Settings {
    Settings {
        max_step_pages: 1,
        pause: Duration::from_millis(20),
        ..at_once()
    }
}

/// Another replica.
pub struct Replica {
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Replica {
    pub async fn start(pool: &PgPool, attributes: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let stop = CancellationToken::new();
        let settings = ServerSettings {
            attributes,
            ..ServerSettings::default()
        };
        let state = AppState::with_settings(pool.clone(), settings);
        let stopping = stop.clone();
        let served =
            tokio::spawn(async move { serve(listener, state, stopping).await.expect("serves") });
        Self { stop, served }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.served.await.expect("ends by itself");
    }
}

/// People with a number each and some weight, so that they take many pages.
async fn many(app: &TestApp, count: u32, word: &str) {
    let records: Vec<Value> = (0..count)
        .map(|n| {
            json!({"id": id(n), "displayName": word, "extendedAttributes":
                {"number": n, "weight": format!("{word} {n}").repeat(40)}})
        })
        .collect();
    app.ingest("principals", records.into(), json!({"syncMode": "delta"}))
        .await
        .expect(201);
}

/// Rows whose column is not what their attribute says.
async fn wrong(app: &TestApp, promotion: &Value, expected: &str) -> i64 {
    let column = promotion["column"].as_str().expect("a name");
    let sql = format!("select count(*) from principals where {column} is distinct from {expected}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&app.pool)
        .await
        .expect("a number")
}

const NUMBER: &str = "(extended_attributes ->> 'number')::numeric";

#[tokio::test]
async fn loads_and_readers_go_on_while_columns_come_and_go() {
    let app = server(at_once()).await;
    many(&app, 2_000, "before").await;
    let is_over = AtomicBool::new(false);
    let load = async {
        let mut round = 0;
        while !is_over.load(Ordering::Relaxed) {
            round += 1;
            // Rows that are copied, inserted, changed and met.
            let records: Vec<Value> = (0..300)
                .map(|n| json!({"id": id(10_000 + round % 3 * 100 + n), "displayName": "Bo", "principalType": "Guest",
                    "extendedAttributes": {"number": n + round, "word": format!("w{round}")}}))
                .collect();
            app.ingest("principals", records.into(), json!({"syncMode": "delta"}))
                .await
                .expect(201);
            send(&app, round % 50, &json!({"number": round})).await;
        }
        round
    };
    let read = async {
        let mut round = 0;
        while !is_over.load(Ordering::Relaxed) {
            round += 1;
            app.get("/api/principals?search=Bo&limit=20")
                .await
                .expect(200);
            let system = app.system_id;
            app.get(&format!(
                "/api/attributes?systemId={system}&entity=principals"
            ))
            .await
            .expect(200);
        }
        round
    };
    let work = async {
        for _ in 0..2 {
            let number = promote(&app, "number", "number").await.expect(201);
            let word = promoted_now(&app, "word", "text").await;
            until_is(&app, &number, "ready").await;
            demote(&app, &number).await;
            until_is(&app, &number, "demoted").await;
            demote(&app, &word).await;
        }
        let number = promoted_now(&app, "number", "number").await;
        is_over.store(true, Ordering::Relaxed);
        number
    };
    let (loads, reads, number) = tokio::join!(load, read, work);
    assert!(loads > 0 && reads > 0);
    assert_eq!(wrong(&app, &number, NUMBER).await, 0);
}

#[tokio::test]
async fn filling_columns_changes_no_row_in_the_eyes_of_the_register() {
    let app = server(at_once()).await;
    many(&app, 500, "before").await;
    let told = "select count(*), md5(string_agg(concat_ws('|', row_id, encode(content_hash, 'hex'), valid_from, sync_id, \
         first_seen_at, deleted_at, extended_attributes), '/' order by row_id)) from principals";
    let seen = async || -> (i64, String) {
        sqlx::query_as(told)
            .fetch_one(&app.pool)
            .await
            .expect("rows")
    };
    let (before, changes) = (
        seen().await,
        app.count("select count(*) from changes").await,
    );
    let number = promoted_now(&app, "number", "number").await;
    assert_eq!(wrong(&app, &number, NUMBER).await, 0);
    demote(&app, &number).await;
    until_is(&app, &number, "demoted").await;
    assert_eq!(seen().await, before);
    assert_eq!(app.count("select count(*) from changes").await, changes);
    assert_eq!(app.count("select count(*) from history").await, 0);
    // Nothing is left of it but the empty column.
    assert_eq!(wrong(&app, &number, "null").await, 0);
    assert_eq!(
        app.count("select count(*) from pg_trigger where tgname = 'fill_promoted'")
            .await,
        0
    );
    assert_eq!(
        app.count("select count(*) from pg_indexes where tablename = 'principals' and indexdef like '%attr_%'")
            .await,
        0
    );
    // What was promoted, met again by a load, is unchanged.
    let again = json!([{"id": id(1), "displayName": "before", "extendedAttributes":
        {"number": 1, "weight": "before 1".repeat(40)}}]);
    let answer = app
        .ingest("principals", again, json!({"syncMode": "delta"}))
        .await
        .expect(201);
    assert_eq!(answer["unchanged"], 1);
}

async fn progress(app: &TestApp) -> (i64, i64) {
    sqlx::query_as(
        "select next_block, total_blocks from promoted_attributes where state = 'backfilling'",
    )
    .fetch_optional(&app.pool)
    .await
    .expect("an answer")
    .unwrap_or((0, 0))
}

#[tokio::test]
async fn a_backfill_that_is_killed_goes_on_where_it_was() {
    let mut app = server(slowly()).await;
    many(&app, 2_000, "before").await;
    let number = promote(&app, "number", "number").await.expect(201);
    let mut killed_at = 0;
    for _ in 0..3 {
        until(async || progress(&app).await.0 >= killed_at + 5).await;
        let killed: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and granted \
             and database = (select oid from pg_database where datname = current_database()) \
             and classid::bigint = $1 >> 32 and objid::bigint = $1 & 4294967295",
        )
        .bind(WORKER_LOCK)
        .fetch_one(&app.pool)
        .await
        .expect("an answer");
        let now = progress(&app).await.0;
        assert!(now > killed_at, "it began again at {now} after {killed_at}");
        assert_eq!(killed, 1, "there is one worker");
        killed_at = now;
    }
    // The server ends, too.
    app.stop().await;
    let (stopped_at, total) = progress(&app).await;
    assert!(killed_at <= stopped_at && stopped_at < total);
    let written = "select rows_written from promoted_attributes";
    let before = app.count(written).await;
    assert!(before > 0);
    let replica = Replica::start(&app.pool, at_once()).await;
    until(async || {
        app.count("select count(*) from promoted_attributes where state = 'ready'")
            .await
            == 1
    })
    .await;
    replica.stop().await;
    assert_eq!(wrong(&app, &number, NUMBER).await, 0);
    assert_eq!(app.count(written).await, 2_000, "every row once");
}

#[tokio::test]
async fn however_many_replicas_run_one_works() {
    let app = server(slowly()).await;
    many(&app, 1_000, "before").await;
    let replicas = [
        Replica::start(&app.pool, slowly()).await,
        Replica::start(&app.pool, slowly()).await,
    ];
    let number = promote(&app, "number", "number").await.expect(201);
    let mut most = 0;
    until(async || {
        let workers = app
            .count("select count(distinct a.pid) from pg_stat_activity a join pg_locks l on l.pid = a.pid \
                 where l.database = (select oid from pg_database where datname = current_database()) \
                 and l.mode = 'RowExclusiveLock' and l.relation = 'promoted_attributes'::regclass")
            .await;
        most = most.max(workers);
        app.get(&path(&number)).await.expect(200)["state"] == "ready"
    })
    .await;
    assert!(most <= 1, "{most} at once");
    // Each row was written once: nobody did another's work again.
    assert_eq!(
        app.count("select rows_written from promoted_attributes")
            .await,
        1_000
    );
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test]
async fn a_row_that_is_locked_is_waited_for_and_no_load_waits_long() {
    let app = server(at_once()).await;
    many(&app, 300, "before").await;
    let mut holder = app.pool.begin().await.expect("a transaction");
    sqlx::query("select from principals where id = $1 for update")
        .bind(id(7))
        .execute(&mut *holder)
        .await
        .expect("a lock");
    // The table cannot be altered meanwhile; readers and loads of other rows go on.
    let number = promote(&app, "number", "number").await.expect(201);
    // So often that batches are held back for a moment, too: they wait, and are not refused.
    until(async || {
        app.count("select attempts::bigint from promoted_attributes")
            .await
            >= 6
    })
    .await;
    let told = app.get(&path(&number)).await.expect(200);
    assert!(
        told["error"]
            .as_str()
            .is_some_and(|error| error.contains("in use")),
        "{told}"
    );
    send(&app, 8, &json!({"number": 1})).await;
    holder.rollback().await.expect("ends");
    until_is(&app, &number, "ready").await;
    assert_eq!(wrong(&app, &number, NUMBER).await, 0);
}

#[tokio::test]
async fn a_column_that_was_taken_back_is_empty_and_used_again() {
    let app = server(at_once()).await;
    many(&app, 50, "before").await;
    let first = promoted_now(&app, "number", "text").await;
    demote(&app, &first).await;
    until_is(&app, &first, "demoted").await;
    let second = promoted_now(&app, "weight", "text").await;
    assert_eq!(second["column"], first["column"]);
    assert_eq!(
        wrong(&app, &second, "extended_attributes ->> 'weight'").await,
        0
    );
    let third = promoted_now(&app, "number", "text").await;
    assert_ne!(third["column"], first["column"]);
    assert_eq!(
        wrong(&app, &third, "extended_attributes ->> 'number'").await,
        0
    );
    let columns = "select count(*) from information_schema.columns where table_name = 'principals' and column_name like 'attr%'";
    assert_eq!(app.count(columns).await, 2);
}

#[tokio::test]
async fn an_index_that_was_left_half_made_is_made_again() {
    let app = server(Settings {
        poll: Duration::from_secs(600),
        ..at_once()
    })
    .await;
    many(&app, 50, "before").await;
    // As a crash in the middle of CREATE INDEX CONCURRENTLY leaves it.
    let mut connection = app.connect().await;
    sqlx::raw_sql("alter table principals add column attr_number_1 numeric; update principals set attr_number_1 = 1")
        .execute(&mut connection)
        .await
        .expect("a column");
    sqlx::raw_sql(
        "create unique index concurrently principals_attr_number_1 on principals (attr_number_1)",
    )
    .execute(&mut connection)
    .await
    .expect_err("values that are not unique");
    let invalid = "select count(*) from pg_index where indexrelid = 'principals_attr_number_1'::regclass and not indisvalid";
    assert_eq!(app.count(invalid).await, 1);
    let number = promoted_now(&app, "number", "number").await;
    assert_eq!(number["column"], "attr_number_1");
    assert_eq!(wrong(&app, &number, NUMBER).await, 0);
    let valid = "select count(*) from pg_index where indexrelid = 'principals_attr_number_1'::regclass and indisvalid";
    assert_eq!(app.count(valid).await, 1);
}

#[tokio::test]
async fn rows_that_move_while_columns_are_filled_are_filled_too() {
    let app = server(slowly()).await;
    many(&app, 1_500, "before").await;
    let number = promote(&app, "number", "number").await.expect(201);
    until(async || progress(&app).await.0 >= 5).await;
    // Into pages that were passed, and into none that there were: removed, changed, and the whole table rewritten.
    let gone: Vec<Value> = (700..1_400).map(|n| json!(id(n))).collect();
    app.ingest(
        "principals",
        json!([]),
        json!({"syncMode": "delta", "deletedIds": gone}),
    )
    .await
    .expect(201);
    let changed: Map<String, Value> = Map::from_iter([("number".to_owned(), json!(-1))]);
    send(&app, 1_450, &changed.into()).await;
    sqlx::raw_sql("vacuum full principals")
        .execute(&mut app.connect().await)
        .await
        .expect("rewrites");
    until_is(&app, &number, "ready").await;
    assert_eq!(wrong(&app, &number, NUMBER).await, 0);
    assert_eq!(held(&app, &number).await[1_450].as_deref(), Some("-1"));
}
