//! Sending anything again, in any order and any number of times, changes nothing (F19 to F22).

use std::collections::BTreeMap;

use contract::SystemId;
use futures_util::future::join_all;
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, TestApp, id, members, people},
    client::{Call, Client},
};

/// Everything that the register says about a system, without the names of loads and moments.
async fn dump(app: &TestApp, system_id: SystemId) -> Vec<String> {
    let mut lines = Vec::new();
    for spec in ingest_api::entity::ALL {
        let sql = format!(
            "select (to_jsonb(t) - array['row_id', 'system_id', 'sync_id', 'first_seen_at', 'valid_from', 'deleted_at'] \
             || jsonb_build_object('isLive', deleted_at is null))::text as line from {} t where system_id = $1 order by line",
            spec.table
        );
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(system_id)
            .fetch_all(&app.pool)
            .await
            .expect("rows");
        lines.extend(rows.into_iter().map(|row| format!("{}: {row}", spec.table)));
    }
    for sql in [
        "select concat_ws(' ', 'history:', entity, row_key, operation, image) as line from history where system_id = $1 order by line",
        "select concat_ws(' ', 'refused:', entity, seq, record_index, pointer, code, excerpt) as line from rejected_records \
         where system_id = $1 order by line",
        "select concat_ws(' ', 'held:', entity, scope_key, would_delete, of_rows, reason, state) as line from held_change_sets \
         where system_id = $1 order by line",
    ] {
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .bind(system_id)
            .fetch_all(&app.pool)
            .await
            .expect("rows");
        lines.extend(rows);
    }
    lines
}

/// A session and what is sent in it, to be sent to any system.
struct Script {
    entity: &'static str,
    batches: Vec<Value>,
}

/// A register with something in it, then loads that add, change, miss and spoil records.
fn scripts() -> Vec<Script> {
    let mut spoiled = people(20..30, "Ada");
    spoiled[3]["jobTitle"] = json!(7);
    vec![
        Script {
            entity: "principals",
            batches: vec![
                people(0..10, "Ada"),
                people(10..20, "Eve"),
                spoiled,
                people(30..38, "Bo"),
            ],
        },
        Script {
            entity: "resource-assignments",
            batches: (0..4_u32)
                .map(|group| Value::Array(members(100 + group, group * 3..group * 3 + 9)))
                .collect(),
        },
    ]
}

async fn prepare(app: &TestApp, system_id: SystemId) {
    let records = people(0..40, "Old");
    let body = json!({"systemId": system_id, "syncMode": "full", "records": records});
    app.post("/api/ingest/principals", &body).await.expect(201);
}

async fn open(client: &Client, system_id: SystemId, entity: &str) -> String {
    let body = json!({"systemId": system_id, "entity": entity, "syncMode": "full"});
    let opened = client
        .insist(&Call::post("/api/ingest/sessions", &body))
        .await;
    let opened = opened.expect(201);
    format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    )
}

/// What an answer says, without what differs by nature.
fn said(answer: Answer, status: u16) -> Value {
    let mut body = answer.expect(status);
    let fields = body.as_object_mut().expect("an object");
    fields.remove("syncId");
    fields.remove("durationMs");
    body
}

async fn send_once(client: &Client, system_id: SystemId) -> Vec<Value> {
    let mut answers = Vec::new();
    for script in scripts() {
        let session = open(client, system_id, script.entity).await;
        for (seq, records) in script.batches.iter().enumerate() {
            let call = Call::put(
                &format!("{session}/batches/{seq}"),
                &json!({"records": records}),
            );
            answers.push(said(client.insist(&call).await, 200));
        }
        let end = json!({"batches": script.batches.len(), "complete": true});
        let commit = Call::post(&format!("{session}/commit"), &end);
        answers.push(said(client.insist(&commit).await, 200));
    }
    answers
}

