//! Which rows a full load did not meet, out of how many, and whether it asked what the one before asked.

use contract::Completeness;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, types::Json};
use uuid::Uuid;

use super::{Extent, Limits, QuestionChange};
use crate::{
    entity::EntitySpec,
    error::ApiError,
    merge::{OVERLAPS, scope_filter, statements},
    session::{Session, scope_key},
};

/// The numbers of the rows that load `$3` met, and those that any load of the system's (`$1`) entity (`$4`) met since the
/// reading began (`$2`).
const MET: &str = "(select coalesce(range_agg(m.row_ids), '{}') from rows_met m \
     where m.sync_id = $3 or (m.system_id = $1 and m.entity = $4 and m.met_at >= $2))";

/// Those of them that other loads met.
const MET_BY_OTHERS: &str = "(select coalesce(range_agg(m.row_ids), '{}') from rows_met m \
     where m.sync_id <> $3 and m.system_id = $1 and m.entity = $4 and m.met_at >= $2)";

/// The number of the first parameter that is a scope's value, in the search for missing rows.
const FIRST_SCOPE_VALUE: usize = 5;

/// Puts the keys of the rows into the stage that are live in the scope, lie in completely read parents, were met neither by
/// this load nor by any other since the reading of the source began, and have not been written since.
pub async fn stage(
    connection: &mut PgConnection,
    session: &Session,
    completeness: &Completeness,
) -> Result<u64, ApiError> {
    let spec = session.spec()?;
    let names = statements(spec);
    let first_after_scope = FIRST_SCOPE_VALUE + session.wanted.scope.len();
    let Some(Parents {
        from,
        condition,
        ids,
    }) = parents(spec, completeness, first_after_scope)
    else {
        // Without parents nothing can be said about any row.
        return Ok(0);
    };
    // What is cheap to ask comes first: the planner takes a look into many ranges for as cheap as a comparison.
    let sql = format!(
        "insert into {stage} ({list}, row_id, version) select {list}, t.row_id, t.valid_from from \
         (select {list}, t.row_id, t.valid_from from {from} \
         where t.system_id = $1 and t.deleted_at is null and t.valid_from < $2{scope}{condition} offset 0) t \
         where not (t.row_id <@ {MET})",
        stage = names.stage,
        list = names.key_list,
        scope = scope_filter(spec, &session.wanted.scope, FIRST_SCOPE_VALUE),
    );
    // Whatever the planner believes about a table that was just loaded, a join with the incomplete parents must hash:
    // nested loops over a million rows take hours. The few parents of a load that read no others are looked up one by one
    // instead, for the same reason: nothing but them may be read. Commits have the cores to share, with each other and with
    // batches.
    let joins = if completeness.complete_parents.is_empty() {
        "set local enable_nestloop = off; set local enable_hashjoin = on; "
    } else {
        "set local enable_nestloop = on; set local enable_hashjoin = off; set local enable_seqscan = off; "
    };
    sqlx::raw_sql(AssertSqlSafe(format!(
        "{joins}set local enable_mergejoin = off; set local max_parallel_workers_per_gather = 0"
    )))
    .execute(&mut *connection)
    .await?;
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .bind(session.read_since)
        .bind(session.sync_id)
        .bind(spec.entity.wire_name());
    for value in session.wanted.scope.values() {
        query = query.bind(value);
    }
    if !ids.is_empty() {
        query = query.bind(ids);
    }
    let missing = query.execute(&mut *connection).await?.rows_affected();
    // What follows goes by index from the stage, which is small, to the table.
    sqlx::raw_sql(
        "set local enable_nestloop to default; set local enable_mergejoin to default; \
         set local enable_hashjoin to default; set local enable_seqscan to default",
    )
    .execute(connection)
    .await?;
    Ok(missing)
}

/// What a load says about parents, as a part of the search for missing rows.
struct Parents<'a> {
    /// Where the rows `t` are looked for.
    from: String,
    /// What else they must fulfil.
    condition: String,
    /// The value of the parameter that both may name.
    ids: &'a [Uuid],
}

/// `None` where parents are named of an entity that has none.
fn parents<'a>(
    spec: &EntitySpec,
    completeness: &'a Completeness,
    parameter: usize,
) -> Option<Parents<'a>> {
    let table = spec.table;
    let (complete, incomplete) = (
        &completeness.complete_parents,
        &completeness.incomplete_parents,
    );
    if complete.is_empty() && incomplete.is_empty() {
        return Some(Parents {
            from: format!("{table} t"),
            condition: String::new(),
            ids: &[],
        });
    }
    let column = spec.key[spec.parent?].sql;
    if complete.is_empty() {
        return Some(Parents {
            from: format!("{table} t"),
            condition: format!(
                " and not exists (select from unnest(${parameter}::uuid[]) as incomplete (id) \
                 where incomplete.id = t.{column})"
            ),
            ids: incomplete,
        });
    }
    Some(Parents {
        // Each parent once: a row that is staged twice would be counted twice.
        from: format!(
            "(select distinct p.id from unnest(${parameter}::uuid[]) p (id)) complete cross join lateral \
             (select r.* from {table} r where r.system_id = $1 and r.{column} = complete.id offset 0) t"
        ),
        condition: String::new(),
        ids: complete,
    })
}

