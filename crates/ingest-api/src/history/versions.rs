//! All versions of a row, or of all rows that some key fields name, newest first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::SystemId;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{
    differences::{Difference, Values, between},
    moment::kept_since,
    page,
    question::Wanted,
    sql::{self, Binds},
    who::{By, Loads},
};
use crate::{entity::EntitySpec, error::ApiError};

/// Which versions.
pub struct Question {
    /// Of which table.
    pub spec: &'static EntitySpec,
    /// Of which system.
    pub system_id: SystemId,
    /// Of which rows.
    pub key: Wanted,
    /// Behind which version: when it began (microseconds of the epoch), and the number of its row.
    pub after: Option<(i64, i64)>,
    /// Most on the page.
    pub limit: u32,
}

/// Versions of rows.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionPage {
    /// The versions, newest first.
    pub items: Vec<Version>,
    /// Pass it as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What ended before this moment was dropped by retention; absent when nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_since: Option<DateTime<Utc>>,
}

/// A row as it was for a time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The key fields.
    pub key: BTreeMap<String, String>,
    /// The names, as far as they are known today, of what the key fields refer to.
    pub names: BTreeMap<String, String>,
    /// Since when it was so.
    pub from: DateTime<Utc>,
    /// Until when; absent while it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// How it came to be so; absent when retention dropped the version before, so that it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_as: Option<Beginning>,
    /// The load that made it so; absent when it is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_by: Option<By>,
    /// How that ended; absent while it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_as: Option<End>,
    /// The load that ended it; absent while it is so, or when it is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<By>,
    /// What differs from the version before; empty for a row that was added.
    pub differences: Vec<Difference>,
    /// The fields, without the key and without what was not set.
    pub values: Values,
}

/// How a version began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Beginning {
    /// The row was new.
    Added,
    /// The row changed.
    Changed,
    /// The row had been removed and came back.
    Restored,
}

/// How a version ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The row changed.
    Changed,
    /// The row was removed.
    Removed,
}

/// A page of versions.
pub async fn page(
    pool: &PgPool,
    workspace_id: i32,
    question: &Question,
) -> Result<VersionPage, ApiError> {
    let mut binds = Binds::from(5);
    let sql = statement(question, &mut binds);
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(question.system_id)
        .bind(question.after.map(|place| place.0))
        .bind(question.after.map(|place| place.1))
        .bind(i64::from(question.limit) + 1);
    for value in binds.values() {
        query = query.bind(value);
    }
    let mut rows = query.fetch_all(pool).await?;
    let next = match page::cut(&mut rows, question.limit) {
        Some(last) => Some(page::mark(&(
            last.try_get::<DateTime<Utc>, _>("valid_from")?
                .timestamp_micros(),
            last.try_get::<i64, _>("row_id")?,
        ))?),
        None => None,
    };
    let mut loads = Vec::new();
    for row in &rows {
        loads.push(row.try_get("sync_id")?);
        loads.extend(row.try_get::<Option<Uuid>, _>("ended_by")?);
    }
    let loads = Loads::find(pool, workspace_id, loads).await?;
    // Asked last, so that a month that went meanwhile is not passed over in silence.
    let kept_since = kept_since(pool).await?;
    let items = rows
        .iter()
        .map(|row| read(question.spec, row, &loads, kept_since))
        .collect::<Result<_, _>>()?;
    Ok(VersionPage {
        items,
        next,
        kept_since,
    })
}

