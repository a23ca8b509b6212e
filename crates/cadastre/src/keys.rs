//! `cadastre keys`: API keys, straight in the database. Who may open it may make keys.

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use clap::{Args, Subcommand};
use contract::{KeyInfo, Permission, SystemId};
use ingest_api::{
    DatabaseSettings, audit,
    auth::{
        AddressRange, Limits, NewKey, Realm, create_key, limit_key, list_keys, revoke_key,
        rotate_key,
    },
    connect, migrate,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use crate::{cli::DatabaseArgs, place::OpenPlace, text::table};

/// The workspace that exists from the start.
pub const DEFAULT_WORKSPACE: i32 = 1;

/// Who the audit log says it was.
const ACTOR: &str = "command line";

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it, once
    Create(CreateArgs),
    /// List the keys
    List(ListArgs),
    /// Replace a key by a new one with the same rights, and print that, once
    Rotate(RotateArgs),
    /// Revoke a key at once
    Revoke(RevokeArgs),
}

/// Flags of `keys create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// What the key is for
    #[arg(long)]
    name: String,
    /// What it may do: ingest, jobs, read, admin, scim, schema; several times for several
    #[arg(long = "permission", required = true, value_parser = permission)]
    permissions: Vec<Permission>,
    /// A system that it may touch; several times for several; all when absent
    #[arg(long = "system")]
    systems: Vec<SystemId>,
    /// Days until it stops working
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i64).range(1..=3650))]
    days: i64,
    /// An address or network (10.1.0.0/16) that it works from; several times for several; everywhere when absent
    #[arg(long = "allow-from")]
    allow_from: Vec<AddressRange>,
    /// Most requests a minute, for each server; no limit when absent
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests_per_minute: Option<u32>,
}

/// Flags of `keys rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The key's id: the part between `fgc_` and the next underscore
    key_id: String,
    /// Hours that the old key works on, unless it ends before
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i64).range(0..=720))]
    grace_hours: i64,
}

/// Flags of `keys list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Flags of `keys revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The key's id: the part between `fgc_` and the next underscore
    key_id: String,
    /// Also every key that came from it by rotations
    #[arg(long)]
    descendants: bool,
}

fn permission(text: &str) -> Result<Permission, String> {
    Permission::ALL
        .into_iter()
        .find(|permission| permission.wire_name() == text)
        .ok_or_else(|| {
            format!(
                "known are: {}",
                Permission::ALL.map(Permission::wire_name).join(", ")
            )
        })
}

/// Runs a `keys` command.
pub async fn run(command: KeysCommand) -> anyhow::Result<()> {
    let database = match &command {
        KeysCommand::Create(args) => &args.database,
        KeysCommand::List(args) => &args.database,
        KeysCommand::Rotate(args) => &args.database,
        KeysCommand::Revoke(args) => &args.database,
    };
    let place = database.place()?;
    // Our own server may be running under `cadastre up`: then its database is the one to use.
    let (url, opened) = if let Some(url) = place.in_use().await {
        (url, None)
    } else {
        let opened = place.open().await?;
        (opened.url.clone(), Some(opened))
    };
    let done = with_database(&url, command).await;
    if let Some(opened) = opened {
        OpenPlace::close(opened).await?;
    }
    done
}

async fn with_database(url: &SecretString, command: KeysCommand) -> anyhow::Result<()> {
    migrate(url)
        .await
        .context("bringing the schema up to date")?;
    let settings = DatabaseSettings {
        url: url.clone(),
        max_connections: 2,
        allow_not_durable: false,
    };
    let pool = connect(&settings)
        .await
        .context("connecting to the database")?;
    match command {
        KeysCommand::Create(args) => create(&pool, args).await?,
        KeysCommand::List(_) => list(&pool).await?,
        KeysCommand::Rotate(args) => rotate(&pool, &args).await?,
        KeysCommand::Revoke(args) => revoke(&pool, &args).await?,
    }
    pool.close().await;
    Ok(())
}

async fn create(pool: &PgPool, args: CreateArgs) -> anyhow::Result<()> {
    anyhow::ensure!(!args.name.trim().is_empty(), "--name must not be empty");
    let system_ids = (!args.systems.is_empty()).then_some(args.systems);
    let limits = Limits {
        allowed_addresses: (!args.allow_from.is_empty()).then_some(args.allow_from),
        requests_per_minute: args.requests_per_minute,
    };
    let (key, info) = make_limited(
        pool,
        args.name.trim(),
        &args.permissions,
        system_ids,
        TimeDelta::days(args.days),
        &limits,
    )
    .await?;
    show_once(&key, &info);
    Ok(())
}

fn show_once(key: &SecretString, info: &KeyInfo) {
    println!("{}", key.expose_secret());
    eprintln!(
        "\nKey {} for '{}' works until {}. It is shown this once: keep it where secrets are kept.",
        info.key_id,
        info.name,
        info.expires_at.map_or_else(
            || "revoked".to_owned(),
            |at| at.format("%Y-%m-%d").to_string()
        ),
    );
}

