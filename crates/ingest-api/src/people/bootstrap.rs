//! The first admin of an embedded start: a link that is printed once and claimed once.

use contract::SignedInBy;
use sqlx::{PgConnection, PgPool, Row as _};

use super::{
    Settings,
    account::{Account, LOCAL},
    random::Token,
    session,
};

/// How long a link works, in minutes.
const MINUTES: i32 = 60;

/// A new link for the first admin, in place of any before; `None` where somebody is admin, or can become it by a group.
pub async fn link(pool: &PgPool, base_url: &str) -> Result<Option<String>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let has_admin: bool = sqlx::query_scalar(
        "select exists (select from role_mappings where role = 'admin') or exists (select from people_sessions s \
         join accounts a using (account_id) where a.is_local_admin and s.created_at > now() - interval '12 hours' \
         and s.last_used_at > now() - interval '1 hour')",
    )
    .fetch_one(&mut *transaction)
    .await?;
    if has_admin {
        return Ok(None);
    }
    sqlx::query("delete from bootstrap_links where used_at is null")
        .execute(&mut *transaction)
        .await?;
    let token = Token::random();
    sqlx::query(
        "insert into bootstrap_links (token_hash, workspace_id, expires_at) \
         select $1, min(workspace_id), now() + make_interval(mins => $2) from workspaces",
    )
    .bind(token.hash().as_slice())
    .bind(MINUTES)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some(format!(
        "{base_url}/auth/bootstrap?token={}",
        token.text()
    )))
}

/// Would the link work?
pub async fn is_open(pool: &PgPool, token: &Token) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from bootstrap_links where token_hash = $1 and used_at is null and expires_at > now())",
    )
    .bind(token.hash().as_slice())
    .fetch_one(pool)
    .await
}

/// Uses the link up, and begins the admin's session; `None` where it does not work (any more). Of two at once one waits for
/// the other's row, and finds the link used.
pub async fn claim(
    connection: &mut PgConnection,
    settings: &Settings,
    token: &Token,
) -> Result<Option<(Account, Token)>, sqlx::Error> {
    let workspace_id: Option<i32> = sqlx::query_scalar(
        "update bootstrap_links set used_at = now() where token_hash = $1 and used_at is null and expires_at > now() \
         returning workspace_id",
    )
    .bind(token.hash().as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(workspace_id) = workspace_id else {
        return Ok(None);
    };
    let row = sqlx::query(
        "insert into accounts (workspace_id, issuer, subject, display_name, is_local_admin) \
         values ($1, $2, format('admin of workspace %s', $1), 'First administrator', true) \
         on conflict (issuer, subject) do update set last_sign_in_at = now() returning account_id, display_name",
    )
    .bind(workspace_id)
    .bind(LOCAL)
    .fetch_one(&mut *connection)
    .await?;
    let account = Account {
        account_id: row.try_get("account_id")?,
        workspace_id,
        display_name: row.try_get("display_name")?,
    };
    let session = session::begin(
        connection,
        settings,
        account.account_id,
        SignedInBy::Bootstrap,
    )
    .await?;
    Ok(Some((account, session)))
}