/// `$1` system, `$2` and `$3` the place, `$4` how many, then the key fields. The version that lives is the row; each version
/// of the page then looks up the one before, which ended when it began or earlier.
fn statement(question: &Question, binds: &mut Binds) -> String {
    let spec = question.spec;
    let behind = format!(
        "and ($2::bigint is null or (t.valid_from, {row_id}) < (timestamptz 'epoch' + $2 * interval '1 microsecond', $3))",
        row_id = sql::row_id(spec)
    );
    let matching = sql::matching(&question.key, binds);
    let what = format!(
        "select {row_id} as row_id, t.system_id{keys}, t.first_seen_at, t.valid_from, t.sync_id, {image} as image",
        row_id = sql::row_id(spec),
        keys = sql::keys(spec, "t"),
        image = sql::image(spec, "t"),
    );
    // Each side is cut to a page by itself, so that neither makes images of more.
    let newest = "order by t.valid_from desc, row_id desc limit $4";
    format!(
        "select v.*, {key} as key, {names} as names, b.valid_to as before_to, b.operation as before_operation, \
         b.image as before_image from ( \
         (select l.*, null::timestamptz as valid_to, null::text as operation, null::uuid as ended_by from ( \
         {what} from {table} t where t.system_id = $1{matching} and t.deleted_at is null {behind} {newest}) l) union all \
         ({what}, t.valid_to, t.operation, t.ended_by from history_{table} t where t.system_id = $1{matching} {behind} {newest}) \
         order by valid_from desc, row_id desc limit $4) v \
         left join lateral (select t.valid_to, t.operation, {image} as image from history_{table} t \
         where {same} and t.valid_to <= v.valid_from order by t.valid_to desc limit 1) b on true \
         order by v.valid_from desc, v.row_id desc",
        key = sql::key_texts(spec, "v"),
        names = sql::names(spec, |column| format!("v.{}", column.sql)),
        table = spec.table,
        image = sql::image(spec, "t"),
        same = sql::same_key(spec, "t", "v"),
    )
}

/// How a version began that began then, by the one before, as far as there is one.
fn beginning(
    row: &PgRow,
    from: DateTime<Utc>,
    kept_since: Option<DateTime<Utc>>,
) -> Result<Option<Beginning>, sqlx::Error> {
    let first_seen: DateTime<Utc> = row.try_get("first_seen_at")?;
    let before_to: Option<DateTime<Utc>> = row.try_get("before_to")?;
    let before_operation: Option<String> = row.try_get("before_operation")?;
    Ok(match before_operation.as_deref() {
        _ if first_seen == from => Some(Beginning::Added),
        Some("delete") => Some(Beginning::Restored),
        Some(_) if before_to == Some(from) => Some(Beginning::Changed),
        // A version before it would have ended when it is still kept.
        None if kept_since.is_none_or(|since| since <= from) => Some(Beginning::Added),
        _ => None,
    })
}

fn read(
    spec: &EntitySpec,
    row: &PgRow,
    loads: &Loads,
    kept_since: Option<DateTime<Utc>>,
) -> Result<Version, ApiError> {
    let from: DateTime<Utc> = row.try_get("valid_from")?;
    let until: Option<DateTime<Utc>> = row.try_get("valid_to")?;
    let values = row.try_get::<Json<Values>, _>("image")?.0;
    let began_as = beginning(row, from, kept_since)?;
    let before: Option<Json<Values>> = row.try_get("before_image")?;
    let differences = match (began_as, &before) {
        (Some(Beginning::Changed | Beginning::Restored), Some(before)) => {
            between(&before.0, &values)
        }
        _ => Vec::new(),
    };
    let ended_by: Option<Uuid> = row.try_get("ended_by")?;
    let ended_as = row
        .try_get::<Option<String>, _>("operation")?
        .map(|operation| match operation.as_str() {
            "delete" => End::Removed,
            _ => End::Changed,
        });
    Ok(Version {
        key: key(spec, row)?,
        names: row.try_get::<Json<BTreeMap<String, String>>, _>("names")?.0,
        from,
        until,
        began_as,
        began_by: loads.writer(row.try_get("sync_id")?),
        ended_as,
        ended_by: match (ended_as, ended_by, until) {
            (Some(End::Removed), Some(load), Some(at)) => loads.remover(load, at),
            (_, Some(load), _) => loads.writer(load),
            _ => None,
        },
        differences,
        values,
    })
}

/// The key fields of a row, from the column `key`.
pub fn key(spec: &EntitySpec, row: &PgRow) -> Result<BTreeMap<String, String>, ApiError> {
    let values: Vec<String> = row.try_get("key")?;
    Ok(spec
        .key
        .iter()
        .map(|column| column.wire.to_owned())
        .zip(values)
        .collect())
}
