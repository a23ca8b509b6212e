//! Attributes are catalogued and get columns; no name, number of names or change of type reaches the tables (B09 to B13).

use std::time::Duration;

use ingest_api::{
    ServerSettings,
    attributes::{Settings, promoted},
};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::app::{Answer, TestApp, id, until};

/// Works as fast as it can, so that a test need not wait.
pub fn at_once() -> Settings {
    Settings {
        poll: Duration::from_millis(50),
        grace: Duration::ZERO,
        pause: Duration::ZERO,
        count_every: Duration::ZERO,
        ..Settings::default()
    }
}

/// A server that works on columns with these settings.
pub async fn server(attributes: Settings) -> TestApp {
    TestApp::start_with(ServerSettings {
        attributes,
        ..ServerSettings::default()
    })
    .await
}

pub async fn promote(app: &TestApp, attribute: &str, kind: &str) -> Answer {
    let body = json!({"entity": "principals", "attribute": attribute, "type": kind});
    app.post("/api/attributes/promotions", &body).await
}

/// The path of a promotion that an answer tells of.
pub fn path(promotion: &Value) -> String {
    let id = promotion["promotionId"].as_str().expect("an id");
    format!("/api/attributes/promotions/{id}")
}

/// Waits until a promotion stands so; answers it.
pub async fn until_is(app: &TestApp, promotion: &Value, state: &str) -> Value {
    let path = path(promotion);
    let mut found = Value::Null;
    until(async || {
        found = app.get(&path).await.expect(200);
        found["state"] == state
    })
    .await;
    found
}

/// Promotes and waits until the column can be read.
pub async fn promoted_now(app: &TestApp, attribute: &str, kind: &str) -> Value {
    let begun = promote(app, attribute, kind).await.expect(201);
    until_is(app, &begun, "ready").await
}

pub async fn demote(app: &TestApp, promotion: &Value) -> Value {
    app.send(app.request(Method::POST, &format!("{}/demote", path(promotion))))
        .await
        .expect(200)
}

/// What a promoted column holds, as text, by person.
pub async fn held(app: &TestApp, promotion: &Value) -> Vec<Option<String>> {
    let column = promotion["column"].as_str().expect("a name");
    let sql = format!("select {column}::text from principals order by id");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_all(&app.pool)
        .await
        .expect("the column")
}

/// Sends person number `n` with these attributes.
pub async fn send(app: &TestApp, n: u32, attributes: &Value) {
    let record = json!([{"id": id(n), "displayName": "Ada", "extendedAttributes": attributes}]);
    let answer = app
        .ingest("principals", record, json!({"syncMode": "delta"}))
        .await
        .expect(201);
    assert_eq!(answer["rejected"], 0, "{answer}");
}

async fn catalogued(app: &TestApp) -> Value {
    let system = app.system_id;
    app.get(&format!(
        "/api/attributes?systemId={system}&entity=principals&limit=1000"
    ))
    .await
    .expect(200)
}

/// Every table with its columns, but for generated ones.
async fn tables(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar(
        "select table_name || '.' || column_name || ' ' || data_type from information_schema.columns \
         where table_schema = 'public' and column_name !~ '^attr_text_[0-9]+$' order by 1",
    )
    .fetch_all(&app.pool)
    .await
    .expect("a catalogue")
}

