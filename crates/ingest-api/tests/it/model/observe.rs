//! What the database holds, read as the model speaks.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::SystemId;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use super::{
    action::{Row, TIMES_OF_A_STEP},
    kind::{Fields, Key, Kind, Scope},
};

/// Moments between steps; a step is what happened before its moment.
pub type Moments = [DateTime<Utc>];

/// A held change set as the database has it.
#[derive(Debug)]
pub struct HeldSet {
    pub id: Uuid,
    pub scope: Scope,
    pub reason: String,
    pub would_delete: u64,
    pub state: String,
    /// Those that an approval would remove now.
    pub rows: Vec<Key>,
}

/// A version of a row that ended.
#[derive(Debug)]
pub struct Version {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub operation: String,
    pub fields: Fields,
}

/// The version that a table holds.
#[derive(Debug)]
pub struct Current {
    pub from: DateTime<Utc>,
    pub deleted: Option<DateTime<Utc>>,
    pub fields: Fields,
}

/// The step in which something happened.
pub fn step_of(moments: &Moments, at: DateTime<Utc>) -> usize {
    moments.partition_point(|moment| *moment < at)
}

fn fields(value: Value) -> Fields {
    let Value::Object(fields) = value else {
        panic!("an object")
    };
    fields.into_iter().collect()
}

fn key_sql(kind: &Kind) -> String {
    let keys: Vec<String> = kind
        .key
        .iter()
        .map(|(_, sql)| format!("t.{sql}::text"))
        .collect();
    format!("concat_ws('|', {})", keys.join(", "))
}

/// The moment, by the database's clock.
pub async fn moment(connection: &mut PgConnection) -> DateTime<Utc> {
    sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(connection)
        .await
        .expect("a moment")
}

/// The rows of a system's entity, live and removed.
pub async fn rows(
    connection: &mut PgConnection,
    system_id: SystemId,
    kind: &Kind,
    moments: &Moments,
) -> BTreeMap<Key, Row> {
    let found = current_with_first_seen(connection, system_id, kind).await;
    found
        .into_iter()
        .map(|(key, current, first_seen)| {
            let row = Row {
                fields: current.fields,
                is_live: current.deleted.is_none(),
                written: step_of(moments, current.from) * TIMES_OF_A_STEP,
                first_seen: step_of(moments, first_seen) * TIMES_OF_A_STEP,
            };
            (key, row)
        })
        .collect()
}

async fn current_with_first_seen(
    connection: &mut PgConnection,
    system_id: SystemId,
    kind: &Kind,
) -> Vec<(Key, Current, DateTime<Utc>)> {
    let columns: Vec<String> = kind
        .columns
        .iter()
        .map(|(wire, sql)| format!("'{wire}', t.{sql}"))
        .collect();
    let sql = format!(
        "select {key} as key, jsonb_strip_nulls(jsonb_build_object({})) || t.extended_attributes as fields, t.valid_from, \
         t.deleted_at, t.first_seen_at from {} t where t.system_id = $1",
        columns.join(", "),
        kind.table,
        key = key_sql(kind),
    );
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(system_id)
        .fetch_all(connection)
        .await;
    found
        .expect("rows")
        .iter()
        .map(|row| {
            let current = Current {
                from: row.get("valid_from"),
                deleted: row.get("deleted_at"),
                fields: fields(row.get("fields")),
            };
            (row.get("key"), current, row.get("first_seen_at"))
        })
        .collect()
}

/// The versions that the table holds.
pub async fn current(
    connection: &mut PgConnection,
    system_id: SystemId,
    kind: &Kind,
) -> BTreeMap<Key, Current> {
    let found = current_with_first_seen(connection, system_id, kind).await;
    found
        .into_iter()
        .map(|(key, current, _)| (key, current))
        .collect()
}