/// Takes out of the stage what others met since it was filled: to be called when nobody else can meet anything any more.
/// Answers how many those are.
pub async fn leave_out_met(
    connection: &mut PgConnection,
    session: &Session,
) -> Result<u64, ApiError> {
    let sql = format!(
        "delete from {stage} s where s.row_id <@ {MET_BY_OTHERS}",
        stage = statements(session.spec()?).stage,
    );
    let gone = sqlx::query(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .bind(session.read_since)
        .bind(session.sync_id)
        .bind(session.wanted.entity.wire_name())
        .execute(connection)
        .await?;
    Ok(gone.rows_affected())
}

/// Takes out of the stage what others removed or moved since it was filled. A removal leaves those rows alone in any case.
/// Answers how many those are.
pub async fn leave_out_moved(
    connection: &mut PgConnection,
    session: &Session,
) -> Result<u64, ApiError> {
    let spec = session.spec()?;
    let names = statements(spec);
    // A subquery that yields a value is never turned into a join: each row is looked up by its key.
    let sql = format!(
        "delete from {stage} s where (select true from {table} t where t.system_id = $1 and {matching} \
         and t.deleted_at is null and t.valid_from = s.version) is null",
        stage = names.stage,
        table = spec.table,
        matching = names.key_match,
    );
    let gone = sqlx::query(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .execute(connection)
        .await?;
    Ok(gone.rows_affected())
}

/// How many rows stay that this load neither met nor wrote, because another load met or wrote them since the reading began.
/// To be called when what is missing is out of the register, or waits.
pub async fn spared(
    connection: &mut PgConnection,
    session: &Session,
    completeness: &Completeness,
) -> Result<u64, ApiError> {
    let spec = session.spec()?;
    // Most loads are alone, and need not look at their rows once more.
    let sql = format!(
        "select exists (select from sync_sessions o where o.system_id = $1 and o.entity = $4 and o.sync_id <> $5 \
         and (o.closed_at is null or o.closed_at >= $2) and {OVERLAPS})"
    );
    let had_company: bool = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .bind(session.read_since)
        .bind(Json(&session.wanted.scope))
        .bind(spec.entity.wire_name())
        .bind(session.sync_id)
        .fetch_one(&mut *connection)
        .await?;
    let first_after_scope = FIRST_SCOPE_VALUE + session.wanted.scope.len();
    let Some(looked_at) = parents(spec, completeness, first_after_scope).filter(|_| had_company)
    else {
        return Ok(0);
    };
    let sql = format!(
        "select count(*) from {from} where t.system_id = $1 and t.deleted_at is null and t.sync_id <> $3{scope}{condition} \
         and not (t.row_id <@ (select coalesce(range_agg(m.row_ids), '{{}}') from rows_met m where m.sync_id = $3)) \
         and (t.valid_from >= $2 or t.row_id <@ {MET_BY_OTHERS})",
        from = looked_at.from,
        condition = looked_at.condition,
        scope = scope_filter(spec, &session.wanted.scope, FIRST_SCOPE_VALUE),
    );
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .bind(session.read_since)
        .bind(session.sync_id)
        .bind(spec.entity.wire_name());
    for value in session.wanted.scope.values() {
        query = query.bind(value);
    }
    if !looked_at.ids.is_empty() {
        query = query.bind(looked_at.ids);
    }
    let spared: i64 = query.fetch_one(connection).await?;
    Ok(spared as u64)
}

/// How many rows are live in the scope, each number counted as far as [`Limits`] say.
pub async fn extent(
    connection: &mut PgConnection,
    session: &Session,
    limits: Limits,
) -> Result<Extent, ApiError> {
    let spec = session.spec()?;
    let live = format!(
        "select from {table} t where t.system_id = $1 and t.deleted_at is null{scope}",
        table = spec.table,
        scope = scope_filter(spec, &session.wanted.scope, 5),
    );
    let sql = format!(
        "select (select count(*) from ({live} limit $3) l) as live, \
         (select count(*) from ({live} and t.first_seen_at < $2 limit $4) b) as before"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .bind(session.read_since)
        .bind(limits.live.map(|limit| limit as i64))
        .bind(limits.before.map(|limit| limit as i64));
    for value in session.wanted.scope.values() {
        query = query.bind(value);
    }
    let counted = query.fetch_one(connection).await?;
    Ok(Extent {
        live: counted.try_get::<i64, _>("live")? as u64,
        before: counted.try_get::<i64, _>("before")? as u64,
    })
}

/// Was the source asked for something else than by the last full load that settled?
pub async fn question_change(
    connection: &mut PgConnection,
    session: &Session,
) -> Result<QuestionChange, ApiError> {
    let (is_known, is_same, is_first): (bool, Option<bool>, bool) = sqlx::query_as(
        "with settled as (select s.scope_key, s.source_filter, s.closed_at from sync_sessions s \
         where s.system_id = $1 and s.entity = $2 and s.state = 'committed' and s.sync_mode = 'full' and s.is_settled) \
         select exists (select from settled s where s.scope_key = $3), \
         (select s.source_filter is not distinct from $4 from settled s where s.scope_key = $3 \
          order by s.closed_at desc limit 1), \
         not exists (select from settled s)",
    )
    .bind(session.wanted.system_id)
    .bind(session.wanted.entity.wire_name())
    .bind(scope_key(&session.wanted.scope))
    .bind(&session.wanted.source_filter)
    .fetch_one(connection)
    .await?;
    Ok(match is_same {
        Some(false) => QuestionChange::SourceFilter,
        // Rows came by full loads of other scopes, and never yet by one of this.
        None if !is_known && !is_first => QuestionChange::Scope,
        _ => QuestionChange::None,
    })
}
