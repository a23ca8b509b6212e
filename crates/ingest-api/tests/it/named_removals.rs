//! Rows that a delta session names for removal: the last word counts, and the delete guard judges the whole session.

use std::collections::{BTreeMap, BTreeSet};

use contract::{Completeness, Entity, SyncMode, session::OpenSession};
use ingest_client::{BatchLimits, BatchWriter, OpenOptions};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::{TestApp, id, members, people},
    resuming::{client, open},
};

/// Opens a delta session and answers its path.
async fn delta(app: &TestApp, entity: &str) -> String {
    let body = json!({"systemId": app.system_id, "entity": entity, "syncMode": "delta"});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    )
}

async fn put(app: &TestApp, session: &str, seq: usize, records: Value, removed: Value) -> Value {
    let body = json!({"records": records, "deletedIds": removed});
    app.put(&format!("{session}/batches/{seq}"), &body)
        .await
        .expect(200)
}

async fn commit(app: &TestApp, session: &str, batches: usize) -> Value {
    app.post(&format!("{session}/commit"), &json!({"batches": batches}))
        .await
        .expect(200)
}

async fn live(app: &TestApp) -> BTreeSet<u32> {
    let ids: Vec<Uuid> = sqlx::query_scalar("select id from principals where deleted_at is null")
        .fetch_all(&app.pool)
        .await
        .expect("ids");
    ids.into_iter()
        .map(|id| (id.as_u128() & 0xFFFF_FFFF) as u32)
        .collect()
}

/// A key in one of the forms that name a row.
fn named(rng: &mut StdRng, n: u32) -> Value {
    match rng.random_range(0..3) {
        0 => json!(id(n)),
        1 => json!(id(n).to_string().to_uppercase()),
        _ => json!({"id": id(n)}),
    }
}

fn record(n: u32) -> Value {
    json!({"id": id(n), "displayName": format!("Ada {n}")})
}

/// One session of random batches, sent in any order and more than once; answers how many rows the commit removed.
async fn random_session(app: &TestApp, rng: &mut StdRng, model: &mut BTreeSet<u32>) -> bool {
    let before = model.len();
    let session = delta(app, "principals").await;
    let from = rng.random_range(0..200);
    let pool: Vec<u32> = (from..from + rng.random_range(3..30)).collect();
    let share = rng.random_range(0.05..0.5);
    let mut batches = Vec::new();
    let mut last: BTreeMap<u32, bool> = BTreeMap::new();
    for _ in 0..rng.random_range(1..7) {
        let (mut records, mut removed) = (Vec::new(), Vec::new());
        for n in &pool {
            if rng.random_bool(0.3) {
                records.push(record(*n));
                model.insert(*n);
                last.insert(*n, true);
            }
            if rng.random_bool(share) {
                removed.push(named(rng, *n));
                last.insert(*n, false);
            }
        }
        batches.push((records, removed));
    }
    let mut order: Vec<usize> = (0..batches.len()).flat_map(|seq| [seq, seq]).collect();
    order.shuffle(rng);
    for seq in order {
        let (records, removed) = batches[seq].clone();
        put(app, &session, seq, json!(records), json!(removed)).await;
        // Nothing is removed before the commit.
        assert!(
            live(app).await.is_superset(
                &model
                    .iter()
                    .copied()
                    .filter(|n| !pool.contains(n))
                    .collect()
            )
        );
    }
    assert_eq!(live(app).await, *model);
    let gone: BTreeSet<u32> = (last.iter())
        .filter(|(n, is_record)| !**is_record && model.contains(n))
        .map(|(n, _)| *n)
        .collect();
    let answer = commit(app, &session, batches.len()).await;
    assert_eq!(
        commit(app, &session, batches.len()).await,
        answer,
        "again after a lost answer"
    );
    let goes = gone.len() < model.len() && (gone.len() <= 10 || gone.len() * 20 <= before);
    if goes {
        assert_eq!(
            (&answer["deleted"], answer.get("held")),
            (&json!(gone.len()), None),
            "{answer}"
        );
        model.retain(|n| !gone.contains(n));
    } else {
        assert_eq!(answer["deleted"], 0);
        assert_eq!(answer["held"]["wouldDelete"], gone.len(), "{answer}");
        assert_eq!(live(app).await, *model);
        let held = format!(
            "/api/ingest/held/{}",
            answer["held"]["changeSetId"].as_str().expect("an id")
        );
        let decision = if rng.random_bool(0.5) {
            "approve"
        } else {
            "reject"
        };
        app.post(
            &format!("{held}/{decision}"),
            &json!({"reason": "it is so"}),
        )
        .await
        .expect(200);
        if decision == "approve" {
            model.retain(|n| !gone.contains(n));
        }
    }
    assert_eq!(live(app).await, *model);
    goes
}

