//! Which rows a delta session named for removal, and were not brought again.

use sqlx::{AssertSqlSafe, PgConnection};

use super::rows;
use crate::{error::ApiError, merge::statements, session::Session};

/// Puts the keys of the live rows into the stage that load `$2` named, in its own order of batches after it last brought
/// them. Rows that another load wrote or met since they were named are left out: it knows something newer.
///
/// Few rows are both named and brought. So every row is first looked for among all that were met, which is one look into
/// many ranges, and only those that are found are looked for batch by batch.
const NAMED: &str = "with named as materialized (select r.row_key, max(r.seq) as seq, max(r.staged_at) as staged_at \
       from session_removals r where r.sync_id = $2 group by r.row_key), \
     by_us as materialized (select coalesce(range_agg(m.row_ids), '{}') as row_ids from rows_met m \
       where m.sync_id = $2 and m.seq is not null), \
     by_others as materialized (select coalesce(range_agg(m.row_ids), '{}') as row_ids from rows_met m \
       where m.sync_id <> $2 and m.system_id = $1 and m.entity = $3 and m.met_at >= (select min(staged_at) from named)) ";

/// Stages what is to be removed; answers how many rows that are. To be called while nobody else can meet or write any.
pub async fn stage(connection: &mut PgConnection, session: &Session) -> Result<u64, ApiError> {
    let spec = session.spec()?;
    let names = statements(spec);
    let keys: Vec<String> = (spec.key.iter())
        .map(|column| format!("t.{}", column.sql))
        .collect();
    let sql = format!(
        "{NAMED} insert into {stage} ({list}, row_id, version) select {keys}, t.row_id, t.valid_from \
         from named h cross join lateral (select t.* from {table} t where t.system_id = $1 and {matching} \
         and t.deleted_at is null offset 0) t \
         where not (t.sync_id <> $2 and t.valid_from >= h.staged_at) \
         and not (t.row_id <@ (select row_ids from by_us) and exists (select from rows_met m \
           where m.sync_id = $2 and m.seq > h.seq and m.row_ids @> t.row_id)) \
         and not (t.row_id <@ (select row_ids from by_others) and exists (select from rows_met m \
           where m.sync_id <> $2 and m.system_id = $1 and m.entity = $3 and m.met_at >= h.staged_at and m.row_ids @> t.row_id))",
        stage = names.stage,
        list = names.key_list,
        keys = keys.join(", "),
        table = spec.table,
        matching = rows::key_match(spec),
    );
    let staged = sqlx::query(AssertSqlSafe(sql))
        .bind(session.wanted.system_id)
        .bind(session.sync_id)
        .bind(spec.entity.wire_name())
        .execute(connection)
        .await?;
    Ok(staged.rows_affected())
}
