//! What differs between two moments.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::SystemId;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{
    differences::{Difference, Values, between},
    moment::Moment,
    page,
    question::{Wanted, is_key},
    sql::{self, Binds},
    versions::key,
    who::{By, Loads},
};
use crate::{entity::EntitySpec, error::ApiError};

/// Which differences.
pub struct Question {
    /// Of which table.
    pub spec: &'static EntitySpec,
    /// Of which system.
    pub system_id: SystemId,
    /// The earlier moment.
    pub from: Moment,
    /// The later one.
    pub to: Moment,
    /// Only rows with these fields. One that is not part of the key may have changed; then either value will do.
    pub only: Wanted,
    /// Behind the row with this key.
    pub after: Option<Vec<String>>,
    /// Most on the page.
    pub limit: u32,
}

/// Differences between two moments.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DifferencePage {
    /// The earlier moment.
    pub from: DateTime<Utc>,
    /// The later moment; pass it as `to` for the next page when the question left it out.
    pub to: DateTime<Utc>,
    /// How many there are in all, on the first page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The rows that differ, in the order of their keys.
    pub items: Vec<RowDifference>,
    /// Pass it as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How many rows differ.
#[derive(Debug, Serialize, JsonSchema, sqlx::FromRow)]
#[schemars(rename = "DifferenceCounts")]
pub struct Counts {
    /// Rows that were not there.
    pub added: i64,
    /// Rows that are not there any more.
    pub removed: i64,
    /// Rows that were otherwise.
    pub changed: i64,
}

/// A row that is not what it was.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RowDifference {
    /// The key fields.
    pub key: BTreeMap<String, String>,
    /// The names, as far as they are known today, of what the key fields refer to.
    pub names: BTreeMap<String, String>,
    /// What became of it.
    pub change: Change,
    /// When it became what it was at the later moment.
    pub at: DateTime<Utc>,
    /// The load that made it so; absent when it is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Its fields at the earlier moment; absent for one that was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Values>,
    /// Its fields at the later moment; absent for one that was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Values>,
    /// What differs in a row that changed.
    pub differences: Vec<Difference>,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It was otherwise.
    Changed,
}

/// A page of differences.
pub async fn page(
    pool: &PgPool,
    workspace_id: i32,
    question: &Question,
) -> Result<DifferencePage, ApiError> {
    let counts = match question.after {
        None => Some(count(pool, question).await?),
        Some(_) => None,
    };
    let mut binds = Binds::from(5);
    let sql = page_sql(question, &mut binds)?;
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(question.system_id)
        .bind(question.from.at())
        .bind(question.to.at())
        .bind(i64::from(question.limit) + 1);
    for value in binds.values() {
        query = query.bind(value);
    }
    let mut rows = query.fetch_all(pool).await?;
    let next = match page::cut(&mut rows, question.limit) {
        Some(last) => Some(page::mark(&last.try_get::<Vec<String>, _>("key")?)?),
        None => None,
    };
    let loads: Vec<Uuid> = rows
        .iter()
        .map(|row| row.try_get("changed_by"))
        .collect::<Result<_, _>>()?;
    let loads = Loads::find(pool, workspace_id, loads).await?;
    let items = rows
        .iter()
        .map(|row| read(question.spec, row, &loads))
        .collect::<Result<_, _>>()?;
    question.from.still_kept(pool).await?;
    Ok(DifferencePage {
        from: question.from.at(),
        to: question.to.at(),
        counts,
        items,
        next,
    })
}

async fn count(pool: &PgPool, question: &Question) -> Result<Counts, ApiError> {
    // As in the page; there is no `$4`.
    let mut binds = Binds::from(4);
    let sql = format!(
        "{} select count(*) filter (where o.system_id is null) as added, \
         count(*) filter (where n.system_id is null) as removed, \
         count(*) filter (where o.system_id = n.system_id) as changed from {}",
        sides(question, "", &mut binds),
        differing(question, &mut binds)
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql))
        .bind(question.system_id)
        .bind(question.from.at())
        .bind(question.to.at());
    for value in binds.values() {
        query = query.bind(value);
    }
    Ok(query.fetch_one(pool).await?)
}

