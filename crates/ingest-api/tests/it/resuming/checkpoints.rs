//! What is remembered of a run, and who may go on with it.

use std::collections::BTreeMap;

use chrono::Utc;
use contract::{CheckpointEntry, Permission, RunOutcome, SyncMode};
use ingest_api::retention::{Retention, purge};
use ingest_client::OpenOptions;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{client, client_of, entry, foreign_key, open, refused, report, rotated};
use crate::app::{TestApp, id};

#[tokio::test]
async fn what_is_remembered_equals_a_model_after_random_saves_and_only_the_newest_claim_writes() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let (client, run_id) = (client(&app), Uuid::new_v4());
    let mut model: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut epoch = client
        .claim_run(run_id, app.system_id, None)
        .await
        .expect("ours")
        .epoch;
    assert_eq!(epoch, 1);
    for round in 0..60 {
        if rng.random_bool(0.2) {
            let claimed = client
                .claim_run(run_id, app.system_id, None)
                .await
                .expect("ours");
            assert_eq!((claimed.epoch, claimed.is_resumed), (epoch + 1, true));
            epoch = claimed.epoch;
        }
        let entries: Vec<CheckpointEntry> = (0..rng.random_range(0..40))
            .map(|_| {
                let stream = ["users", "Zoo", "a/b é", "users 2"][rng.random_range(0..4)];
                let key = ["", "k", "K", "ö", "k2"][rng.random_range(0..5)];
                let value = match rng.random_range(0..4) {
                    0 => Value::Null,
                    1 => json!({"n": round, "deep": [null, {"é": "\n\t\""}]}),
                    2 => json!(rng.random_range(-5..5)),
                    _ => json!("x".repeat(rng.random_range(0..2000))),
                };
                entry(stream, key, value)
            })
            .collect();
        if rng.random_bool(0.2) {
            let stale = rng.random_range(-1..=epoch + 1);
            if stale != epoch {
                let said = refused(client.save_checkpoint(run_id, stale, entries).await, 409);
                assert!(said.contains("somebody else claimed the run"), "{said}");
            }
        } else {
            client
                .save_checkpoint(run_id, epoch, entries.clone())
                .await
                .expect("saved");
            for CheckpointEntry { stream, key, value } in entries {
                if value.is_null() {
                    model.remove(&(stream, key));
                } else {
                    model.insert((stream, key), value);
                }
            }
        }
        let found: Vec<_> = client.checkpoint(run_id).await.expect("entries");
        let expected: Vec<_> = (model.iter())
            .map(|((stream, key), value)| entry(stream, key, value.clone()))
            .collect();
        assert_eq!(found, expected);
        // Small pages, one by one.
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/ingest/runs/{run_id}/checkpoint?limit=3{after}");
            let page = app.get(&path).await.expect(200);
            let items = page["items"].as_array().expect("a list").clone();
            assert!(items.len() <= 3);
            paged.extend(items);
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(json!(paged), json!(expected));
    }
}

#[tokio::test]
async fn pages_of_large_values_end_early_and_lose_nothing() {
    let app = TestApp::start().await;
    let (client, run_id) = (client(&app), Uuid::new_v4());
    client
        .claim_run(run_id, app.system_id, None)
        .await
        .expect("ours");
    let large = json!("x".repeat(900 * 1024));
    for n in 0..12 {
        let entries = vec![entry("large", &format!("{n:02}"), large.clone())];
        client
            .save_checkpoint(run_id, 1, entries)
            .await
            .expect("saved");
    }
    let page = app
        .get(&format!("/api/ingest/runs/{run_id}/checkpoint?limit=1000"))
        .await
        .expect(200);
    assert_eq!(page["items"].as_array().expect("a list").len(), 4);
    let all = client.checkpoint(run_id).await.expect("entries");
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|entry| entry.value == large));
}

