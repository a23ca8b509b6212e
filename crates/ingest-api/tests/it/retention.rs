//! Removed rows are kept for a time, and purged without disturbing anybody.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use ingest_api::{
    AppState,
    retention::{Keep, PURGE_LOCK, Pace, Purged, Retention, purge},
    serve,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{TestApp, id, people};

/// Everything is kept for ten days, and purged in steps of three rows.
pub fn ten_days() -> Retention {
    Retention {
        removed_rows: Keep::Days(10),
        session_batches: Keep::Days(10),
        refused_records: Keep::Days(10),
        held_rows: Keep::Days(10),
        history: Keep::Forever,
        audit: Keep::Forever,
        pace: Pace {
            step: 3,
            pause: Duration::ZERO,
            ..Pace::default()
        },
    }
}

/// A round as it would be made so many days from now.
pub async fn purge_after(app: &TestApp, days: i64) -> Purged {
    purge_with(app, days, &ten_days(), &CancellationToken::new()).await
}

pub async fn purge_with(
    app: &TestApp,
    days: i64,
    retention: &Retention,
    stop: &CancellationToken,
) -> Purged {
    let now: DateTime<Utc> = sqlx::query_scalar("select now()")
        .fetch_one(&app.pool)
        .await
        .expect("a moment");
    let purged = purge(&app.pool, retention, now + TimeDelta::days(days), stop).await;
    assert_eq!(purged.failed, 0);
    purged
}

pub async fn remove(app: &TestApp, range: std::ops::Range<u32>) {
    let ids: Vec<_> = range.map(id).collect();
    app.ingest("principals", json!([]), json!({"deletedIds": ids}))
        .await
        .expect(201);
}

async fn history(app: &TestApp) -> Vec<Value> {
    sqlx::query_scalar("select to_jsonb(h) from history h order by valid_to, row_id")
        .fetch_all(&app.pool)
        .await
        .expect("history")
}

#[tokio::test]
async fn a_removed_row_is_purged_when_its_time_has_come_and_its_history_stays() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..30, "Ada"), json!({}))
        .await
        .expect(201);
    remove(&app, 0..10).await;
    let before = history(&app).await;
    assert_eq!(before.len(), 10);

    assert_eq!(purge_after(&app, 9).await, Purged::default());
    assert_eq!(app.count("select count(*) from principals").await, 30);
    let purged = purge_after(&app, 11).await;
    assert_eq!(purged.removed_rows, 10);
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        20
    );
    assert_eq!(app.count("select count(*) from principals").await, 20);
    assert_eq!(history(&app).await, before);
    assert_eq!(purge_after(&app, 11).await, Purged::default());

    // Who comes back after that is new; the history of the key shows the life before.
    let answer = app
        .ingest("principals", people(0..2, "Ada"), json!({}))
        .await
        .expect(201);
    assert_eq!(answer["inserted"], 2);
    assert_eq!(history(&app).await, before);
}

/// Of every entity that can be removed: its name, the fields of a record, and its key.
fn one_row_of_each() -> Vec<(&'static str, Value, Value)> {
    let key = json!({"id": id(1)});
    vec![
        ("principals", json!({"displayName": "Ada"}), key.clone()),
        ("resources", json!({"displayName": "Group"}), key.clone()),
        (
            "resource-assignments",
            json!({}),
            json!({"resourceId": id(1), "principalId": id(2), "assignmentType": "Direct"}),
        ),
        (
            "resource-relationships",
            json!({}),
            json!({"parentResourceId": id(1), "childResourceId": id(2), "relationshipType": "Contains"}),
        ),
        ("identities", json!({"displayName": "Ada"}), key.clone()),
        (
            "identity-members",
            json!({}),
            json!({"identityId": id(1), "principalId": id(2)}),
        ),
        (
            "contexts",
            json!({"displayName": "Payroll", "contextType": "Department"}),
            key.clone(),
        ),
        (
            "context-members",
            json!({"memberType": "Identity"}),
            json!({"contextId": id(1), "memberId": id(2)}),
        ),
        (
            "principal-activity",
            json!({}),
            json!({"principalId": id(1), "activityType": "SignIn"}),
        ),
        (
            "governance/catalogs",
            json!({"displayName": "General"}),
            key.clone(),
        ),
        (
            "governance/policies",
            json!({"displayName": "All"}),
            key.clone(),
        ),
        ("governance/requests", json!({}), key.clone()),
        ("governance/certifications", json!({}), key),
    ]
}

#[tokio::test]
async fn removed_rows_of_every_entity_are_purged() {
    let app = TestApp::start().await;
    let rows = one_row_of_each();
    let count = rows.len() as u64;
    assert_eq!(
        rows.iter().map(|row| row.0).collect::<BTreeSet<_>>().len() + 1,
        contract::Entity::ALL.len(),
        "all but systems, which are never removed"
    );
    for (entity, mut record, key) in rows {
        crate::app::merge(&mut record, key.clone());
        app.ingest(entity, json!([record]), json!({}))
            .await
            .expect(201);
        let removed = app
            .ingest(entity, json!([]), json!({"deletedIds": [key]}))
            .await
            .expect(201);
        assert_eq!(removed["deleted"], 1, "{entity}");
    }
    assert_eq!(purge_after(&app, 9).await.removed_rows, 0);
    assert_eq!(purge_after(&app, 11).await.removed_rows, count);
}

