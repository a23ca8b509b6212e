//! A register with its views, and short ways to fill it.

use embedded_postgres::testing::{TestDatabase, fresh_database};
use sqlx::{PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

/// A database of its own, migrated, with the views and one system.
pub struct Register {
    _database: TestDatabase,
    pub pool: PgPool,
    pub system_id: i32,
}

/// The workspace that the migrations create.
pub const DEFAULT_WORKSPACE: i32 = 1;

/// A readable id: `id(7)` ends in 7.
pub const fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Something that holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    User(Uuid),
    Group(Uuid),
}

impl Holder {
    pub fn id(self) -> Uuid {
        match self {
            Self::User(id) | Self::Group(id) => id,
        }
    }

    pub fn principal_type(self) -> &'static str {
        match self {
            Self::User(_) => "User",
            Self::Group(_) => "Group",
        }
    }
}

impl Register {
    pub async fn start() -> Self {
        let database = fresh_database().await;
        let pool = PgPoolOptions::new()
            .max_connections(5)
            .connect(database.url())
            .await
            .expect("connects");
        sqlx::migrate!("../../migrations")
            .run(&pool)
            .await
            .expect("migrates");
        let mut connection = pool.acquire().await.expect("a connection");
        views::install(&mut connection).await.expect("installs");
        drop(connection);
        let mut register = Self {
            _database: database,
            pool,
            system_id: 0,
        };
        register.system_id = register.add_system(DEFAULT_WORKSPACE, "EntraID:one").await;
        register
            .run(
                "insert into api_keys (key_id, workspace_id, name, secret_hash, permissions, created_by)
                 values ('key', 1, 'key', '\\x00', '{}', 'test')",
            )
            .await;
        register
    }

    pub async fn run(&self, statement: &'static str) {
        sqlx::raw_sql(statement)
            .execute(&self.pool)
            .await
            .expect("the statement runs");
    }

    pub async fn add_workspace(&self, name: &str) -> i32 {
        sqlx::query_scalar("insert into workspaces (name) values ($1) returning workspace_id")
            .bind(name)
            .fetch_one(&self.pool)
            .await
            .expect("a workspace")
    }

    pub async fn add_system(&self, workspace_id: i32, key: &str) -> i32 {
        sqlx::query_scalar(
            "insert into systems (workspace_id, system_key, system_type, display_name, content_hash,
                                  first_seen_at, valid_from, sync_id)
             values ($1, $2, 'EntraID', $2, '\\x00', now(), now(), gen_random_uuid())
             returning system_id",
        )
        .bind(workspace_id)
        .bind(key)
        .fetch_one(&self.pool)
        .await
        .expect("a system")
    }

    pub async fn user(&self, system_id: i32, user: Uuid, name: &str) {
        sqlx::query(
            "insert into principals (system_id, id, principal_type, display_name, user_principal_name, content_hash,
                                     first_seen_at, valid_from, sync_id)
             values ($1, $2, 'User', $3, replace(lower($3), ' ', '.') || '@example.org', '\\x00', now(), now(),
                     gen_random_uuid())",
        )
        .bind(system_id)
        .bind(user)
        .bind(name)
        .execute(&self.pool)
        .await
        .expect("a user");
    }

    pub async fn resource(&self, system_id: i32, resource: Uuid, kind: &str, name: &str) {
        sqlx::query(
            "insert into resources (system_id, id, resource_type, display_name, content_hash, first_seen_at,
                                    valid_from, sync_id)
             values ($1, $2, $3, $4, '\\x00', now(), now(), gen_random_uuid())
             on conflict (system_id, id) do update set resource_type = excluded.resource_type, deleted_at = null",
        )
        .bind(system_id)
        .bind(resource)
        .bind(kind)
        .bind(name)
        .execute(&self.pool)
        .await
        .expect("a resource");
    }

    /// Writes an assignment everywhere (`/`) in the register's own system.
    pub async fn hold(&self, holder: Holder, assignment_type: &str, resource: Uuid) {
        self.hold_at(self.system_id, holder, assignment_type, "/", resource)
            .await;
    }

    pub async fn hold_at(
        &self,
        system_id: i32,
        holder: Holder,
        assignment_type: &str,
        role_scope: &str,
        resource: Uuid,
    ) {
        sqlx::query(
            "insert into resource_assignments (system_id, resource_id, principal_id, assignment_type, role_scope,
                                               principal_type, content_hash, first_seen_at, valid_from, sync_id)
             values ($1, $2, $3, $4, $5, $6, '\\x00', now(), now(), gen_random_uuid())
             on conflict (system_id, resource_id, principal_id, assignment_type, role_scope)
                 do update set deleted_at = null, principal_type = excluded.principal_type",
        )
        .bind(system_id)
        .bind(resource)
        .bind(holder.id())
        .bind(assignment_type)
        .bind(role_scope)
        .bind(holder.principal_type())
        .execute(&self.pool)
        .await
        .expect("an assignment");
    }

    /// Writes a relationship in the register's own system.
    pub async fn relate(&self, parent: Uuid, relationship_type: &str, role: &str, child: Uuid) {
        self.relate_in(self.system_id, parent, relationship_type, role, child)
            .await;
    }

    pub async fn relate_in(
        &self,
        system_id: i32,
        parent: Uuid,
        relationship_type: &str,
        role: &str,
        child: Uuid,
    ) {
        sqlx::query(
            "insert into resource_relationships (system_id, parent_resource_id, child_resource_id,
                 relationship_type, role_name, content_hash, first_seen_at, valid_from, sync_id)
             values ($1, $2, $3, $4, $5, '\\x00', now(), now(), gen_random_uuid())
             on conflict (system_id, parent_resource_id, child_resource_id, relationship_type, role_name)
                 do update set deleted_at = null",
        )
        .bind(system_id)
        .bind(parent)
        .bind(child)
        .bind(relationship_type)
        .bind(role)
        .execute(&self.pool)
        .await
        .expect("a relationship");
    }

    /// Says that a load changed a system's assignments, as the ingest API does in the changing transaction.
    pub async fn note_load(&self, system_id: i32) {
        sqlx::query(
            "insert into changes (system_id, entity, sync_id) values ($1, 'resource-assignments', gen_random_uuid())",
        )
        .bind(system_id)
        .execute(&self.pool)
        .await
        .expect("a change");
    }

    /// Notes a load of the register's own system and refreshes; answers how many rows changed.
    pub async fn load_and_refresh(&self) -> i64 {
        self.note_load(self.system_id).await;
        let outcome = views::refresh(&self.pool).await.expect("refreshes");
        assert_eq!(outcome.skipped_because, None);
        outcome.refreshed[0].rows_changed
    }
}
