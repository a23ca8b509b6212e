//! Making, changing and removing crawlers.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use contract::{Crawler, SystemId, crawler::ExportedCrawler};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{OneArgs, find, show_json};
use crate::{
    ask::{Questions, ServerArgs},
    text::{clean, show},
};

/// What `show` tells beside the configuration.
const TOLD: [&str; 8] = [
    "crawlerId",
    "kind",
    "state",
    "stateReason",
    "createdAt",
    "createdBy",
    "updatedAt",
    "updatedBy",
];

/// Flags of `crawlers create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The configuration: {"name": …, "settings": {…}, "secrets": {…}}; - for the standard input
    file: PathBuf,
}

/// Flags of `crawlers replace`.
#[derive(Debug, Args)]
pub struct ReplaceArgs {
    #[command(flatten)]
    one: OneArgs,
    /// The configuration, with the version that it replaces; - for the standard input
    file: PathBuf,
}

/// Flags of `crawlers import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// What `export` printed; - for the standard input
    file: PathBuf,
    /// Another name for it
    #[arg(long)]
    name: Option<String>,
    /// The system that it fills here
    #[arg(long = "system")]
    system_id: Option<SystemId>,
}

/// Flags of `crawlers delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Yes, its secrets are to be removed for good
    #[arg(long, required = true)]
    yes: bool,
}

/// An object from a file.
fn read(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    }
    .with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON object", file.display()))
}

/// A line about a crawler that was made or changed.
fn tell(done: &str, crawler: &Crawler) -> anyhow::Result<()> {
    let reason = crawler.state_reason.as_deref().map(|why| clean(why, 200));
    show(&format!(
        "{}\n\n{done}: '{}', version {}, {}.{}\n",
        crawler.crawler_id,
        clean(&crawler.name, 80),
        crawler.version,
        if crawler.enabled {
            "switched on"
        } else {
            "switched off"
        },
        reason.map_or_else(String::new, |why| format!(" {why}")),
    ))?;
    Ok(())
}

/// `crawlers create`.
pub async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let wanted = read(&args.file)?;
    let made: Crawler = server.send(Method::POST, "crawlers", Some(&wanted)).await?;
    tell("Made", &made)
}

/// `crawlers replace`. What `show` printed is taken as it is: what it says of the crawler beside its configuration is left
/// out, and so are its secrets, which stay.
pub async fn replace(args: ReplaceArgs) -> anyhow::Result<()> {
    let mut wanted = read(&args.file)?;
    if wanted.contains_key("crawlerId") {
        wanted.retain(|name, _| !TOLD.contains(&name.as_str()) && name != "secrets");
    }
    ensure!(
        wanted.contains_key("version"),
        "the file must say which version it replaces, as `show` tells it: {{\"version\": …}}"
    );
    let server = Questions::of(args.one.server)?;
    let crawler = find(&server, &args.one.crawler).await?;
    let path = format!("crawlers/{}", crawler.crawler_id);
    let changed: Crawler = server.send(Method::PUT, &path, Some(&wanted)).await?;
    tell("Changed", &changed)
}

/// `crawlers export`.
pub async fn export(args: OneArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let crawler = find(&server, &args.crawler).await?;
    let path = format!("crawlers/{}/export", crawler.crawler_id);
    let exported: ExportedCrawler = server.get(&path, &[]).await?;
    show_json(&exported)
}

/// `crawlers import`.
pub async fn import(args: ImportArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.server)?;
    let mut wanted = json!({"crawler": read(&args.file)?});
    if let Some(name) = args.name {
        wanted["name"] = name.into();
    }
    if let Some(system_id) = args.system_id {
        wanted["systemId"] = system_id.into();
    }
    let made: Crawler = server
        .send(Method::POST, "crawlers/import", Some(&wanted))
        .await?;
    tell("Made", &made)
}

/// `crawlers delete`.
pub async fn delete(args: DeleteArgs) -> anyhow::Result<()> {
    let server = Questions::of(args.one.server)?;
    let crawler = find(&server, &args.one.crawler).await?;
    let path = format!("crawlers/{}", crawler.crawler_id);
    server.delete(&path).await?;
    show(&format!("Removed: '{}'.\n", clean(&crawler.name, 80)))?;
    Ok(())
}
