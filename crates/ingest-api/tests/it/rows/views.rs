//! Views and functions are asked like tables: what is declared of them is so, all pages together are all rows, and a key
//! sees nothing that is not of its systems.

use std::collections::BTreeSet;

use contract::Permission;
use ingest_api::query::{Argument, Called, Kind, Source, functions, views};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Column as _, Executor as _, SqlSafeStr as _, TypeInfo as _};

use super::{
    access::{self, PACKAGES, PEOPLE},
    ask, get, items,
};
use crate::app::{TestApp, id};

/// Where something is asked, and what stands behind it.
struct Asked {
    path: String,
    source: &'static Source,
    relation: String,
    system_id: i32,
}

/// All views, and the functions about each of some objects.
fn everything(system_id: i32) -> Vec<Asked> {
    let mut all: Vec<Asked> = views()
        .iter()
        .map(|source| Asked {
            path: format!("/api/register/{}", source.name),
            source,
            relation: source.relation.to_owned(),
            system_id,
        })
        .collect();
    let functions = functions();
    let mut add = |path: String, source: &'static Source, name: &str, argument: Argument| {
        let called = Called::new(source, system_id, &[(name, argument)]);
        all.push(Asked {
            path: format!("/api/systems/{system_id}/{path}"),
            source,
            relation: called.relation().to_owned(),
            system_id,
        });
    };
    let stale = &functions.stale_principals;
    add(
        "stale-principals".into(),
        stale,
        "days",
        Argument::Number(90),
    );
    for n in PACKAGES {
        let path = format!("packages/{}/access-without", id(n));
        add(
            path,
            &functions.access_without_package,
            "package",
            Argument::Id(id(n)),
        );
    }
    for n in PEOPLE {
        let path = format!("principals/{}/effective-access", id(n));
        add(
            path,
            &functions.of_principal,
            "principal",
            Argument::Id(id(n)),
        );
    }
    for n in [101, 102, 201, 301, 401] {
        let path = format!("resources/{}/effective-access", id(n));
        add(
            path,
            &functions.of_resource,
            "resource",
            Argument::Id(id(n)),
        );
    }
    all
}

fn kind_of(type_name: &str) -> Kind {
    match type_name {
        "INT4" | "INT8" => Kind::Int,
        "UUID" => Kind::Uuid,
        "TEXT" => Kind::Text,
        "BOOL" => Kind::Bool,
        "TIMESTAMPTZ" => Kind::Time,
        "JSONB" => Kind::Json,
        other => panic!("no kind for {other}"),
    }
}

async fn rows_of(app: &TestApp, asked: &Asked, what: &str, condition: &str) -> i64 {
    let Asked {
        relation,
        system_id,
        ..
    } = asked;
    let sql = format!(
        "select count({what}) from {relation} t where t.system_id = {system_id}{condition}"
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&app.pool)
        .await
        .expect("a number")
}

#[tokio::test]
async fn columns_types_and_keys_are_as_declared() {
    let app = TestApp::start().await;
    let mut kinds = BTreeSet::new();
    for seed in 1..4 {
        let system_id = app.new_system(&format!("Seed {seed}")).await;
        access::fill(&app, system_id, seed).await;
        for asked in everything(system_id) {
            let source = asked.source;
            let relation = &asked.relation;
            let columns = source.fields.iter().map(|field| (field.sql, field.kind));
            for (column, kind) in columns.chain(source.key.iter().copied()) {
                let sql = format!("select t.{column} from {relation} t");
                let described = app.pool.describe(AssertSqlSafe(sql).into_sql_str()).await;
                let described = described.expect(column);
                let found = kind_of(described.column(0).type_info().name());
                assert_eq!(found, kind, "{}.{column}", source.name);
            }
            let all = rows_of(&app, &asked, "*", "").await;
            let key: Vec<String> = source
                .key
                .iter()
                .map(|(sql, _)| format!("t.{sql}"))
                .collect();
            let keys = format!("distinct row({})", key.join(", "));
            assert_eq!(
                rows_of(&app, &asked, &keys, "").await,
                all,
                "{}",
                source.name
            );
            let never_null = source.fields.iter().filter(|field| !field.is_nullable);
            let columns = never_null
                .map(|field| format!("t.{}", field.sql))
                .chain(key);
            for column in columns {
                let missing = format!(" and {column} is null");
                assert_eq!(
                    rows_of(&app, &asked, "*", &missing).await,
                    0,
                    "{}: {column}",
                    source.name
                );
            }
            if all > 0 {
                kinds.insert(source.name);
            }
        }
    }
    assert_eq!(kinds.len(), views().len() + 4, "{kinds:?}");
}