#[tokio::test]
async fn a_run_belongs_to_one_system_workspace_and_key_and_a_rotated_key_goes_on() {
    let app = TestApp::start().await;
    let run_id = Uuid::new_v4();
    let other_system = app.new_system("Other").await;
    let client = client(&app);
    client
        .claim_run(run_id, app.system_id, None)
        .await
        .expect("ours");
    let entries = vec![entry("users", "", json!(1))];
    client
        .save_checkpoint(run_id, 1, entries.clone())
        .await
        .expect("saved");

    refused(client.claim_run(run_id, other_system, None).await, 409);
    let limited = app
        .new_key(&Permission::ALL, Some(vec![other_system]))
        .await;
    let limited = client_of(&app, &limited);
    refused(limited.claim_run(run_id, app.system_id, None).await, 403);
    refused(limited.claim_run(run_id, other_system, None).await, 409);
    let reader = client_of(&app, &app.new_key(&[Permission::Read], None).await);
    refused(reader.claim_run(run_id, app.system_id, None).await, 403);
    let stranger = client_of(&app, &app.new_key(&Permission::ALL, None).await);
    refused(stranger.claim_run(run_id, app.system_id, None).await, 409);
    let foreign = client_of(&app, &foreign_key(&app).await);
    refused(foreign.claim_run(run_id, app.system_id, None).await, 403);
    for outsider in [&limited, &stranger, &foreign] {
        refused(outsider.checkpoint(run_id).await, 404);
        refused(
            outsider.save_checkpoint(run_id, 1, entries.clone()).await,
            404,
        );
    }
    refused(reader.checkpoint(run_id).await, 403);
    refused(client.checkpoint(Uuid::new_v4()).await, 404);

    let successor = client_of(&app, &rotated(&app).await);
    assert_eq!(
        successor.checkpoint(run_id).await.expect("entries"),
        entries
    );
    let claimed = successor
        .claim_run(run_id, app.system_id, None)
        .await
        .expect("ours");
    assert_eq!((claimed.epoch, claimed.is_resumed), (2, true));
    refused(
        client.save_checkpoint(run_id, 1, entries.clone()).await,
        409,
    );
    assert_eq!(app.count("select count(*) from run_checkpoints").await, 1);
}

#[tokio::test]
async fn the_report_ends_a_run_unless_it_failed_and_a_stale_one_ends_nothing() {
    let app = TestApp::start().await;
    let client = client(&app);
    let outcomes = [
        RunOutcome::Complete,
        RunOutcome::Partial,
        RunOutcome::Held,
        RunOutcome::Cancelled,
    ];
    for outcome in outcomes {
        let run_id = Uuid::new_v4();
        client
            .claim_run(run_id, app.system_id, None)
            .await
            .expect("ours");
        let entries = vec![entry("users", "", json!(1))];
        client
            .save_checkpoint(run_id, 1, entries.clone())
            .await
            .expect("saved");
        client
            .post_report_of_claim(&report(&app, run_id, RunOutcome::Failed), 1)
            .await
            .expect("stored");
        assert_eq!(client.checkpoint(run_id).await.expect("entries"), entries);

        let claimed = client
            .claim_run(run_id, app.system_id, None)
            .await
            .expect("ours");
        assert_eq!(claimed.epoch, 2);
        refused(
            client
                .post_report_of_claim(&report(&app, run_id, outcome), 1)
                .await,
            409,
        );
        // Nor does somebody who never had the run end it.
        let unclaimed = client.post_run_report(&report(&app, run_id, outcome)).await;
        refused(unclaimed, 409);
        assert_eq!(client.checkpoint(run_id).await.expect("entries"), entries);

        // An answer may get lost: the report comes again.
        for _ in 0..2 {
            client
                .post_report_of_claim(&report(&app, run_id, outcome), 2)
                .await
                .expect("stored");
            refused(client.checkpoint(run_id).await, 404);
        }
        refused(client.save_checkpoint(run_id, 2, entries).await, 404);
        refused(client.claim_run(run_id, app.system_id, None).await, 409);
        // The process that was replaced says in vain that the run failed.
        refused(
            client
                .post_report_of_claim(&report(&app, run_id, RunOutcome::Failed), 1)
                .await,
            409,
        );
        // So does one that woke up too late to have the run at all.
        let late = client
            .post_run_report(&report(&app, run_id, RunOutcome::Failed))
            .await;
        refused(late, 409);
        refused(client.claim_run(run_id, app.system_id, None).await, 409);
    }
    assert_eq!(app.count("select count(*) from run_checkpoints").await, 0);
    assert_eq!(app.count("select count(*) from runs_under_way").await, 0);
    // Reports without a claim are stored as ever.
    let run_id = Uuid::new_v4();
    for outcome in [RunOutcome::Failed, RunOutcome::Complete] {
        client
            .post_run_report(&report(&app, run_id, outcome))
            .await
            .expect("stored");
    }
}

