//! What was written after a source was read is newer than what its load knows: it is not removed, whatever waited for
//! what in between.

use std::time::{Duration, Instant};

use contract::Permission;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    app::{TestApp, id, people},
    client::{Call, Client},
};

pub async fn live(app: &TestApp) -> i64 {
    app.count("select count(*) from principals where deleted_at is null")
        .await
}

/// Waits until a session of the server waits for a lock.
pub async fn somebody_waits(watcher: &mut PgConnection) {
    so_many_wait(watcher, 1).await;
}

/// Waits until that many sessions of the server wait for locks.
async fn so_many_wait(watcher: &mut PgConnection, expected: i64) {
    for _ in 0..3000 {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        )
        .fetch_one(&mut *watcher)
        .await
        .expect("an answer");
        if waiting >= expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_moves_on_while_its_removal_is_being_held_is_not_removed_by_the_approval() {
    let app = TestApp::start().await;
    let users = json!({"syncMode": "full", "scope": {"principalType": "User"}});
    app.ingest("principals", people(0..40, "Ada"), users.clone())
        .await
        .expect(201);
    app.ingest("principals", people(0..20, "Ada"), users)
        .await
        .expect(201);
    // The next load's commit finds the same rows missing, then stops where it makes this older change set void.
    let opening = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full",
        "scope": {"principalType": "User"}});
    let opened = app.post("/api/ingest/sessions", &opening).await.expect(201);
    let session = format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    );
    app.put(
        &format!("{session}/batches/0"),
        &json!({"records": people(0..20, "Ada")}),
    )
    .await
    .expect(200);
    let (mut watcher, mut holder) = (app.connect().await, app.connect().await);
    let mut holding = holder.begin().await.expect("begins");
    sqlx::query("select from held_change_sets for update")
        .execute(&mut *holding)
        .await
        .expect("locks");
    let commit = format!("{session}/commit");
    let commit_body = json!({"batches": 1, "complete": true});
    let (held, ()) = tokio::join!(app.post(&commit, &commit_body), async {
        somebody_waits(&mut watcher).await;
        // Number 39 turns out to be a guest.
        let guest = json!([{"id": id(39), "principalType": "ExternalUser"}]);
        let guests = json!({"scope": {"principalType": "ExternalUser"}});
        let written = app.ingest("principals", guest, guests).await.expect(201);
        assert_eq!(written["updated"], 1);
        holding.rollback().await.expect("ends");
    });
    let held = held.expect(200)["held"]["changeSetId"].clone();
    let path = format!("/api/ingest/held/{}/approve", held.as_str().expect("an id"));
    app.post(&path, &json!({"reason": "they left"}))
        .await
        .expect(200);
    assert_eq!(live(&app).await, 21, "20 users and the guest");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_a_full_call_waited_for_a_connection_is_not_removed() {
    let app = TestApp::with_connections(2).await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let mut watcher = app.connect().await;
    let mut holder = app.connect().await;
    // The call arrives, and waits where it looks its system up.
    let mut holding = holder.begin().await.expect("begins");
    sqlx::query("lock table systems in access exclusive mode")
        .execute(&mut *holding)
        .await
        .expect("locks");
    let began = Instant::now();
    let client = Client::new(app.base(), &app.key);
    let body =
        json!({"systemId": app.system_id, "syncMode": "full", "records": people(0..40, "Ada")});
    let call = tokio::spawn(async move {
        client
            .once(&Call::post("/api/ingest/principals", &body))
            .await
    });
    somebody_waits(&mut watcher).await;
    // From there it comes to a pool whose connections are all taken.
    let taken = app.pool.acquire().await.expect("a connection");
    let next = app.pool.acquire();
    let (next, ()) = tokio::join!(next, async {
        holding.rollback().await.expect("ends");
    });
    let next = next.expect("the call's");
    write_beside_the_server(&mut watcher).await;
    // This second wait is the longer one: what is counted of the first alone would not reach back to the write.
    tokio::time::sleep(began.elapsed() + Duration::from_millis(100)).await;
    drop((taken, next));

    let answer: Value = call.await.expect("joined").expect("an answer").expect(201);
    assert_eq!(answer["deleted"], 0, "{answer}");
    assert_eq!(live(&app).await, 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_the_body_of_a_full_call_was_under_way_is_not_removed() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let key = app.new_key(&[Permission::Ingest], None).await;
    let body =
        json!({"systemId": app.system_id, "syncMode": "full", "records": people(0..40, "Ada")})
            .to_string();
    let head = format!(
        "POST /api/ingest/principals HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let address = app.base().trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.expect("connects");
    connection.write_all(head.as_bytes()).await.expect("sent");
    // The key was new: its first use says that the call is there.
    let mut tries = 0;
    while app
        .count("select count(*) from api_keys where last_used_at is null")
        .await
        > 0
    {
        tries += 1;
        assert!(tries < 3000, "the call does not arrive");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    write_beside_the_server(&mut app.connect().await).await;
    connection.write_all(body.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .await
        .expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(answer.contains("\"deleted\":0"), "{answer}");
    assert_eq!(live(&app).await, 41);
}

/// Person number 40, as another load writes it.
async fn write_beside_the_server(watcher: &mut PgConnection) {
    sqlx::query(
        "insert into principals (system_id, id, principal_type, display_name, content_hash, first_seen_at, valid_from, sync_id) \
         select system_id, $1, principal_type, 'New', '\\x00', clock_timestamp(), clock_timestamp(), sync_id \
         from principals limit 1",
    )
    .bind(id(40))
    .execute(watcher)
    .await
    .expect("written");
}

/// Holds a person's row, so that a load that changes it stops after it has compared everything else.
async fn hold_person(
    connection: &mut PgConnection,
    number: u32,
) -> sqlx::Transaction<'_, sqlx::Postgres> {
    let mut holding = connection.begin().await.expect("begins");
    sqlx::query("select from principals where id = $1 for update")
        .bind(id(number))
        .execute(&mut *holding)
        .await
        .expect("locks");
    holding
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_is_meeting_unchanged_is_not_removed_by_a_full_call() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let (mut first, mut second, mut holder) = (
        app.connect().await,
        app.connect().await,
        app.connect().await,
    );
    let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full",
        "scope": {"principalType": "User"}});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    let sync_id = opened["syncId"].as_str().expect("an id");
    let batch = format!("/api/ingest/sessions/{sync_id}/batches/0");
    let records =
        json!([{"id": id(5), "displayName": "Eve 5"}, {"id": id(39), "displayName": "Ada 39"}]);
    let records = json!({"records": records});
    let holding = hold_person(&mut holder, 5).await;
    let (met, called, ()) = tokio::join!(
        app.put(&batch, &records),
        async {
            somebody_waits(&mut first).await;
            let without = people(0..39, "Ada");
            app.ingest("principals", without, json!({"syncMode": "full"}))
                .await
        },
        async {
            so_many_wait(&mut second, 2).await;
            holding.rollback().await.expect("ends");
        }
    );
    assert_eq!(met.expect(200)["unchanged"], 1);
    assert_eq!(called.expect(201)["deleted"], 0);
    assert_eq!(live(&app).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_load_is_meeting_unchanged_is_not_removed_by_an_approval() {
    let app = TestApp::start().await;
    for people in [people(0..40, "Ada"), people(0..20, "Ada")] {
        app.ingest("principals", people, json!({"syncMode": "full"}))
            .await
            .expect(201);
    }
    let held = app.get("/api/ingest/held?state=held").await.expect(200);
    let held = held["items"][0]["changeSetId"].as_str().expect("an id");
    let approve = format!("/api/ingest/held/{held}/approve");
    let (mut first, mut second, mut holder) = (
        app.connect().await,
        app.connect().await,
        app.connect().await,
    );
    let records =
        json!([{"id": id(5), "displayName": "Eve 5"}, {"id": id(39), "displayName": "Ada 39"}]);
    let holding = hold_person(&mut holder, 5).await;
    let (met, approved, ()) = tokio::join!(
        app.ingest("principals", records, json!({"syncMode": "delta"})),
        async {
            somebody_waits(&mut first).await;
            app.post(&approve, &json!({"reason": "they left"})).await
        },
        async {
            so_many_wait(&mut second, 2).await;
            holding.rollback().await.expect("ends");
        }
    );
    assert_eq!(met.expect(201)["unchanged"], 1);
    approved.expect(200);
    assert_eq!(live(&app).await, 21, "39 was met");
}

#[tokio::test]
async fn what_another_load_met_since_the_reading_began_is_not_removed_by_one_opened_later() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    for mode in ["full", "delta"] {
        let met = json!([{"id": id(39), "displayName": "Ada 39"}]);
        let met = app
            .ingest(
                "principals",
                met,
                json!({"syncMode": mode, "complete": false}),
            )
            .await
            .expect(201);
        assert_eq!(met["unchanged"], 1, "{mode}");
        // It was read from the source an hour ago, without number 39.
        let hour = json!({"syncMode": "full", "readBeganMsAgo": 3_600_000});
        let late = app
            .ingest("principals", people(0..39, "Ada"), hour)
            .await
            .expect(201);
        assert_eq!(late["deleted"], 0, "{mode}");
        assert_eq!(late["spared"], 1, "{mode}");
    }
    assert_eq!(live(&app).await, 40);
}

#[tokio::test]
async fn what_a_load_brings_again_after_another_opened_is_not_removed_by_that_one() {
    let app = TestApp::start().await;
    let open = async |scope: Value| {
        let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full", "scope": scope});
        let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
        format!(
            "/api/ingest/sessions/{}",
            opened["syncId"].as_str().expect("an id")
        )
    };
    let put = async |session: &str, seq: u32, records: Value| {
        app.put(
            &format!("{session}/batches/{seq}"),
            &json!({"records": records}),
        )
        .await
        .expect(200)
    };
    // The first load writes number 39 before the second one opens, and brings it once more after that.
    let users = open(json!({"principalType": "User"})).await;
    put(&users, 0, people(0..40, "Ada")).await;
    let all = open(json!({})).await;
    let again = put(&users, 1, people(39..40, "Ada")).await;
    assert_eq!(
        (&again["unchanged"], &again["duplicates"]),
        (&json!(1), &json!(1))
    );

    put(&all, 0, people(0..39, "Ada")).await;
    let end = json!({"batches": 1, "complete": true});
    let end = app.post(&format!("{all}/commit"), &end).await.expect(200);
    assert_eq!(end["deleted"], 0, "{end}");
    assert_eq!(live(&app).await, 40);
}

/// The first load of another scope waits for a person once one scope is settled. It must not slip through because it ends
/// while the other one is being settled.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_ends_while_another_one_is_being_judged_is_judged_after_it() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..40, "Ada"),
        json!({"syncMode": "delta"}),
    )
    .await
    .expect(201);
    let guests: Value = (40..43)
        .map(|n| json!({"id": id(n), "displayName": "Guest", "principalType": "ExternalUser"}))
        .collect();
    app.ingest("principals", guests, json!({}))
        .await
        .expect(201);
    let users = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full",
        "scope": {"principalType": "User"}});
    let all = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full"});
    let mut commits = Vec::new();
    for opening in [users, all] {
        let opened = app.post("/api/ingest/sessions", &opening).await.expect(201);
        let session = format!(
            "/api/ingest/sessions/{}",
            opened["syncId"].as_str().expect("an id")
        );
        let records = json!({"records": people(0..35, "Ada")});
        app.put(&format!("{session}/batches/0"), &records)
            .await
            .expect(200);
        commits.push(format!("{session}/commit"));
    }
    let (mut first, mut second, mut holder) = (
        app.connect().await,
        app.connect().await,
        app.connect().await,
    );
    let holding = hold_person(&mut holder, 39).await;
    let end = json!({"batches": 1, "complete": true});
    let (judged_first, judged_second, ()) = tokio::join!(
        app.post(&commits[0], &end),
        async {
            somebody_waits(&mut first).await;
            app.post(&commits[1], &end).await
        },
        async {
            so_many_wait(&mut second, 2).await;
            holding.rollback().await.expect("ends");
        }
    );
    assert_eq!(judged_first.expect(200)["deleted"], 5);
    let second = judged_second.expect(200);
    assert_eq!(second["deleted"], 0, "{second}");
    assert_eq!(second["held"]["reason"], "scope_changed");
    assert_eq!(second["held"]["wouldDelete"], 3, "the guests");
    assert_eq!(live(&app).await, 38);
}
