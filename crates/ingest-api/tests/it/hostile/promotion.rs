//! A column that is being filled while the server and PostgreSQL are killed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::Register;
use crate::{
    app::id,
    client::{Call, Client},
};

/// Enough for the worker to be killed in the middle some times.
const ROWS: u32 = 40_000;
/// A guard against waiting for ever, no promise.
const PATIENCE: Duration = Duration::from_secs(180);

fn person(n: u32) -> Value {
    json!({"id": id(n), "displayName": "Ada", "extendedAttributes": {"number": n, "weight": "heavy ".repeat(60)}})
}

fn batch(register: &Register, people: impl Iterator<Item = u32>) -> Call {
    let records: Vec<Value> = people.map(person).collect();
    let body = json!({"systemId": register.system_id, "syncMode": "delta", "records": records});
    Call::post("/api/ingest/principals", &body)
}

/// How far the column is.
#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Place {
    state: String,
    next_block: i64,
    rows_written: i64,
    column_name: String,
}

async fn place(connection: &mut PgConnection) -> Place {
    sqlx::query_as("select state, next_block, rows_written, column_name from promoted_attributes")
        .fetch_one(connection)
        .await
        .expect("one promotion")
}

/// Waits until it stands elsewhere than at `before`; answers where.
async fn moves_on(connection: &mut PgConnection, before: &Place) -> Place {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let now = place(connection).await;
        if now != *before {
            return now;
        }
        assert!(Instant::now() < give_up, "it stays at {before:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn count(connection: &mut PgConnection, sql: String) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .expect("a number")
}

/// Sends people, one by one, until it is stopped; answers how many.
async fn go_on_sending(client: Client, calls: Vec<Call>, stop: CancellationToken) -> usize {
    let mut sent = 0;
    for call in calls {
        if stop.is_cancelled() {
            break;
        }
        client.insist(&call).await.expect(201);
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_being_filled_survives_kills_of_the_server_and_of_postgres() {
    let mut register = Register::start().await;
    for first in (0..ROWS).step_by(5_000) {
        let call = batch(&register, first..first + 5_000);
        register.client.insist(&call).await.expect(201);
    }
    let body = json!({"entity": "principals", "attribute": "number", "type": "number"});
    let promote = Call::post("/api/attributes/promotions", &body);
    register.client.insist(&promote).await.expect(201);
    let stop = CancellationToken::new();
    let calls = (ROWS..ROWS + 5_000).map(|n| batch(&register, std::iter::once(n)));
    let sender = AbortOnDropHandle::new(tokio::spawn(go_on_sending(
        register.client.clone(),
        calls.collect(),
        stop.clone(),
    )));

    let mut connection = register.postgres.connect().await;
    let mut last = place(&mut connection).await;
    let mut killed_while_filling = 0;
    for blow in 0..6 {
        last = moves_on(&mut connection, &last).await;
        if last.state == "ready" {
            break;
        }
        killed_while_filling += u32::from(last.state == "backfilling" && last.next_block > 0);
        if blow % 2 == 0 {
            register.server.kill();
            register.server.start_again().await;
        } else {
            register.postgres.kill().await;
            register.postgres.start_again().await;
            connection = register.postgres.connect().await;
        }
        let now = place(&mut connection).await;
        assert!(
            now.state != last.state || now.next_block >= last.next_block,
            "it began again: {last:?}, then {now:?}"
        );
    }
    assert!(killed_while_filling > 0, "no kill fell into the filling");
    while last.state != "ready" {
        last = moves_on(&mut connection, &last).await;
    }
    stop.cancel();
    let sent = sender.await.expect("it ends") as i64;

    let column = &last.column_name;
    let people = count(&mut connection, "select count(*) from principals".into()).await;
    assert_eq!(people, i64::from(ROWS) + sent);
    let wrong = format!(
        "select count(*) from principals where {column} is distinct from (extended_attributes ->> 'number')::numeric"
    );
    assert_eq!(count(&mut connection, wrong).await, 0);
    let indexes = format!(
        "select count(*) from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey) \
         where a.attrelid = 'principals'::regclass and a.attname = '{column}' and i.indisvalid"
    );
    assert_eq!(count(&mut connection, indexes).await, 1);
    let half_made = "select count(*) from pg_index where not indisvalid".to_owned();
    assert_eq!(count(&mut connection, half_made).await, 0);
    let found = Call::get("/api/register/principals?filter=ext.number%20eq%2039999&fields=id");
    let found = register.client.insist(&found).await.expect(200);
    assert_eq!(found["items"][0]["id"], json!(id(39_999)), "{found}");
}
