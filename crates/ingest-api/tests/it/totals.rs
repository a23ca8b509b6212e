//! How much there is, and how sure that is.

use contract::Permission;
use serde_json::json;

use crate::app::{TestApp, members, people};

#[tokio::test]
async fn totals_are_of_the_workspace_and_say_which_numbers_are_estimates() {
    let mut app = TestApp::start().await;
    let other = app.new_system("Other").await;
    for system_id in [app.system_id, other] {
        let more = json!({"systemId": system_id});
        app.ingest("principals", people(1..4, "Ada"), more.clone())
            .await
            .expect(201);
        app.ingest(
            "resource-assignments",
            json!(members(50, 1..3)),
            json!({"systemId": system_id, "syncMode": "delta"}),
        )
        .await
        .expect(201);
    }
    let totals = app.get("/api/totals?count=exact").await.expect(200);
    assert_eq!(totals["estimated"], json!([]));
    assert_eq!(totals["systems"], 2);
    assert_eq!(totals["principals"], 6);
    assert_eq!(totals["resourceAssignments"], 4);
    assert_eq!(totals["effectiveAccess"], 4);

    let roughly = app.get("/api/totals?count=estimated").await.expect(200);
    let estimated = roughly["estimated"].as_array().expect("names");
    assert!(estimated.contains(&json!("principals")));
    assert!(roughly["principals"].is_u64());
    assert!(roughly.get("effectiveAccess").is_none());

    // However much was counted, every number is there, and is right unless it is called an estimate.
    let usual = app.get("/api/totals").await.expect(200);
    for (name, number) in totals.as_object().expect("an object") {
        if name != "estimated" && name != "effectiveAccess" {
            let is_estimated = usual["estimated"]
                .as_array()
                .expect("names")
                .contains(&json!(name));
            assert!(is_estimated || usual[name] == *number, "{name}: {usual}");
        }
    }
    app.get("/api/totals?count=none").await.expect(400);

    sqlx::query("with w as (insert into workspaces (name) values ('else') returning workspace_id) update systems set workspace_id = (select workspace_id from w) where system_id = $1")
        .bind(other)
        .execute(&app.pool)
        .await
        .expect("moves");
    let totals = app.get("/api/totals?count=exact").await.expect(200);
    assert_eq!(
        (&totals["systems"], &totals["principals"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(totals["effectiveAccess"], 2);
    app.key = app
        .new_key(&[Permission::Read], Some(vec![app.system_id]))
        .await;
    app.get("/api/totals").await.expect(403);
}
