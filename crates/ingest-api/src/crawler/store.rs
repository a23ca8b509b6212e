//! Crawlers in the database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::{
    SystemId,
    crawler::{
        Crawler, CrawlerKind, CrawlerSettings, CrawlerState, CrawlerVersion, SecretField,
        SecretState,
    },
};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::check;
use crate::auth::Caller;

/// What a crawler knows of a secret: the version that set it, whose ciphertext alone is taken for it, or where the worker
/// finds it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretNote {
    /// The version of the crawler that set it; absent for a reference.
    pub version: Option<i32>,
    /// Tells this sealing from others.
    pub fingerprint: Option<String>,
    /// Where the worker finds it.
    pub reference: Option<String>,
    /// When it was set.
    pub set_at: DateTime<Utc>,
}

/// A crawler as it is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its id.
    pub crawler_id: Uuid,
    /// The system that it fills.
    pub system_id: Option<SystemId>,
    /// What it reads.
    pub kind: CrawlerKind,
    /// Its name.
    pub name: String,
    /// Grows with every change.
    pub version: i32,
    /// Its settings.
    pub settings: CrawlerSettings,
    /// Its secrets.
    pub secrets: BTreeMap<SecretField, SecretNote>,
    /// Why its secrets cannot be used, when they cannot.
    pub secret_error: Option<String>,
    /// May it run?
    pub enabled: bool,
    created_at: DateTime<Utc>,
    created_by: String,
    updated_at: DateTime<Utc>,
    updated_by: String,
}

const COLUMNS: &str = "crawler_id, system_id, kind, name, version, settings, secrets, secret_error, enabled, created_at, \
     created_by, updated_at, updated_by";

fn read(row: &PgRow) -> Result<Kept, sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    if kind != CrawlerKind::Entra.wire_name() {
        return Err(sqlx::Error::Decode(
            format!("a crawler is of the unknown kind '{kind}'").into(),
        ));
    }
    Ok(Kept {
        crawler_id: row.try_get("crawler_id")?,
        system_id: row.try_get("system_id")?,
        kind: CrawlerKind::Entra,
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        settings: row.try_get::<Json<_>, _>("settings")?.0,
        secrets: row.try_get::<Json<_>, _>("secrets")?.0,
        secret_error: row.try_get("secret_error")?,
        enabled: row.try_get("enabled")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: row.try_get("updated_at")?,
        updated_by: row.try_get("updated_by")?,
    })
}

impl Kept {
    /// Is a secret set, here or where the worker is?
    pub fn has(&self, field: SecretField) -> bool {
        self.secrets.contains_key(&field)
    }

    /// As the API shows it.
    pub fn shown(self) -> Crawler {
        let missing = check::missing(&self.settings, |field| self.has(field));
        let (state, state_reason) = match (self.secret_error, missing) {
            (Some(reason), _) => (CrawlerState::SecretError, Some(reason)),
            (None, Some(fault)) => (
                CrawlerState::Incomplete,
                Some(format!("{}: {}", fault.pointer, fault.detail)),
            ),
            (None, None) => (CrawlerState::Ready, None),
        };
        let shown = |note: SecretNote| SecretState {
            has_secret: true,
            fingerprint: note.fingerprint,
            reference: note.reference,
            set_at: note.set_at,
        };
        Crawler {
            crawler_id: self.crawler_id,
            kind: self.kind,
            name: self.name,
            system_id: self.system_id,
            enabled: self.enabled,
            state,
            state_reason,
            version: self.version,
            settings: self.settings,
            secrets: self
                .secrets
                .into_iter()
                .map(|(field, note)| (field, shown(note)))
                .collect(),
            created_at: self.created_at,
            created_by: self.created_by,
            updated_at: self.updated_at,
            updated_by: self.updated_by,
        }
    }
}

