//! While PostgreSQL is away, callers are asked to come again, and the probes tell the two apart (F16).

use serde_json::{Value, json};

use super::Register;
use crate::{
    app::{Answer, people},
    client::Call,
};

async fn ask(register: &Register, path: &str) -> Answer {
    let asked = register.client.once(&Call::get(path)).await;
    asked.expect("the server answers")
}

fn batch(register: &Register, first: u32) -> Call {
    let records: Value = people(first..first + 10, "Ada");
    let body = json!({"systemId": register.system_id, "records": records});
    Call::post("/api/ingest/principals", &body).known_as(&format!("batch-{first}"))
}

/// The client checks that every 503 says in whole seconds when to come again.
async fn assert_away(register: &Register, first: u32) {
    let batch = batch(register, first);
    let (write, ready, live) = tokio::join!(
        register.client.once(&batch),
        ask(register, "/health/ready"),
        ask(register, "/health/live"),
    );
    let refused = write.expect("the server answers");
    let problem = refused.expect(503);
    assert_eq!(problem["type"], "/problems/busy");
    ready.expect(503);
    live.expect(200);
}

async fn assert_back(register: &Register, first: u32) {
    let written = register.client.insist(&batch(register, first)).await;
    written.expect(201);
    ask(register, "/health/ready").await.expect(200);
    let mut watcher = register.postgres.connect().await;
    let rows: i64 = sqlx::query_scalar("select count(*) from principals where deleted_at is null")
        .fetch_one(&mut watcher)
        .await
        .expect("a number");
    assert_eq!(rows, i64::from(first) + 10, "each batch once");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_down_or_frozen_callers_are_asked_to_come_again_and_then_served() {
    let mut register = Register::start().await;
    assert_back(&register, 0).await;

    register.postgres.kill().await;
    assert_away(&register, 10).await;
    register.postgres.start_again().await;
    assert_back(&register, 10).await;

    register.postgres.freeze();
    assert_away(&register, 20).await;
    register.postgres.thaw();
    assert_back(&register, 20).await;

    // Frozen in the middle of the work: what is under way ends in an answer once time goes on.
    let (client, under_way) = (register.client.clone(), batch(&register, 30));
    let writing = tokio::spawn(async move { client.insist(&under_way).await });
    tokio::task::yield_now().await;
    register.postgres.freeze();
    assert_away(&register, 30).await;
    register.postgres.thaw();
    writing.await.expect("joined").expect(201);
    assert_back(&register, 30).await;
}