/// Five times one after the other and five times at once, the batches in random order.
async fn send_ten_times(client: &Client, system_id: SystemId, order: &mut StdRng) -> Vec<Value> {
    let mut answers = Vec::new();
    for script in scripts() {
        let session = open(client, system_id, script.entity).await;
        let mut first: BTreeMap<usize, Value> = BTreeMap::new();
        let mut seqs: Vec<usize> = (0..script.batches.len()).collect();
        let send = async |seq: usize| {
            let records = &script.batches[seq];
            let call = Call::put(
                &format!("{session}/batches/{seq}"),
                &json!({"records": records}),
            );
            (seq, client.insist(&call).await.expect(200))
        };
        let mut received = Vec::new();
        for _ in 0..5 {
            seqs.shuffle(order);
            for seq in &seqs {
                received.push(send(*seq).await);
            }
        }
        let mut at_once: Vec<usize> = seqs.iter().flat_map(|seq| [*seq; 5]).collect();
        at_once.shuffle(order);
        received.extend(join_all(at_once.into_iter().map(send)).await);
        for (seq, answer) in received {
            let same = first.entry(seq).or_insert_with(|| answer.clone());
            assert_eq!(*same, answer, "batch {seq} is answered as the first time");
        }
        let end = json!({"batches": script.batches.len(), "complete": true});
        let commit = Call::post(&format!("{session}/commit"), &end);
        let commits = join_all((0..5).map(|_| client.insist(&commit))).await;
        let mut commits: Vec<Value> = commits
            .into_iter()
            .map(|answer| answer.expect(200))
            .collect();
        commits.dedup();
        assert_eq!(
            commits.len(),
            1,
            "every commit is answered the same: {commits:?}"
        );
        for answer in first.into_values().chain(commits) {
            answers.push(said_again(answer));
        }
    }
    answers
}

fn said_again(mut body: Value) -> Value {
    let fields = body.as_object_mut().expect("an object");
    fields.remove("syncId");
    fields.remove("durationMs");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_sent_ten_times_in_any_order_leave_what_one_sending_leaves() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut order = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let client = Client::new(app.base(), &app.key);
    let (once, often) = (app.system_id, app.new_system("Often").await);
    prepare(&app, once).await;
    prepare(&app, often).await;
    let expected = send_once(&client, once).await;
    let answers = send_ten_times(&client, often, &mut order).await;
    assert_eq!(answers, expected, "the same answers");
    assert_eq!(dump(&app, often).await, dump(&app, once).await);
}