/// A row that was removed may have been changed before that, after the earlier moment: its last version tells who removed it.
fn page_sql(question: &Question, binds: &mut Binds) -> Result<String, ApiError> {
    let spec = question.spec;
    let behind = behind(question, binds)?;
    let sides = sides(question, &behind, binds);
    let keys = sql::join(
        spec.key.iter().map(|column| {
            format!(
                ", coalesce(n.{name}, o.{name}) as {name}",
                name = column.sql
            )
        }),
        "",
    );
    let order = sql::join(
        spec.key.iter().map(|column| format!(", {}", column.sql)),
        "",
    );
    Ok(format!(
        "{sides} select d.before, d.after, {key} as key, {names} as names, \
         coalesce(e.valid_to, d.shown_at) as changed_at, coalesce(e.ended_by, d.shown_by) as changed_by from ( \
         select coalesce(n.system_id, o.system_id) as system_id{keys}, \
         case when o.system_id is not null then {before} end as before, case when n.system_id is not null then {after} end as after, \
         coalesce(n.valid_from, o.valid_to) as shown_at, coalesce(n.sync_id, o.ended_by) as shown_by \
         from {differing} order by system_id{order} limit $4) d \
         left join lateral (select t.valid_to, t.ended_by from history_{table} t where d.after is null and {same} \
         and t.valid_to <= $3 order by t.valid_to desc limit 1) e on true order by d.system_id{outer_order}",
        key = sql::key_texts(spec, "d"),
        names = sql::names(spec, |column| format!("d.{}", column.sql)),
        before = sql::image(spec, "o"),
        after = sql::image(spec, "n"),
        differing = differing(question, binds),
        table = spec.table,
        same = sql::same_key(spec, "t", "d"),
        outer_order = sql::keys(spec, "d"),
    ))
}

/// ` and (t.key, …) > ($n, …)`
fn behind(question: &Question, binds: &mut Binds) -> Result<String, ApiError> {
    let Some(after) = &question.after else {
        return Ok(String::new());
    };
    let spec = question.spec;
    if after.len() != spec.key.len() || after.is_empty() {
        return Err(ApiError::bad_field(
            "after",
            "this is no place in this list: pass `next` of the page before as it is",
        ));
    }
    let place: Vec<String> = spec
        .key
        .iter()
        .zip(after)
        .map(|(column, value)| binds.add(column, value))
        .collect();
    Ok(format!(
        " and ({}) > ({})",
        sql::keys(spec, "t").trim_start_matches(", "),
        place.join(", ")
    ))
}

/// `o`: versions that were there at the earlier moment (`$2`) and ended until the later one (`$3`). `n`: versions that began
/// in between and were there at the later moment. A version that was there at both is in neither.
fn sides(question: &Question, behind: &str, binds: &mut Binds) -> String {
    let spec = question.spec;
    let of_key: Wanted = question
        .only
        .iter()
        .filter(|(column, _)| is_key(spec, column))
        .cloned()
        .collect();
    let matching = sql::matching(&of_key, binds);
    let (keys, contents) = (sql::keys(spec, "t"), sql::contents(spec));
    let new = format!("select t.system_id{keys}, {contents}, t.valid_from, t.sync_id");
    format!(
        "with o as (select t.system_id{keys}, {contents}, t.valid_to, t.ended_by from history_{table} t \
         where t.system_id = $1{matching}{behind} and t.valid_from <= $2 and t.valid_to > $2 and t.valid_to <= $3), \
         n as ({new} from {table} t where t.system_id = $1{matching}{behind} and t.deleted_at is null \
         and t.valid_from > $2 and t.valid_from <= $3 \
         union all {new} from history_{table} t where t.system_id = $1{matching}{behind} \
         and t.valid_from > $2 and t.valid_from <= $3 and t.valid_to > $3)",
        table = spec.table,
    )
}

/// Both sides side by side, where they say different things.
fn differing(question: &Question, binds: &mut Binds) -> String {
    let spec = question.spec;
    let columns = |row: &str| {
        let own = spec.columns.iter().map(|column| column.sql);
        own.chain(["extended_attributes"])
            .map(|name| format!("{row}.{name}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let scope = question.only.iter();
    let scope = scope.filter(|(column, _)| !is_key(spec, column));
    let scope = sql::join(
        scope.map(|(column, value)| {
            format!(
                " and {value} in (o.{name}, n.{name})",
                value = binds.add(column, value),
                name = column.sql
            )
        }),
        "",
    );
    format!(
        "o full join n on {} where (o.system_id is null or n.system_id is null or ({}) is distinct from ({})){scope}",
        sql::same_key(spec, "o", "n"),
        columns("o"),
        columns("n"),
    )
}

fn read(spec: &EntitySpec, row: &PgRow, loads: &Loads) -> Result<RowDifference, ApiError> {
    let side = |name: &str| -> Result<Option<Values>, sqlx::Error> {
        Ok(row
            .try_get::<Option<Json<Values>>, _>(name)?
            .map(|json| json.0))
    };
    let (before, after) = (side("before")?, side("after")?);
    let at: DateTime<Utc> = row.try_get("changed_at")?;
    let load: Uuid = row.try_get("changed_by")?;
    let (change, by) = match (&before, &after) {
        (None, _) => (Change::Added, loads.writer(load)),
        (_, None) => (Change::Removed, loads.remover(load, at)),
        _ => (Change::Changed, loads.writer(load)),
    };
    let differences = match (&before, &after) {
        (Some(before), Some(after)) => between(before, after),
        _ => Vec::new(),
    };
    Ok(RowDifference {
        key: key(spec, row)?,
        names: row.try_get::<Json<BTreeMap<String, String>>, _>("names")?.0,
        change,
        at,
        by,
        before,
        after,
        differences,
    })
}
