//! Lists by any core field that has an index on request are read from it, of every entity.

use contract::Entity;
use ingest_api::{
    entity::{self, ColumnKind, EntitySpec},
    query::{Direction, Field, Kind, Source},
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::indexes::{Question, nodes};
use crate::{
    app::TestApp,
    attributes::{at_once, server, until_is},
};

/// Rows of an entity: `n` tells keys apart, all else is equal in some of them and null in others.
async fn fill(app: &TestApp, spec: &EntitySpec, rows: i32) {
    let columns: Vec<(&str, String)> = spec
        .all_columns()
        .map(|column| {
            let leads = column.sql == spec.key[0].sql;
            let value = match column.kind {
                ColumnKind::Uuid if leads => "md5(n::text)::uuid",
                ColumnKind::Uuid => "md5((n % 7)::text)::uuid",
                ColumnKind::Text => "'Word ' || n % 5",
                ColumnKind::Bool => "n % 2 = 0",
                ColumnKind::Time => "timestamptz '2026-01-01' + n % 5 * interval '1 day'",
                ColumnKind::Int => "n % 5",
            };
            let is_never_null = column.is_required
                || column.default.is_some()
                || spec.key.iter().any(|key| key.sql == column.sql);
            let value = if is_never_null {
                value.to_owned()
            } else {
                format!("case when n % 3 <> 0 then {value} end")
            };
            (column.sql, value)
        })
        .collect();
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let sql = format!(
        "insert into {} (system_id, {}, content_hash, first_seen_at, valid_from, sync_id, deleted_at) \
         select $1, {}, '\\x00', now() - n % 5 * interval '1 day', now() - n % 5 * interval '1 day', md5((n % 5)::text)::uuid, \
         case when n % 4 = 0 then now() end from generate_series(1, $2) n",
        spec.table,
        names.join(", "),
        values.join(", ")
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(app.system_id)
        .bind(rows)
        .execute(&app.pool)
        .await
        .expect("rows");
    let analyze = format!("vacuum analyze {}", spec.table);
    sqlx::raw_sql(AssertSqlSafe(analyze))
        .execute(&mut app.connect().await)
        .await
        .expect("statistics");
}

/// The fields that can get an index.
fn fields(spec: &'static EntitySpec) -> impl Iterator<Item = &'static Field> {
    let source = Source::of(spec);
    source
        .fields
        .iter()
        .filter(|field| field.kind != Kind::Json && !source.has_own_index(field))
}

async fn index(app: &TestApp, entity: Entity, names: &[&str]) {
    let wanted: Vec<Value> = names
        .iter()
        .map(|name| json!({"entity": entity, "field": name}))
        .collect();
    let answer = app
        .put("/api/attributes/promotions", &json!({"promotions": wanted}))
        .await
        .expect(200);
    assert_eq!(answer["refused"], json!([]));
    for promotion in answer["items"].as_array().expect("a list") {
        until_is(app, promotion, "ready").await;
    }
}

/// Every table is read by this index, and at most the rows of a page are sorted.
#[track_caller]
fn is_read_by(plan: &Value, spec: &EntitySpec, field: &Field, what: &str) {
    let index = format!("{}_{}", spec.table, field.sql);
    let nodes = nodes(plan);
    let scans: Vec<_> = nodes
        .iter()
        .filter(|node| node["Relation Name"].is_string())
        .collect();
    assert!(!scans.is_empty(), "{what}: {plan:#}");
    // Within a system its number is always the same; and what is part of the key may be found by the key.
    let is_in_key = spec.key.iter().any(|part| part.sql == field.sql);
    let key = (is_in_key || field.wire == "systemId").then(|| format!("{}_pkey", spec.table));
    for scan in scans {
        let found = scan["Index Name"].as_str();
        assert!(
            found == Some(&index) || found.is_some() && found == key.as_deref(),
            "{what}: {plan:#}"
        );
    }
    let is_sort = |node: &&&Value| {
        let kind = node["Node Type"].as_str();
        kind.is_some_and(|kind| kind.contains("Sort"))
    };
    let sorts = nodes.iter().filter(is_sort).count();
    assert!(sorts <= 1, "{what}: {plan:#}");
}

/// Both ways; both ends, and before and behind every page.
async fn all_pages_are_read_by(app: &TestApp, spec: &EntitySpec, field: &Field) {
    for sign in ["", "-"] {
        let sort = format!("{sign}{}", field.wire);
        let mut question = Question::new(app, spec.entity, &sort, None).await;
        // What is marked as removed is a question of its own index.
        question.scope.includes_removed = field.wire == "deletedAt";
        let directions = question.directions(app, usize::MAX).await;
        assert!(directions.len() > 4, "{sort}");
        for direction in directions {
            let what = format!("{} by {sort}, {direction:?}", spec.entity);
            let plan = question.plan(app, direction).await;
            is_read_by(&plan, spec, field, &what);
        }
    }
}

#[tokio::test]
async fn lists_of_every_entity_by_every_field_are_read_by_the_index_that_was_asked_for() {
    let app = server(at_once()).await;
    for spec in entity::ALL {
        fill(&app, spec, 60).await;
        let names: Vec<&str> = fields(spec).map(|field| field.wire).collect();
        index(&app, spec.entity, &names).await;
        for field in fields(spec) {
            all_pages_are_read_by(&app, spec, field).await;
        }
    }
}

/// Rows that were read, those included that a filter dropped.
fn rows_read(plan: &Value) -> f64 {
    let counted = |node: &&Value| {
        let rows = |name: &str| node[name].as_f64().unwrap_or(0.0);
        let each = rows("Actual Rows") + rows("Rows Removed by Filter");
        each * rows("Actual Loops")
    };
    let nodes = nodes(plan);
    let scans = nodes
        .iter()
        .filter(|node| node["Relation Name"].is_string());
    scans.map(counted).sum()
}

#[tokio::test]
async fn a_page_among_many_rows_reads_a_page_of_them_and_without_the_index_all() {
    const ROWS: i32 = 20_000;
    let app = server(at_once()).await;
    for entity in [Entity::ResourceAssignments, Entity::Principals] {
        fill(&app, entity::spec(entity).expect("a specification"), ROWS).await;
    }
    for (entity, wire) in [
        (Entity::ResourceAssignments, "assignmentType"),
        (Entity::ResourceAssignments, "startDateTime"),
        (Entity::ResourceAssignments, "policyId"),
        (Entity::Principals, "createdDateTime"),
        (Entity::Principals, "department"),
        (Entity::Principals, "accountEnabled"),
    ] {
        // PostgreSQL decides by itself how it goes about it.
        let question = Question::new(&app, entity, wire, None).await;
        let before = question.work(&app, Direction::After(None)).await;
        assert!(rows_read(&before) >= f64::from(ROWS), "{before:#}");
        index(&app, entity, &[wire]).await;
        for sign in ["", "-"] {
            let sort = format!("{sign}{wire}");
            let question = Question::new(&app, entity, &sort, None).await;
            for direction in question.directions(&app, 3).await {
                let plan = question.work(&app, direction.clone()).await;
                // At most four ranges of twenty rows, and a quarter of all are removed.
                let read = rows_read(&plan);
                assert!(read <= 400.0, "{entity} by {sort}, {direction:?}: {plan:#}");
            }
        }
    }
}

#[tokio::test]
async fn where_the_rows_of_a_value_end_the_page_reads_none_of_those_between_them_and_the_end_of_the_keys()
 {
    let app = server(at_once()).await;
    let entity = Entity::ResourceAssignments;
    let spec = entity::spec(entity).expect("a specification");
    fill(&app, spec, 8_000).await;
    // Seven of ten have the one state, and all of them come first in the order of keys.
    sqlx::raw_sql(
        "update resource_assignments set deleted_at = null, \
         state = case when resource_id < 'b3333333-0000-0000-0000-000000000000' then 'A' else 'B' end",
    )
    .execute(&app.pool)
    .await
    .expect("states");
    sqlx::raw_sql("vacuum full analyze resource_assignments")
        .execute(&mut app.connect().await)
        .await
        .expect("statistics");
    index(&app, entity, &["state"]).await;
    let last = Question::new(&app, entity, "state", Some("state eq 'A'")).await;
    let last = last.ends(&app, Direction::Before(None)).await.1;
    let first = Question::new(&app, entity, "state", Some("state eq 'B'")).await;
    let first = first.ends(&app, Direction::After(None)).await.0;
    let question = Question::new(&app, entity, "state", None).await;
    for direction in [
        Direction::After(Some(last.clone())),
        Direction::Before(Some(last)),
        Direction::After(Some(first.clone())),
        Direction::Before(Some(first)),
    ] {
        let plan = question.work(&app, direction.clone()).await;
        assert!(rows_read(&plan) <= 100.0, "{direction:?}: {plan:#}");
    }
}
