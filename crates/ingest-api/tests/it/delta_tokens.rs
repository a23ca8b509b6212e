//! Where the next delta readings begin: kept with the load that they stand behind, and for its system only.

use std::collections::BTreeMap;

use contract::{
    Completeness, DeltaToken, NewDeltaToken, Permission, SaveDeltaToken, SyncMode, TokenText,
};
use ingest_client::{BatchLimits, BatchWriter, OpenOptions};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::{TestApp, people},
    resuming::{client, client_of, foreign_key, open, refused, rotated},
};

fn text(token: &str) -> TokenText {
    TokenText(token.to_owned())
}

fn new(endpoint: &str, token: &str, is_full_read: bool) -> NewDeltaToken {
    NewDeltaToken {
        endpoint: endpoint.into(),
        config_hash: "c1".into(),
        token: text(token),
        is_full_read,
    }
}

fn saved(token: &str, is_full_read: bool) -> SaveDeltaToken {
    SaveDeltaToken {
        config_hash: "c2".into(),
        token: text(token),
        is_full_read,
    }
}

/// A token, its configuration, seconds since it was saved and since everything was read, its session.
type Kept = (String, &'static str, u64, Option<u64>, Option<Uuid>);

async fn age(app: &TestApp, seconds: i32) {
    sqlx::query(
        "update delta_tokens set saved_at = saved_at - make_interval(secs => $1), \
         full_read_at = full_read_at - make_interval(secs => $1)",
    )
    .bind(f64::from(seconds))
    .execute(&app.pool)
    .await
    .expect("time passes");
}

#[tokio::test]
async fn tokens_equal_a_model_after_random_commits_saves_and_deletions_and_tell_their_ages() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let (client, system) = (client(&app), app.system_id);
    let mut model: BTreeMap<&str, Kept> = BTreeMap::new();
    for round in 0..50 {
        let endpoint =
            ["users/delta", "Groups", "groups/delta", "a.b_c-d/e"][rng.random_range(0..4)];
        let (token, is_full) = (format!("https://x/?t={round}&é"), rng.random_bool(0.3));
        let full_before = model.get(endpoint).and_then(|kept| kept.3);
        let full = if is_full { Some(0) } else { full_before };
        match rng.random_range(0..5) {
            0 => {
                let wanted = saved(&token, is_full);
                client
                    .save_delta_token(system, endpoint, &wanted)
                    .await
                    .expect("saved");
                model.insert(endpoint, (token, "c2", 0, full, None));
            }
            1 => {
                client
                    .delete_delta_token(system, endpoint)
                    .await
                    .expect("gone");
                model.remove(endpoint);
            }
            2 => {
                age(&app, 1000).await;
                for kept in model.values_mut() {
                    kept.2 += 1000;
                    kept.3 = kept.3.map(|age| age + 1000);
                }
            }
            _ => {
                let session = open(&app, None, SyncMode::Delta);
                let session = client
                    .open_session(&session, OpenOptions::default())
                    .await
                    .expect("open");
                let sync_id = session.sync_id();
                let writer = BatchWriter::<Value>::new(session, BatchLimits::default());
                let tokens = vec![new(endpoint, &token, is_full)];
                writer
                    .finish_with(Completeness::default(), tokens)
                    .await
                    .expect("committed");
                model.insert(endpoint, (token, "c1", 0, full, Some(sync_id)));
            }
        }
        let told = |found: &DeltaToken| -> Kept {
            assert_eq!(
                found.full_read_at.is_some(),
                found.full_read_age_seconds.is_some()
            );
            (
                found.token.0.clone(),
                if found.config_hash == "c1" {
                    "c1"
                } else {
                    "c2"
                },
                // The seconds that the test itself takes do not count.
                found.age_seconds / 1000 * 1000,
                found.full_read_age_seconds.map(|age| age / 1000 * 1000),
                found.sync_id,
            )
        };
        let found = client.delta_tokens(system).await.expect("tokens");
        let listed: BTreeMap<&str, Kept> = (found.iter())
            .map(|found| (found.endpoint.as_str(), told(found)))
            .collect();
        assert_eq!(listed, model);
        let one = client
            .delta_token(system, endpoint)
            .await
            .expect("an answer");
        assert_eq!(one.as_ref().map(told), model.get(endpoint).cloned());
    }
}

#[tokio::test]
async fn a_token_is_saved_with_its_commit_or_not_at_all() {
    let app = TestApp::start().await;
    let client = client(&app);
    let session = open(&app, None, SyncMode::Full);
    let session = client
        .open_session(&session, OpenOptions::default())
        .await
        .expect("open");
    let path = format!("/api/ingest/sessions/{}/commit", session.sync_id());
    let tokens = async || client.delta_tokens(app.system_id).await.expect("tokens");
    let token =
        |token: &str| json!([{"endpoint": "users/delta", "configHash": "c", "token": token}]);
    // A batch is missing.
    app.post(&path, &json!({"batches": 1, "deltaTokens": token("a")}))
        .await
        .expect(409);
    // The last thing that the commit does fails.
    app.post(&path, &json!({"batches": 0, "complete": true, "incompleteParents": [Uuid::nil()], "deltaTokens": token("a")})).await.expect(400);
    assert!(tokens().await.is_empty());
    // What comes again after a lost answer gets the first answer and saves nothing.
    for word in ["b", "c"] {
        app.post(
            &path,
            &json!({"batches": 0, "complete": true, "deltaTokens": token(word)}),
        )
        .await
        .expect(200);
        assert_eq!(tokens().await[0].token, text("b"));
    }
    let session = open(&app, None, SyncMode::Full);
    let session = client
        .open_session(&session, OpenOptions::default())
        .await
        .expect("open");
    session.abort().await.expect("aborted");
    let late = session.commit_with(
        0,
        Completeness::default(),
        vec![new("users/delta", "d", true)],
    );
    refused(late.await, 409);
    assert_eq!(tokens().await[0].token, text("b"));
    assert_eq!(tokens().await[0].full_read_at, None);
}