#[tokio::test]
async fn what_is_sent_under_a_claim_is_refused_when_somebody_claimed_the_run_since_or_it_has_ended()
{
    let app = TestApp::start().await;
    let client = client(&app);
    let run_id = Uuid::new_v4();
    let open = open(&app, Some(run_id), SyncMode::Delta);
    let begin = async |epoch: i32| {
        let claimed = client.under_claim(run_id, epoch);
        claimed.open_session(&open, OpenOptions::default()).await
    };
    client
        .claim_run(run_id, app.system_id, None)
        .await
        .expect("ours");
    let first = begin(1).await.expect("opened");
    client
        .claim_run(run_id, app.system_id, None)
        .await
        .expect("ours");
    let batch = json!([{"id": id(0), "displayName": "late"}]);
    let path = format!("/api/ingest/sessions/{}", first.sync_id());
    for (method, what, body) in [
        (Method::PUT, "batches/0", json!({"records": batch})),
        (Method::POST, "commit", json!({"batches": 0})),
        (Method::POST, "abort", json!({})),
    ] {
        let request = app.request(method, &format!("{path}/{what}"));
        let request = request.header("X-Run-Claim", format!("{run_id} 1"));
        app.send(request.json(&body)).await.expect(409);
    }
    refused(begin(1).await, 409);
    begin(2).await.expect("opened");
    client
        .post_report_of_claim(&report(&app, run_id, RunOutcome::Complete), 2)
        .await
        .expect("stored");
    refused(begin(2).await, 409);
    assert_eq!(app.count("select count(*) from principals").await, 0);
    let still_open = "select count(*) from sync_sessions where state = 'open'";
    assert_eq!(app.count(still_open).await, 2);
}

#[tokio::test]
async fn a_run_that_nobody_touched_for_seven_days_is_refused_and_then_purged() {
    let app = TestApp::start().await;
    let client = client(&app);
    let (old, young) = (Uuid::new_v4(), Uuid::new_v4());
    for run_id in [old, young] {
        client
            .claim_run(run_id, app.system_id, None)
            .await
            .expect("ours");
        let entries = (0..25)
            .map(|n| entry("users", &n.to_string(), json!(n)))
            .collect();
        client
            .save_checkpoint(run_id, 1, entries)
            .await
            .expect("saved");
    }
    sqlx::query("update runs_under_way set touched_at = now() - interval '7 days 2 hours', began_at = now() - interval '9 days' where run_id = $1")
        .bind(old)
        .execute(&app.pool)
        .await
        .expect("time passes");
    let said = refused(client.claim_run(old, app.system_id, None).await, 409);
    assert!(said.contains("7 days"), "{said}");
    refused(client.checkpoint(old).await, 404);
    refused(client.save_checkpoint(old, 1, Vec::new()).await, 404);

    sqlx::query("update runs_under_way set began_at = now() - interval '2 days' where run_id = $1")
        .bind(young)
        .execute(&app.pool)
        .await
        .expect("time passes");
    let claimed = client
        .claim_run(young, app.system_id, None)
        .await
        .expect("ours");
    assert!(
        (172_800_000..180_000_000).contains(&claimed.began_ms_ago),
        "{claimed:?}"
    );

    let mut retention = Retention::default();
    retention.pace.step = 10;
    retention.pace.pause = std::time::Duration::ZERO;
    let purged = purge(&app.pool, &retention, Utc::now(), &CancellationToken::new()).await;
    assert_eq!((purged.checkpoints, purged.failed), (26, 0));
    assert_eq!(client.checkpoint(young).await.expect("entries").len(), 25);
    let again = purge(&app.pool, &retention, Utc::now(), &CancellationToken::new()).await;
    assert_eq!(again.checkpoints, 0);
}