/// Makes a key for the default workspace.
pub async fn make(
    pool: &PgPool,
    name: &str,
    permissions: &[Permission],
    system_ids: Option<Vec<SystemId>>,
    lifetime: TimeDelta,
) -> anyhow::Result<(SecretString, KeyInfo)> {
    make_limited(
        pool,
        name,
        permissions,
        system_ids,
        lifetime,
        &Limits::default(),
    )
    .await
}

async fn make_limited(
    pool: &PgPool,
    name: &str,
    permissions: &[Permission],
    system_ids: Option<Vec<SystemId>>,
    lifetime: TimeDelta,
    limits: &Limits,
) -> anyhow::Result<(SecretString, KeyInfo)> {
    let new = NewKey {
        workspace_id: DEFAULT_WORKSPACE,
        name: name.to_owned(),
        permissions: permissions.to_vec(),
        system_ids,
        expires_at: Some(Utc::now() + lifetime),
        created_by: ACTOR.to_owned(),
    };
    let mut transaction = pool.begin().await?;
    let (generated, info) = create_key(&mut transaction, &new).await?;
    let info = limit_key(&mut transaction, &info.key_id, limits).await?;
    let detail = json!({
        "name": info.name, "permissions": info.permissions, "systemIds": info.system_ids,
        "expiresAt": info.expires_at, "allowedAddresses": info.allowed_addresses,
        "requestsPerMinute": info.requests_per_minute,
    });
    note(&mut transaction, "key.create", &info.key_id, detail).await?;
    transaction.commit().await?;
    Ok((generated.key, info))
}

/// Writes into the audit log what is done here.
async fn note(
    connection: &mut PgConnection,
    action: &'static str,
    key_id: &str,
    detail: Value,
) -> anyhow::Result<()> {
    let entry = audit::Entry {
        workspace_id: DEFAULT_WORKSPACE,
        actor: ACTOR,
        action,
        target: key_id,
        detail,
    };
    Ok(audit::record_by(connection, entry).await?)
}

async fn list(pool: &PgPool) -> anyhow::Result<()> {
    let day = |at: Option<chrono::DateTime<Utc>>| {
        at.map_or_else(
            || "-".to_owned(),
            |at| at.format("%Y-%m-%d %H:%M").to_string(),
        )
    };
    let rows = list_keys(pool, DEFAULT_WORKSPACE, None)
        .await?
        .into_iter()
        .map(|key| {
            let permissions: Vec<_> = key
                .permissions
                .iter()
                .map(|permission| permission.wire_name())
                .collect();
            let state = match (key.revoked_at, key.expires_at) {
                (Some(_), _) => "revoked",
                (None, Some(at)) if at <= Utc::now() => "expired",
                _ => "works",
            };
            vec![
                key.key_id,
                key.name,
                permissions.join(","),
                state.to_owned(),
                day(key.expires_at),
                day(key.last_used_at),
                key.allowed_addresses
                    .map_or_else(|| "everywhere".to_owned(), |list| list.join(",")),
                key.requests_per_minute
                    .map_or_else(|| "-".to_owned(), |limit| limit.to_string()),
                key.rotated_from.unwrap_or_else(|| "-".to_owned()),
            ]
        });
    print!(
        "{}",
        table(
            &[
                "Key",
                "Name",
                "Permissions",
                "State",
                "Expires",
                "Last used",
                "From",
                "A minute",
                "Replaces"
            ],
            &rows.collect::<Vec<_>>()
        )
    );
    Ok(())
}

/// People paste whole keys; the id is enough and the rest should not be kept anywhere.
fn id_of(key: &str) -> &str {
    key.strip_prefix("fgc_")
        .map_or(key, |rest| rest.split('_').next().unwrap_or(rest))
}

const REALM: Realm<'static> = Realm {
    workspace_id: DEFAULT_WORKSPACE,
    system_ids: None,
};

async fn rotate(pool: &PgPool, args: &RotateArgs) -> anyhow::Result<()> {
    let id = id_of(&args.key_id);
    let grace = TimeDelta::hours(args.grace_hours);
    let mut transaction = pool.begin().await?;
    let made = rotate_key(&mut transaction, REALM, id, grace, ACTOR.to_owned()).await?;
    let (generated, info) = made.with_context(|| {
        format!("there is no key {id} that works; `cadastre keys list` shows them")
    })?;
    let detail = json!({"from": id, "graceSeconds": grace.num_seconds()});
    note(&mut transaction, "key.rotate", &info.key_id, detail).await?;
    transaction.commit().await?;
    show_once(&generated.key, &info);
    Ok(())
}

async fn revoke(pool: &PgPool, args: &RevokeArgs) -> anyhow::Result<()> {
    let id = id_of(&args.key_id);
    let mut transaction = pool.begin().await?;
    let revoked = revoke_key(&mut transaction, REALM, id, args.descendants)
        .await?
        .with_context(|| format!("there is no key {id}; `cadastre keys list` shows them"))?;
    let detail = json!({"revoked": revoked});
    note(&mut transaction, "key.revoke", id, detail).await?;
    transaction.commit().await?;
    println!("Key {id} is revoked.");
    for other in revoked.iter().filter(|other| *other != id) {
        println!("Key {other}, which came from it, is revoked.");
    }
    Ok(())
}