#[tokio::test]
async fn the_last_word_about_a_row_counts_in_whatever_order_and_however_often_batches_arrive() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    app.ingest("principals", people(0..200, "Ada"), json!({}))
        .await
        .expect(201);
    let mut model: BTreeSet<u32> = (0..200).collect();
    let mut verdicts = BTreeSet::new();
    for _ in 0..25 {
        verdicts.insert(random_session(&app, &mut rng, &mut model).await);
    }
    assert_eq!(verdicts.len(), 2, "some sessions are held and some are not");
    assert_eq!(app.count("select count(*) from session_removals").await, 0);
    // Every removal has its history, and every version its end.
    assert_eq!(
        app.count("select count(*) from principals p where deleted_at is not null and not exists (select from history_principals h \
            where h.row_id = p.row_id and h.operation = 'delete' and h.valid_to = p.deleted_at)").await,
        0
    );
    assert!(
        app.count("select count(*) from history_principals where operation = 'delete'")
            .await
            > 0
    );
}

#[tokio::test]
async fn no_number_of_small_batches_gets_past_the_guard() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..100, "Ada"), json!({}))
        .await
        .expect(201);
    let session = delta(&app, "principals").await;
    for n in 0..11_u32 {
        put(&app, &session, n as usize, json!([]), json!([id(n)])).await;
    }
    let answer = commit(&app, &session, 11).await;
    assert_eq!(answer["held"]["reason"], "over_limit", "{answer}");
    assert_eq!(
        (&answer["held"]["wouldDelete"], &answer["held"]["of"]),
        (&json!(11), &json!(100))
    );
    assert_eq!(live(&app).await.len(), 100);
    // New rows make no room for more.
    let session = delta(&app, "principals").await;
    put(
        &app,
        &session,
        0,
        people(1000..2000, "Bo"),
        (0..11).map(|n| json!(id(n))).collect(),
    )
    .await;
    assert_eq!(commit(&app, &session, 1).await["held"]["wouldDelete"], 11);
    // A person sees the rows, and one that is brought again meanwhile leaves the sets.
    app.ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(201);
    let held = app.get("/api/ingest/held?state=held").await.expect(200);
    let sets = held["items"].as_array().expect("a list");
    assert_eq!(sets.len(), 2);
    let set = format!(
        "/api/ingest/held/{}",
        sets[1]["changeSetId"].as_str().expect("an id")
    );
    let rows = app.get(&format!("{set}/rows")).await.expect(200);
    assert_eq!(rows["items"].as_array().expect("a list").len(), 10);
    app.post(
        &format!("{set}/approve"),
        &json!({"reason": "they left", "wouldDelete": 10}),
    )
    .await
    .expect(200);
    assert_eq!(live(&app).await.len(), 1090);
    let session = delta(&app, "principals").await;
    let named = put(
        &app,
        &session,
        0,
        json!([]),
        (20..30).map(|n| json!(id(n))).collect(),
    )
    .await;
    assert_eq!(named["deleted"], 0);
    assert_eq!(commit(&app, &session, 1).await["deleted"], 10);
    assert!(app.count("select count(*) from changes").await > 0);
}

#[tokio::test]
async fn a_row_that_another_load_brings_after_it_was_named_stays() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..50, "Ada"), json!({}))
        .await
        .expect(201);
    let session = delta(&app, "principals").await;
    // Before it was named: that does not save it.
    app.ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(201);
    put(
        &app,
        &session,
        0,
        json!([]),
        json!([id(0), id(1), id(2), id(3)]),
    )
    .await;
    app.ingest("principals", people(1..2, "Ada"), json!({}))
        .await
        .expect(201);
    app.ingest("principals", people(2..3, "Bo"), json!({}))
        .await
        .expect(201);
    let others = delta(&app, "principals").await;
    put(&app, &others, 0, people(3..4, "Ada"), json!([])).await;
    assert_eq!(commit(&app, &session, 1).await["deleted"], 1);
    let left = live(&app).await;
    assert!(
        !left.contains(&0) && left.is_superset(&[1, 2, 3].into()),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_refused_record_that_comes_later_keeps_its_row() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..50, "Ada"), json!({}))
        .await
        .expect(201);
    let session = delta(&app, "principals").await;
    put(
        &app,
        &session,
        1,
        json!([{"id": id(0), "displayName": 7}]),
        json!([]),
    )
    .await;
    put(&app, &session, 0, json!([]), json!([id(0), id(1)])).await;
    assert_eq!(commit(&app, &session, 2).await["deleted"], 1);
    assert!(live(&app).await.contains(&0));
}

