//! Sealed secrets in the database.

use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::{SealedSecret, SecretPlace};

/// Puts a secret at its place, over an older one.
pub async fn put(
    connection: &mut PgConnection,
    place: SecretPlace<'_>,
    sealed: &SealedSecret,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into secrets (workspace_id, crawler_id, field, version, key_id, wrapped_key, ciphertext) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (crawler_id, field) do update set version = excluded.version, \
         key_id = excluded.key_id, wrapped_key = excluded.wrapped_key, ciphertext = excluded.ciphertext",
    )
    .bind(place.workspace_id)
    .bind(place.crawler_id)
    .bind(place.field)
    .bind(place.version)
    .bind(&sealed.key_id)
    .bind(&sealed.wrapped_key)
    .bind(&sealed.ciphertext)
    .execute(connection)
    .await?;
    Ok(())
}

/// The secret of a field, whichever version is there: whether it is the right one shows when it is opened.
pub async fn get(
    connection: &mut PgConnection,
    place: SecretPlace<'_>,
) -> Result<Option<SealedSecret>, sqlx::Error> {
    let row = sqlx::query(
        "select key_id, wrapped_key, ciphertext from secrets where workspace_id = $1 and crawler_id = $2 and field = $3",
    )
    .bind(place.workspace_id)
    .bind(place.crawler_id)
    .bind(place.field)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(SealedSecret {
            key_id: row.try_get("key_id")?,
            wrapped_key: row.try_get("wrapped_key")?,
            ciphertext: row.try_get("ciphertext")?,
        })
    })
    .transpose()
}

/// Removes the secrets of some fields.
pub async fn delete(
    connection: &mut PgConnection,
    crawler_id: Uuid,
    fields: &[&str],
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from secrets where crawler_id = $1 and field = any ($2)")
        .bind(crawler_id)
        .bind(fields)
        .execute(connection)
        .await?;
    Ok(())
}
