//! The statements of a merge, generated once per entity from its specification.
//!
//! Every name comes from the specification, never from input. Parameters are the same everywhere: `$1` system, `$2`
//! load, `$3` moment (or flag).
//!
//! A staged key is looked up by a lateral subquery that the planner cannot pull up (`for update`, `offset 0`), so it
//! always goes from the stage to the primary key. Left to itself it may, while a table's statistics are younger than
//! its rows, scan the whole stage once per row of the table.

use std::{collections::HashMap, sync::LazyLock};

use contract::Scope;

use crate::entity::{self, EntitySpec};

/// SQL that was put together from specifications only, once, and is kept as long as the process lives.
pub type Sql = &'static str;

/// The statements of one entity.
pub struct Statements {
    /// Name of the staging table for rows; exists when both do.
    pub row_stage: String,
    /// Creates the staging table for keys.
    pub create_key_stage: Sql,
    /// Creates the staging table for rows.
    pub create_row_stage: Sql,
    /// Empties both.
    pub clear_stage: Sql,
    /// COPY into the key stage.
    pub copy_keys: String,
    /// COPY into the row stage.
    pub copy_rows: String,
    /// Locks, in key order, and numbers the rows that differ from the stage or were removed.
    pub lock_changed: Sql,
    /// Numbers the staged keys that the table lacks.
    pub find_new: Sql,
    /// Locks, in key order, and reads the rows that are staged.
    pub lock_existing: Sql,
    /// Locks, in key order, the live rows that are staged.
    pub lock_staged: Sql,
    /// Writes changed rows with the history of what they replace.
    pub update: Sql,
    /// Writes new rows.
    pub insert: Sql,
    /// Remembers the rows that a full load has met.
    pub mark_seen: Sql,
    /// Tells the other open full loads whose scope overlaps (`$3` is ours) that these rows exist.
    pub tell_others: Sql,
    /// Takes the rows that were met out of the change sets that wait for a person.
    pub release_held: Sql,
    /// Removes the staged rows, with their history.
    pub remove_staged: Sql,
    /// Name of the staging table for keys.
    pub key_stage: String,
    /// The key columns, comma-separated.
    pub key_list: String,
    /// `t.key = s.key and …`
    pub key_match: String,
}

/// The statements of an entity.
pub fn statements(spec: &EntitySpec) -> &'static Statements {
    static ALL: LazyLock<HashMap<&'static str, Statements>> = LazyLock::new(|| {
        entity::ALL
            .iter()
            .map(|spec| (spec.table, generate(spec)))
            .collect()
    });
    &ALL[spec.table]
}

fn sql(text: String) -> Sql {
    text.leak()
}

fn list<'a>(items: impl Iterator<Item = &'a str>, shape: impl Fn(&str) -> String) -> String {
    items.map(shape).collect::<Vec<_>>().join(", ")
}

