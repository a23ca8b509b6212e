//! `cadastre keys`: API keys, straight in the database. Who may open it may make keys.

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use clap::{Args, Subcommand};
use contract::{KeyInfo, Permission, SystemId};
use ingest_api::{
    DatabaseSettings,
    auth::{NewKey, create_key, list_keys, revoke_key},
    connect, migrate,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use crate::{cli::DatabaseArgs, place::OpenPlace, text::table};

/// The workspace that exists from the start.
pub const DEFAULT_WORKSPACE: i32 = 1;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it, once
    Create(CreateArgs),
    /// List the keys
    List(ListArgs),
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
        KeysCommand::Revoke(args) => revoke(&pool, &args.key_id).await?,
    }
    pool.close().await;
    Ok(())
}

async fn create(pool: &PgPool, args: CreateArgs) -> anyhow::Result<()> {
    anyhow::ensure!(!args.name.trim().is_empty(), "--name must not be empty");
    let system_ids = (!args.systems.is_empty()).then_some(args.systems);
    let (key, info) = make(
        pool,
        args.name.trim(),
        &args.permissions,
        system_ids,
        TimeDelta::days(args.days),
    )
    .await?;
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
    Ok(())
}

/// Makes a key for the default workspace.
pub async fn make(
    pool: &PgPool,
    name: &str,
    permissions: &[Permission],
    system_ids: Option<Vec<SystemId>>,
    lifetime: TimeDelta,
) -> anyhow::Result<(SecretString, KeyInfo)> {
    let new = NewKey {
        workspace_id: DEFAULT_WORKSPACE,
        name: name.to_owned(),
        permissions: permissions.to_vec(),
        system_ids,
        expires_at: Some(Utc::now() + lifetime),
        created_by: "command line".to_owned(),
    };
    let (generated, info) = create_key(&mut *pool.acquire().await?, &new).await?;
    Ok((generated.key, info))
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
                "Last used"
            ],
            &rows.collect::<Vec<_>>()
        )
    );
    Ok(())
}

async fn revoke(pool: &PgPool, key_id: &str) -> anyhow::Result<()> {
    // People paste whole keys; the id is enough and the rest should not be kept anywhere.
    let id = key_id
        .strip_prefix("fgc_")
        .map_or(key_id, |rest| rest.split('_').next().unwrap_or(rest));
    anyhow::ensure!(
        revoke_key(&mut *pool.acquire().await?, DEFAULT_WORKSPACE, None, id).await?,
        "there is no key {id}; `cadastre keys list` shows them"
    );
    println!("Key {id} is revoked.");
    Ok(())
}
