//! How far the streams of a run are, in the words of its crawler.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use contract::{
    CheckpointEntry, CheckpointPage, MAX_CHECKPOINT_ENTRIES, Permission, SaveCheckpoint,
};
use futures_util::TryStreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{PgConnection, Row as _, types::Json as SqlJson};
use uuid::Uuid;

use super::claim;
use crate::{
    app::AppState,
    auth::Caller,
    body::SmallBody,
    durable::durable,
    error::ApiError,
    params::{InPath, InQuery, page_size},
};

const MAX_STREAM_CHARS: usize = 100;
const MAX_KEY_CHARS: usize = 200;
/// A page that is longer than this ends early.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// What to remember, by stream and key; `None` is forgotten.
type Entries = BTreeMap<(String, String), Option<Value>>;

/// Saves what changed: all of it, or nothing if somebody else claimed the run.
pub async fn save(
    State(state): State<AppState>,
    caller: Caller,
    InPath(run_id): InPath<Uuid>,
    body: SmallBody,
) -> Result<StatusCode, ApiError> {
    caller.require(Permission::Ingest)?;
    let wanted: SaveCheckpoint = body.json()?;
    let entries = check(wanted.entries)?;
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        let (system_id, newest) = claim::touch(&mut transaction, &caller, run_id).await?;
        claim::require_epoch(wanted.epoch, newest)?;
        write(&mut transaction, run_id, system_id, entries).await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn check(entries: Vec<CheckpointEntry>) -> Result<Entries, ApiError> {
    if entries.len() > MAX_CHECKPOINT_ENTRIES {
        return Err(ApiError::bad_field(
            "entries",
            format!("a call saves at most {MAX_CHECKPOINT_ENTRIES} entries"),
        ));
    }
    let mut checked = Entries::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let refuse = |field: &str, detail: &str| {
            ApiError::bad_field(&format!("entries/{index}/{field}"), detail)
        };
        let stream = entry.stream;
        if stream.is_empty()
            || stream.chars().count() > MAX_STREAM_CHARS
            || stream.contains(char::is_control)
        {
            return Err(refuse(
                "stream",
                "the name must have 1 to 100 characters, none of them a control character",
            ));
        }
        if entry.key.chars().count() > MAX_KEY_CHARS || entry.key.contains(char::is_control) {
            return Err(refuse(
                "key",
                "the key must have at most 200 characters, none of them a control character",
            ));
        }
        if holds_nul(&entry.value) {
            return Err(refuse(
                "value",
                "a text with the character NUL cannot be stored",
            ));
        }
        let value = Some(entry.value).filter(|value| !value.is_null());
        checked.insert((stream, entry.key), value);
    }
    Ok(checked)
}

/// PostgreSQL stores no such text.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

async fn write(
    connection: &mut PgConnection,
    run_id: Uuid,
    system_id: i32,
    entries: Entries,
) -> Result<(), sqlx::Error> {
    let (mut streams, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gone_streams, mut gone_keys) = (Vec::new(), Vec::new());
    for ((stream, key), value) in entries {
        if let Some(value) = value {
            streams.push(stream);
            keys.push(key);
            values.push(SqlJson(value));
        } else {
            gone_streams.push(stream);
            gone_keys.push(key);
        }
    }
    if !gone_streams.is_empty() {
        sqlx::query(
            "delete from run_checkpoints c using unnest($2::text[], $3::text[]) gone (stream, key) \
             where c.run_id = $1 and c.stream = gone.stream and c.key = gone.key",
        )
        .bind(run_id)
        .bind(gone_streams)
        .bind(gone_keys)
        .execute(&mut *connection)
        .await?;
    }
    if !streams.is_empty() {
        sqlx::query(
            "insert into run_checkpoints as c (run_id, system_id, stream, key, value) \
             select $1, $2, s.stream, s.key, s.value from unnest($3::text[], $4::text[], $5::jsonb[]) s (stream, key, value) \
             on conflict (run_id, stream, key) do update set value = excluded.value where c.value <> excluded.value",
        )
        .bind(run_id)
        .bind(system_id)
        .bind(streams)
        .bind(keys)
        .bind(values)
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Which entries.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// At most so many; 100 when absent, never more than 1,000. A page with large values ends earlier.
    limit: Option<u32>,
}

/// A page of what is remembered.
pub async fn page(
    State(state): State<AppState>,
    caller: Caller,
    InPath(run_id): InPath<Uuid>,
    query: InQuery<CheckpointQuery>,
) -> Result<Json<CheckpointPage>, ApiError> {
    caller.require(Permission::Ingest)?;
    let query = query.read()?;
    let after = match &query.after {
        Some(word) => Some(
            place(word)
                .ok_or_else(|| ApiError::bad_field("after", "this is no 'next' of a page"))?,
        ),
        None => None,
    };
    let limit = page_size(query.limit) as usize;
    let mut connection = state.pool.acquire().await?;
    claim::require_under_way(&mut connection, &caller, run_id).await?;
    Ok(Json(read(&mut connection, run_id, after, limit).await?))
}

async fn read(
    connection: &mut PgConnection,
    run_id: Uuid,
    after: Option<(String, String)>,
    limit: usize,
) -> Result<CheckpointPage, ApiError> {
    let (stream, key) = after.unzip();
    let mut rows = sqlx::query(
        "select stream, key, value, octet_length(value::text) as length from run_checkpoints \
         where run_id = $1 and ($2::text is null or (stream, key) > ($2, $3)) order by stream, key limit $4",
    )
    .bind(run_id)
    .bind(stream)
    .bind(key)
    // One more than asked for says whether there is a next page.
    .bind(limit as i64 + 1)
    .fetch(connection);
    let mut page = CheckpointPage {
        items: Vec::new(),
        next: None,
    };
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await? {
        bytes += row.try_get::<i32, _>("length")? as usize;
        if page.items.len() == limit || (bytes > PAGE_BYTES && !page.items.is_empty()) {
            page.next = page.items.last().map(word);
            break;
        }
        page.items.push(CheckpointEntry {
            stream: row.try_get("stream")?,
            key: row.try_get("key")?,
            value: row.try_get::<SqlJson<Value>, _>("value")?.0,
        });
    }
    Ok(page)
}

/// The place of an entry, as an opaque word.
fn word(entry: &CheckpointEntry) -> String {
    // Neither holds a control character.
    URL_SAFE_NO_PAD.encode(format!("{}\n{}", entry.stream, entry.key))
}

/// The place that a word stands for.
fn place(word: &str) -> Option<(String, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(word).ok()?).ok()?;
    let (stream, key) = text.split_once('\n')?;
    (!text.contains('\0')).then(|| (stream.to_owned(), key.to_owned()))
}
