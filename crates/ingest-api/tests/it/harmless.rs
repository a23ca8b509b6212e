//! Inputs that break other registers.

use serde_json::{Value, json};

use crate::app::{TestApp, id, merge, people};

/// Name, job title, department, the rest.
type Row = (String, Option<String>, Option<String>, Value);

const LIVE: &str = "select count(*) from principals where deleted_at is null";

#[tokio::test]
async fn a_null_as_the_only_record_is_a_refused_record() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..20, "Ada"), json!({}))
        .await
        .expect(201);
    for mode in ["full", "delta"] {
        let answer = app
            .ingest("principals", json!([null]), json!({"syncMode": mode}))
            .await
            .expect(201);
        assert_eq!(
            (&answer["records"], &answer["rejected"], &answer["deleted"]),
            (&json!(1), &json!(1), &json!(0))
        );
        assert_eq!(answer["errors"][0]["index"], 0);
        assert_eq!(answer["errors"][0]["code"], "type");
    }
    assert_eq!(app.count(LIVE).await, 20);
}

#[tokio::test]
async fn a_continue_that_is_sent_twice_after_a_lost_answer_changes_nothing() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..60, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let full = |step: &str, sync_id: &Value| {
        let mut envelope = json!({"syncMode": "full", "syncSession": step});
        if !sync_id.is_null() {
            merge(&mut envelope, json!({"syncId": sync_id}));
        }
        envelope
    };
    let started = app
        .ingest(
            "principals",
            people(0..20, "Bo"),
            full("start", &Value::Null),
        )
        .await
        .expect(201);
    let sync_id = &started["syncId"];
    for (counted, duplicates) in [("updated", 0), ("unchanged", 20)] {
        let answer = app
            .ingest(
                "principals",
                people(20..40, "Bo"),
                full("continue", sync_id),
            )
            .await
            .expect(200);
        assert_eq!(
            (&answer[counted], &answer["duplicates"]),
            (&json!(20), &json!(duplicates))
        );
    }
    let ended = app
        .ingest("principals", people(40..60, "Bo"), full("end", sync_id))
        .await
        .expect(200);
    assert_eq!(
        (&ended["updated"], &ended["duplicates"], &ended["deleted"]),
        (&json!(60), &json!(20), &json!(0))
    );
    assert_eq!(app.count(LIVE).await, 60);
    let versions = "select count(*) from history where operation = 'update'";
    assert_eq!(app.count(versions).await, 60);
}

#[tokio::test]
async fn a_field_that_first_appears_in_a_later_batch_is_stored() {
    let app = TestApp::start().await;
    for mode in ["full", "delta"] {
        let opening = json!({"systemId": app.system_id, "entity": "principals", "syncMode": mode});
        let opened = app.post("/api/ingest/sessions", &opening).await.expect(201);
        let session = format!(
            "/api/ingest/sessions/{}",
            opened["syncId"].as_str().expect("an id")
        );
        for (batch, record) in [
            json!({"id": id(1), "displayName": mode}),
            json!({"id": id(2), "displayName": mode, "jobTitle": "Analyst", "shoe": 38}),
            json!({"id": id(3), "displayName": mode, "department": "Tax", "hat": "L"}),
        ]
        .into_iter()
        .enumerate()
        {
            app.put(
                &format!("{session}/batches/{batch}"),
                &json!({"records": [record]}),
            )
            .await
            .expect(200);
        }
        let end = json!({"batches": 3, "complete": true});
        app.post(&format!("{session}/commit"), &end)
            .await
            .expect(200);
        let rows: Vec<Row> = sqlx::query_as(
            "select display_name, job_title, department, extended_attributes from principals order by id",
        )
        .fetch_all(&app.pool)
        .await
        .expect("rows");
        let expected = [
            (None, None, json!({})),
            (Some("Analyst"), None, json!({"shoe": 38})),
            (None, Some("Tax"), json!({"hat": "L"})),
        ];
        let expected = expected.map(|(job, department, more)| {
            let text = |value: Option<&str>| value.map(str::to_owned);
            (mode.to_owned(), text(job), text(department), more)
        });
        assert_eq!(rows, expected);
    }
}

#[tokio::test]
async fn a_key_of_one_system_that_names_anothers_rows_changes_none_of_them() {
    let mut app = TestApp::start().await;
    let (own, other) = (app.system_id, app.new_system("Other").await);
    app.system_id = other;
    app.ingest(
        "principals",
        people(0..3, "Other"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let rows = "select row_id, xmin::text || ctid::text || display_name from principals p \
                where exists (select from systems s where s.system_id = p.system_id and s.display_name = 'Other') order by 1";
    let before = app.row_versions(rows).await;
    assert_eq!(before.len(), 3);

    app.system_id = own;
    app.key = app
        .new_key(&[contract::Permission::Ingest], Some(vec![own]))
        .await;
    // Their ids make rows of the caller's own; naming them for removal finds none, and a record cannot name their system.
    let ids = json!({"deletedIds": [id(0), id(1), id(2)]});
    let named = app.ingest("principals", json!([]), ids).await.expect(201);
    assert_eq!(named["deleted"], 0);
    let mut records = people(0..2, "Mine");
    merge(&mut records[1], json!({"systemId": other}));
    let answer = app
        .ingest("principals", records, json!({"syncMode": "full"}))
        .await
        .expect(201);
    assert_eq!(
        (&answer["inserted"], &answer["rejected"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(answer["errors"][0]["code"], "foreign_system");
    app.ingest(
        "principals",
        people(0..1, "Mine"),
        json!({"systemId": other}),
    )
    .await
    .expect(403);
    assert_eq!(app.row_versions(rows).await, before);
}
