//! Installing the views: all or nothing, and only when a definition changed.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::{
    ViewError,
    catalog::{DEFINITIONS, Definition, Kind},
    error::sql_state,
    past::{self, OfPast},
};

const ATTEMPTS: u32 = 20;
const PAUSE_BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);

/// Creates the views and functions, replacing those of another version.
///
/// Call it after the migrations, under their lock. When the stored definitions are the current ones nothing is
/// touched; else everything is dropped and created in one transaction, so that readers see the old set or the new
/// one. Waiting for a lock would make every reader behind it wait too: the attempt gives up quickly and comes again.
pub async fn install(conn: &mut PgConnection) -> Result<(), ViewError> {
    for attempt in 1..=ATTEMPTS {
        match try_install(conn).await {
            Err(ViewError::Database(error)) if is_lock_conflict(&error) => {
                tracing::info!(attempt, "the views are in use; trying again");
                tokio::time::sleep(PAUSE_BETWEEN_ATTEMPTS).await;
            }
            outcome => return outcome,
        }
    }
    Err(ViewError::Locked { attempts: ATTEMPTS })
}

/// `lock_not_available` or `deadlock_detected`.
fn is_lock_conflict(error: &sqlx::Error) -> bool {
    sql_state(error).is_some_and(|state| state == "55P03" || state == "40P01")
}

async fn try_install(conn: &mut PgConnection) -> Result<(), ViewError> {
    let mut transaction = conn.begin().await?;
    sqlx::raw_sql(
        "set local lock_timeout = '500ms';
         set local client_min_messages = warning;
         create table if not exists view_definitions (
             position integer primary key,
             name text collate \"C\" not null unique,
             kind text collate \"C\" not null check (kind in ('view', 'function')),
             definition_hash text collate \"C\" not null,
             installed_at timestamptz not null default now()
         );",
    )
    .execute(&mut *transaction)
    .await?;
    let installed = installed_definitions(&mut transaction).await?;
    let ordered = in_dependency_order(DEFINITIONS);
    let of_past = past::definitions(&mut transaction, &ordered).await?;
    let present = ordered.iter().copied().map(Installed::of);
    let wanted: Vec<Installed> = present
        .chain(of_past.iter().map(Installed::of_past))
        .collect();
    if installed == wanted {
        transaction.commit().await?;
        return Ok(());
    }
    for old in installed.iter().rev() {
        drop_object(&mut transaction, old.kind, &old.name).await?;
    }
    sqlx::query("delete from view_definitions")
        .execute(&mut *transaction)
        .await?;
    for definition in &ordered {
        sqlx::raw_sql(definition.sql)
            .execute(&mut *transaction)
            .await?;
    }
    create_past(&mut transaction, &of_past).await?;
    note_installed(&mut transaction, &wanted).await?;
    // What was computed by other definitions has to be computed again.
    sqlx::query("update public.view_refreshes set seen = null where seen is not null")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    tracing::info!(count = wanted.len(), "views installed");
    Ok(())
}

