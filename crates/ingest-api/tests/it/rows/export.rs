//! Exports are the whole list, and never end well when they are not.

use serde_json::{Value, json};

use super::{ask, items};
use crate::app::{TestApp, id};

/// More rows than are read at once.
const ROWS: u32 = 12_000;

async fn fill(app: &TestApp) {
    sqlx::query(
        "insert into principals (system_id, id, principal_type, display_name, department, extended_attributes, content_hash, first_seen_at, valid_from, sync_id) \
         select $1, gen_random_uuid(), 'User', 'Person ' || n, case when n % 3 = 0 then 'Sales' end, \
         jsonb_build_object('n', n), '\\x00', now(), now(), gen_random_uuid() from generate_series(1, $2) n",
    )
    .bind(app.system_id)
    .bind(ROWS as i32)
    .execute(&app.pool)
    .await
    .expect("rows");
}

async fn text(app: &TestApp, parameters: &[(&str, &str)]) -> String {
    let answer = ask(app, &app.key, "/api/register/principals/export", parameters)
        .send()
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("a body that ends well")
}

#[tokio::test]
async fn an_export_of_many_chunks_is_every_row_once_in_the_order_of_their_keys_in_both_forms() {
    let app = TestApp::start().await;
    fill(&app).await;
    let lines = text(&app, &[("fields", "id,displayName,ext.n")]).await;
    let rows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let ids: Vec<&str> = rows
        .iter()
        .map(|row| row["id"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids.len(), ROWS as usize);
    assert!(ids.is_sorted_by(|before, after| before < after));
    assert_eq!(
        lines,
        text(
            &app,
            &[("fields", "id,displayName,ext.n"), ("format", "ndjson")]
        )
        .await
    );

    let filter = ("filter", "department eq 'Sales'");
    let sheet = text(
        &app,
        &[("format", "csv"), ("fields", "id,ext.n,department"), filter],
    )
    .await;
    let mut cells = sheet.split_terminator("\r\n");
    assert_eq!(cells.next(), Some("id,ext.n,department"));
    let numbers: Vec<u32> = cells
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!((cells.len(), cells[2]), (3, "Sales"));
            cells[1].parse().expect("a number")
        })
        .collect();
    assert_eq!(numbers.len(), ROWS as usize / 3);
    assert!(numbers.iter().all(|number| number % 3 == 0));
}

#[tokio::test]
async fn an_export_has_what_the_list_has_and_no_cell_is_a_formula() {
    let app = TestApp::start().await;
    let records = json!([
        {"id": id(1), "displayName": "=1+1", "department": "a,\"b\"\r\nc", "accountEnabled": true, "site": "@x"},
        {"id": id(2), "displayName": "\u{1f600} Ü", "createdDateTime": "2026-01-31T08:00:00Z", "site": {"a": 1}},
    ]);
    app.ingest("principals", records, json!({}))
        .await
        .expect(201);
    let list = app.get("/api/register/principals").await.expect(200);
    let lines = text(&app, &[]).await;
    let rows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(rows, items(&list));
    let fields = (
        "fields",
        "displayName,department,accountEnabled,createdDateTime,ext.site",
    );
    assert_eq!(
        text(&app, &[("format", "csv"), fields]).await,
        "displayName,department,accountEnabled,createdDateTime,ext.site\r\n\
         '=1+1,\"a,\"\"b\"\"\r\nc\",true,,'@x\r\n\
         \u{1f600} Ü,,,2026-01-31T08:00:00Z,\"{\"\"a\"\": 1}\"\r\n"
    );
    assert_eq!(
        text(&app, &[("format", "csv"), fields, ("filter", "id eq null")])
            .await
            .lines()
            .count(),
        1
    );
    assert_eq!(text(&app, &[("filter", "id eq null")]).await, "");
}

#[tokio::test]
async fn an_export_that_breaks_off_does_not_end_well() {
    let app = TestApp::start().await;
    fill(&app).await;
    // Rows that are large: the server cannot have read all of them before the table is gone.
    sqlx::query(
        "update principals set extended_attributes = jsonb_build_object('text', repeat('x', 5000))",
    )
    .execute(&app.pool)
    .await
    .expect("large rows");
    let answer = ask(&app, &app.key, "/api/register/principals/export", &[])
        .send()
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    sqlx::query("alter table principals rename to elsewhere")
        .execute(&app.pool)
        .await
        .expect("renamed");
    let body = answer.text().await;
    assert!(
        body.is_err(),
        "a body of {} bytes ended well",
        body.map_or(0, |body| body.len())
    );
}

#[tokio::test]
async fn an_export_is_refused_where_its_end_could_not_be_told_from_a_broken_connection() {
    let app = TestApp::start().await;
    for (version, status) in [
        (reqwest::Version::HTTP_10, 400),
        (reqwest::Version::HTTP_11, 200),
    ] {
        let answer = ask(&app, &app.key, "/api/register/principals/export", &[])
            .version(version)
            .send()
            .await;
        assert_eq!(answer.expect("an answer").status(), status, "{version:?}");
    }
}
