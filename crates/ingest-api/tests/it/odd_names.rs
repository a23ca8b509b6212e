//! Names of attributes are data: no name, number of names or change of type reaches the tables (B09 to B13).
//!
//! Unknown fields stay in `extendedAttributes`. With columns of their own: `attributes`.

use serde_json::{Map, Value, json};

use crate::app::{TestApp, id};

/// Every table with its columns.
async fn catalogue(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar(
        "select table_name || '.' || column_name || ' ' || data_type from information_schema.columns \
         where table_schema = 'public' order by 1",
    )
    .fetch_all(&app.pool)
    .await
    .expect("a catalogue")
}

async fn kept(app: &TestApp, n: u32) -> Value {
    sqlx::query_scalar("select extended_attributes from principals where id = $1")
        .bind(id(n))
        .fetch_one(&app.pool)
        .await
        .expect("the row")
}

/// Sends attributes as fields of one record and as `extendedAttributes` of another; both come back as they were, and
/// nothing else has changed.
async fn come_back(names: &[String]) {
    let app = TestApp::start().await;
    let before = catalogue(&app).await;
    let said: Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(number, name)| (name.clone(), json!(format!("value {number}"))))
        .collect();
    assert_eq!(said.len(), names.len());
    let mut as_fields = said.clone();
    as_fields.extend([
        ("id".to_owned(), json!(id(1))),
        ("displayName".to_owned(), json!("Ada")),
    ]);
    let records =
        json!([as_fields, {"id": id(2), "displayName": "Bo", "extendedAttributes": said}]);
    for (mode, counted) in [
        ("full", "inserted"),
        ("full", "unchanged"),
        ("delta", "unchanged"),
    ] {
        let answer = app
            .ingest("principals", records.clone(), json!({"syncMode": mode}))
            .await
            .expect(201);
        assert_eq!(answer[counted], 2, "{answer}");
    }
    for n in [1, 2] {
        assert_eq!(kept(&app, n).await, json!(said));
    }
    let rows: Vec<(String, Option<String>)> =
        sqlx::query_as("select display_name, department from principals order by display_name")
            .fetch_all(&app.pool)
            .await
            .expect("rows");
    assert_eq!(rows, [("Ada".to_owned(), None), ("Bo".to_owned(), None)]);
    assert_eq!(catalogue(&app).await, before);
}

#[tokio::test]
async fn names_that_are_sql_or_formats_are_kept_as_names() {
    let names = [
        "x\"; drop table principals;--",
        "a\" int; --",
        "'||pg_sleep(5)||'",
        "$1",
        "%s",
        "{}",
        "a.b",
        "a->b",
        "a->>'b'",
        "a b",
        "a\tb\nc",
        "\u{202e}eman",
        "=cmd|' /C calc'!A0",
    ];
    come_back(&names.map(str::to_owned)).await;
}

#[tokio::test]
async fn names_that_differ_late_or_by_case_only_are_kept_apart() {
    let (long, wide) = ("n".repeat(63), "n".repeat(62));
    let names = [
        format!("{long}1"),
        format!("{long}2"),
        long,
        // Cut after 63 bytes, in the middle of a character.
        format!("{wide}\u{e9}1"),
        format!("{wide}\u{e9}2"),
        "Foo".to_owned(),
        "foo".to_owned(),
        "FOO".to_owned(),
        "us\u{e9}r".to_owned(),
        "use\u{301}r".to_owned(),
    ];
    come_back(&names).await;
}

#[tokio::test]
async fn names_of_columns_and_of_other_languages_are_kept_as_names() {
    let names = [
        "ctid",
        "tableoid",
        "xmin",
        "oid",
        "tenant_id",
        "created_at",
        "system_id",
        "row_id",
        "display_name",
        "content_hash",
        "extended_attributes",
        "valid_from",
        "deleted_at",
        "sync_id",
        "first_seen_at",
        "__proto__",
        "constructor",
        "toString",
        "null",
        "select",
    ];
    let mut names: Vec<String> = names.map(str::to_owned).to_vec();
    names.push("k".repeat(10_000));
    come_back(&names).await;
}

