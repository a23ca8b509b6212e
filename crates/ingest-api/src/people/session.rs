//! Sessions of browsers, in the database alone: what ends one ends it on every server.

use contract::SignedInBy;
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::{Settings, random::Token};

/// A session that is good.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose it is.
    pub account_id: Uuid,
    /// The workspace of the account.
    pub workspace_id: i32,
    /// The person's name.
    pub display_name: String,
    /// How it began.
    pub signed_in_by: SignedInBy,
}

/// Begins a session, and removes what ended by itself.
pub async fn begin(
    connection: &mut PgConnection,
    settings: &Settings,
    account_id: Uuid,
    signed_in_by: SignedInBy,
) -> Result<Token, sqlx::Error> {
    sqlx::query(
        "delete from people_sessions where created_at <= now() - make_interval(mins => $1::integer)",
    )
    .bind(settings.lifetime_minutes)
    .execute(&mut *connection)
    .await?;
    let token = Token::random();
    let by = match signed_in_by {
        SignedInBy::Bootstrap => "bootstrap",
        SignedInBy::Provider | SignedInBy::Token => "provider",
    };
    sqlx::query(
        "insert into people_sessions (id_hash, account_id, signed_in_by) values ($1, $2, $3)",
    )
    .bind(token.hash().as_slice())
    .bind(account_id)
    .bind(by)
    .execute(connection)
    .await?;
    Ok(token)
}

/// The session behind a cookie, when it is good by the database's clock. Its use is noted once a minute.
pub async fn find(
    pool: &PgPool,
    settings: &Settings,
    id_hash: &[u8; 32],
) -> Result<Option<Session>, sqlx::Error> {
    let found = sqlx::query(
        "select s.account_id, s.signed_in_by, a.workspace_id, a.display_name, \
         s.last_used_at < now() - interval '1 minute' as is_use_news \
         from people_sessions s join accounts a using (account_id) where s.id_hash = $1 \
         and s.last_used_at > now() - make_interval(mins => $2::integer) \
         and s.created_at > now() - make_interval(mins => $3::integer)",
    )
    .bind(id_hash.as_slice())
    .bind(settings.idle_minutes)
    .bind(settings.lifetime_minutes)
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else {
        return Ok(None);
    };
    if found.try_get("is_use_news")? {
        note_use(pool, *id_hash).await?;
    }
    let by: String = found.try_get("signed_in_by")?;
    Ok(Some(Session {
        account_id: found.try_get("account_id")?,
        workspace_id: found.try_get("workspace_id")?,
        display_name: found.try_get("display_name")?,
        signed_in_by: if by == "bootstrap" {
            SignedInBy::Bootstrap
        } else {
            SignedInBy::Provider
        },
    }))
}

/// Notes that a session was used. An update alone: one that was ended meanwhile stays ended. What was begun ends, also when
/// the client leaves meanwhile.
async fn note_use(pool: &PgPool, id_hash: [u8; 32]) -> Result<(), sqlx::Error> {
    let pool = pool.clone();
    let noting = tokio::spawn(async move {
        sqlx::query("update people_sessions set last_used_at = greatest(last_used_at, now()) where id_hash = $1")
            .bind(id_hash.as_slice())
            .execute(&pool)
            .await
    });
    noting.await.map_or(Ok(()), |noted| noted.map(|_| ()))
}

/// Is the session good still? Notes no use.
pub async fn is_good(
    pool: &PgPool,
    settings: &Settings,
    id_hash: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from people_sessions where id_hash = $1 \
         and last_used_at > now() - make_interval(mins => $2::integer) \
         and created_at > now() - make_interval(mins => $3::integer))",
    )
    .bind(id_hash.as_slice())
    .bind(settings.idle_minutes)
    .bind(settings.lifetime_minutes)
    .fetch_one(pool)
    .await
}

/// Ends a session.
pub async fn end(connection: &mut PgConnection, id_hash: &[u8; 32]) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query("delete from people_sessions where id_hash = $1")
        .bind(id_hash.as_slice())
        .execute(connection)
        .await?;
    Ok(ended.rows_affected() > 0)
}
