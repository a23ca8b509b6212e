//! What is in the register's tables, and how it differs from what should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    panic::Location,
};

use chrono::DateTime;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _, types::Json};
use uuid::Uuid;

use crate::{
    oracle::{self, Row, Rows, TABLES},
    register::Register,
};

/// What every table knows about a row besides its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub sync_id: Uuid,
    pub first_seen_at: Value,
    pub valid_from: Value,
    pub is_removed: bool,
}

/// A version that ended.
pub struct Ended {
    pub entity: String,
    pub row_key: String,
    pub operation: String,
    pub began_by: Uuid,
    pub ended_by: Uuid,
    pub image: Row,
}

impl Register {
    /// Every row of the tables that a crawl fills, removed ones too.
    pub async fn all_rows(&self) -> BTreeMap<(&'static str, String), (Row, Frame)> {
        let mut all = BTreeMap::new();
        for (table, _, key) in TABLES {
            let sql = format!("select to_jsonb(t) from {table} t");
            let rows: Vec<Json<Row>> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&self.pool)
                .await
                .expect("rows");
            for Json(row) in rows {
                let (row, frame) = split(row);
                let place = (table, oracle::key_of(key, &row));
                let before = all.insert(place, (row, frame));
                assert!(before.is_none(), "a key of {table} came twice");
            }
        }
        all
    }

    /// The rows that live.
    pub async fn live_rows(&self) -> Rows {
        let all = self.all_rows().await.into_iter();
        all.filter(|(_, (_, frame))| !frame.is_removed)
            .map(|(place, (row, _))| (place, row))
            .collect()
    }

    /// The keys of rows that were removed.
    pub async fn removed(&self) -> Vec<(&'static str, String)> {
        let all = self.all_rows().await.into_iter();
        all.filter(|(_, (_, frame))| frame.is_removed)
            .map(|(place, _)| place)
            .collect()
    }

    /// The row versions of the tables as PostgreSQL counts them: the same when nothing was written.
    pub async fn row_versions(&self) -> BTreeMap<(&'static str, i64), String> {
        let mut versions = BTreeMap::new();
        for (table, _, _) in TABLES {
            let sql = format!("select row_id, xmin::text || ' at ' || ctid::text from {table}");
            let rows: Vec<(i64, String)> = sqlx::query_as(AssertSqlSafe(sql))
                .fetch_all(&self.pool)
                .await
                .expect("rows");
            versions.extend(rows.into_iter().map(|(id, version)| ((table, id), version)));
        }
        versions
    }

    /// Every version that ended.
    pub async fn history(&self) -> Vec<Ended> {
        let rows = sqlx::query(
            "select entity, row_key, operation, began_by, ended_by, image from history order by valid_to, valid_from, row_id",
        )
        .fetch_all(&self.pool)
        .await
        .expect("history");
        let ended = |row: &sqlx::postgres::PgRow| -> Result<Ended, sqlx::Error> {
            let mut image = row.try_get::<Json<Row>, _>("image")?.0;
            normalise(&mut image);
            Ok(Ended {
                entity: row.try_get("entity")?,
                row_key: row.try_get("row_key")?,
                operation: row.try_get("operation")?,
                began_by: row.try_get("began_by")?,
                ended_by: row.try_get("ended_by")?,
                image,
            })
        };
        let read: Result<Vec<Ended>, _> = rows.iter().map(ended).collect();
        read.expect("columns")
    }

    /// The register holds the tenant as it is now, no more and no less.
    #[track_caller]
    pub fn assert_equals_truth(&self) -> impl Future<Output = ()> {
        self.assert_equals_truth_but_for(&[])
    }

    /// Every table but for these holds exactly what the tenant has.
    #[track_caller]
    pub fn assert_equals_truth_but_for(&self, tables: &[&str]) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let left_out: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
        let mut truth = oracle::expected(&self.simulator.truth());
        let is_meant = move |table: &str| !left_out.iter().any(|name| name == table);
        truth.retain(|(table, _), _| is_meant(table));
        async move {
            let mut rows = self.live_rows().await;
            rows.retain(|(table, _), _| is_meant(table));
            let differences = differences(&truth, &rows);
            assert!(
                differences.is_empty(),
                "{caller}: {}",
                readable(&differences)
            );
        }
    }

    /// Nothing was removed that the tenant still has.
    #[track_caller]
    pub fn assert_no_false_removal(&self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let truth = oracle::expected(&self.simulator.truth());
        async move {
            let removed = self.removed().await;
            let wrong: Vec<_> = removed
                .iter()
                .filter(|place| truth.contains_key(place))
                .collect();
            assert!(wrong.is_empty(), "{caller}: removed by mistake: {wrong:?}");
        }
    }
}

/// A row of a table without what every table has.
fn split(mut row: Row) -> (Row, Frame) {
    let mut take = |name: &str| row.remove(name).expect("every table has it");
    for name in ["system_id", "row_id", "content_hash"] {
        take(name);
    }
    let frame = Frame {
        sync_id: serde_json::from_value(take("sync_id")).expect("an id"),
        first_seen_at: take("first_seen_at"),
        valid_from: take("valid_from"),
        is_removed: !take("deleted_at").is_null(),
    };
    normalise(&mut row);
    (row, frame)
}

/// PostgreSQL writes moments in the session's time zone and with the digits they need.
pub fn normalise(row: &mut Row) {
    for (name, value) in row {
        let is_moment = name.ends_with("_date_time") || name.ends_with("DateTime");
        if let (true, Some(text)) = (is_moment, value.as_str()) {
            let at = DateTime::parse_from_rfc3339(text).expect("a moment");
            *value = oracle::moment(at.to_utc());
        }
    }
}

/// A row as history keeps it: on the wire's names, without key and without what is not set.
pub fn image_of(row: &Row, key: &[&str]) -> Row {
    row.iter()
        .filter(|(name, value)| !value.is_null() && !key.contains(&name.as_str()))
        .map(|(name, value)| (camel_case(name), value.clone()))
        .collect()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        text + &word[..1].to_uppercase() + &word[1..]
    })
}

/// A column, or a whole row, that is not as expected.
pub struct Difference {
    table: &'static str,
    key: String,
    column: String,
    expected: String,
    found: String,
}

/// Everything that differs, in both directions.
pub fn differences(expected: &Rows, found: &Rows) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut note = |place: &(&'static str, String), column: &str, expected: &str, found: &str| {
        all.push(Difference {
            table: place.0,
            key: place.1.clone(),
            column: column.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        });
    };
    for (place, row) in expected {
        let Some(other) = found.get(place) else {
            note(
                place,
                "(the row)",
                &Value::from(row.clone()).to_string(),
                "no row",
            );
            continue;
        };
        let columns: BTreeSet<&String> = row.keys().chain(other.keys()).collect();
        for column in columns {
            if row.get(column) != other.get(column) {
                let text = |row: &Row| row.get(column).map_or("no column".into(), Value::to_string);
                note(place, column, &text(row), &text(other));
            }
        }
    }
    for (place, row) in found {
        if !expected.contains_key(place) {
            note(
                place,
                "(the row)",
                "no row",
                &Value::from(row.clone()).to_string(),
            );
        }
    }
    all
}

/// The first ten differences, for a person.
pub fn readable(differences: &[Difference]) -> String {
    let mut text = format!("{} differences", differences.len());
    for one in differences.iter().take(10) {
        let _ = write!(
            text,
            "\n  {} {} {}\n    expected {}\n    found    {}",
            one.table, one.key, one.column, one.expected, one.found
        );
    }
    text
}
