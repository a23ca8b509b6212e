//! Moving data keys from old key-encryption keys to the one that writes, in small steps that can stop anywhere.

use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::{Keyring, SealedSecret, SecretError, SecretPlace};

/// Secrets that are moved in one transaction.
const STEP: i64 = 100;

/// A key and how many secrets are sealed with it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct KeyUse {
    /// The key.
    pub key_id: String,
    /// How many data keys are wrapped with it.
    pub secrets: i64,
}

/// The keys that this database knows, by id. One that seals nothing may be taken out of the configuration.
pub async fn key_uses(pool: &PgPool) -> Result<Vec<KeyUse>, sqlx::Error> {
    sqlx::query_as(
        "select coalesce(k.key_id, s.key_id) as key_id, coalesce(s.secrets, 0) as secrets from secret_keys k \
         full join (select key_id, count(*) as secrets from secrets group by key_id) s on s.key_id = k.key_id order by 1",
    )
    .fetch_all(pool)
    .await
}

/// What a call of [`rewrap`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Secrets that are sealed with the key that writes now, and were not before.
    pub moved: u64,
    /// Those that do not open, with the reason: crawler, field, why. They stay as they are.
    pub refused: Vec<(Uuid, String, SecretError)>,
    /// Secrets that still need another key: those above, and those beyond the number that was asked for.
    pub remaining: u64,
}

/// Moves up to so many secrets to the key that writes; all of them with `None`. What is moved is committed step by step: a
/// process that is killed meanwhile has lost nothing, and the next call goes on. Several may run at once, beside servers.
pub async fn rewrap(
    pool: &PgPool,
    keyring: &Keyring,
    at_most: Option<u64>,
) -> Result<Rewrapped, RewrapError> {
    let active = keyring.active_id().ok_or(SecretError::NoKey)?;
    let mut done = Rewrapped::default();
    let mut after = (Uuid::nil(), String::new());
    loop {
        let left = at_most.map_or(STEP, |most| {
            i64::try_from(most.saturating_sub(done.moved)).map_or(STEP, |left| left.min(STEP))
        });
        if left == 0 {
            break;
        }
        let mut transaction = pool.begin().await?;
        let rows = step(&mut transaction, active, &after, left).await?;
        let Some((place, _)) = rows.last() else { break };
        after = (place.crawler_id, place.field.clone());
        for (place, sealed) in rows {
            match keyring.rewrap(place.borrowed(), &sealed).await {
                Ok(moved) => done.moved += replace(&mut transaction, &place, &moved).await?,
                Err(error) => done.refused.push((place.crawler_id, place.field, error)),
            }
        }
        transaction.commit().await?;
    }
    let remaining: i64 = sqlx::query_scalar("select count(*) from secrets where key_id <> $1")
        .bind(active)
        .fetch_one(pool)
        .await?;
    done.remaining = remaining as u64;
    Ok(done)
}

/// Why secrets could not be moved at all.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// There is no key that writes.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// PostgreSQL refused.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
}

struct Place {
    workspace_id: i32,
    crawler_id: Uuid,
    field: String,
    version: i32,
}

impl Place {
    fn borrowed(&self) -> SecretPlace<'_> {
        SecretPlace {
            workspace_id: self.workspace_id,
            crawler_id: self.crawler_id,
            field: &self.field,
            version: self.version,
        }
    }
}

/// The next secrets, locked; who changes one at this moment seals it with the key that writes anyway.
async fn step(
    connection: &mut PgConnection,
    active: &str,
    after: &(Uuid, String),
    limit: i64,
) -> Result<Vec<(Place, SealedSecret)>, sqlx::Error> {
    let rows = sqlx::query(
        "select workspace_id, crawler_id, field, version, key_id, wrapped_key, ciphertext from secrets \
         where key_id <> $1 and (crawler_id, field) > ($2, $3) order by crawler_id, field limit $4 for update",
    )
    .bind(active)
    .bind(after.0)
    .bind(&after.1)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let place = Place {
                workspace_id: row.try_get("workspace_id")?,
                crawler_id: row.try_get("crawler_id")?,
                field: row.try_get("field")?,
                version: row.try_get("version")?,
            };
            let sealed = SealedSecret {
                key_id: row.try_get("key_id")?,
                wrapped_key: row.try_get("wrapped_key")?,
                ciphertext: row.try_get("ciphertext")?,
            };
            Ok((place, sealed))
        })
        .collect()
}

async fn replace(
    connection: &mut PgConnection,
    place: &Place,
    moved: &SealedSecret,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "update secrets set key_id = $3, wrapped_key = $4 where crawler_id = $1 and field = $2",
    )
    .bind(place.crawler_id)
    .bind(&place.field)
    .bind(&moved.key_id)
    .bind(&moved.wrapped_key)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Gives up the secrets of a key that is lost. Their crawlers know that they had them, so none runs without.
pub async fn discard(pool: &PgPool, key_id: &str) -> Result<u64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let done = sqlx::query(
        "with gone as (delete from secrets where key_id = $1 returning workspace_id, crawler_id, field), \
         noted as (update crawlers c set secret_error = 'the key of its secrets was lost: set them again' \
         where exists (select from gone g where g.crawler_id = c.crawler_id) returning c.crawler_id) \
         insert into audit_log (workspace_id, actor, action, target, detail) \
         select workspace_id, 'command line', 'secret.discard', crawler_id::text, jsonb_build_object('field', field, 'key', $1) from gone",
    )
    .bind(key_id)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected())
}