#[tokio::test]
async fn a_number_or_a_key_that_comes_again_with_another_body_changes_nothing() {
    let app = TestApp::start().await;
    let client = Client::new(app.base(), &app.key);
    let session = open(&client, app.system_id, "principals").await;
    let path = format!("{session}/batches/0");
    app.put(&path, &json!({"records": people(0..10, "Ada")}))
        .await
        .expect(200);
    let call = |records: Value| {
        app.request(Method::POST, "/api/ingest/resources")
            .header("Idempotency-Key", "page 1")
            .json(&json!({"systemId": app.system_id, "records": records}))
    };
    app.send(call(people(0..10, "Group"))).await.expect(201);
    let before = dump(&app, app.system_id).await;

    let other = json!({"records": people(0..10, "Eve")});
    app.put(&path, &other).await.expect(409);
    app.send(call(people(0..10, "Team"))).await.expect(422);
    assert_eq!(dump(&app, app.system_id).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_again_while_its_first_call_is_under_way_gets_the_same_answer() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(201);
    // Keeps the first call under way for as long as we like.
    let mut holder = app.pool.begin().await.expect("begins");
    sqlx::query("select from principals for update")
        .execute(&mut *holder)
        .await
        .expect("locks");
    let client = Client::new(app.base(), &app.key);
    let body = json!({"systemId": app.system_id, "records": people(0..10, "Eve")});
    let call = Call::post("/api/ingest/principals", &body).known_as("page 1");
    let same: Vec<_> = (0..4)
        .map(|_| {
            let (client, call) = (client.clone(), call.clone());
            tokio::spawn(async move { client.insist(&call).await })
        })
        .collect();
    waiting(&app, 4).await;
    let other = json!({"systemId": app.system_id, "records": people(0..10, "Bo")});
    let other = Call::post("/api/ingest/principals", &other).known_as("page 1");
    let (refused, ()) = tokio::join!(client.insist(&other), async {
        waiting(&app, 5).await;
        holder.rollback().await.expect("ends");
    });
    refused.expect(422);
    let mut answers = Vec::new();
    for one in same {
        answers.push(one.await.expect("joined").expect(201));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(
        app.count("select count(*) from principals where display_name like 'Eve %'")
            .await,
        10
    );
    assert_eq!(app.count("select count(*) from history").await, 1);
}

/// Waits until so many calls wait for a lock.
async fn waiting(app: &TestApp, calls: i64) {
    for _ in 0..3000 {
        let sql = "select count(distinct pid) from pg_locks where not granted and \
                   (database is null or database = (select oid from pg_database where datname = current_database()))";
        if app.count(sql).await >= calls {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("fewer than {calls} calls wait");
}

#[tokio::test]
async fn a_batch_that_comes_again_after_its_load_ended_brings_nothing_back() {
    let app = TestApp::start().await;
    let client = Client::new(app.base(), &app.key);
    let first = open(&client, app.system_id, "principals").await;
    let old = json!({"records": people(0..20, "Old")});
    let answer = app
        .put(&format!("{first}/batches/0"), &old)
        .await
        .expect(200);
    let end = json!({"batches": 1, "complete": true});
    app.post(&format!("{first}/commit"), &end).await.expect(200);

    let second = open(&client, app.system_id, "principals").await;
    let new = json!({"records": people(1..20, "New")});
    app.put(&format!("{second}/batches/0"), &new)
        .await
        .expect(200);
    let committed = app
        .post(&format!("{second}/commit"), &end)
        .await
        .expect(200);
    assert_eq!(committed["deleted"], 1);
    let before = dump(&app, app.system_id).await;

    let replayed = app
        .put(&format!("{first}/batches/0"), &old)
        .await
        .expect(200);
    assert_eq!(
        replayed, answer,
        "the answer of the first time, and no more"
    );
    app.put(&format!("{first}/batches/1"), &old)
        .await
        .expect(409);
    app.put(&format!("{first}/batches/0"), &new)
        .await
        .expect(409);
    app.post(&format!("{first}/commit"), &end).await.expect(200);
    assert_eq!(dump(&app, app.system_id).await, before);
}

#[tokio::test]
async fn one_bad_record_of_a_hundred_is_quarantined_and_lands_once_it_is_mended() {
    let app = TestApp::start().await;
    let client = Client::new(app.base(), &app.key);
    app.ingest(
        "principals",
        people(0..100, "Old"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let mut records = people(0..100, "Ada");
    records[57]["createdDateTime"] = json!("yesterday");
    let session = open(&client, app.system_id, "principals").await;
    let batch = |n: u32| format!("{session}/batches/{n}");
    let answer = app
        .put(&batch(0), &json!({"records": records}))
        .await
        .expect(200);
    assert_eq!(
        (&answer["updated"], &answer["rejected"]),
        (&json!(99), &json!(1))
    );
    let sync_id = answer["syncId"].as_str().expect("an id");
    let rejected = app
        .get(&format!("/api/ingest/rejected?syncId={sync_id}"))
        .await
        .expect(200);
    let items = rejected["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["recordIndex"], 57);
    assert_eq!(items[0]["pointer"], "/createdDateTime");
    assert_eq!(items[0]["code"], "invalid_date");
    assert!(
        items[0]["excerpt"]
            .as_str()
            .expect("text")
            .contains("yesterday")
    );

    records[57]["createdDateTime"] = json!("2026-01-31T08:00:00Z");
    let mended = json!({"records": [records[57]]});
    let answer = app.put(&batch(1), &mended).await.expect(200);
    assert_eq!(answer["updated"], 1);
    let end = json!({"batches": 2, "complete": true});
    let ended = app
        .post(&format!("{session}/commit"), &end)
        .await
        .expect(200);
    assert_eq!((&ended["deleted"], ended.get("held")), (&json!(0), None));
    let is_there: bool = sqlx::query_scalar(
        "select created_date_time is not null and display_name = 'Ada 57' from principals where id = $1",
    )
    .bind(id(57))
    .fetch_one(&app.pool)
    .await
    .expect("the row");
    assert!(is_there);
}