/// Promotes every name, with a row there before and one after: all values are in columns of their own.
async fn get_columns(names: &[String]) {
    let app = server(at_once()).await;
    let before = tables(&app).await;
    let all = |word: &str| -> Value {
        let named = names.iter().enumerate();
        named
            .map(|(n, name)| (name.clone(), json!(format!("{word} {n}"))))
            .collect::<Map<_, _>>()
            .into()
    };
    send(&app, 1, &all("before")).await;
    let mut promotions = Vec::new();
    for name in names {
        promotions.push(promote(&app, name, "text").await.expect(201));
    }
    send(&app, 2, &all("meanwhile")).await;
    for promotion in &mut promotions {
        *promotion = until_is(&app, promotion, "ready").await;
    }
    send(&app, 3, &all("after")).await;
    for (n, promotion) in promotions.iter().enumerate() {
        let expected = ["before", "meanwhile", "after"].map(|word| Some(format!("{word} {n}")));
        assert_eq!(held(&app, promotion).await, expected, "{promotion}");
    }
    assert_eq!(tables(&app).await, before);
    let catalogue = catalogued(&app).await;
    let mut catalogued: Vec<&str> = catalogue["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["attribute"].as_str().expect("a name"))
        .collect();
    let mut expected: Vec<&str> = names.iter().map(String::as_str).collect();
    catalogued.sort_unstable();
    expected.sort_unstable();
    assert_eq!(catalogued, expected);
}

#[tokio::test]
async fn names_that_are_sql_or_formats_get_generated_columns() {
    let names = [
        "x\"; drop table principals;--",
        "a\" int; --",
        "'||pg_sleep(5)||'",
        "'); drop table principals; --",
        "$1",
        "$$; drop table principals; $$",
        "%s",
        "%I %L",
        "{}",
        "a.b",
        "a->b",
        "back\\slash'",
        "E'\\x41'",
        "a\tb\nc",
        "\u{202e}eman",
    ];
    get_columns(&names.map(str::to_owned)).await;
}

#[tokio::test]
async fn names_that_differ_late_or_by_case_only_get_columns_of_their_own() {
    let (long, wide) = ("n".repeat(63), "n".repeat(62));
    let names = [
        format!("{long}1"),
        format!("{long}2"),
        long,
        format!("{wide}\u{e9}1"),
        format!("{wide}\u{e9}2"),
        "Foo".to_owned(),
        "foo".to_owned(),
        "FOO".to_owned(),
        "w".repeat(200),
    ];
    get_columns(&names).await;
}

#[tokio::test]
async fn names_of_columns_get_generated_columns() {
    let names = [
        "ctid",
        "tableoid",
        "xmin",
        "oid",
        "id",
        "tenant_id",
        "system_id",
        "display_name",
        "extended_attributes",
        "created_at",
        "attr_text_1",
        "attr_text_2",
        "__proto__",
        "constructor",
        "new",
        "null",
    ];
    get_columns(&names.map(str::to_owned)).await;
}

#[tokio::test]
async fn a_name_that_is_none_or_too_long_gets_no_column_and_its_values_stay() {
    let app = server(at_once()).await;
    let long = "k".repeat(10_000);
    send(&app, 1, &json!({long.clone(): "kept", "short": 1})).await;
    for name in ["", " ", "a\0b", long.as_str()] {
        let refused = promote(&app, name, "text").await.expect(400);
        assert_eq!(refused["errors"][0]["pointer"], "/attribute", "{refused}");
    }
    let catalogue = catalogued(&app).await;
    assert_eq!(catalogue["namesTooLong"], true, "{catalogue}");
    assert_eq!(catalogue["items"].as_array().map(Vec::len), Some(1));
    let kept: Value = sqlx::query_scalar("select extended_attributes from principals")
        .fetch_one(&app.pool)
        .await
        .expect("a row");
    assert_eq!(kept[&long], "kept");
}

#[tokio::test]
async fn beyond_five_thousand_names_and_two_hundred_columns_values_stay_where_they_are() {
    let app = server(at_once()).await;
    for batch in 0..11_u32 {
        let names = (batch * 500..(batch + 1) * 500).map(|n| (format!("a{n}"), json!(n)));
        send(&app, batch, &names.collect::<Map<_, _>>().into()).await;
    }
    let catalogue = catalogued(&app).await;
    assert_eq!(catalogue["tooMany"], true);
    assert_eq!(app.count("select count(*) from attributes").await, 5_000);
    let kept =
        "select count(distinct name) from principals, jsonb_object_keys(extended_attributes) name";
    assert_eq!(app.count(kept).await, 5_500);

    let mut promotions = Vec::new();
    for n in 0..200 {
        promotions.push(promote(&app, &format!("a{n}"), "number").await.expect(201));
    }
    let refused = promote(&app, "a200", "number").await.expect(409);
    let detail = refused["detail"].as_str().expect("a text");
    assert!(detail.contains("200 promoted attributes"), "{detail}");
    let field = json!({"entity": "principals", "field": "createdDateTime"});
    let refused = app.post("/api/attributes/promotions", &field).await;
    refused.expect(409);
    // What is promoted already is no further column.
    promote(&app, "a7", "number").await.expect(200);
    until_is(&app, promotions.last().expect("the last"), "ready").await;
    send(&app, 0, &json!({"a0": 7, "a199": 8})).await;
    assert_eq!(held(&app, &promotions[0]).await[0].as_deref(), Some("7"));
    assert_eq!(held(&app, &promotions[199]).await[0].as_deref(), Some("8"));
}

#[tokio::test]
async fn an_attribute_may_change_its_type_and_that_is_told() {
    let app = server(at_once()).await;
    let promotion = promoted_now(&app, "shoe", "number").await;
    let values = [
        (json!("38"), Some("38")),
        (json!(38.5), Some("38.5")),
        (json!([38, "38", null]), None),
        (json!(null), None),
        (json!({"eu": 38}), None),
        (json!("wide"), None),
        (json!(true), None),
        (json!(9_007_199_254_740_993_i64), Some("9007199254740993")),
    ];
    for (value, column) in &values {
        send(&app, 1, &json!({"shoe": value})).await;
        let kept: Value = sqlx::query_scalar("select extended_attributes from principals")
            .fetch_one(&app.pool)
            .await
            .expect("the row");
        let expected = if value.is_null() {
            json!({})
        } else {
            json!({"shoe": value})
        };
        assert_eq!(kept, expected);
        assert_eq!(held(&app, &promotion).await, [column.map(str::to_owned)]);
    }
    let system = app.system_id;
    let drifts = app
        .get(&format!(
            "/api/attributes/drifts?systemId={system}&entity=principals"
        ))
        .await
        .expect(200);
    let told: Vec<(&Value, &Value)> = drifts["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|drift| (&drift["newType"], &drift["knownTypes"]))
        .collect();
    assert_eq!(
        told,
        [
            (
                &json!("boolean"),
                &json!(["string", "number", "array", "object"])
            ),
            (&json!("object"), &json!(["string", "number", "array"])),
            (&json!("array"), &json!(["string", "number"])),
            (&json!("number"), &json!(["string"])),
        ]
    );
}

#[tokio::test]
async fn rows_and_values_that_do_not_fit_are_counted() {
    let app = server(at_once()).await;
    for (n, value) in [json!(1), json!("2"), json!("three"), json!([4])]
        .iter()
        .enumerate()
    {
        send(&app, n as u32, &json!({"size": value, "other": n})).await;
    }
    let promotion = promoted_now(&app, "size", "number").await;
    assert_eq!(
        held(&app, &promotion).await,
        [Some("1"), Some("2"), None, None].map(|text| text.map(str::to_owned))
    );
    let is_counted = async || {
        let catalogue = catalogued(&app).await;
        let size = &catalogue["items"][1];
        size["rowsTotal"] == 4 && size["mismatches"] == 2
    };
    until(is_counted).await;
    assert_eq!(
        app.get(&path(&promotion)).await.expect(200)["mismatches"],
        2
    );
    send(&app, 2, &json!({"size": 3})).await;
    until(async || app.get(&path(&promotion)).await.expect(200)["mismatches"] == 1).await;
}

#[tokio::test]
async fn the_columns_that_can_be_read_are_told_with_their_types() {
    let app = server(at_once()).await;
    let promotion = promoted_now(&app, "costCenter", "text").await;
    let entity = contract::Entity::Principals;
    let found = promoted(&app.pool, entity).await.expect("an answer");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].attribute, "costCenter");
    assert_eq!(Value::from(found[0].column.as_str()), promotion["column"]);
    assert_eq!(found[0].value_type, contract::ValueType::Text);
    let index: String = sqlx::query_scalar(
        "select indexdef from pg_indexes where indexname = 'principals_attr_text_1'",
    )
    .fetch_one(&app.pool)
    .await
    .expect("an index");
    // Texts as they are sorted, then the key.
    assert!(
        index.ends_with(
            "\"left\"(lower((attr_text_1 COLLATE \"default\")), 200) COLLATE \"C\", id)"
        ),
        "{index}"
    );
    // An entry of an index can have 2,704 bytes; a value any number.
    send(&app, 1, &json!({"costCenter": "ä".repeat(20_000)})).await;
    assert_eq!(
        held(&app, &promotion).await[0].as_ref().map(String::len),
        Some(40_000)
    );
}

