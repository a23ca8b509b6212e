//! Rows that a delta session is told to remove: parsed, and staged until its commit.
//!
//! They are judged together at the commit, so that no number of small batches gets past the delete guard.

use contract::MAX_RECORDS;
use serde_json::{Map, Value as Json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Session;
use crate::{
    error::ApiError,
    record::{self, Value},
};

/// The keys that `deletedIds` names, each as the values of the key's columns. One that is no key refuses them all.
pub fn named_keys(session: &Session, deleted_ids: &[Json]) -> Result<Vec<Vec<Value>>, ApiError> {
    if deleted_ids.len() > MAX_RECORDS {
        return Err(ApiError::TooLarge(format!(
            "a call names at most {MAX_RECORDS} rows to remove"
        )));
    }
    let spec = session.spec()?;
    let ids = session.id_rule();
    let mut keys = Vec::with_capacity(deleted_ids.len());
    for (index, entry) in deleted_ids.iter().enumerate() {
        let object = match entry {
            Json::Object(object) => object.clone(),
            Json::String(_) if spec.key.len() == 1 => {
                Map::from_iter([(spec.key[0].wire.to_owned(), entry.clone())])
            }
            _ => {
                let fields: Vec<&str> = spec.key.iter().map(|column| column.wire).collect();
                let detail = format!(
                    "an entry must be the key of a row: an object with {}",
                    fields.join(", ")
                );
                return Err(ApiError::bad_field(&format!("deletedIds/{index}"), detail));
            }
        };
        let key = record::parse_key(spec, &ids, &object).map_err(|misfit| {
            ApiError::bad_field(
                &format!("deletedIds/{index}{}", misfit.pointer),
                misfit.detail,
            )
        })?;
        keys.push(key);
    }
    Ok(keys)
}

/// Stages the removals of a batch.
pub async fn stage(
    connection: &mut PgConnection,
    sync_id: Uuid,
    seq: i64,
    keys: &[Vec<Value>],
) -> Result<(), ApiError> {
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<Json> = keys
        .iter()
        .map(|key| key.iter().map(text).collect())
        .collect();
    sqlx::query(
        "insert into session_removals (sync_id, seq, row_key, staged_at) \
         select $1, $2, array(select k.part from jsonb_array_elements_text(n.row_key) with ordinality k (part, place) order by k.place), \
         clock_timestamp() from jsonb_array_elements($3) n (row_key)",
    )
    .bind(sync_id)
    .bind(seq)
    .bind(Json::from(keys))
    .execute(connection)
    .await?;
    Ok(())
}

/// The text of a value of a key, as the table of staged removals keeps it.
fn text(value: &Value) -> Json {
    match value {
        Value::Uuid(id) => Json::from(id.to_string()),
        Value::Text(text) => Json::from(text.as_str()),
        other => unreachable!("a key column of another kind: {other:?}"),
    }
}

/// Does the session have removals to judge?
pub async fn are_staged(connection: &mut PgConnection, sync_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from session_removals where sync_id = $1)")
        .bind(sync_id)
        .fetch_one(connection)
        .await
}

/// Forgets the removals of a session that ends.
pub async fn forget(connection: &mut PgConnection, sync_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from session_removals where sync_id = $1")
        .bind(sync_id)
        .execute(connection)
        .await?;
    Ok(())
}
