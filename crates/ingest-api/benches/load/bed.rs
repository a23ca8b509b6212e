//! The test bed: PostgreSQL as it ships, in a folder of its own, and the real server as a process of its own.

use std::{os::unix::fs::PermissionsExt, process::Stdio};

use anyhow::{Context, bail};
use contract::{Permission, records::System};
use embedded_postgres::Settings;
use ingest_api::{
    auth::{NewKey, create_key},
    migrate,
};
use ingest_client::IngestClient;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use crate::{drive::Driver, options::Options};

/// The workspace that exists from the start.
const DEFAULT_WORKSPACE: i32 = 1;

/// What is measured. Dropped in this order: the server first, then PostgreSQL, then the folder.
pub struct Bed {
    /// The administrator's view of the register's database.
    pub admin: PgPool,
    /// What sends the records.
    pub driver: Driver,
    http: reqwest::Client,
    base_url: String,
    key: SecretString,
    server: Child,
    /// PostgreSQL.
    pub postgres: embedded_postgres::Server,
    _folder: TempDir,
}

impl Bed {
    /// Starts everything and makes a key and a system.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let folder = folder(options)?;
        let mut settings = Settings::new(folder.path().join("postgres"));
        settings
            .configuration
            .clone_from(&options.postgres_settings);
        let postgres = embedded_postgres::Server::start(settings).await?;
        let (server, base_url) = start_server(&postgres.url()).await?;
        let admin = PgPoolOptions::new()
            .max_connections(2)
            .connect(postgres.admin_url().expose_secret())
            .await?;
        let key = new_key(&admin).await?;
        let client = IngestClient::builder(base_url.parse()?, key.clone())
            .compression(!options.no_compression)
            .build()?;
        let system = System {
            system_type: "EntraID".into(),
            tenant_id: Some("bench".into()),
            display_name: "Harbour Logistics".into(),
            ..System::default()
        };
        let system_id = client.upsert_system(&system).await?;
        Ok(Self {
            admin,
            driver: Driver {
                client,
                system_id,
                limits: options.limits(),
            },
            http: reqwest::Client::new(),
            base_url,
            key,
            server,
            postgres,
            _folder: folder,
        })
    }

    /// A call that is no load.
    pub async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        let request = self.http.get(format!("{}{path}", self.base_url));
        request.bearer_auth(self.key.expose_secret()).send().await
    }

    /// The same with a body.
    pub async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> reqwest::Result<reqwest::Response> {
        let request = self.http.post(format!("{}{path}", self.base_url));
        let request = request.bearer_auth(self.key.expose_secret()).json(body);
        request.send().await
    }

    /// The server's process.
    pub fn server_pid(&self) -> anyhow::Result<i32> {
        let pid = self.server.id().context("the server has ended")?;
        Ok(i32::try_from(pid)?)
    }

    /// Writes everything out, so that a phase does not pay for the one before.
    pub async fn checkpoint(&self) -> anyhow::Result<()> {
        sqlx::query("checkpoint").execute(&self.admin).await?;
        Ok(())
    }

    /// Another database of the same cluster, with the same tables.
    pub async fn scratch(&self) -> anyhow::Result<SecretString> {
        let url = self.postgres.create_database(SCRATCH).await?;
        migrate(&url).await?;
        Ok(url)
    }

    /// Removes it.
    pub async fn remove_scratch(&self) -> anyhow::Result<()> {
        let sql = AssertSqlSafe(format!("drop database {SCRATCH} with (force)"));
        sqlx::query(sql).execute(&self.admin).await?;
        self.checkpoint().await
    }

    /// A new cluster makes its WAL files as it goes, a used one takes old ones again. So that the first load is not
    /// the one that makes them, some WAL is written for nothing.
    pub async fn warm_up(&self) -> anyhow::Result<()> {
        sqlx::query(
            "create table warm_up as select repeat(md5(n::text), 30) as text from generate_series(1, 600000) n",
        )
        .execute(&self.admin)
        .await?;
        sqlx::query("drop table warm_up")
            .execute(&self.admin)
            .await?;
        self.checkpoint().await
    }
}

const SCRATCH: &str = "scratch";

fn folder(options: &Options) -> anyhow::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("cadastre-load-");
    let folder = match &options.place {
        Some(place) => builder.tempdir_in(place)?,
        None => builder.tempdir()?,
    };
    // PostgreSQL may run as another user.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}

/// How much of a warning is shown: a slow statement is quoted with all its text.
const WARNING_LENGTH: usize = 180;

/// Starts the server's own program and waits until it says where it listens.
async fn start_server(database_url: &SecretString) -> anyhow::Result<(Child, String)> {
    let mut server = Command::new(env!("CARGO_BIN_EXE_ingest-api"))
        .args(["--listen", "127.0.0.1:0"])
        .env("DATABASE_URL", database_url.expose_secret())
        .env("CADASTRE_LOG_LEVEL", "info")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the server")?;
    let stderr = server.stderr.take().context("the server's messages")?;
    let mut lines = BufReader::new(stderr).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await? {
        if let Some((_, address)) = line.split_once("address=") {
            let base_url = format!("http://{}", address.trim());
            // Ends with the server, whose messages it reads.
            tokio::spawn(pass_on(lines));
            return Ok((server, base_url));
        }
        said.push_str(&line);
        said.push('\n');
    }
    bail!("the server did not start:\n{said}")
}

/// Shows what the server warns about, in a line each.
async fn pass_on(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("WARN") || line.contains("ERROR") {
            let start: String = line.chars().take(WARNING_LENGTH).collect();
            eprintln!("server: {start}");
        }
    }
}

async fn new_key(admin: &PgPool) -> anyhow::Result<SecretString> {
    let new = NewKey {
        workspace_id: DEFAULT_WORKSPACE,
        name: "bench".into(),
        permissions: vec![Permission::Ingest, Permission::Read, Permission::Schema],
        system_ids: None,
        expires_at: None,
        created_by: "bench".into(),
    };
    let (generated, _) = create_key(&mut *admin.acquire().await?, &new).await?;
    Ok(generated.key)
}
