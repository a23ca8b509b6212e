//! How much there is.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgPool, types::Json};

use crate::{ViewError, error::sql_state};

/// Longest time for a look at the statistics.
const ESTIMATE_PATIENCE: Duration = Duration::from_secs(5);

/// Live rows of a workspace, by table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each number is named after its table")]
pub struct Totals {
    pub systems: i64,
    pub principals: i64,
    pub resources: i64,
    pub resource_assignments: i64,
    pub resource_relationships: i64,
    pub identities: i64,
    pub identity_members: i64,
    pub contexts: i64,
    pub context_members: i64,
    pub principal_activity: i64,
    pub governance_catalogs: i64,
    pub assignment_policies: i64,
    pub assignment_requests: i64,
    pub certification_decisions: i64,
    /// Absent where counting would take too long: there is no estimate of it that is worth something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_access: Option<i64>,
    /// The numbers that are PostgreSQL's estimates, by their names here; all others are counted.
    pub estimated: Vec<String>,
}

/// A table, its name in the answer, and its number there.
type Table = (&'static str, &'static str, fn(&mut Totals) -> &mut i64);

const TABLES: [Table; 14] = [
    ("systems", "systems", |t| &mut t.systems),
    ("principals", "principals", |t| &mut t.principals),
    ("resources", "resources", |t| &mut t.resources),
    ("resource_assignments", "resourceAssignments", |t| {
        &mut t.resource_assignments
    }),
    ("resource_relationships", "resourceRelationships", |t| {
        &mut t.resource_relationships
    }),
    ("identities", "identities", |t| &mut t.identities),
    ("identity_members", "identityMembers", |t| {
        &mut t.identity_members
    }),
    ("contexts", "contexts", |t| &mut t.contexts),
    ("context_members", "contextMembers", |t| {
        &mut t.context_members
    }),
    ("principal_activity", "principalActivity", |t| {
        &mut t.principal_activity
    }),
    ("governance_catalogs", "governanceCatalogs", |t| {
        &mut t.governance_catalogs
    }),
    ("assignment_policies", "assignmentPolicies", |t| {
        &mut t.assignment_policies
    }),
    ("assignment_requests", "assignmentRequests", |t| {
        &mut t.assignment_requests
    }),
    ("certification_decisions", "certificationDecisions", |t| {
        &mut t.certification_decisions
    }),
];

/// Counts the live rows of a workspace within some time, small tables first. What is not counted in that time is
/// estimated, and said to be.
pub async fn totals(
    pool: &PgPool,
    workspace_id: i32,
    patience: Duration,
) -> Result<Totals, ViewError> {
    let until = Instant::now() + patience;
    let systems: Vec<i32> =
        sqlx::query_scalar("select system_id from systems where workspace_id = $1")
            .bind(workspace_id)
            .fetch_all(pool)
            .await?;
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        tables.push((estimate(pool, &live(table.0), &systems).await?, table));
    }
    tables.sort_by_key(|(rows, _)| *rows);

    let mut totals = Totals::default();
    for (estimated, (table, name, number)) in tables {
        let counted = count(pool, &live(table), &systems, until).await?;
        if counted.is_none() {
            totals.estimated.push(name.to_owned());
        }
        *number(&mut totals) = counted.unwrap_or(estimated);
    }
    totals.estimated.sort();
    let access = "from effective_access t where t.system_id = any ($1)";
    totals.effective_access = count(pool, access, &systems, until).await?;
    Ok(totals)
}

fn live(table: &str) -> String {
    format!("from {table} t where t.system_id = any ($1) and t.deleted_at is null")
}

/// How many rows PostgreSQL expects, from its statistics.
async fn estimate(pool: &PgPool, from: &str, systems: &[i32]) -> Result<i64, ViewError> {
    let mut transaction = pool.begin().await?;
    limit_time(&mut transaction, ESTIMATE_PATIENCE).await?;
    let explain = format!("explain (format json) select 1 {from}");
    let Json(plan): Json<serde_json::Value> = sqlx::query_scalar(AssertSqlSafe(explain))
        .persistent(false)
        .bind(systems)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.rollback().await?;
    let rows = plan[0]["Plan"]["Plan Rows"].as_f64();
    rows.map(|rows| rows as i64)
        .ok_or_else(|| sqlx::Error::Protocol("the plan names no rows".into()).into())
}

/// Counts rows; none when that would take longer than until then.
async fn count(
    pool: &PgPool,
    from: &str,
    systems: &[i32],
    until: Instant,
) -> Result<Option<i64>, ViewError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.as_millis() == 0 {
        return Ok(None);
    }
    let mut transaction = pool.begin().await?;
    limit_time(&mut transaction, left).await?;
    let counted = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) {from}")))
        .persistent(false)
        .bind(systems)
        .fetch_one(&mut *transaction)
        .await;
    transaction.rollback().await?;
    match counted {
        Ok(rows) => Ok(Some(rows)),
        // The statement was ended because it took too long.
        Err(error) if sql_state(&error).as_deref() == Some("57014") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn limit_time(
    connection: &mut sqlx::PgConnection,
    longest: Duration,
) -> Result<(), ViewError> {
    let settings = format!(
        "set transaction read only; set local statement_timeout = {}",
        longest.as_millis()
    );
    sqlx::raw_sql(AssertSqlSafe(settings))
        .execute(connection)
        .await?;
    Ok(())
}