#[tokio::test]
async fn a_name_of_nothing_refuses_its_record_alone() {
    let app = TestApp::start().await;
    for name in ["", " ", "\u{3000}"] {
        let mut record = json!({"id": id(1), "displayName": "Ada"});
        record[name] = json!(1);
        let inside = json!({"id": id(1), "displayName": "Ada", "extendedAttributes": {name: 1}});
        for record in [record, inside] {
            let records = json!([record, {"id": id(2), "displayName": "Bo"}]);
            let answer = app
                .ingest("principals", records, json!({}))
                .await
                .expect(201);
            assert_eq!(answer["errors"][0]["code"], "empty_name", "{answer}");
        }
    }
    assert_eq!(app.count("select count(*) from principals").await, 1);
}

#[tokio::test]
async fn five_thousand_names_over_ten_batches_are_all_kept_and_no_column_is_made() {
    let app = TestApp::start().await;
    let before = catalogue(&app).await;
    let opening = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full"});
    let opened = app.post("/api/ingest/sessions", &opening).await.expect(201);
    let session = format!(
        "/api/ingest/sessions/{}",
        opened["syncId"].as_str().expect("an id")
    );
    for batch in 0..10_u32 {
        let records: Vec<Value> = (0..10)
            .map(|n| {
                let n = batch * 10 + n;
                let names = (n * 50..(n + 1) * 50).map(|name| (format!("attribute {name}"), json!(name)));
                json!({"id": id(n), "displayName": "Ada", "extendedAttributes": names.collect::<Map<_, _>>()})
            })
            .collect();
        app.put(
            &format!("{session}/batches/{batch}"),
            &json!({"records": records}),
        )
        .await
        .expect(200);
    }
    let end = json!({"batches": 10, "complete": true});
    let end = app
        .post(&format!("{session}/commit"), &end)
        .await
        .expect(200);
    assert_eq!(
        (&end["inserted"], &end["rejected"]),
        (&json!(100), &json!(0))
    );
    let names =
        "select count(distinct name) from principals, jsonb_object_keys(extended_attributes) name";
    assert_eq!(app.count(names).await, 5_000);
    assert_eq!(catalogue(&app).await, before);
}

#[tokio::test]
async fn an_attribute_may_change_its_type_and_no_value_is_lost() {
    let app = TestApp::start().await;
    let values = [
        json!("38"),
        json!(38),
        json!(38.5),
        json!([38, "38", null]),
        json!({"eu": 38, "uk": null}),
        json!(true),
        json!(9_007_199_254_740_993_i64),
        json!(""),
    ];
    for mode in ["full", "delta"] {
        for value in &values {
            let record = json!([{"id": id(1), "displayName": "Ada", "shoe": value}]);
            let answer = app
                .ingest("principals", record, json!({"syncMode": mode}))
                .await
                .expect(201);
            assert_eq!(answer["rejected"], 0, "{answer}");
            assert_eq!(kept(&app, 1).await, json!({"shoe": value}), "{mode}");
        }
        // Null takes the attribute away.
        let record = json!([{"id": id(1), "displayName": "Ada", "shoe": null}]);
        app.ingest("principals", record, json!({"syncMode": mode}))
            .await
            .expect(201);
        assert_eq!(kept(&app, 1).await, json!({}), "{mode}");
    }
    let past: Vec<Value> =
        sqlx::query_scalar("select image -> 'extendedAttributes' from history order by valid_from")
            .fetch_all(&app.pool)
            .await
            .expect("versions");
    let round: Vec<Value> = values.iter().map(|value| json!({"shoe": value})).collect();
    let expected = [round.as_slice(), &[json!({})], round.as_slice()].concat();
    assert_eq!(past, expected);
}