/// Until the end of the transaction, names without schema are those of the past.
async fn create_past(conn: &mut PgConnection, of_past: &[OfPast]) -> Result<(), ViewError> {
    // "if not exists" would ask for the right to create schemas even where it is there.
    let is_there: bool = sqlx::query_scalar("select to_regnamespace($1) is not null")
        .bind(past::SCHEMA)
        .fetch_one(&mut *conn)
        .await?;
    if !is_there {
        sqlx::raw_sql("create schema past")
            .execute(&mut *conn)
            .await?;
    }
    sqlx::raw_sql("set local search_path = past, public")
        .execute(&mut *conn)
        .await?;
    for definition in of_past {
        // Safe: a text of ours, or made by ours from the names of columns, quoted.
        sqlx::raw_sql(AssertSqlSafe(definition.sql.as_str()))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn note_installed(conn: &mut PgConnection, installed: &[Installed]) -> Result<(), ViewError> {
    let positions: Vec<i32> = (0..installed.len() as i32).collect();
    let column = |of: fn(&Installed) -> &str| -> Vec<&str> { installed.iter().map(of).collect() };
    sqlx::query(
        "insert into public.view_definitions (position, name, kind, definition_hash)
         select * from unnest($1::integer[], $2::text[], $3::text[], $4::text[])",
    )
    .bind(positions)
    .bind(column(|row| &row.name))
    .bind(column(|row| row.kind.keyword()))
    .bind(column(|row| &row.hash))
    .execute(conn)
    .await?;
    Ok(())
}

/// Each definition after those it depends on; else in the order of the list.
fn in_dependency_order(definitions: &[Definition]) -> Vec<&Definition> {
    let mut ordered: Vec<&Definition> = Vec::with_capacity(definitions.len());
    let mut waiting: Vec<&Definition> = definitions.iter().collect();
    loop {
        let (ready, blocked): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|definition| {
            let is_there = |name: &&str| ordered.iter().any(|done| done.name == *name);
            definition.depends_on.iter().all(is_there)
        });
        if ready.is_empty() {
            // A circle or an unknown name: PostgreSQL will say what is missing.
            ordered.extend(blocked);
            return ordered;
        }
        ordered.extend(ready);
        waiting = blocked;
    }
}

/// A row of `view_definitions`. The name of what is in the past begins with `past.`.
#[derive(Debug, PartialEq, Eq)]
struct Installed {
    name: String,
    kind: Kind,
    hash: String,
}

impl Installed {
    fn of(definition: &Definition) -> Self {
        Self {
            name: definition.name.to_owned(),
            kind: definition.kind,
            hash: hash(definition.sql),
        }
    }

    fn of_past(definition: &OfPast) -> Self {
        Self {
            name: format!("{}.{}", past::SCHEMA, definition.name),
            kind: definition.kind,
            hash: hash(&definition.sql),
        }
    }
}

fn hash(sql: &str) -> String {
    format!("{:x}", HexBytes(&Sha256::digest(sql)))
}

/// Bytes that print as hexadecimal.
struct HexBytes<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexBytes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

async fn installed_definitions(conn: &mut PgConnection) -> Result<Vec<Installed>, ViewError> {
    let rows =
        sqlx::query("select name, kind, definition_hash from view_definitions order by position")
            .fetch_all(conn)
            .await?;
    rows.iter()
        .map(|row| {
            let kind: String = row.try_get("kind")?;
            Ok(Installed {
                name: row.try_get("name")?,
                kind: if kind == Kind::View.keyword() {
                    Kind::View
                } else {
                    Kind::Function
                },
                hash: row.try_get("definition_hash")?,
            })
        })
        .collect()
}

async fn drop_object(conn: &mut PgConnection, kind: Kind, name: &str) -> Result<(), ViewError> {
    // Safe: the name is one that an earlier install took from its own list; it is quoted all the same.
    let statement = format!(
        "drop {} if exists \"{}\"",
        kind.keyword(),
        name.replace('"', "\"\"").replace('.', "\".\"")
    );
    match sqlx::raw_sql(AssertSqlSafe(statement)).execute(conn).await {
        Err(error) if sql_state(&error).as_deref() == Some("2BP01") => {
            Err(ViewError::DependedUpon {
                name: name.to_owned(),
                detail: error.to_string(),
            })
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_come_after_what_they_depend_on_however_they_are_listed() {
        let mut reversed = DEFINITIONS.to_vec();
        reversed.reverse();
        let ordered = in_dependency_order(&reversed);
        assert_eq!(ordered.len(), DEFINITIONS.len());
        for (position, definition) in ordered.iter().enumerate() {
            for needed in definition.depends_on {
                let is_before = ordered[..position].iter().any(|done| done.name == *needed);
                assert!(is_before, "{} before {needed}", definition.name);
            }
        }
    }
}
