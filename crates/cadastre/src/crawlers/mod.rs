//! `cadastre crawlers`: what a server crawls; over its API. Secrets are never on the command line.

mod edit;
mod look;
mod secret;

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use contract::{
    Crawler,
    crawler::{CrawlerPage, CrawlerState},
};
use uuid::Uuid;

use crate::{
    ask::{Questions, ServerArgs},
    text::{clean, show, table},
};

/// What to do with crawlers.
#[derive(Debug, Subcommand)]
pub enum CrawlersCommand {
    /// List the crawlers
    List(ServerArgs),
    /// Show a crawler as JSON, without its secrets
    Show(OneArgs),
    /// Configure a crawler from a JSON file
    Create(edit::CreateArgs),
    /// Change a crawler to what a JSON file says, such as an edited answer of `show`
    Replace(edit::ReplaceArgs),
    /// Print a crawler's configuration to take elsewhere, without its secrets
    Export(OneArgs),
    /// Configure a crawler from an export
    Import(edit::ImportArgs),
    /// Remove a crawler, with its secrets; what it has read stays
    Delete(edit::DeleteArgs),
    /// Set or clear a crawler's secrets
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Let a worker find out what the crawler could read, and what is missing
    #[command(
        after_help = "Exit codes: 0 everything selected can be read, 2 something is missing, 1 it could not be found out."
    )]
    Check(look::LookArgs),
    /// Let a worker list the attributes of users that the crawler could read
    Discover(look::LookArgs),
    /// Let a worker count the users that the crawler's identity filter makes identities
    Preview(look::LookArgs),
}

/// Which crawler.
#[derive(Debug, Args)]
pub struct OneArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The crawler: its name or its id
    crawler: String,
}

/// Runs a `crawlers` command; answers the exit code.
pub async fn run(command: CrawlersCommand) -> anyhow::Result<u8> {
    match command {
        CrawlersCommand::List(server) => list(&Questions::of(server)?).await?,
        CrawlersCommand::Show(args) => {
            let server = Questions::of(args.server)?;
            show_json(&find(&server, &args.crawler).await?)?;
        }
        CrawlersCommand::Create(args) => edit::create(args).await?,
        CrawlersCommand::Replace(args) => edit::replace(args).await?,
        CrawlersCommand::Export(args) => edit::export(args).await?,
        CrawlersCommand::Import(args) => edit::import(args).await?,
        CrawlersCommand::Delete(args) => edit::delete(args).await?,
        CrawlersCommand::Secret(command) => secret::run(command).await?,
        CrawlersCommand::Check(args) => return look::check(args).await,
        CrawlersCommand::Discover(args) => look::discover(args).await?,
        CrawlersCommand::Preview(args) => look::preview(args).await?,
    }
    Ok(0)
}

fn show_json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    show(&format!("{}\n", serde_json::to_string_pretty(value)?))?;
    Ok(())
}

/// All crawlers that the key may see.
async fn all(server: &Questions) -> anyhow::Result<Vec<Crawler>> {
    let mut crawlers = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("limit", "1000")];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page: CrawlerPage = server.get("crawlers", &query).await?;
        crawlers.extend(page.items);
        after = page.next.map(|next| next.to_string());
        if after.is_none() {
            return Ok(crawlers);
        }
    }
}

/// The id of the crawler that is meant. Only who may see crawlers can name one.
pub async fn id_of(server: &Questions, text: &str) -> anyhow::Result<Uuid> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(find(server, text).await?.crawler_id),
    }
}

/// The crawler that is meant: by its id, or the only one of its name.
async fn find(server: &Questions, text: &str) -> anyhow::Result<Crawler> {
    if let Ok(id) = text.parse::<Uuid>() {
        return server.get(&format!("crawlers/{id}"), &[]).await;
    }
    let mut named: Vec<Crawler> = all(server).await?;
    named.retain(|crawler| crawler.name == text);
    ensure!(
        named.len() < 2,
        "{} crawlers are called '{}': say which one by its id",
        named.len(),
        clean(text, 80)
    );
    match named.pop() {
        Some(crawler) => Ok(crawler),
        None => bail!("there is no crawler called '{}'", clean(text, 80)),
    }
}

async fn list(server: &Questions) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = all(server).await?.iter().map(row).collect();
    let head = ["Crawler", "Name", "State", "On", "Version", "System"];
    show(&table(&head, &rows))?;
    Ok(())
}

fn row(crawler: &Crawler) -> Vec<String> {
    let state = match crawler.state {
        CrawlerState::Ready => "ready",
        CrawlerState::Incomplete => "incomplete",
        CrawlerState::SecretError => "secret error",
    };
    let system = crawler.system_id.map(|system| system.to_string());
    vec![
        crawler.crawler_id.to_string(),
        clean(&crawler.name, 40),
        state.to_owned(),
        if crawler.enabled { "yes" } else { "no" }.to_owned(),
        crawler.version.to_string(),
        system.unwrap_or_else(|| "-".to_owned()),
    ]
}
