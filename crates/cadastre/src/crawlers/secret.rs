//! Secrets of crawlers: from the standard input, for command lines are seen by every user of a machine.

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use contract::{
    Crawler, SecretField, SecretText,
    crawler::{NewSecrets, PatchCrawler},
};
use reqwest::Method;

use super::{OneArgs, find};
use crate::{
    ask::Questions,
    text::{clean, show},
};

/// What to do with a crawler's secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set a secret to what comes on the standard input, or to where workers find it
    Set(SetArgs),
    /// Clear a secret
    Clear(ClearArgs),
}

/// Flags of `crawlers secret set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    which: ClearArgs,
    /// Where workers find it, in place of the secret itself: file:/path or env:NAME
    #[arg(long, value_name = "REFERENCE", value_parser = reference)]
    from: Option<String>,
}

/// Which secret.
#[derive(Debug, Args)]
pub struct ClearArgs {
    #[command(flatten)]
    one: OneArgs,
    /// clientSecret, certificate, certificatePassword or proxy
    #[arg(value_parser = field)]
    field: SecretField,
}

fn field(text: &str) -> Result<SecretField, String> {
    let known = SecretField::ALL.map(SecretField::wire_name);
    SecretField::ALL
        .into_iter()
        .find(|field| field.wire_name() == text)
        .ok_or_else(|| format!("known are: {}", known.join(", ")))
}

/// A secret itself must not come this way.
fn reference(text: &str) -> Result<String, String> {
    if text.starts_with("file:") || text.starts_with("env:") {
        return Ok(text.to_owned());
    }
    Err(
        "a reference is file:/path or env:NAME; the secret itself comes on the standard input"
            .to_owned(),
    )
}

/// Runs a `crawlers secret` command.
pub async fn run(command: SecretCommand) -> anyhow::Result<()> {
    match command {
        SecretCommand::Set(args) => {
            let text = match args.from {
                Some(reference) => reference,
                None => from_input()?,
            };
            change(args.which, Some(text.into())).await
        }
        SecretCommand::Clear(which) => change(which, None).await,
    }
}

/// Everything that comes, but for the end of the last line.
fn from_input() -> anyhow::Result<String> {
    let mut input = std::io::stdin();
    ensure!(
        !input.is_terminal(),
        "the secret comes on the standard input: cadastre crawlers secret set … < FILE"
    );
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .context("reading the secret")?;
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    ensure!(!text.is_empty(), "no secret came on the standard input");
    Ok(text)
}

async fn change(which: ClearArgs, secret: Option<SecretText>) -> anyhow::Result<()> {
    let server = Questions::of(which.one.server)?;
    let crawler = find(&server, &which.one.crawler).await?;
    let did = if secret.is_some() { "set" } else { "cleared" };
    let patch = PatchCrawler {
        version: Some(crawler.version),
        secrets: NewSecrets::from([(which.field, secret)]),
        ..PatchCrawler::default()
    };
    let path = format!("crawlers/{}", crawler.crawler_id);
    let changed: Crawler = server.send(Method::PATCH, &path, Some(&patch)).await?;
    show(&format!(
        "The {} of '{}' is {did} (version {}).\n",
        which.field.wire_name(),
        clean(&changed.name, 80),
        changed.version
    ))?;
    Ok(())
}
