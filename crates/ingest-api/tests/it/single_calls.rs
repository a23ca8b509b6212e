use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, id, people};

const VERSIONS: &str = "select row_id, xmin::text from principals order by row_id";

#[tokio::test]
async fn an_unchanged_reload_writes_nothing() {
    let app = TestApp::start().await;
    let first = app
        .ingest(
            "principals",
            people(0..50, "Ada"),
            json!({"syncMode": "full"}),
        )
        .await
        .expect(201);
    assert_eq!(
        (&first["inserted"], &first["unchanged"]),
        (&json!(50), &json!(0))
    );
    let before = app.row_versions(VERSIONS).await;

    for mode in ["full", "delta"] {
        let again = app
            .ingest(
                "principals",
                people(0..50, "Ada"),
                json!({"syncMode": mode}),
            )
            .await
            .expect(201);
        assert_eq!(again["unchanged"], 50, "{mode}");
        assert_eq!(
            (&again["inserted"], &again["updated"], &again["deleted"]),
            (&json!(0), &json!(0), &json!(0))
        );
    }
    assert_eq!(app.row_versions(VERSIONS).await, before);
    assert_eq!(app.count("select count(*) from history").await, 0);
    assert_eq!(
        app.count("select count(*) from rows_met where upper(row_ids) - lower(row_ids) <> 50")
            .await,
        0,
        "one range of numbers says it"
    );
}

#[tokio::test]
async fn a_change_keeps_the_version_that_it_replaces() {
    let app = TestApp::start().await;
    let ada =
        |title: &str| json!([{"id": id(1), "displayName": "Ada", "jobTitle": title, "shoe": 38}]);
    app.ingest("principals", ada("Analyst"), json!({}))
        .await
        .expect(201);
    let answer = app
        .ingest("principals", ada("Director"), json!({}))
        .await
        .expect(201);
    assert_eq!(answer["updated"], 1);

    let (key, operation, image, began, ended): (String, String, serde_json::Value, String, String) = sqlx::query_as(
        "select h.row_key, h.operation, h.image, h.began_by::text, h.ended_by::text from history h \
         join principals p on p.row_id = h.row_id and p.valid_from = h.valid_to",
    )
    .fetch_one(&app.pool)
    .await
    .expect("one version that ended when the live one began");
    assert_eq!((key, operation.as_str()), (id(1).to_string(), "update"));
    assert_eq!(image["jobTitle"], "Analyst");
    assert_eq!(image["extendedAttributes"], json!({"shoe": 38}));
    assert_eq!(ended, answer["syncId"].as_str().expect("an id"));
    assert_ne!(began, ended);
}

#[tokio::test]
async fn a_full_record_replaces_and_a_delta_record_changes() {
    let app = TestApp::start().await;
    let whole = json!([{"id": id(1), "displayName": "Ada", "jobTitle": "Analyst", "department": "R&D",
                        "extendedAttributes": {"a": 1, "b": {"c": [2]}}}]);
    app.ingest("principals", whole, json!({})).await.expect(201);
    let read = async || -> (Option<String>, Option<String>, serde_json::Value) {
        sqlx::query_as("select job_title, department, extended_attributes from principals")
            .fetch_one(&app.pool)
            .await
            .expect("one row")
    };

    let change =
        json!([{"id": id(1), "jobTitle": null, "extendedAttributes": {"a": null, "d": true}}]);
    app.ingest("principals", change, json!({"syncMode": "delta"}))
        .await
        .expect(201);
    assert_eq!(
        read().await,
        (
            None,
            Some("R&D".into()),
            json!({"b": {"c": [2]}, "d": true})
        )
    );

    let whole = json!([{"id": id(1), "displayName": "Ada", "jobTitle": "Director"}]);
    app.ingest("principals", whole, json!({"syncMode": "full"}))
        .await
        .expect(201);
    assert_eq!(read().await, (Some("Director".into()), None, json!({})));
}

#[tokio::test]
async fn of_a_repeated_record_the_last_one_wins_and_is_counted() {
    let app = TestApp::start().await;
    let upper = id(1).to_string().to_uppercase();
    let records = json!([
        {"id": id(1), "displayName": "first"}, {"id": id(2), "displayName": "other"},
        {"id": upper, "displayName": "last"},
    ]);
    let answer = app
        .ingest("principals", records, json!({}))
        .await
        .expect(201);
    assert_eq!(
        (&answer["inserted"], &answer["duplicates"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        app.count("select count(*) from principals where display_name = 'last'")
            .await,
        1
    );
}

#[tokio::test]
async fn named_rows_are_removed_softly_and_come_back_with_their_history() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..3, "Ada"), json!({}))
        .await
        .expect(201);
    let gone = app
        .ingest(
            "principals",
            json!([]),
            json!({"deletedIds": [id(1), id(77)]}),
        )
        .await
        .expect(201);
    assert_eq!(gone["deleted"], 1);
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is not null")
            .await,
        1
    );

    let back = app
        .ingest("principals", people(1..2, "Ada"), json!({}))
        .await
        .expect(201);
    assert_eq!(back["updated"], 1);
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        3
    );
    assert_eq!(
        app.count("select count(*) from history where operation = 'delete'")
            .await,
        1
    );

    let bad = app
        .ingest("principals", json!([]), json!({"deletedIds": ["x"]}))
        .await
        .expect(400);
    assert_eq!(bad["errors"][0]["pointer"], "/deletedIds/0/id");
}

