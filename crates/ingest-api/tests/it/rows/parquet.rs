//! An export as Parquet holds what the one as NDJSON holds, and is no file before its end.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use ingest_api::{
    entity,
    query::{Kind, Source, views},
};
use parquet::{
    basic::{LogicalType, Repetition, TimeUnit},
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::{Value, json};

use super::ask;
use crate::app::{TestApp, id};

/// More rows than are read at once, and more bytes than go into one row group.
const ROWS: i32 = 12_000;

type Reader = SerializedFileReader<Bytes>;

async fn body(app: &TestApp, base: &str, parameters: &[(&str, &str)]) -> Bytes {
    let answer = ask(app, &app.key, base, parameters).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.bytes().await.expect("a body that ends well")
}

async fn file(app: &TestApp, base: &str, parameters: &[(&str, &str)]) -> Reader {
    let mut parameters = parameters.to_vec();
    parameters.push(("format", "parquet"));
    Reader::new(body(app, base, &parameters).await).expect("a Parquet file")
}

/// A value as NDJSON writes it; nothing where there is none.
fn as_json(name: &str, field: &Field) -> Option<Value> {
    Some(match field {
        Field::Null => return None,
        Field::Bool(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::TimestampMicros(value) => {
            let time = DateTime::from_timestamp_micros(*value).expect("a time");
            json!(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        Field::Str(text) if name == "extendedAttributes" => {
            serde_json::from_str(text).expect("JSON")
        }
        Field::Str(text) => json!(text),
        other => panic!("{name}: {other}"),
    })
}

fn rows(file: &Reader) -> Vec<Value> {
    let rows = file.get_row_iter(None).expect("rows");
    rows.map(|row| {
        let row = row.expect("a row");
        row.get_column_iter()
            .filter_map(|(name, field)| Some((name.clone(), as_json(name, field)?)))
            .collect()
    })
    .collect()
}

/// The texts of each row of a file that has nothing else.
pub fn texts(file: Bytes) -> Vec<Vec<String>> {
    let file = Reader::new(file).expect("a Parquet file");
    let rows = file.get_row_iter(None).expect("rows");
    rows.map(|row| {
        let row = row.expect("a row");
        row.get_column_iter()
            .map(|(_, field)| match field {
                Field::Str(text) => text.clone(),
                other => panic!("{other}"),
            })
            .collect()
    })
    .collect()
}

async fn lines(app: &TestApp, base: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
    let text = body(app, base, parameters).await;
    let lines = std::str::from_utf8(&text).expect("UTF-8").lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

async fn fill(app: &TestApp) {
    sqlx::query(
        "insert into principals (system_id, id, principal_type, display_name, department, job_title, account_enabled, manager_id, \
         created_date_time, deleted_at, extended_attributes, content_hash, first_seen_at, valid_from, sync_id) \
         select $1, gen_random_uuid(), 'User', 'Person ' || n || ' Ü \u{1f600}', case when n % 3 = 0 then 'Sales' end, \
         case n % 4 when 0 then '' when 1 then '=1+1' end, case when n % 5 > 1 then n % 2 = 0 end, \
         case when n % 7 = 0 then gen_random_uuid() end, \
         case when n % 2 = 0 then timestamptz '1969-07-20T20:17:40Z' + n * interval '1 day 1 microsecond' end, \
         case when n % 11 = 0 then now() end, \
         jsonb_build_object('n', n, 'weight', (select string_agg(md5(n || ' ' || i), '') from generate_series(1, 80) i)), \
         '\\x00', now(), now(), gen_random_uuid() from generate_series(1, $2) n",
    )
    .bind(app.system_id)
    .bind(ROWS)
    .execute(&app.pool)
    .await
    .expect("rows");
}

#[tokio::test]
async fn a_parquet_file_has_the_rows_and_values_of_the_lines_in_groups_of_bounded_size() {
    let app = TestApp::start().await;
    fill(&app).await;
    let base = "/api/register/principals/export";
    for parameters in [
        &[][..],
        &[
            ("filter", "department eq 'Sales'"),
            ("includeDeleted", "true"),
        ],
        &[(
            "fields",
            "jobTitle,createdDateTime,accountEnabled,managerId",
        )],
        &[("filter", "displayName eq 'nobody'")],
    ] {
        let file = file(&app, base, parameters).await;
        let (found, expected) = (rows(&file), lines(&app, base, parameters).await);
        assert_eq!(found.len(), expected.len(), "{parameters:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{parameters:?}");
        }
    }
    let file = file(&app, base, &[]).await;
    let groups = file.metadata().row_groups();
    assert!(groups.len() > 3, "{} groups", groups.len());
    for group in groups {
        assert!(group.total_byte_size() < 16 * 1024 * 1024, "a large group");
    }
}

#[tokio::test]
async fn single_attributes_are_columns_of_texts() {
    let app = TestApp::start().await;
    let values = [
        json!("x"),
        json!(1.5),
        json!(true),
        json!({"a": [1]}),
        json!(""),
    ];
    let records: Vec<Value> = values
        .iter()
        .enumerate()
        .map(|(n, value)| json!({"id": id(n as u32), "displayName": "Ada", "a.b": value}))
        .chain([json!({"id": id(9), "displayName": "Bo"})])
        .collect();
    app.ingest("principals", records.into(), json!({}))
        .await
        .expect(201);
    let fields = [("fields", "ext.\"a.b\"")];
    let file = file(&app, "/api/register/principals/export", &fields).await;
    let found: Vec<Value> = rows(&file)
        .iter()
        .map(|row| row["ext.a.b"].clone())
        .collect();
    let expected = json!(["x", "1.5", "true", "{\"a\": [1]}", "", null]);
    assert_eq!(Value::from(found), expected);
}

#[tokio::test]
async fn every_entitys_file_has_its_fields_with_their_types() {
    let app = TestApp::start().await;
    let sources = entity::ALL.iter().map(|spec| Source::of(spec));
    for source in sources.chain(views()) {
        let base = format!("/api/register/{}/export", source.name);
        let file = file(&app, &base, &[]).await;
        let schema = file.metadata().file_metadata().schema_descr();
        let found: BTreeMap<&str, _> = schema
            .columns()
            .iter()
            .map(|column| (column.name(), column))
            .collect();
        assert_eq!(found.len(), source.fields.len(), "{}", source.name);
        for field in &source.fields {
            let column = found[field.wire];
            let expected = match field.kind {
                Kind::Bool | Kind::Int => None,
                Kind::Time => Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
                Kind::Json => Some(LogicalType::Json),
                Kind::Uuid | Kind::Text | Kind::Number => Some(LogicalType::String),
            };
            assert_eq!(
                column.logical_type_ref(),
                expected.as_ref(),
                "{}",
                field.wire
            );
            let repetition = column.self_type().get_basic_info().repetition();
            let is_optional = repetition == Repetition::OPTIONAL;
            assert_eq!(is_optional, field.is_nullable, "{}", field.wire);
        }
    }
}

#[tokio::test]
async fn a_parquet_export_that_breaks_off_is_no_file() {
    let app = TestApp::start().await;
    fill(&app).await;
    sqlx::query(
        "update principals set extended_attributes = extended_attributes || jsonb_build_object('more', \
         (select string_agg(md5(row_id || ' ' || i), '') from generate_series(1, 200) i))",
    )
    .execute(&app.pool)
    .await
    .expect("large rows");
    let parameters = [("format", "parquet")];
    let answer = ask(
        &app,
        &app.key,
        "/api/register/principals/export",
        &parameters,
    )
    .send()
    .await;
    let mut answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut received = Vec::from(answer.chunk().await.expect("a chunk").expect("bytes"));
    // The rows do not fit into the buffers on the way: the server cannot have read all of them before the table is gone.
    sqlx::query("alter table principals rename to elsewhere")
        .execute(&app.pool)
        .await
        .expect("renamed");
    let ended_well = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => received.extend(chunk),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(!ended_well, "a body of {} bytes ended well", received.len());
    assert!(received.starts_with(b"PAR1"), "it had begun");
    assert!(Reader::new(Bytes::from(received)).is_err());
}