#[tokio::test]
async fn only_delta_sessions_take_removals_and_a_bad_key_refuses_its_batch() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..50, "Ada"), json!({}))
        .await
        .expect(201);
    let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full"});
    let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
    let path = format!(
        "/api/ingest/sessions/{}/batches/0",
        opened["syncId"].as_str().expect("an id")
    );
    let problem = app
        .put(&path, &json!({"records": [], "deletedIds": [id(1)]}))
        .await
        .expect(400);
    assert_eq!(problem["errors"][0]["pointer"], "/deletedIds");
    app.put(&path, &json!({"records": [], "deletedIds": []}))
        .await
        .expect(200);

    let session = delta(&app, "principals").await;
    let path = format!("{session}/batches/0");
    for bad in [
        json!(7),
        json!("x"),
        json!({"x": 1}),
        json!([id(1)]),
        json!(null),
    ] {
        let body = json!({"records": people(60..61, "New"), "deletedIds": [id(1), bad]});
        let problem = app.put(&path, &body).await.expect(400);
        let pointer = problem["errors"][0]["pointer"].as_str().expect("a pointer");
        assert!(pointer.starts_with("/deletedIds/1"), "{problem}");
    }
    assert_eq!(live(&app).await.len(), 50);
    assert_eq!(commit(&app, &session, 0).await["deleted"], 0);
}

#[tokio::test]
async fn a_session_that_is_given_up_removes_nothing_and_forgets_and_a_restart_forgets_nothing() {
    let mut app = TestApp::start().await;
    app.ingest("principals", people(0..50, "Ada"), json!({}))
        .await
        .expect(201);
    let (given_up, kept) = (
        delta(&app, "principals").await,
        delta(&app, "principals").await,
    );
    put(&app, &given_up, 0, json!([]), json!([id(1)])).await;
    put(&app, &kept, 0, json!([]), json!([id(2)])).await;
    app.post(&format!("{given_up}/abort"), &json!({}))
        .await
        .expect(200);
    assert_eq!(app.count("select count(*) from session_removals").await, 1);
    app.restart().await;
    assert_eq!(commit(&app, &kept, 1).await["deleted"], 1);
    assert_eq!(live(&app).await.len(), 49);
    assert!(!live(&app).await.contains(&2));
}

#[tokio::test]
async fn the_writer_keeps_the_order_of_records_and_removals_and_names_keys_of_several_fields() {
    let app = TestApp::start().await;
    app.ingest("resource-assignments", json!(members(1, 0..40)), json!({}))
        .await
        .expect(201);
    let key =
        |n: u32| json!({"resourceId": id(1), "principalId": id(n), "assignmentType": "Direct"});
    let wanted = OpenSession {
        entity: Entity::ResourceAssignments,
        ..open(&app, None, SyncMode::Delta)
    };
    let session = client(&app)
        .open_session(&wanted, OpenOptions::default())
        .await
        .expect("open");
    let limits = BatchLimits {
        max_records: 3,
        ..BatchLimits::default()
    };
    let mut writer = BatchWriter::<Value>::new(session, limits);
    for n in 0..6 {
        writer.remove(&key(n)).await.expect("taken");
    }
    // Brought again: they stay. Removed after that: they go.
    for n in [0, 1, 2, 50] {
        writer.push(&key(n)).await.expect("taken");
    }
    for n in [1, 50] {
        writer.remove(&key(n)).await.expect("taken");
    }
    let answer = writer
        .finish(Completeness::default())
        .await
        .expect("committed");
    assert_eq!(
        (answer.deleted, answer.inserted, answer.rejected),
        (5, 1, 0),
        "{answer:?}"
    );
    let left: Vec<Uuid> = sqlx::query_scalar(
        "select principal_id from resource_assignments where deleted_at is null order by 1",
    )
    .fetch_all(&app.pool)
    .await
    .expect("rows");
    let expected: Vec<Uuid> = [0, 2].into_iter().chain(6..40).map(id).collect();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn sessions_that_remove_and_load_side_by_side_do_not_stop_each_other() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..400, "Ada"), json!({}))
        .await
        .expect(201);
    let side_by_side = (0..6_u32).map(|part| {
        let app = &app;
        async move {
            let session = delta(app, "principals").await;
            let from = part * 50;
            let first = people(from + 10..from + 40, "Bo");
            let named: Value = (from..from + 3).map(|n| json!(id(n))).collect();
            let again = people(from + 10..from + 40, "Cy");
            futures_util::join!(
                put(app, &session, 0, first, named),
                put(app, &session, 1, again, json!([])),
            );
            commit(app, &session, 2).await["deleted"]
                .as_u64()
                .expect("a number")
        }
    });
    let removed = futures_util::future::join_all(side_by_side).await;
    assert_eq!(removed, [3; 6]);
    assert_eq!(live(&app).await.len(), 382);
}