/// The versions that ended, oldest first.
pub async fn history(
    connection: &mut PgConnection,
    system_id: SystemId,
    kind: &Kind,
) -> BTreeMap<Key, Vec<Version>> {
    let found = sqlx::query(
        "select row_key, valid_from, valid_to, operation, (image - 'extendedAttributes') || (image -> 'extendedAttributes') as fields \
         from history where system_id = $1 and entity = $2 order by row_key, valid_from, valid_to",
    )
    .bind(system_id)
    .bind(kind.entity)
    .fetch_all(connection)
    .await;
    let mut versions: BTreeMap<Key, Vec<Version>> = BTreeMap::new();
    for row in found.expect("rows") {
        versions
            .entry(row.get("row_key"))
            .or_default()
            .push(Version {
                from: row.get("valid_from"),
                to: row.get("valid_to"),
                operation: row.get("operation"),
                fields: fields(row.get("fields")),
            });
    }
    versions
}

/// The held change sets of a table, in the order in which they were judged.
pub async fn held(connection: &mut PgConnection, system_id: SystemId, kind: &Kind) -> Vec<HeldSet> {
    let sql = format!(
        "select c.change_set_id, c.scope, c.reason, c.would_delete, c.state, array(select {key} from held_rows h \
         join {} t on t.row_id = h.row_id and t.valid_from = h.valid_from and t.deleted_at is null where h.change_set_id = c.change_set_id order by 1) as rows \
         from held_change_sets c where c.system_id = $1 and c.entity = $2 order by c.change_set_id",
        kind.table,
        key = key_sql(kind),
    );
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(system_id)
        .bind(kind.entity)
        .fetch_all(connection)
        .await;
    found
        .expect("rows")
        .iter()
        .map(|row| HeldSet {
            id: row.get("change_set_id"),
            scope: serde_json::from_value(row.get("scope")).expect("a scope"),
            reason: row.get("reason"),
            would_delete: row.get::<i64, _>("would_delete") as u64,
            state: row.get("state"),
            rows: row.get("rows"),
        })
        .collect()
}

/// When the reading of a load's source began.
pub async fn read_since(connection: &mut PgConnection, sync_id: &str) -> DateTime<Utc> {
    sqlx::query_scalar("select read_since from sync_sessions where sync_id = $1::uuid")
        .bind(sync_id)
        .fetch_one(connection)
        .await
        .expect("a moment")
}

/// Loads that the database takes for open.
pub async fn open_sessions(connection: &mut PgConnection, system_id: SystemId) -> i64 {
    sqlx::query_scalar("select count(*) from sync_sessions where system_id = $1 and state = 'open' and sync_mode = 'full'")
        .bind(system_id)
        .fetch_one(connection)
        .await
        .expect("a number")
}

/// A row's versions follow each other without overlap, and only a removal leaves a gap.
pub fn assert_versions_follow(key: &Key, versions: &[Version], current: &Current) {
    for (earlier, later) in versions.iter().zip(&versions[versions.len().min(1)..]) {
        assert_follows(key, earlier, later.from);
    }
    let Some(last) = versions.last() else {
        assert_eq!(current.deleted, None, "{key} was removed without history");
        return;
    };
    if let Some(deleted) = current.deleted {
        assert_eq!(
            (last.operation.as_str(), last.to),
            ("delete", deleted),
            "{key}"
        );
        assert_eq!(
            (last.from, &last.fields),
            (current.from, &current.fields),
            "{key}"
        );
    } else {
        assert_follows(key, last, current.from);
    }
}

fn assert_follows(key: &Key, earlier: &Version, next: DateTime<Utc>) {
    let is_right = match earlier.operation.as_str() {
        "update" => earlier.to == next,
        _ => earlier.to <= next,
    };
    assert!(
        is_right,
        "{key}: {earlier:?} is followed by a version from {next}"
    );
}

/// What a row was at a moment.
pub fn as_of<'a>(
    at: DateTime<Utc>,
    versions: &'a [Version],
    current: &'a Current,
) -> Option<&'a Fields> {
    let ended = versions
        .iter()
        .find(|version| version.from <= at && at < version.to);
    let lives = current.deleted.is_none() && current.from <= at;
    ended
        .map(|version| &version.fields)
        .or(lives.then_some(&current.fields))
}
