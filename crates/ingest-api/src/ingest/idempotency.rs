//! `Idempotency-Key`: the same call again within a day gets the answer of the first time.

use axum::http::{HeaderMap, StatusCode};
use contract::{Entity, IngestAnswer};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row as _, types::Json};

use crate::{auth::Caller, error::ApiError};

/// A call that can be told from another one.
#[derive(Debug, Clone)]
pub struct Idempotency {
    key: String,
    body_hash: [u8; 32],
}

impl Idempotency {
    /// Reads the header, if there is one.
    pub fn of(
        headers: &HeaderMap,
        entity: Entity,
        body_hash: [u8; 32],
    ) -> Result<Option<Self>, ApiError> {
        let Some(value) = headers.get("idempotency-key") else {
            return Ok(None);
        };
        match value.to_str() {
            Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(Self {
                key: key.to_owned(),
                // The same bytes for another entity are another call.
                body_hash: Sha256::new()
                    .chain_update(entity.wire_name())
                    .chain_update(body_hash)
                    .finalize()
                    .into(),
            })),
            _ => Err(ApiError::bad_body(
                "Idempotency-Key must be a text of 1 to 255 visible characters",
            )),
        }
    }

    /// The first answer to this call, if it was made before. Holds the key until the transaction ends, so that the same
    /// call on another connection waits.
    pub async fn earlier(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
    ) -> Result<Option<(StatusCode, IngestAnswer)>, ApiError> {
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1 || '|' || $2, 1))")
            .bind(caller.key_id())
            .bind(&self.key)
            .execute(&mut *connection)
            .await?;
        let earlier = sqlx::query(
            "select body_hash, status, answer from idempotent_answers where key_id = $1 and idempotency_key = $2 \
             and created_at > now() - interval '24 hours'",
        )
        .bind(caller.key_id())
        .bind(&self.key)
        .fetch_optional(connection)
        .await?;
        let Some(earlier) = earlier else {
            return Ok(None);
        };
        if earlier.try_get::<Vec<u8>, _>("body_hash")? != self.body_hash {
            return Err(ApiError::IdempotencyKeyReused);
        }
        let status =
            u16::try_from(earlier.try_get::<i16, _>("status")?).map_err(ApiError::internal)?;
        let answer = earlier.try_get::<Json<IngestAnswer>, _>("answer")?.0;
        Ok(Some((
            StatusCode::from_u16(status).map_err(ApiError::internal)?,
            answer,
        )))
    }

    /// Keeps the answer, in the transaction of what it speaks of.
    pub async fn keep(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        status: StatusCode,
        answer: &IngestAnswer,
    ) -> Result<(), ApiError> {
        sqlx::query(
            "insert into idempotent_answers (key_id, idempotency_key, body_hash, status, answer) values ($1, $2, $3, $4, $5) \
             on conflict (key_id, idempotency_key) do update set body_hash = excluded.body_hash, status = excluded.status, \
             answer = excluded.answer, created_at = now()",
        )
        .bind(caller.key_id())
        .bind(&self.key)
        .bind(self.body_hash.as_slice())
        .bind(status.as_u16() as i16)
        .bind(Json(answer))
        .execute(connection)
        .await?;
        Ok(())
    }
}
