//! The test bed: PostgreSQL as it ships, in a folder of its own, the real server as a process of its own, and rows.

use std::{os::unix::fs::PermissionsExt, process::Stdio};

use anyhow::{Context, bail};
use contract::Permission;
use embedded_postgres::Settings;
use ingest_api::{
    auth::{NewKey, create_key},
    migrate,
};
use reqwest::Response;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Dropped in this order: the server first, then PostgreSQL, then the folder.
pub struct Bed {
    admin: PgPool,
    http: reqwest::Client,
    key: SecretString,
    base: String,
    server: Child,
    _postgres: embedded_postgres::Server,
    _folder: TempDir,
}

impl Bed {
    /// Starts everything.
    pub async fn start() -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new()
            .prefix("cadastre-read-")
            .tempdir()?;
        // PostgreSQL may run as another user.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        let postgres =
            embedded_postgres::Server::start(Settings::new(folder.path().join("postgres"))).await?;
        migrate(&postgres.url()).await?;
        let (server, base) = start_server(&postgres.url()).await?;
        let admin = PgPoolOptions::new()
            .max_connections(2)
            .connect(postgres.admin_url().expose_secret())
            .await?;
        let new = NewKey {
            workspace_id: 1,
            name: "bench".into(),
            permissions: vec![Permission::Read],
            system_ids: None,
            expires_at: None,
            created_by: "bench".into(),
        };
        let (generated, _) = create_key(&mut *admin.acquire().await?, &new).await?;
        Ok(Self {
            admin,
            http: reqwest::Client::new(),
            key: generated.key,
            base,
            server,
            _postgres: postgres,
            _folder: folder,
        })
    }

    /// Rows that look like a tenant's: wide principals with attributes, narrow assignments.
    pub async fn fill(
        &self,
        systems: i32,
        principals: i64,
        assignments: i64,
    ) -> anyhow::Result<()> {
        sqlx::query(
            "insert into systems (workspace_id, system_key, system_type, display_name, content_hash, first_seen_at, valid_from, sync_id) \
             select 1, 'bench ' || n, 'Bench', 'Bench ' || n, '\\x00', now(), now(), gen_random_uuid() from generate_series(1, $1) n",
        )
        .bind(systems)
        .execute(&self.admin)
        .await?;
        sqlx::query(
            "insert into principals (system_id, id, external_id, principal_type, display_name, user_principal_name, email, given_name, surname, \
             job_title, department, account_enabled, created_date_time, extended_attributes, content_hash, first_seen_at, valid_from, sync_id) \
             select 1 + n % $1, case when n < 100 then lpad(to_hex(n), 32, '0')::uuid else gen_random_uuid() end, 'ext-' || n, 'User', \
             'Person ' || n, 'person' || n || '@example.com', 'person' || n || '@example.com', 'Given' || n % 1000, 'Family' || n % 5000, \
             case when n % 3 = 0 then 'Title ' || n % 50 end, 'D' || n % 200, n % 10 <> 0, \
             case when n % 4 <> 0 then timestamptz '2020-01-01' + n * interval '1 minute' end, \
             jsonb_build_object('costCenter', 'CC' || n % 997, 'onPremisesSyncEnabled', n % 2 = 0, 'usageLocation', 'NL'), \
             sha256(n::text::bytea), now(), now(), gen_random_uuid() from generate_series(1, $2) n",
        )
        .bind(systems)
        .bind(principals)
        .execute(&self.admin)
        .await?;
        sqlx::query(
            "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope, principal_type, state, \
             extended_attributes, content_hash, first_seen_at, valid_from, sync_id) \
             select 1 + n % $1, md5((n / 40)::text)::uuid, lpad(to_hex(n % greatest($2, 1)), 32, '0')::uuid, \
             (array['Direct','Direct','Direct','Owner','Eligible'])[1 + n % 5], '/', 'User', 'Active', '{}', \
             sha256(n::text::bytea), now(), now(), gen_random_uuid() from generate_series(1, $3) n on conflict do nothing",
        )
        .bind(systems)
        .bind(principals)
        .bind(assignments)
        .execute(&self.admin)
        .await?;
        self.run("vacuum analyze principals").await?;
        self.run("vacuum analyze resource_assignments").await?;
        self.run("checkpoint").await
    }

    /// Runs a statement as the administrator.
    pub async fn run(&self, sql: &str) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.admin)
            .await?;
        Ok(())
    }

    /// Asks for something under `/api/register/`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Response> {
        let url = format!("{}/api/register/{path}", self.base);
        let response = self
            .http
            .get(&url)
            .bearer_auth(self.key.expose_secret())
            .send()
            .await?;
        if response.status().is_success() {
            return Ok(response);
        }
        bail!("{url}: {} {}", response.status(), response.text().await?)
    }

    /// Most memory that the server has held, in KiB; counted anew after that, where asked.
    pub fn peak_memory(&self, is_reset: bool) -> anyhow::Result<u64> {
        let pid = self.server.id().context("the server has ended")?;
        if is_reset {
            std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line
            .and_then(|line| line.split_whitespace().next())
            .context("VmHWM")?;
        Ok(peak.parse()?)
    }
}

/// Starts the server's own program and waits until it says where it listens.
async fn start_server(database_url: &SecretString) -> anyhow::Result<(Child, String)> {
    let mut server = Command::new(env!("CARGO_BIN_EXE_ingest-api"))
        .args(["--listen", "127.0.0.1:0"])
        .env("DATABASE_URL", database_url.expose_secret())
        .env("RUST_LOG", "info,sqlx=error")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the server")?;
    let stderr = server.stderr.take().context("the server's messages")?;
    let mut lines = BufReader::new(stderr).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some((_, address)) = line.split_once("address=") {
            let base = format!("http://{}", address.trim());
            // Ends with the server, whose messages it reads.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok((server, base));
        }
    }
    bail!("the server did not start")
}
