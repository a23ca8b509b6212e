//! Rows as of an instant.

use serde_json::json;

use super::{ask, each, get};
use crate::app::{TestApp, id, people};

#[tokio::test]
async fn lists_counts_and_exports_as_of_an_instant_tell_the_rows_as_they_were() {
    let app = TestApp::start().await;
    app.ingest("principals", people(1..3, "Ada"), json!({}))
        .await
        .expect(201);
    let between: String = sqlx::query_scalar(
        "select to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    )
    .fetch_one(&app.pool)
    .await
    .expect("the time");
    app.ingest("principals", people(2..5, "Bo"), json!({}))
        .await
        .expect(201);
    app.ingest("principals", json!([]), json!({"deletedIds": [id(1)]}))
        .await
        .expect(201);
    let wanted = [
        ("asOf", between.as_str()),
        ("count", "exact"),
        ("sort", "-ext.site,displayName"),
        ("filter", "id exists"),
    ];
    let past = get(&app, "/api/register/principals", &wanted)
        .await
        .expect(200);
    assert_eq!(each(&past, "id"), [json!(id(1)), json!(id(2))]);
    let names = each(&past, "displayName");
    assert!(
        names
            .iter()
            .all(|name| name.as_str().is_some_and(|name| name.starts_with("Ada"))),
        "{names:?}"
    );
    assert_eq!(past["count"]["rows"], 2);
    let export = ask(
        &app,
        &app.key,
        "/api/register/principals/export",
        &[("asOf", &between)],
    )
    .send()
    .await;
    assert_eq!(
        export
            .expect("an answer")
            .text()
            .await
            .expect("a body")
            .lines()
            .count(),
        2
    );
    let now = get(&app, "/api/register/principals", &[("count", "exact")])
        .await
        .expect(200);
    assert_eq!(now["count"]["rows"], 3);
}
