use serde_json::json;

use crate::app::{TestApp, people};

#[tokio::test]
async fn start_continue_end_is_one_full_load() {
    let app = TestApp::start().await;
    let full =
        json!({"syncMode": "full", "syncSession": "start", "scope": {"principalType": "User"}});
    for round in 0..2 {
        let started = app
            .ingest("principals", people(0..10, "Ada"), full.clone())
            .await
            .expect(201);
        let sync_id = started["syncId"].clone();
        let next = |step: &str| json!({"syncMode": "full", "syncSession": step, "syncId": sync_id});
        app.ingest("principals", people(10..20, "Ada"), next("continue"))
            .await
            .expect(200);
        app.ingest("resources", json!([]), next("continue"))
            .await
            .expect(409);
        let last = if round == 0 { 20..31 } else { 20..30 };
        let ended = app
            .ingest("principals", people(last, "Ada"), next("end"))
            .await
            .expect(200);
        assert_eq!(
            app.ingest("principals", json!([]), next("end"))
                .await
                .expect(200),
            ended,
            "a lost answer can be had again"
        );
        let counts = (
            ended["inserted"].as_u64(),
            ended["unchanged"].as_u64(),
            ended["deleted"].as_u64(),
        );
        assert_eq!(
            counts,
            if round == 0 {
                (Some(31), Some(0), Some(0))
            } else {
                (Some(0), Some(30), Some(1))
            }
        );
        app.ingest("principals", people(0..1, "Ada"), next("continue"))
            .await
            .expect(409);
    }
}

#[tokio::test]
async fn an_abandoned_chunked_load_removes_nothing() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..30, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    app.ingest(
        "principals",
        people(0..10, "Ada"),
        json!({"syncMode": "full", "syncSession": "start"}),
    )
    .await
    .expect(201);
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        30
    );
}