#[tokio::test]
async fn tokens_are_for_keys_of_their_system_and_workspace_that_may_crawl_it() {
    let mut app = TestApp::start().await;
    let (ours, other) = (app.system_id, app.new_system("Other").await);
    client(&app)
        .save_delta_token(ours, "users", &saved("secret", true))
        .await
        .expect("saved");
    let limited = client_of(
        &app,
        &app.new_key(&Permission::ALL, Some(vec![other])).await,
    );
    let reader = client_of(
        &app,
        &app.new_key(&[Permission::Read, Permission::Admin], None)
            .await,
    );
    let foreign = client_of(&app, &foreign_key(&app).await);
    for outsider in [limited.clone(), reader, foreign] {
        refused(outsider.delta_tokens(ours).await, 403);
        refused(outsider.delta_token(ours, "users").await, 403);
        refused(
            outsider
                .save_delta_token(ours, "users", &saved("x", true))
                .await,
            403,
        );
        refused(outsider.delete_delta_token(ours, "users").await, 403);
    }
    assert!(
        limited
            .delta_tokens(other)
            .await
            .expect("tokens")
            .is_empty()
    );
    limited
        .save_delta_token(other, "users", &saved("theirs", false))
        .await
        .expect("saved");
    limited
        .delete_delta_token(other, "users")
        .await
        .expect("gone");
    app.get("/api/crawlers/delta-tokens").await.expect(400);
    let successor = rotated(&app).await;
    app.restart().await;
    let found = client_of(&app, &successor)
        .delta_token(ours, "users")
        .await
        .expect("an answer");
    assert_eq!(found.expect("a token").token, text("secret"));
}

#[tokio::test]
async fn what_is_no_token_is_refused_by_name_and_without_showing_it() {
    let app = TestApp::start().await;
    let session = open(&app, None, SyncMode::Delta);
    let session = client(&app)
        .open_session(&session, OpenOptions::default())
        .await
        .expect("open");
    let path = format!("/api/ingest/sessions/{}/commit", session.sync_id());
    let good = json!({"endpoint": "users", "configHash": "c", "token": "CANARY"});
    let long = "e".repeat(101);
    for (field, value) in [
        ("endpoint", json!("")),
        ("endpoint", json!("1users")),
        ("endpoint", json!("users?x")),
        ("endpoint", json!("usérs")),
        ("endpoint", json!(long)),
        ("endpoint", json!("users")),
        ("configHash", json!("")),
        ("configHash", json!("c".repeat(201))),
        ("token", json!("")),
        ("token", json!("CANARY\0")),
        ("token", json!("CANARY".repeat(3_000))),
    ] {
        let mut bad = json!({"endpoint": "groups", "configHash": "c", "token": "CANARY"});
        bad[field] = value;
        let problem = app
            .post(&path, &json!({"batches": 0, "deltaTokens": [good, bad]}))
            .await
            .expect(400);
        assert_eq!(
            problem["errors"][0]["pointer"],
            format!("/deltaTokens/1/{field}"),
            "{problem}"
        );
        assert!(!problem.to_string().contains("CANARY"), "{problem}");
    }
    let many: Vec<Value> = (0..51)
        .map(|n| json!({"endpoint": format!("e{n}"), "configHash": "c", "token": "t"}))
        .collect();
    let problem = app
        .post(&path, &json!({"batches": 0, "deltaTokens": many}))
        .await
        .expect(400);
    assert_eq!(problem["errors"][0]["pointer"], "/deltaTokens");
    let one = format!(
        "/api/crawlers/delta-tokens/users?systemId={}",
        app.system_id
    );
    let body = json!({"configHash": "c", "token": "CANARY\0", "isFullRead": true});
    let problem = app.put(&one, &body).await.expect(400);
    assert_eq!(problem["errors"][0]["pointer"], "/token");
    let bad = format!(
        "/api/crawlers/delta-tokens/1users?systemId={}",
        app.system_id
    );
    app.put(&bad, &json!({"configHash": "c", "token": "t"}))
        .await
        .expect(400);
    assert_eq!(app.count("select count(*) from delta_tokens").await, 0);
    // As many and as long as is allowed.
    let most: Vec<Value> = (0..50)
        .map(|n| json!({"endpoint": format!("e{n:0>99}"), "configHash": "c", "token": "t".repeat(16 * 1024)}))
        .collect();
    app.put(
        &path.replace("commit", "batches/0"),
        &json!({"records": people(0..1, "Ada")}),
    )
    .await
    .expect(200);
    app.post(&path, &json!({"batches": 1, "deltaTokens": most}))
        .await
        .expect(200);
    assert_eq!(app.count("select count(*) from delta_tokens").await, 50);
}
