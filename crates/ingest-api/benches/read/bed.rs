//! The test bed: PostgreSQL as it ships, in a folder of its own, the real server as a process of its own, and rows.

use std::{os::unix::fs::PermissionsExt, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use contract::Permission;
use embedded_postgres::Settings;
use ingest_api::{
    auth::{NewKey, create_key},
    migrate,
};
use reqwest::{RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// What the bench shows at the door.
struct Keys {
    /// Reads everything.
    read: SecretString,
    /// Reads the one system that is exported.
    export: Option<SecretString>,
    /// Promotes attributes.
    schema: SecretString,
}

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Systems that the rows are spread over.
    pub systems: i32,
    /// Principals.
    pub principals: i64,
    /// Resources.
    pub resources: i64,
    /// Assignments.
    pub assignments: i64,
    /// Principals, and assignments, in one system more, which is what is exported.
    pub exported: i64,
}

/// Dropped in this order: the server first, then PostgreSQL, then the folder.
pub struct Bed {
    admin: PgPool,
    http: reqwest::Client,
    keys: Keys,
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
        let mut bed = Self {
            admin,
            http: reqwest::Client::new(),
            keys: Keys {
                read: SecretString::default(),
                export: None,
                schema: SecretString::default(),
            },
            base,
            server,
            _postgres: postgres,
            _folder: folder,
        };
        bed.keys.read = bed.key(Permission::Read, None).await?;
        bed.keys.schema = bed.key(Permission::Schema, None).await?;
        Ok(bed)
    }

    async fn key(
        &self,
        permission: Permission,
        system_ids: Option<Vec<i32>>,
    ) -> anyhow::Result<SecretString> {
        let new = NewKey {
            workspace_id: 1,
            name: "bench".into(),
            permissions: vec![permission],
            system_ids,
            expires_at: None,
            created_by: "bench".into(),
        };
        let (generated, _) = create_key(&mut *self.admin.acquire().await?, &new).await?;
        Ok(generated.key)
    }

    /// Gives an attribute of principals a column and an index.
    pub async fn promote(&self, attribute: &str, kind: &str) -> anyhow::Result<()> {
        let body = json!({"entity": "principals", "attribute": attribute, "type": kind});
        self.until_ready(&body).await
    }

    /// Gives a core field an index.
    pub async fn index(&self, entity: &str, field: &str) -> anyhow::Result<()> {
        self.until_ready(&json!({"entity": entity, "field": field}))
            .await
    }

    async fn until_ready(&self, body: &Value) -> anyhow::Result<()> {
        let url = format!("{}/api/attributes/promotions", self.base);
        let request = self.http.post(&url).json(body);
        let mut told: Value = self
            .answer(request, &self.keys.schema)
            .await?
            .json()
            .await?;
        let url = format!("{url}/{}", told["promotionId"].as_str().context("an id")?);
        while told["state"] != "ready" {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let request = self.http.get(&url);
            told = self
                .answer(request, &self.keys.schema)
                .await?
                .json()
                .await?;
        }
        Ok(())
    }

    /// Rows that look like a tenant's: wide principals with attributes, narrow assignments.
    pub async fn fill(&mut self, size: Size) -> anyhow::Result<()> {
        let systems: Vec<i32> = sqlx::query_scalar(
            "insert into systems (workspace_id, system_key, system_type, display_name, content_hash, first_seen_at, valid_from, sync_id) \
             select 1, 'bench ' || n, 'Bench', 'Bench ' || n, '\\x00', now(), now(), gen_random_uuid() from generate_series(1, $1) n \
             returning system_id",
        )
        .bind(size.systems + 1)
        .fetch_all(&self.admin)
        .await?;
        let (exported, listed) = systems.split_last().context("systems")?;
        self.principals(listed, size.principals).await?;
        self.resources(listed, size.resources).await?;
        self.assignments(listed, size.assignments).await?;
        self.principals(&[*exported], size.exported).await?;
        self.assignments(&[*exported], size.exported).await?;
        for table in ["principals", "resources", "resource_assignments"] {
            self.run(&format!("vacuum analyze {table}")).await?;
        }
        let key = self.key(Permission::Read, Some(vec![*exported])).await?;
        self.keys.export = Some(key);
        self.run("checkpoint").await
    }

    async fn principals(&self, systems: &[i32], count: i64) -> anyhow::Result<()> {
        // Names come in another order than rows.
        sqlx::query(
            "insert into principals (system_id, id, external_id, principal_type, display_name, user_principal_name, email, given_name, surname, \
             job_title, department, account_enabled, created_date_time, extended_attributes, content_hash, first_seen_at, valid_from, sync_id) \
             select $1[(1 + n % cardinality($1))::integer], case when n < 100 then lpad(to_hex(n), 32, '0')::uuid else gen_random_uuid() end, \
             'ext-' || n, 'User', 'Person ' || n * 7919 % 10000019, 'person' || n || '@example.com', 'person' || n || '@example.com', \
             'Given' || n % 1000, 'Family' || n % 5000, case when n % 3 = 0 then 'Title ' || n % 50 end, 'D' || n % 200, n % 10 <> 0, \
             case when n % 4 <> 0 then timestamptz '2020-01-01' + n * interval '1 minute' end, \
             jsonb_build_object('onPremisesSyncEnabled', n % 2 = 0, 'usageLocation', 'NL') \
             || case when n % 5 = 0 then '{}' else jsonb_build_object('costCenter', 'CC' || n % 997, 'badge', n % 100000) end, \
             sha256(n::text::bytea), now(), now(), gen_random_uuid() from generate_series(1, $2) n",
        )
        .bind(systems)
        .bind(count)
        .execute(&self.admin)
        .await?;
        Ok(())
    }

    async fn resources(&self, systems: &[i32], count: i64) -> anyhow::Result<()> {
        sqlx::query(
            "insert into resources (system_id, id, resource_type, display_name, description, mail, extended_attributes, content_hash, \
             first_seen_at, valid_from, sync_id) \
             select $1[(1 + n % cardinality($1))::integer], md5(n::text)::uuid, 'EntraGroup', 'Group ' || n * 7919 % 10000019, 'What group ' || n || ' is for', \
             'group' || n || '@example.com', jsonb_build_object('securityEnabled', true), sha256(n::text::bytea), now(), now(), gen_random_uuid() \
             from generate_series(1, $2) n",
        )
        .bind(systems)
        .bind(count)
        .execute(&self.admin)
        .await?;
        Ok(())
    }

    async fn assignments(&self, systems: &[i32], count: i64) -> anyhow::Result<()> {
        sqlx::query(
            "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope, principal_type, state, \
             extended_attributes, content_hash, first_seen_at, valid_from, sync_id) \
             select $1[(1 + n % cardinality($1))::integer], md5((n / 20)::text)::uuid, \
             lpad(to_hex(case when n % 1000 = 0 then 7 else 8 + n * 7919 % 2000003 end), 32, '0')::uuid, \
             (array['Direct','Direct','Direct','Owner','Eligible'])[1 + n % 5], '/', 'User', 'Active', '{}', \
             sha256(n::text::bytea), now(), now(), gen_random_uuid() from generate_series(1, $2) n",
        )
        .bind(systems)
        .bind(count)
        .execute(&self.admin)
        .await?;
        Ok(())
    }

    /// Runs a statement as the administrator.
    pub async fn run(&self, sql: &str) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.admin)
            .await?;
        Ok(())
    }

    /// Asks for something under `/api/`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Response> {
        let request = self.http.get(format!("{}/api/{path}", self.base));
        self.answer(request, &self.keys.read).await
    }

    /// Asks for an export of the system that is there for that.
    pub async fn export(&self, path: &str) -> anyhow::Result<Response> {
        let request = self.http.get(format!("{}/api/register/{path}", self.base));
        let key = self.keys.export.as_ref().context("nothing was filled")?;
        self.answer(request, key).await
    }

    async fn answer(
        &self,
        request: RequestBuilder,
        key: &SecretString,
    ) -> anyhow::Result<Response> {
        let response = request.bearer_auth(key.expose_secret()).send().await?;
        if response.status().is_success() {
            return Ok(response);
        }
        bail!(
            "{}: {} {}",
            response.url().clone(),
            response.status(),
            response.text().await?
        )
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
        .env("CADASTRE_LOG_LEVEL", "info")
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
