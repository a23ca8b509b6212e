//! `cadastre secrets`: the keys that secrets of crawlers are sealed with. Straight in the database, for whoever has both it
//! and the keys.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use ingest_api::{
    DatabaseSettings, connect, migrate,
    secret::{self, KeySource, Keyring},
};
use sqlx::PgPool;

use crate::{cli::DatabaseArgs, text::table};

/// What to do with the keys for secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Make a file with a new key
    NewKey(NewKeyArgs),
    /// Show how many secrets each key seals
    Status(SecretsArgs),
    /// Seal every secret with the key that writes, so that older keys may go
    Rewrap(SecretsArgs),
    /// Give up the secrets of a key that is lost; their crawlers stop until the secrets are set again
    Discard(DiscardArgs),
}

/// Flags of `secrets new-key`.
#[derive(Debug, Args)]
pub struct NewKeyArgs {
    /// The file; one that is there already is not touched
    file: PathBuf,
    /// The key's name
    #[arg(long, default_value = "key-1")]
    id: String,
}

/// The database and the keys.
#[derive(Debug, Args)]
pub struct SecretsArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    keys: KeySource,
}

/// Flags of `secrets discard`.
#[derive(Debug, Args)]
pub struct DiscardArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The key that is lost
    key_id: String,
}

/// Runs a `secrets` command.
pub async fn run(command: SecretsCommand) -> anyhow::Result<()> {
    match command {
        SecretsCommand::NewKey(args) => {
            anyhow::ensure!(
                !args.file.exists(),
                "{} is there already",
                args.file.display()
            );
            secret::write_new_key(&args.file, &args.id).context("writing the key file")?;
            let keys = KeySource {
                key_file: Some(args.file.clone()),
                keys: None,
            };
            if let Err(error) = keys.read() {
                // A name that cannot be one.
                std::fs::remove_file(&args.file)?;
                return Err(error.into());
            }
            println!("{}", args.file.display());
            Ok(())
        }
        SecretsCommand::Status(args) => {
            let keyring = args.database.place()?.keyring(args.keys)?;
            with_database(&args.database, async |pool| status(pool, &keyring).await).await
        }
        SecretsCommand::Rewrap(args) => {
            let keyring = args.database.place()?.keyring(args.keys)?;
            with_database(&args.database, async |pool| rewrap(pool, &keyring).await).await
        }
        SecretsCommand::Discard(args) => {
            with_database(&args.database, async |pool| {
                discard(pool, &args.key_id).await
            })
            .await
        }
    }
}

async fn with_database(
    database: &DatabaseArgs,
    work: impl AsyncFnOnce(&PgPool) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let place = database.place()?;
    // Our own server may be running under `cadastre up`: then its database is the one to use.
    let (url, opened) = if let Some(url) = place.in_use().await {
        (url, None)
    } else {
        let opened = place.open().await?;
        (opened.url.clone(), Some(opened))
    };
    let done = async {
        migrate(&url)
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
        let done = work(&pool).await;
        pool.close().await;
        done
    }
    .await;
    if let Some(opened) = opened {
        opened.close().await?;
    }
    done
}

async fn status(pool: &PgPool, keyring: &Keyring) -> anyhow::Result<()> {
    let mut uses = secret::key_uses(pool).await?;
    for (key_id, _) in keyring.keys() {
        if !uses.iter().any(|usage| usage.key_id == key_id) {
            uses.push(secret::KeyUse {
                key_id: key_id.to_owned(),
                secrets: 0,
            });
        }
    }
    let rows: Vec<Vec<String>> = uses
        .into_iter()
        .map(|usage| {
            let state = if keyring.active_id() == Some(&usage.key_id) {
                "writes"
            } else if keyring.has(&usage.key_id) && usage.secrets > 0 {
                "reads"
            } else if keyring.has(&usage.key_id) {
                "may go"
            } else if usage.secrets > 0 {
                "missing"
            } else {
                "gone"
            };
            vec![usage.key_id, usage.secrets.to_string(), state.to_owned()]
        })
        .collect();
    print!("{}", table(&["Key", "Secrets", "State"], &rows));
    Ok(())
}

async fn rewrap(pool: &PgPool, keyring: &Keyring) -> anyhow::Result<()> {
    secret::unlock(pool, keyring).await?;
    let done = secret::rewrap(pool, keyring, None).await?;
    println!(
        "{} secrets are sealed with the key that writes now; {} still need another one.",
        done.moved, done.remaining
    );
    for (crawler_id, field, error) in &done.refused {
        eprintln!("crawler {crawler_id}, {field}: {error}");
    }
    anyhow::ensure!(
        done.remaining == 0,
        "older keys must stay; set the secrets above again, or run this once more"
    );
    Ok(())
}

async fn discard(pool: &PgPool, key_id: &str) -> anyhow::Result<()> {
    let gone = secret::discard(pool, key_id).await?;
    println!("{gone} secrets of the key {key_id} are given up; set them again at their crawlers.");
    Ok(())
}