/// All rows, page by page, forward and backward.
async fn all_pages(app: &TestApp, path: &str, sort: &str) -> [Vec<Value>; 2] {
    let mut both = [Vec::new(), Vec::new()];
    for (rows, (parameter, name, first)) in both.iter_mut().zip([
        ("after", "next", None),
        ("before", "previous", Some("end".to_owned())),
    ]) {
        let mut place: Option<String> = first;
        loop {
            let mut parameters = vec![("limit", "25")];
            if !sort.is_empty() {
                parameters.push(("sort", sort));
            }
            if let Some(place) = &place {
                parameters.push((parameter, place));
            }
            let page = get(app, path, &parameters).await.expect(200);
            match parameter {
                "after" => rows.extend(items(&page)),
                _ => drop(rows.splice(0..0, items(&page))),
            }
            place = page[name].as_str().map(str::to_owned);
            if place.is_none() {
                break;
            }
        }
    }
    both
}

async fn exported(app: &TestApp, key: &str, path: &str) -> Vec<Value> {
    let answer = ask(app, key, &format!("{path}/export"), &[]).send().await;
    let text = answer.expect("an answer").text().await.expect("a body");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn all_pages_in_every_order_and_the_export_are_the_rows_of_the_view_each_once() {
    let mut app = TestApp::start().await;
    access::fill(&app, app.system_id, 1).await;
    let other = app.new_system("Other").await;
    access::fill(&app, other, 2).await;
    app.key = app.new_key(&[Permission::Read], Some(vec![other])).await;
    let mut seen = BTreeSet::new();
    for asked in everything(other) {
        let expected = rows_of(&app, &asked, "*", "").await as usize;
        let export = exported(&app, &app.key, &asked.path).await;
        assert_eq!(export.len(), expected, "{}", asked.path);
        let counted = get(&app, &asked.path, &[("count", "exact"), ("limit", "1")])
            .await
            .expect(200);
        assert_eq!(counted["count"], json!({"rows": expected, "kind": "exact"}));
        let sortable = asked
            .source
            .fields
            .iter()
            .filter(|field| field.kind != Kind::Json);
        // By its key, and, for one object of each kind, by each field in one of the two directions.
        let mut sorts = vec![String::new()];
        if seen.insert(asked.source.name) {
            sorts.extend(sortable.enumerate().map(|(number, field)| {
                let sign = if number % 2 == 0 { "-" } else { "" };
                format!("{sign}{}", field.wire)
            }));
        }
        for (number, sort) in sorts.iter().enumerate() {
            let [forward, backward] = all_pages(&app, &asked.path, sort).await;
            assert_eq!(forward, backward, "{} by {sort}", asked.path);
            if number == 0 {
                assert_eq!(forward, export, "{}", asked.path);
            }
            let mut found: Vec<String> = forward.iter().map(Value::to_string).collect();
            found.sort();
            let mut rows: Vec<String> = export.iter().map(Value::to_string).collect();
            rows.sort();
            assert_eq!(found, rows, "{} by {sort}", asked.path);
        }
    }
}

#[tokio::test]
async fn a_key_sees_no_row_of_another_system_or_workspace() {
    let app = TestApp::start().await;
    let other = app.new_system("Other").await;
    access::fill(&app, app.system_id, 3).await;
    access::fill(&app, other, 4).await;
    let limited = app
        .new_key(&[Permission::Read], Some(vec![app.system_id]))
        .await;
    let blind = app.new_key(&[Permission::Ingest], None).await;
    let own = everything(app.system_id);
    for asked in &own {
        let expected = rows_of(&app, asked, "*", "").await as usize;
        let rows = exported(&app, &limited, &asked.path).await;
        assert_eq!(rows.len(), expected, "{}", asked.path);
        assert!(rows.iter().all(|row| row["systemId"] == app.system_id));
    }
    for asked in own.iter().chain(&everything(other)) {
        for path in [asked.path.clone(), format!("{}/export", asked.path)] {
            let status = async |key: &str| {
                let answer = ask(&app, key, &path, &[]).send().await;
                answer.expect("an answer").status().as_u16()
            };
            assert_eq!(status(&blind).await, 403, "{path}");
            let is_theirs = path.starts_with(&format!("/api/systems/{other}/"));
            assert_eq!(
                status(&limited).await,
                if is_theirs { 404 } else { 200 },
                "{path}"
            );
        }
    }
    // The system moves to another workspace.
    sqlx::query("with w as (insert into workspaces (name) values ('else') returning workspace_id) update systems set workspace_id = (select workspace_id from w) where system_id = $1")
        .bind(other)
        .execute(&app.pool)
        .await
        .expect("moves");
    for asked in own.iter().chain(&everything(other)) {
        let answer = app
            .get(&format!("{}?count=exact&limit=1000", asked.path))
            .await;
        if asked.path.starts_with(&format!("/api/systems/{other}/")) {
            answer.expect(404);
            continue;
        }
        let body = answer.expect(200);
        assert_eq!(body["count"]["rows"], items(&body).len());
        assert!(
            items(&body)
                .iter()
                .all(|row| row["systemId"] == app.system_id)
        );
    }
}

#[tokio::test]
async fn what_a_function_cannot_answer_is_refused_by_name() {
    let app = TestApp::start().await;
    access::fill(&app, app.system_id, 5).await;
    let base = format!("/api/systems/{}", app.system_id);
    let package = format!("{base}/packages/{}/access-without", id(401));
    for (path, parameter, value, pointer) in [
        (format!("{base}/stale-principals"), "days", "0", "/days"),
        (format!("{base}/stale-principals"), "days", "36501", "/days"),
        (package.clone(), "asOf", "2026-01-31", "/asOf"),
        (package.clone(), "includeDeleted", "true", "/includeDeleted"),
        (package.clone(), "filter", "remains eq 1", "/filter"),
        (package.clone(), "sort", "ext.a", "/sort"),
        (
            "/api/register/package-gaps".to_owned(),
            "asOf",
            "2026-01-31",
            "/asOf",
        ),
        (
            "/api/register/governed-access".to_owned(),
            "sort",
            "packageIds",
            "/sort",
        ),
    ] {
        let body = get(&app, &path, &[(parameter, value)]).await.expect(400);
        assert_eq!(body["errors"][0]["pointer"], pointer, "{body}");
    }
    // A place is one of these rows, not of another package's.
    let page = get(&app, &package, &[("limit", "1")]).await.expect(200);
    let place = [("after", page["next"].as_str().expect("more than one row"))];
    let elsewhere = format!("{base}/packages/{}/access-without", id(402));
    get(&app, &package, &place).await.expect(200);
    get(&app, &elsewhere, &place).await.expect(400);
    // Fewer days are more principals.
    let stale = async |days: &str| {
        let path = format!("{base}/stale-principals");
        let body = get(
            &app,
            &path,
            &[("days", days), ("filter", "isInactive eq true")],
        )
        .await;
        items(&body.expect(200)).len()
    };
    assert!(stale("36500").await < stale("1").await);
}
