//! Callers that leave in the middle cost nobody else a write (F18).
//!
//! A database call that is dropped half-way can leave its pooled session inside a transaction that the pool does not know
//! of (transact-rs/sqlx#4385): what is acknowledged on that session later is lost.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use sqlx::PgConnection;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    app::{TestApp, id, people},
    client::{Call, Client},
    size::sized,
    slow_line::slow_line,
};

const AT_ONCE: usize = 50;

/// Where a request is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    AfterTheLastByte,
    InTheBody,
}

/// Sends a single call by hand and closes the connection without waiting for an answer.
async fn cut(app: &TestApp, number: u32, place: Cut, moment: Duration) {
    let body =
        json!({"systemId": app.system_id, "records": people(number * 5..number * 5 + 5, "Cut")});
    let mut request = format!(
        "POST /api/ingest/identities HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        app.key,
        body.to_string().len()
    );
    request.push_str(&body.to_string());
    let bytes = match place {
        Cut::AfterTheLastByte => request.as_bytes(),
        Cut::InTheBody => &request.as_bytes()[..request.len() - body.to_string().len() / 2],
    };
    let address = app.base().trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.expect("connects");
    connection.write_all(bytes).await.expect("sent");
    // Closed after that, at another moment of the server's work each time.
    tokio::time::sleep(moment).await;
}

/// Waits until no session of the server is in a transaction. One that was left there stays for 30 seconds.
async fn nobody_is_in_a_transaction(watcher: &mut PgConnection) {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let busy: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle' \
             and pid <> pg_backend_pid()",
        )
        .fetch_one(&mut *watcher)
        .await
        .expect("a number");
        if busy == 0 {
            return;
        }
        assert!(
            Instant::now() < patience,
            "a session was left in a transaction"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_in_the_middle_cost_nobody_else_an_acknowledged_write() {
    let app = TestApp::with_connections(2).await;
    let cuts = (0..sized(100)).map(|n| (n, Cut::AfterTheLastByte));
    let cuts = cuts.chain((0..sized(40)).map(|n| (1_000_000 + n, Cut::InTheBody)));
    stream::iter(cuts)
        .for_each_concurrent(AT_ONCE, |(number, place)| {
            let moment = Duration::from_millis(u64::from(number) * 7 % 150);
            cut(&app, number, place, moment)
        })
        .await;
    let mut watcher = app.connect().await;
    nobody_is_in_a_transaction(&mut watcher).await;

    let client = Client::new(app.base(), &app.key);
    for number in 0..100 {
        let body = json!({"systemId": app.system_id, "records": people(number..number + 1, "Ada")});
        let answer = client
            .insist(&Call::post("/api/ingest/principals", &body))
            .await;
        assert_eq!(answer.expect(201)["inserted"], 1);
        let is_there: bool =
            sqlx::query_scalar("select exists (select from principals where id = $1)")
                .bind(id(number))
                .fetch_one(&mut watcher)
                .await
                .expect("an answer");
        assert!(
            is_there,
            "acknowledged write {number} is not seen by others"
        );
    }
    nobody_is_in_a_transaction(&mut watcher).await;
    let partial: i64 = sqlx::query_scalar(
        "select count(*) from (select from identities group by sync_id having count(*) <> 5) part",
    )
    .fetch_one(&mut watcher)
    .await
    .expect("a number");
    assert_eq!(
        partial, 0,
        "a call that was cut is there whole or not at all"
    );
    let cut_in_the_body: i64 = sqlx::query_scalar("select count(*) from identities where id >= $1")
        .bind(id(5_000_000))
        .fetch_one(&mut watcher)
        .await
        .expect("a number");
    assert_eq!(cut_in_the_body, 0, "half a body is no call");
}

/// Where every answer of the database takes its time, a request can be left at every point of its work, also between
/// `begin` and its confirmation.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_nobody_waits_for_any_more_is_not_left_open() {
    let app = TestApp::over(2, slow_line).await;
    let mut watcher = app.connect().await;
    for number in 0..sized(45) {
        let moment = Duration::from_millis(u64::from(number) * 3 % 135);
        cut(&app, number, Cut::AfterTheLastByte, moment).await;
        nobody_is_in_a_transaction(&mut watcher).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_were_cut_and_sent_again_are_there_once() {
    let app = TestApp::with_connections(2).await;
    let client = Client::new(app.base(), &app.key);
    let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full"});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    let session = format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    );
    let batches = sized(30);
    let body = |seq: u32| json!({"records": people(seq * 10..seq * 10 + 10, "Ada")});
    let send = async |seq: u32| {
        let call = Call::put(&format!("{session}/batches/{seq}"), &body(seq));
        let pause = Duration::from_millis(u64::from(seq * 7 % 90));
        // Dropping the request closes its connection.
        let _ = tokio::time::timeout(pause, client.once(&call)).await;
        client.insist(&call).await.expect(200)["inserted"].as_u64()
    };
    let inserted: Vec<Option<u64>> = stream::iter(0..batches)
        .map(send)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    assert_eq!(
        inserted.iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([&Some(10)])
    );
    let end = json!({"batches": batches, "complete": true});
    let answer = app
        .post(&format!("{session}/commit"), &end)
        .await
        .expect(200);
    assert_eq!(answer["inserted"], batches * 10);
    assert_eq!(app.count("select count(*) from history").await, 0);
}