#[tokio::test]
async fn crawlers_see_to_it_that_what_is_configured_has_columns() {
    let app = server(at_once()).await;
    send(&app, 1, &json!({"a": 1, "b": true, "c": "x", "d": 1})).await;
    send(&app, 2, &json!({"d": "1"})).await;
    let wanted: Vec<Value> = ["a", "b", "c", "d", "not seen yet", ""]
        .iter()
        .map(|name| json!({"entity": "principals", "attribute": name}))
        .collect();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = app
            .put("/api/attributes/promotions", &json!({"promotions": wanted}))
            .await
            .expect(200);
        let items = answer["items"].as_array().expect("a list");
        let types: Vec<&Value> = items.iter().map(|item| &item["type"]).collect();
        assert_eq!(types, ["number", "boolean", "text", "text", "text"]);
        assert_eq!(answer["refused"][0]["index"], 5, "{answer}");
        ids.push(items.iter().map(path).collect::<Vec<_>>());
    }
    assert_eq!(ids[0], ids[1]);
    let conflict = promote(&app, "a", "text").await.expect(409);
    assert!(
        conflict["detail"]
            .as_str()
            .expect("a text")
            .contains("number"),
        "{conflict}"
    );
}

#[tokio::test]
async fn only_keys_that_may_promote_and_only_their_own_workspace_sees_it() {
    let mut app = server(at_once()).await;
    let promotion = promote(&app, "a", "text").await.expect(201);
    let (reader, loader) = (
        app.new_key(&[contract::Permission::Read], None).await,
        app.new_key(&[contract::Permission::Ingest], None).await,
    );
    let all = std::mem::replace(&mut app.key, reader);
    app.get(&path(&promotion)).await.expect(200);
    promote(&app, "b", "text").await.expect(403);
    app.send(app.request(Method::POST, &format!("{}/demote", path(&promotion))))
        .await
        .expect(403);
    app.key = loader;
    app.get(&path(&promotion)).await.expect(403);
    app.key = all;
    // Another workspace that wants the same column: it stays until neither wants it.
    sqlx::query("with other as (insert into workspaces (name) values ('other') returning workspace_id) \
         update promoted_attributes set workspace_ids = workspace_ids || workspace_id, wanted_by = wanted_by || workspace_id from other")
        .execute(&app.pool)
        .await
        .expect("another workspace");
    until_is(&app, &promotion, "ready").await;
    assert_eq!(demote(&app, &promotion).await["state"], "ready");
    sqlx::query("update promoted_attributes set workspace_ids = array_remove(workspace_ids, 1)")
        .execute(&app.pool)
        .await
        .expect("an update");
    app.get(&path(&promotion)).await.expect(404);
    let list = app.get("/api/attributes/promotions").await.expect(200);
    assert_eq!(list["items"], json!([]));
}
