//! Pages of the permission matrix.

use futures_util::TryStreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::ViewError;

/// A cell of the matrix that is not empty. A cell can be several things at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct MatrixCell {
    /// The row.
    pub resource_id: Uuid,
    /// The column.
    pub principal_id: Uuid,
    /// By an assignment of its own.
    pub is_direct: bool,
    /// Through a group, a package or another resource.
    pub is_indirect: bool,
    /// As an owner, or eligible to be one.
    pub is_owner: bool,
    /// Only after activation.
    pub is_eligible: bool,
    /// A package gives it, or it is a package that was given.
    pub is_governed: bool,
    /// By which ways.
    #[sqlx(json)]
    pub via: Vec<MatrixWay>,
}

impl MatrixCell {
    /// About how much memory it takes.
    fn size(&self) -> usize {
        let ways = self.via.iter().map(|way| {
            size_of::<MatrixWay>()
                + way.kind.len()
                + way.name.as_ref().map_or(0, String::len)
                + way.assignment_type.len()
                + way.role_scope.len()
        });
        size_of::<Self>() + ways.sum::<usize>()
    }
}

/// One way to a cell's access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatrixWay {
    /// `Direct`, `Group`, `Package` or `Resource`.
    pub kind: String,
    /// What gives it, where it is not the principal's own.
    pub id: Option<Uuid>,
    /// Its name.
    pub name: Option<String>,
    /// The type of assignment.
    pub assignment_type: String,
    /// Where it applies.
    pub role_scope: String,
}

const CELLS: &str =
    "select m.resource_id, m.principal_id, m.is_direct, m.is_indirect, m.is_owner, m.is_eligible,
            m.is_governed, m.via
     from systems s
     cross join lateral permission_matrix(s.system_id, $3, $4) m
     where s.workspace_id = $1 and s.system_id = $2
     order by m.resource_id, m.principal_id";

/// The cells of a page that are not empty, by resource and principal. A page is what both axes show: each is paged by
/// key on its own, and this asks for the rectangle. Empty for a system of another workspace.
pub async fn permission_matrix(
    pool: &PgPool,
    workspace_id: i32,
    system_id: i32,
    resource_ids: &[Uuid],
    principal_ids: &[Uuid],
) -> Result<Vec<MatrixCell>, ViewError> {
    Ok(sqlx::query_as(CELLS)
        .bind(workspace_id)
        .bind(system_id)
        .bind(resource_ids)
        .bind(principal_ids)
        .fetch_all(pool)
        .await?)
}

/// The same within the caller's transaction; none where the cells are larger than `max_bytes`, about.
pub async fn permission_matrix_within(
    connection: &mut PgConnection,
    workspace_id: i32,
    system_id: i32,
    resource_ids: &[Uuid],
    principal_ids: &[Uuid],
    max_bytes: usize,
) -> Result<Option<Vec<MatrixCell>>, ViewError> {
    let mut stream = sqlx::query_as::<_, MatrixCell>(CELLS)
        .bind(workspace_id)
        .bind(system_id)
        .bind(resource_ids)
        .bind(principal_ids)
        .fetch(connection);
    let mut cells = Vec::new();
    let mut bytes = 0;
    while let Some(cell) = stream.try_next().await? {
        bytes += cell.size();
        if bytes > max_bytes {
            return Ok(None);
        }
        cells.push(cell);
    }
    Ok(Some(cells))
}