#[tokio::test]
async fn entries_that_cannot_be_stored_are_refused_by_name_and_nothing_of_their_call_is_kept() {
    let app = TestApp::start().await;
    let run_id = Uuid::new_v4();
    client(&app)
        .claim_run(run_id, app.system_id, None)
        .await
        .expect("ours");
    let path = format!("/api/ingest/runs/{run_id}/checkpoint");
    let good = json!({"stream": "users", "key": "", "value": 1});
    for (bad, pointer) in [
        (
            json!({"stream": "", "key": "", "value": 1}),
            "/entries/1/stream",
        ),
        (
            json!({"stream": "é".repeat(101), "key": "", "value": 1}),
            "/entries/1/stream",
        ),
        (
            json!({"stream": "a\u{1}", "key": "", "value": 1}),
            "/entries/1/stream",
        ),
        (
            json!({"stream": "a", "key": "é".repeat(201), "value": 1}),
            "/entries/1/key",
        ),
        (
            json!({"stream": "a", "key": "\0", "value": 1}),
            "/entries/1/key",
        ),
        (
            json!({"stream": "a", "key": "", "value": {"a": ["\0"]}}),
            "/entries/1/value",
        ),
        (
            json!({"stream": "a", "key": "", "value": {"\0": 1}}),
            "/entries/1/value",
        ),
    ] {
        let body = json!({"epoch": 1, "entries": [good, bad]});
        let problem = app.put(&path, &body).await.expect(400);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    app.put(
        &path,
        &json!({"epoch": 1, "entries": [{"stream": "a", "key": ""}]}),
    )
    .await
    .expect(400);
    let many = vec![good.clone(); 5_001];
    app.put(&path, &json!({"epoch": 1, "entries": many}))
        .await
        .expect(400);
    assert_eq!(app.count("select count(*) from run_checkpoints").await, 0);
    let most: Vec<Value> = (0..5_000)
        .map(|n| json!({"stream": "é".repeat(100), "key": format!("{n:0>200}").chars().take(20).collect::<String>() + &n.to_string(), "value": n}))
        .collect();
    let body = json!({"epoch": 1, "entries": most});
    assert!(body.to_string().len() > 1024 * 1024);
    app.put(&path, &body).await.expect(413);
    app.get(&format!("{path}?after=!!")).await.expect(400);
}

#[tokio::test]
async fn what_is_remembered_survives_a_restart() {
    let mut app = TestApp::start().await;
    let run_id = Uuid::new_v4();
    client(&app)
        .claim_run(run_id, app.system_id, None)
        .await
        .expect("ours");
    let entries = vec![entry("users", "", json!({"link": "next"}))];
    client(&app)
        .save_checkpoint(run_id, 1, entries.clone())
        .await
        .expect("saved");
    let wanted = open(&app, Some(run_id), SyncMode::Delta);
    let session = client(&app)
        .open_session(&wanted, OpenOptions::default())
        .await
        .expect("open");
    app.restart().await;
    let client = client(&app);
    assert_eq!(client.checkpoint(run_id).await.expect("entries"), entries);
    assert_eq!(
        client
            .claim_run(run_id, app.system_id, None)
            .await
            .expect("ours")
            .epoch,
        2
    );
    let found = client.sessions_of_run(run_id).await.expect("sessions");
    assert_eq!(found[0].sync_id, session.sync_id());
}
