//! The permission matrix: resources × principals, a page of each axis and the cells between.
//!
//! Both axes and the cells are read from one snapshot: no cell is of another moment than its row and its column.

use std::time::Duration;

use axum::{Json, extract::State};
use contract::{Entity, SystemId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use uuid::Uuid;
use views::MatrixCell;

use super::{
    as_of::AsOf,
    matrix_docs, readable,
    register::{Asked, Wanted, place_after},
    visible,
};
use crate::{
    app::AppState,
    auth::Caller,
    entity,
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery},
    query::{Direction, Format, Source, Writer, read_only, read_page_within},
};

/// Rows or columns when nobody says otherwise, and the most.
const USUAL_SIDE: u32 = 50;
const MAX_SIDE: u32 = 100;
/// Longest time for each statement.
const PATIENCE: Duration = Duration::from_secs(15);
/// Names on an axis are a few kilobytes at most.
const MAX_AXIS_BYTES: usize = 8 * 1024 * 1024;
/// What the cells may take. A cell has as many ways as groups and packages lead to it.
const MAX_CELL_BYTES: usize = 16 * 1024 * 1024;

/// The route.
pub fn routes() -> Routes {
    Routes::new().get(
        "/api/systems/{systemId}/matrix",
        matrix,
        matrix_docs::matrix(),
    )
}

/// Which part of the matrix.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatrixQuery {
    /// A condition on the resources, such as `resourceType eq 'EntraGroup'`; docs/read-api.md has the language.
    #[schemars(length(min = 1, max = 4096))]
    resource_filter: Option<String>,
    /// A condition on the principals.
    #[schemars(length(min = 1, max = 4096))]
    principal_filter: Option<String>,
    /// The order of the resources, such as `displayName`; by id when absent.
    #[schemars(length(min = 1, max = 1024))]
    resource_sort: Option<String>,
    /// The order of the principals.
    #[schemars(length(min = 1, max = 1024))]
    principal_sort: Option<String>,
    /// `nextResources` of a page with the same order: the resources after it.
    #[schemars(length(min = 1), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    resources_after: Option<String>,
    /// `nextPrincipals` of a page with the same order: the principals after it.
    #[schemars(length(min = 1), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    principals_after: Option<String>,
    /// At most so many resources; 50 when absent.
    #[schemars(range(min = 1, max = 100))]
    resources: Option<u32>,
    /// At most so many principals; 50 when absent.
    #[schemars(range(min = 1, max = 100))]
    principals: Option<u32>,
    /// The matrix as it was at an instant, such as `2026-01-31T08:00:00Z`; as it is now when absent.
    as_of: Option<String>,
}

/// A part of the matrix.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// The resources, in order.
    resources: Vec<MatrixResource>,
    /// The principals, in order.
    principals: Vec<MatrixPrincipal>,
    /// The cells between them that are not empty, by the ids of resource and principal.
    cells: Vec<MatrixCell>,
    /// Pass it as `resourcesAfter` for the next resources; absent on the last page of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_resources: Option<String>,
    /// Pass it as `principalsAfter` for the next principals; absent on the last page of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_principals: Option<String>,
}

/// A row of the matrix.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MatrixResource {
    /// The resource.
    id: Uuid,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<String>,
}

/// A column of the matrix.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MatrixPrincipal {
    /// The principal.
    id: Uuid,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_type: Option<String>,
}

/// An axis that is asked for, and the names of its parameters.
struct Axis<'a> {
    entity: Entity,
    fields: &'static str,
    filter: (&'static str, Option<&'a str>),
    sort: (&'static str, Option<&'a str>),
    after: (&'static str, Option<&'a str>),
    size: (&'static str, Option<u32>),
    as_of: Option<&'a str>,
}

impl<'a> Axis<'a> {
    fn of_resources(query: &'a MatrixQuery) -> Self {
        Self {
            entity: Entity::Resources,
            fields: "id,displayName,resourceType",
            filter: ("resourceFilter", query.resource_filter.as_deref()),
            sort: ("resourceSort", query.resource_sort.as_deref()),
            after: ("resourcesAfter", query.resources_after.as_deref()),
            size: ("resources", query.resources),
            as_of: query.as_of.as_deref(),
        }
    }

    fn of_principals(query: &'a MatrixQuery) -> Self {
        Self {
            entity: Entity::Principals,
            fields: "id,displayName,principalType",
            filter: ("principalFilter", query.principal_filter.as_deref()),
            sort: ("principalSort", query.principal_sort.as_deref()),
            after: ("principalsAfter", query.principals_after.as_deref()),
            size: ("principals", query.principals),
            as_of: query.as_of.as_deref(),
        }
    }