#[tokio::test]
async fn the_same_idempotency_key_gets_the_same_answer_and_another_body_is_refused() {
    let app = TestApp::start().await;
    let call = |body: serde_json::Value| {
        app.request(Method::POST, "/api/ingest/principals")
            .header("Idempotency-Key", "k-1")
            .json(&body)
    };
    let body = json!({"systemId": app.system_id, "records": people(0..2, "Ada")});
    let first = app.send(call(body.clone())).await.expect(201);
    let (one, two) = tokio::join!(app.send(call(body.clone())), app.send(call(body)));
    assert_eq!(one.expect(201), first);
    assert_eq!(two.expect(201), first);
    let other = json!({"systemId": app.system_id, "records": people(0..3, "Ada")});
    app.send(call(other)).await.expect(422);
    let elsewhere = app
        .request(Method::POST, "/api/ingest/resources")
        .header("Idempotency-Key", "k-1")
        .json(&json!({"systemId": app.system_id, "records": people(0..2, "Ada")}));
    app.send(elsewhere).await.expect(422);
    assert_eq!(app.count("select count(*) from resources").await, 0);
    assert_eq!(app.count("select count(*) from principals").await, 2);
}

#[tokio::test]
async fn every_entity_takes_a_record_and_keeps_every_field_of_it() {
    let app = TestApp::start().await;
    for spec in ingest_api::entity::ALL {
        let mut record = serde_json::Map::new();
        for (n, column) in spec.all_columns().enumerate() {
            let value = match column.kind {
                ingest_api::entity::ColumnKind::Uuid => json!(id(n as u32 + 1)),
                ingest_api::entity::ColumnKind::Text => json!(format!("Text{n}")),
                ingest_api::entity::ColumnKind::Bool => json!(true),
                ingest_api::entity::ColumnKind::Time => json!("2026-01-31T08:00:00.1234567Z"),
                ingest_api::entity::ColumnKind::Int => json!(7),
            };
            record.insert(column.wire.to_owned(), value);
        }
        record.insert("somethingElse".into(), json!({"deep": [1, null, "x"]}));
        let entity = spec.entity.wire_name();
        let answer = app
            .ingest(entity, json!([record]), json!({"syncMode": "full"}))
            .await
            .expect(201);
        assert_eq!(answer["inserted"], 1, "{entity}: {answer}");
        let columns: Vec<&str> = spec.all_columns().map(|column| column.sql).collect();
        let sql = format!("select to_jsonb(t) from {} t", spec.table);
        let row: serde_json::Value = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&app.pool)
            .await
            .expect("a row");
        for column in columns {
            assert!(!row[column].is_null(), "{entity}: {column}");
        }
        assert_eq!(
            row["extended_attributes"],
            json!({"somethingElse": {"deep": [1, null, "x"]}}),
            "{entity}"
        );
        let again = app
            .ingest(entity, json!([record]), json!({"syncMode": "delta"}))
            .await
            .expect(201);
        assert_eq!(again["unchanged"], 1, "{entity}: read back and compared");
    }
}

#[tokio::test]
async fn compressed_and_line_bodies_are_the_same_as_plain_ones() {
    use std::io::Write as _;
    let app = TestApp::start().await;
    let lines = format!(
        "{}\n{}\n{}\n",
        json!({"systemId": app.system_id}),
        json!({"id": id(1), "displayName": "Ada"}),
        json!({"id": id(2), "displayName": "Eve"})
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.as_bytes()).expect("in memory");
    let zstd = zstd::encode_all(lines.as_bytes(), 1).expect("in memory");
    for (n, (encoding, bytes)) in [
        ("gzip", gzip.finish().expect("in memory")),
        ("zstd", zstd),
        ("identity", lines.into_bytes()),
    ]
    .into_iter()
    .enumerate()
    {
        let request = app
            .request(Method::POST, "/api/ingest/principals")
            .header("Content-Type", "application/x-ndjson")
            .header("Content-Encoding", encoding)
            .body(bytes);
        let answer = app.send(request).await.expect(201);
        assert_eq!(
            (answer["inserted"].as_u64(), answer["records"].as_u64()),
            (Some(if n == 0 { 2 } else { 0 }), Some(2))
        );
    }
}

#[tokio::test]
async fn a_delta_over_rows_that_are_large_keeps_what_it_does_not_mention() {
    let app = TestApp::start().await;
    let note = "n".repeat(30_000);
    for from in [0, 550] {
        let large: Value = (from..from + 550)
            .map(|n| json!({"id": id(n), "displayName": "Ada", "note": note}))
            .collect();
        app.ingest("principals", large, json!({})).await.expect(201);
    }
    let answer = app
        .ingest("principals", people(0..1200, "Eve"), json!({}))
        .await
        .expect(201);
    let counts = (&answer["updated"], &answer["inserted"]);
    assert_eq!(counts, (&json!(1100), &json!(100)));
    let kept = "select count(*) from principals where display_name like 'Eve%' \
         and length(extended_attributes->>'note') = 30000";
    assert_eq!(app.count(kept).await, 1100);
    assert_eq!(app.count("select count(*) from history").await, 1100);
}
