//! Role mappings in the database.

use contract::{NewRoleMapping, Role, RoleMapping};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

const COLUMNS: &str =
    "m.mapping_id, m.system_id, m.resource_id, m.role, m.created_at, m.created_by, r.display_name";
const FROM: &str = "role_mappings m left join resources r on r.system_id = m.system_id and r.id = m.resource_id \
     and r.deleted_at is null";

fn read(row: &PgRow) -> Result<RoleMapping, sqlx::Error> {
    let name: String = row.try_get("role")?;
    let role = Role::ALL
        .into_iter()
        .find(|role| role.wire_name() == name)
        .ok_or_else(|| sqlx::Error::Decode(format!("no role is called {name}").into()))?;
    Ok(RoleMapping {
        mapping_id: row.try_get("mapping_id")?,
        system_id: row.try_get("system_id")?,
        resource_id: row.try_get("resource_id")?,
        display_name: row.try_get("display_name")?,
        role,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
    })
}

/// The mappings of a workspace, the oldest first.
pub async fn all(
    connection: &mut PgConnection,
    workspace_id: i32,
) -> Result<Vec<RoleMapping>, sqlx::Error> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "select {COLUMNS} from {FROM} where m.workspace_id = $1 order by m.created_at, m.mapping_id"
    )))
    .bind(workspace_id)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

/// One of them.
pub async fn one(
    connection: &mut PgConnection,
    workspace_id: i32,
    mapping_id: Uuid,
) -> Result<Option<RoleMapping>, sqlx::Error> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "select {COLUMNS} from {FROM} where m.workspace_id = $1 and m.mapping_id = $2 for update of m"
    )))
    .bind(workspace_id)
    .bind(mapping_id)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Is there such a thing to be a member of, in the workspace?
pub async fn exists(
    connection: &mut PgConnection,
    workspace_id: i32,
    wanted: &NewRoleMapping,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from resources r join systems s using (system_id) where r.system_id = $1 and r.id = $2 \
         and r.deleted_at is null and s.deleted_at is null and s.workspace_id = $3)",
    )
    .bind(wanted.system_id)
    .bind(wanted.resource_id)
    .bind(workspace_id)
    .fetch_one(connection)
    .await
}

/// Makes one; `None` when the group has a role already.
pub async fn insert(
    connection: &mut PgConnection,
    workspace_id: i32,
    wanted: &NewRoleMapping,
    created_by: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "insert into role_mappings (workspace_id, system_id, resource_id, role, created_by) values ($1, $2, $3, $4, $5) \
         on conflict (workspace_id, system_id, resource_id) do nothing returning mapping_id",
    )
    .bind(workspace_id)
    .bind(wanted.system_id)
    .bind(wanted.resource_id)
    .bind(wanted.role.wire_name())
    .bind(created_by)
    .fetch_optional(connection)
    .await
}

/// Gives the members another role.
pub async fn set_role(
    connection: &mut PgConnection,
    mapping_id: Uuid,
    role: Role,
) -> Result<(), sqlx::Error> {
    sqlx::query("update role_mappings set role = $2 where mapping_id = $1")
        .bind(mapping_id)
        .bind(role.wire_name())
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes one.
pub async fn remove(connection: &mut PgConnection, mapping_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from role_mappings where mapping_id = $1")
        .bind(mapping_id)
        .execute(connection)
        .await?;
    Ok(())
}