    /// Understands it, for a caller.
    async fn understand(
        &self,
        state: &AppState,
        caller: &Caller,
        system_id: SystemId,
    ) -> Result<AxisPage, ApiError> {
        let wanted = Wanted {
            filter: self.filter.1,
            sort: self.sort.1,
            fields: Some(self.fields),
            includes_removed: false,
            as_of: self.as_of,
            is_long: false,
        };
        let source =
            Source::of(entity::spec(self.entity).ok_or_else(|| {
                ApiError::internal(format!("{} has no specification", self.entity))
            })?);
        let mut asked = Asked::understand(state, caller, source, &wanted)
            .await
            .map_err(|error| self.renamed(error))?;
        asked.scope.systems.retain(|known| *known == system_id);
        let limit = self.size.1.unwrap_or(USUAL_SIDE);
        if !(1..=MAX_SIDE).contains(&limit) {
            return Err(ApiError::bad_field(
                self.size.0,
                "1 to 100 can be asked for",
            ));
        }
        let direction = match self.after {
            (name, Some(word)) => Direction::After(Some(place_after(name, word, &asked)?)),
            (_, None) => Direction::After(None),
        };
        Ok(AxisPage {
            asked,
            direction,
            limit,
            filter: self.filter.0,
        })
    }

    /// The parameters of lists have other names here.
    fn renamed(&self, error: ApiError) -> ApiError {
        renamed(error, self.filter.0, self.sort.0)
    }
}

fn renamed(error: ApiError, filter: &'static str, sort: &'static str) -> ApiError {
    match error {
        ApiError::BadQuery { parameter, error } => ApiError::BadQuery {
            parameter: match parameter {
                "filter" => filter,
                "sort" => sort,
                other => other,
            },
            error,
        },
        other => other,
    }
}

/// An axis, understood.
struct AxisPage {
    asked: Asked,
    direction: Direction,
    limit: u32,
    filter: &'static str,
}

impl AxisPage {
    /// Its objects, and where the next page begins.
    async fn read<T: DeserializeOwned>(
        self,
        connection: &mut PgConnection,
    ) -> Result<(Vec<T>, Option<String>), ApiError> {
        let asked = &self.asked;
        let writer = Writer::new(&asked.names, &asked.selected, Format::Json);
        let page = asked.page(Format::Json, self.direction, self.limit);
        let rows = read_page_within(connection, page, &writer, b"", MAX_AXIS_BYTES)
            .await
            .map_err(|error| renamed(error.into(), self.filter, ""))?;
        let objects: Result<Vec<T>, _> = rows.rows().map(serde_json::from_slice).collect();
        let next = rows.last.as_ref().filter(|_| rows.has_more);
        Ok((
            objects.map_err(ApiError::internal)?,
            next.map(|place| place.word(&asked.order, &asked.names)),
        ))
    }
}

async fn matrix(
    State(state): State<AppState>,
    caller: Caller,
    InPath(system_id): InPath<SystemId>,
    query: InQuery<MatrixQuery>,
) -> Result<Json<Matrix>, ApiError> {
    readable(&caller)?;
    visible(&state, &caller, system_id).await?;
    let query = query.read()?;
    let resources = Axis::of_resources(&query);
    let resources = resources.understand(&state, &caller, system_id).await?;
    let principals = Axis::of_principals(&query);
    let principals = principals.understand(&state, &caller, system_id).await?;

    let as_of = AsOf::of_query(&state.pool, query.as_of.as_deref()).await?;
    let mut snapshot = one_snapshot(&state).await?;
    let (resources, next_resources) = resources.read::<MatrixResource>(&mut snapshot).await?;
    let (principals, next_principals) = principals.read::<MatrixPrincipal>(&mut snapshot).await?;
    // Only now: the axes ask functions that read tables and history themselves, and would find the past twice.
    turn_to(&mut snapshot, as_of).await?;
    let cells = views::permission_matrix_within(
        &mut snapshot,
        caller.workspace_id,
        system_id,
        &resources.iter().map(|row| row.id).collect::<Vec<_>>(),
        &principals
            .iter()
            .map(|column| column.id)
            .collect::<Vec<_>>(),
        MAX_CELL_BYTES,
    )
    .await?;
    snapshot.rollback().await?;
    as_of.still_known(&state.pool).await?;
    let cells = cells.ok_or_else(|| {
        let detail = "so many ways lead to the cells of this page that they are larger than 16 MiB; ask for fewer \
                      resources or principals";
        ApiError::bad_field("resources", detail)
    })?;
    Ok(Json(Matrix {
        resources,
        principals,
        cells,
        next_resources,
        next_principals,
    }))
}

/// A transaction whose statements all see the same rows.
async fn one_snapshot(state: &AppState) -> Result<Transaction<'static, Postgres>, ApiError> {
    let mut transaction = read_only(&state.pool, PATIENCE, None).await?;
    sqlx::raw_sql("set transaction isolation level repeatable read")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// From here on, views are those of the instant.
async fn turn_to(snapshot: &mut PgConnection, as_of: AsOf) -> Result<(), ApiError> {
    if let Some(at) = as_of.instant() {
        let settings = views::settings_as_of(at);
        sqlx::raw_sql(AssertSqlSafe(settings))
            .execute(snapshot)
            .await?;
    }
    Ok(())
}