/// A page of the crawlers that a caller may see, in the order of their ids.
pub async fn page(
    connection: &mut PgConnection,
    caller: &Caller,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Kept>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from crawlers where workspace_id = $1 and deleted_at is null \
         and ($2::integer[] is null or system_id = any ($2)) and ($3::uuid is null or crawler_id > $3) \
         order by crawler_id limit $4"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

/// A crawler that a caller may see, locked until the transaction ends.
pub async fn lock(
    connection: &mut PgConnection,
    caller: &Caller,
    crawler_id: Uuid,
) -> Result<Option<Kept>, sqlx::Error> {
    visible(connection, caller, crawler_id, "for update").await
}

/// A crawler that a caller may see.
pub async fn one(
    connection: &mut PgConnection,
    caller: &Caller,
    crawler_id: Uuid,
) -> Result<Option<Kept>, sqlx::Error> {
    visible(connection, caller, crawler_id, "").await
}

async fn visible(
    connection: &mut PgConnection,
    caller: &Caller,
    crawler_id: Uuid,
    locking: &'static str,
) -> Result<Option<Kept>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from crawlers where crawler_id = $1 and workspace_id = $2 and deleted_at is null \
         and ($3::integer[] is null or system_id = any ($3)) {locking}"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(crawler_id)
        .bind(caller.workspace_id)
        .bind(&caller.system_ids)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// A crawler of a workspace. Nobody changes it until the transaction ends, so that its secrets stay those that it names.
pub async fn of_workspace(
    connection: &mut PgConnection,
    workspace_id: i32,
    crawler_id: Uuid,
) -> Result<Option<Kept>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from crawlers where crawler_id = $1 and workspace_id = $2 and deleted_at is null for no key update"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(crawler_id)
        .bind(workspace_id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// A crawler as it is to be.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Its id.
    pub crawler_id: Uuid,
    /// Its version.
    pub version: i32,
    /// The system that it fills.
    pub system_id: Option<SystemId>,
    /// Its name.
    pub name: &'a str,
    /// May it run?
    pub enabled: bool,
    /// Its settings.
    pub settings: &'a CrawlerSettings,
    /// Its secrets.
    pub secrets: &'a BTreeMap<SecretField, SecretNote>,
    /// Those that this version sets or clears.
    pub changed: &'a [SecretField],
}

/// Keeps a crawler, new or over its version before, and what it is in its versions. A secret that is set or cleared takes
/// back what was wrong with the secrets.
pub async fn keep(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Wanted<'_>,
) -> Result<Kept, sqlx::Error> {
    let changed: Vec<&str> = wanted
        .changed
        .iter()
        .map(|field| field.wire_name())
        .collect();
    let sql = format!(
        "insert into crawlers as c (crawler_id, workspace_id, system_id, kind, name, version, settings, secrets, enabled, \
         created_by, updated_by) values ($1, $2, $3, 'entra', $4, $5, $6, $7, $8, $9, $9) \
         on conflict (crawler_id) do update set system_id = excluded.system_id, name = excluded.name, \
         version = excluded.version, settings = excluded.settings, secrets = excluded.secrets, enabled = excluded.enabled, \
         updated_at = now(), updated_by = excluded.updated_by, \
         secret_error = case when $10 then null else c.secret_error end where c.workspace_id = excluded.workspace_id \
         returning {COLUMNS}"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(wanted.crawler_id)
        .bind(caller.workspace_id)
        .bind(wanted.system_id)
        .bind(wanted.name)
        .bind(wanted.version)
        .bind(Json(wanted.settings))
        .bind(Json(wanted.secrets))
        .bind(wanted.enabled)
        .bind(caller.actor())
        .bind(!changed.is_empty())
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(
        "insert into crawler_versions (crawler_id, version, name, enabled, settings, secrets_changed, changed_by) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(wanted.crawler_id)
    .bind(wanted.version)
    .bind(wanted.name)
    .bind(wanted.enabled)
    .bind(Json(wanted.settings))
    .bind(changed)
    .bind(caller.actor())
    .execute(connection)
    .await?;
    read(&row)
}

/// Marks a crawler as gone, and removes its secrets for good.
pub async fn remove(
    connection: &mut PgConnection,
    caller: &Caller,
    crawler_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update crawlers set deleted_at = now(), enabled = false, secrets = '{}', secret_error = null, updated_at = now(), \
         updated_by = $3 where crawler_id = $1 and workspace_id = $2",
    )
    .bind(crawler_id)
    .bind(caller.workspace_id)
    .bind(caller.actor())
    .execute(&mut *connection)
    .await?;
    sqlx::query("delete from secrets where crawler_id = $1")
        .bind(crawler_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes why the secrets of a crawler cannot be used, or that they can.
pub async fn note_secret_error(
    connection: &mut PgConnection,
    crawler_id: Uuid,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query("update crawlers set secret_error = $2 where crawler_id = $1 and secret_error is distinct from $2")
        .bind(crawler_id)
        .bind(reason)
        .execute(connection)
        .await?;
    Ok(())
}

/// Versions of a crawler before one, newest first.
pub async fn versions(
    connection: &mut PgConnection,
    crawler_id: Uuid,
    before: Option<i32>,
    limit: u32,
) -> Result<Vec<CrawlerVersion>, sqlx::Error> {
    let rows = sqlx::query(
        "select version, name, enabled, settings, secrets_changed, changed_at, changed_by from crawler_versions \
         where crawler_id = $1 and ($2::integer is null or version < $2) order by version desc limit $3",
    )
    .bind(crawler_id)
    .bind(before)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let changed: Vec<String> = row.try_get("secrets_changed")?;
            Ok(CrawlerVersion {
                version: row.try_get("version")?,
                name: row.try_get("name")?,
                enabled: row.try_get("enabled")?,
                settings: row.try_get::<Json<_>, _>("settings")?.0,
                secrets_changed: SecretField::ALL
                    .into_iter()
                    .filter(|field| changed.iter().any(|name| name == field.wire_name()))
                    .collect(),
                changed_at: row.try_get("changed_at")?,
                changed_by: row.try_get("changed_by")?,
            })
        })
        .collect()
}