fn generate(spec: &EntitySpec) -> Statements {
    let table = spec.table;
    let key_stage = format!("stage_keys_{table}");
    let row_stage = format!("stage_rows_{table}");
    let keys = || spec.key.iter().map(|column| column.sql);
    let columns = || spec.columns.iter().map(|column| column.sql);
    let plain = |name: &str| name.to_owned();
    let key_list = list(keys(), plain);
    let key_match = keys()
        .map(|name| format!("t.{name} = s.{name}"))
        .collect::<Vec<_>>()
        .join(" and ");
    let all_list = list(keys().chain(columns()), plain);
    let typed = |columns: &[entity::Column]| {
        columns
            .iter()
            .map(|column| {
                let collation = if column.kind == entity::ColumnKind::Text {
                    " collate \"C\""
                } else {
                    ""
                };
                format!("{} {}{collation}", column.sql, column.kind.sql())
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    let accepted = format!("(select * from {key_stage} k where not k.is_refused order by k.ord) s");
    let staged = format!("(select * from {key_stage} k order by k.ord) s");
    let find = |wanted: &str, condition: &str, end: &str| {
        format!(
            "cross join lateral (select {wanted} from {table} t where t.system_id = $1 and {key_match} {condition} {end}) t"
        )
    };

    Statements {
        create_key_stage: sql(format!(
            "create temporary table {key_stage} (ord integer not null, {}, content_hash bytea, is_refused boolean not null, version timestamptz) \
             on commit delete rows",
            typed(spec.key)
        )),
        create_row_stage: sql(format!(
            "create temporary table {row_stage} (is_new boolean not null, {}, {}, extended_attributes jsonb not null, \
             content_hash bytea not null) on commit delete rows",
            typed(spec.key),
            typed(spec.columns)
        )),
        clear_stage: sql(format!("truncate {key_stage}, {row_stage}")),
        copy_keys: format!(
            "copy {key_stage} (ord, {key_list}, content_hash, is_refused) from stdin (format binary)"
        ),
        copy_rows: format!(
            "copy {row_stage} (is_new, {all_list}, extended_attributes, content_hash) from stdin (format binary)"
        ),
        lock_changed: sql(format!(
            "select s.ord from {accepted} {}",
            find(
                "t.row_id",
                "and (t.content_hash <> s.content_hash or t.deleted_at is not null)",
                "for update"
            )
        )),
        find_new: sql(format!(
            "select s.ord from {accepted} \
             where (select true from {table} t where t.system_id = $1 and {key_match}) is null"
        )),
        lock_existing: sql(format!(
            "select s.ord, t.deleted_at is not null as is_deleted, t.content_hash, {columns}, t.extended_attributes \
             from {accepted} {}",
            find(
                &format!(
                    "t.deleted_at, t.content_hash, {}, t.extended_attributes",
                    list(columns(), |name| format!("t.{name}"))
                ),
                "",
                "for update"
            ),
            columns = list(columns(), |name| format!("t.{name}")),
        )),
        lock_staged: sql(format!(
            "select s.ord from {staged} {}",
            find("t.row_id", REMOVABLE, "for update")
        )),
        update: sql(with_history(
            spec,
            "update",
            &format!(
                "{row_stage} s {}",
                find(
                    "t.*",
                    "and not s.is_new and t.deleted_at is null",
                    "offset 0"
                )
            ),
            &format!(
                "update {table} t set {}, extended_attributes = s.extended_attributes, content_hash = s.content_hash, \
                 valid_from = greatest({ENDED_AT}, t.deleted_at), sync_id = $2, deleted_at = null \
                 from (select s.*, t.ctid as place from {row_stage} s {}) s where t.ctid = s.place",
                list(columns(), |name| format!("{name} = s.{name}")),
                find("t.ctid", "and not s.is_new", "offset 0"),
            ),
        )),
        insert: sql(format!(
            "insert into {table} (system_id, {all_list}, extended_attributes, content_hash, first_seen_at, valid_from, sync_id) \
             select $1, {all_list}, extended_attributes, content_hash, $3, $3, $2 from {row_stage} s where s.is_new \
             order by {key_list} on conflict do nothing"
        )),
        mark_seen: sql(format!(
            "insert into sync_seen (sync_id, row_id) select $2, t.row_id from {key_stage} s {} on conflict do nothing",
            find("t.row_id", "and s.is_refused = $3", "offset 0")
        )),
        tell_others: sql(format!(
            "insert into sync_seen (sync_id, row_id) select o.sync_id, t.row_id from {key_stage} s {} \
             cross join sync_sessions o where o.system_id = $1 and o.entity = '{entity}' and o.state = 'open' \
             and o.sync_mode = 'full' and o.sync_id <> $2 and {OVERLAPS} on conflict do nothing",
            find("t.row_id", "", "offset 0"),
            entity = spec.entity,
        )),
        release_held: sql(format!(
            "delete from held_rows h using (select t.row_id from {key_stage} s {}) met \
             where h.row_id = met.row_id and h.change_set_id in (select c.change_set_id from held_change_sets c \
             where c.system_id = $1 and c.entity = '{entity}' and c.state = 'held')",
            find("t.row_id", "", "offset 0"),
            entity = spec.entity,
        )),
        remove_staged: sql(with_history(
            spec,
            "delete",
            &format!("{key_stage} s {}", find("t.*", REMOVABLE, "offset 0")),
            &format!(
                "update {table} t set deleted_at = {ENDED_AT} from (select t.ctid as place from {key_stage} s {}) s \
                 where t.ctid = s.place",
                find("t.ctid", REMOVABLE, "offset 0"),
            ),
        )),
        row_stage,
        key_stage,
        key_list,
        key_match,
    }
}

/// A staged row is removed only as the version that was found to be missing: one that was changed, moved to another scope
/// or restored meanwhile is not.
const REMOVABLE: &str =
    "and t.deleted_at is null and (s.version is null or t.valid_from = s.version)";

/// Two scopes overlap unless they give the same key different values. `o.scope` is the other's, `$3` ours.
pub const OVERLAPS: &str = "not exists (select from jsonb_each_text(o.scope) theirs \
     join jsonb_each_text($3::jsonb) ours on ours.key = theirs.key and ours.value <> theirs.value)";

/// The end of a version: after it began, even if the clock stood still.
const ENDED_AT: &str = "greatest($3::timestamptz, t.valid_from + interval '1 microsecond')";

/// A change together with the versions that it ends, in one statement: both see the same rows, which are locked.
fn with_history(spec: &EntitySpec, operation: &str, ending: &str, change: &str) -> String {
    if !spec.keeps_history {
        return change.to_owned();
    }
    let row_key = list(spec.key.iter().map(|column| column.sql), |name| {
        format!("t.{name}::text")
    });
    let fields: Vec<String> = spec
        .columns
        .iter()
        .map(|column| format!("'{}', t.{}", column.wire, column.sql))
        .collect();
    let image = if fields.is_empty() {
        "'{}'::jsonb".to_owned()
    } else {
        format!(
            "jsonb_strip_nulls(jsonb_build_object({}))",
            fields.join(", ")
        )
    };
    format!(
        "with ended as (insert into history (system_id, entity, row_key, row_id, valid_from, valid_to, operation, began_by, \
         ended_by, image) select t.system_id, '{entity}', concat_ws('|', {row_key}), t.row_id, t.valid_from, {ENDED_AT}, \
         '{operation}', t.sync_id, $2, {image} || jsonb_build_object('extendedAttributes', t.extended_attributes) from {ending}) \
         {change}",
        entity = spec.entity,
    )
}

/// `and t.column = '…'` for every key of a scope. Values become parameters from `$first` on, in the scope's order.
pub fn scope_filter(spec: &EntitySpec, scope: &Scope, first: usize) -> String {
    scope
        .keys()
        .enumerate()
        .filter_map(|(position, wire)| {
            let (_, column) = spec.scope_keys.iter().find(|(key, _)| key == wire)?;
            let kind = spec
                .all_columns()
                .find(|candidate| candidate.sql == *column)?
                .kind
                .sql();
            Some(format!(" and t.{column} = ${}::{kind}", first + position))
        })
        .collect()
}
