//! A run's report says what became of the views after it.

use serde_json::{Value, json};

use crate::app::{TestApp, id, members, until};

async fn report(app: &TestApp, run: u32) {
    let body = json!({"runId": id(run), "systemId": app.system_id, "crawler": "test 1", "mode": "full",
        "outcome": "complete", "startedAt": "2026-11-22T06:00:00Z", "finishedAt": "2026-11-22T06:01:00Z",
        "collections": [], "traffic": {"httpCalls": 1, "requests": 1, "resourceUnits": 0, "throttled": 0, "retries": 0,
        "waitedMs": 0, "receivedBytes": 1}});
    let stored = app.post("/api/ingest/sync-log", &body).await;
    assert_eq!(stored.status, 201);
}

async fn view_after(app: &TestApp, run: u32) -> Value {
    let runs = app.get("/api/ingest/sync-log").await.expect(200);
    let runs = runs["items"].as_array().expect("runs");
    let of = runs.iter().find(|known| known["runId"] == json!(id(run)));
    let of = of.expect("the run");
    assert_eq!(of["crawler"], "test 1");
    of["views"][0].clone()
}

/// What a group holds: a change of the view.
async fn nest(app: &TestApp, groups: std::ops::Range<u32>) {
    let mut records = members(500, groups);
    for record in &mut records {
        record["principalType"] = json!("Group");
    }
    app.ingest(
        "resource-assignments",
        json!(records),
        json!({"syncMode": "delta"}),
    )
    .await
    .expect(201);
}

/// A server whose first look at the views, which nobody asked for, is over.
async fn started() -> TestApp {
    let app = TestApp::start().await;
    let looked = "select count(*) from view_refreshes where finished_at is not null";
    until(async || app.count(looked).await > 0).await;
    app
}

async fn refreshed(app: &TestApp, run: u32) -> Value {
    until(async || view_after(app, run).await["state"] == "upToDate").await;
    view_after(app, run).await
}

#[tokio::test]
async fn a_run_waits_for_a_refresh_and_then_names_the_one_that_brought_its_load_in() {
    let app = started().await;
    nest(&app, 1..3).await;
    report(&app, 1).await;
    let waiting = view_after(&app, 1).await;
    assert_eq!(
        waiting,
        json!({"view": "access_closure", "state": "waiting"})
    );

    app.post("/api/ingest/refresh-views", &json!({}))
        .await
        .expect(202);
    let first = refreshed(&app, 1).await;
    assert_eq!(first["view"], "access_closure");
    assert_eq!(first["rowsChanged"], first["rowsTotal"]);
    assert!(first["rowsChanged"].as_i64() > Some(0));
    assert!(first["durationMs"].is_i64() && first["refreshedAt"].is_string());

    // A later run and its refresh change nothing about what is said of this one.
    nest(&app, 3..4).await;
    report(&app, 2).await;
    assert_eq!(view_after(&app, 2).await["state"], "waiting");
    assert_eq!(view_after(&app, 1).await, first);
    app.post("/api/ingest/refresh-views", &json!({}))
        .await
        .expect(202);
    let second = refreshed(&app, 2).await;
    assert_ne!(second["refreshedAt"], first["refreshedAt"]);
    assert_eq!(view_after(&app, 1).await, first);

    // A run that changed nothing has nothing to wait for, also without a refresh; the views are as they were.
    report(&app, 3).await;
    assert_eq!(view_after(&app, 3).await, second);

    // Loaded again and reported again, it waits again.
    nest(&app, 4..5).await;
    report(&app, 1).await;
    assert_eq!(view_after(&app, 1).await["state"], "waiting");
}

#[tokio::test]
async fn a_report_that_comes_after_its_refresh_was_asked_for_is_settled_all_the_same() {
    let app = started().await;
    for run in 1..20 {
        nest(&app, run..run + 1).await;
        app.post("/api/ingest/refresh-views", &json!({}))
            .await
            .expect(202);
        report(&app, run).await;
        assert!(refreshed(&app, run).await["refreshedAt"].is_string());
    }
}

#[tokio::test]
async fn a_run_whose_refresh_is_under_way_says_so() {
    let app = started().await;
    nest(&app, 1..3).await;
    report(&app, 1).await;
    // The refresh waits for the rows of the closure.
    let mut other = app.connect().await;
    let hold = "begin; lock table access_closure in access exclusive mode";
    sqlx::raw_sql(hold)
        .execute(&mut other)
        .await
        .expect("holds");
    app.post("/api/ingest/refresh-views", &json!({}))
        .await
        .expect(202);
    until(async || view_after(&app, 1).await["state"] == "running").await;
    until(async || view_after(&app, 1).await["systemsTotal"] == 1).await;
    let status = app.get("/api/views").await.expect(200);
    assert_eq!(status["views"][0]["isRunning"], true);
    assert_eq!(
        status,
        app.get("/api/ingest/refresh-views").await.expect(200)
    );
    sqlx::raw_sql("rollback")
        .execute(&mut other)
        .await
        .expect("lets go");
    refreshed(&app, 1).await;
}