#[tokio::test]
async fn rows_that_wait_for_a_person_stay_until_the_decision() {
    let app = TestApp::start().await;
    let full = json!({"syncMode": "full"});
    app.ingest("principals", people(0..40, "Ada"), full.clone())
        .await
        .expect(201);
    let held = app
        .ingest("principals", people(0..20, "Ada"), full)
        .await
        .expect(201)["held"]["changeSetId"]
        .clone();
    let set = format!("/api/ingest/held/{}", held.as_str().expect("an id"));
    // Two of the set and one that was met are removed by name.
    remove(&app, 19..22).await;
    let purged = purge_after(&app, 1000).await;
    assert_eq!(
        (purged.removed_rows, purged.held_rows),
        (1, 0),
        "only the one that nobody waits for"
    );
    let shown = app.get(&set).await.expect(200);
    assert_eq!(shown["wouldDeleteNow"], 18);

    app.post(
        &format!("{set}/approve"),
        &json!({"reason": "they left", "wouldDelete": 18}),
    )
    .await
    .expect(200);
    let purged = purge_after(&app, 9).await;
    assert_eq!((purged.removed_rows, purged.held_rows), (0, 0));
    let purged = purge_after(&app, 11).await;
    assert_eq!((purged.removed_rows, purged.held_rows), (20, 20));
    assert_eq!(app.count("select count(*) from principals").await, 19);
}

#[tokio::test]
async fn a_row_that_was_removed_since_an_open_load_began_to_read_stays() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..10, "Ada"), json!({}))
        .await
        .expect(201);
    remove(&app, 0..1).await;
    let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full", "scope": {"principalType": "User"}});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    remove(&app, 1..2).await;
    assert_eq!(
        purge_after(&app, 1000).await.removed_rows,
        1,
        "the one before"
    );
    let session = format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    );
    app.post(&format!("{session}/abort"), &json!({}))
        .await
        .expect(200);
    assert_eq!(purge_after(&app, 1000).await.removed_rows, 1);
}

/// Waits until a statement of the server waits for a row.
async fn somebody_waits(app: &TestApp) {
    for _ in 0..500 {
        if app.count("select count(*) from pg_locks where not granted and locktype in ('transactionid', 'tuple')").await > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

#[tokio::test]
async fn a_row_that_returns_while_the_purge_comes_by_is_not_lost() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..3, "Ada"), json!({}))
        .await
        .expect(201);
    remove(&app, 2..3).await;
    for mode in ["full", "delta"] {
        // A load has found number 2 in its removed state and waits for number 0.
        let mut other = app.pool.begin().await.expect("begins");
        sqlx::query("select from principals where id = $1 for update")
            .bind(id(0))
            .execute(&mut *other)
            .await
            .expect("locks");
        let records = people(0..3, mode);
        let (answer, purged) = tokio::join!(
            app.ingest("principals", records, json!({"syncMode": mode})),
            async {
                somebody_waits(&app).await;
                let purged = purge_after(&app, 1000).await;
                other.rollback().await.expect("ends");
                purged
            }
        );
        // The purge was faster: the load finds the row gone and brings it anew.
        assert_eq!(purged.removed_rows, 1);
        let answer = answer.expect(201);
        assert_eq!(
            (&answer["updated"], &answer["inserted"]),
            (&2.into(), &1.into())
        );
        assert_eq!(
            app.count("select count(*) from principals where deleted_at is null")
                .await,
            3
        );
        remove(&app, 2..3).await;
    }
    assert_eq!(purge_after(&app, 1000).await.removed_rows, 1);
}

#[tokio::test]
async fn replicas_share_the_work_and_a_stopped_one_leaves_the_rest_to_a_later_round() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..50, "Ada"), json!({}))
        .await
        .expect(201);
    remove(&app, 0..40).await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(
        purge_with(&app, 11, &ten_days(), &stop).await,
        Purged::default()
    );
    // While another replica makes a step, there is nothing to do.
    let mut step = app.pool.begin().await.expect("begins");
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(PURGE_LOCK)
        .execute(&mut *step)
        .await
        .expect("locks");
    assert_eq!(purge_after(&app, 11).await, Purged::default());
    step.rollback().await.expect("ends");
    assert_eq!(app.count("select count(*) from principals").await, 50);

    let rounds = futures_util::future::join_all((0..4).map(|_| purge_after(&app, 11))).await;
    let together: u64 = rounds.iter().map(|purged| purged.removed_rows).sum();
    let rest = purge_after(&app, 11).await.removed_rows;
    assert_eq!(together + rest, 40, "each row once");
    assert_eq!(app.count("select count(*) from principals").await, 10);
}

#[tokio::test]
async fn a_running_server_purges_by_itself() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..20, "Ada"), json!({}))
        .await
        .expect(201);
    remove(&app, 0..8).await;
    sqlx::query("update principals set deleted_at = deleted_at - interval '11 days' where id < $1")
        .bind(id(7))
        .execute(&app.pool)
        .await
        .expect("time passes");
    let mut retention = ten_days();
    retention.pace.between_rounds = Duration::from_millis(20);
    let state = AppState {
        retention,
        ..AppState::new(app.pool.clone())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, state, stop.clone()));
    tokio::time::timeout(Duration::from_secs(60), async {
        while app.count("select count(*) from principals").await != 13 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the rows go");
    stop.cancel();
    server.await.expect("no panic").expect("serves");
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is not null")
            .await,
        1,
        "the one whose time has not come"
    );
}
