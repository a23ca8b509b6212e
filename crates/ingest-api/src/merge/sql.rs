//! The statements of a merge, generated once per entity from its specification.
//!
//! Every name comes from the specification, never from input. Parameters are the same everywhere: `$1` system, `$2`
//! load, `$3` moment (or flag), then arrays, one per column, which `unnest` lays side by side again.
//!
//! A key is looked up by a lateral subquery that the planner cannot pull up (`for update`, `offset 0`), so it always goes
//! from the batch to the primary key. Left to itself it may, while a table's statistics are younger than its rows, scan
//! the whole batch once per row of the table, or the whole table once per batch.

use std::{collections::HashMap, sync::LazyLock};

use contract::Scope;

use crate::entity::{self, Column, ColumnKind, EntitySpec};

/// SQL that was put together from specifications only, once, and is kept as long as the process lives.
pub type Sql = &'static str;

/// The statements of one entity.
pub struct Statements {
    /// Compares keys and hashes (arrays) with the table.
    pub compare: Sql,
    /// Locks, in key order, the rows that differ from keys and hashes (arrays).
    pub lock_changed: Sql,
    /// Locks, in key order, and reads the rows with these keys (arrays).
    pub lock_existing: Sql,
    /// Writes changed rows (arrays) with the history of what they replace.
    pub update: Sql,
    /// Writes new rows (arrays).
    pub insert: Sql,
    /// Writes new rows (COPY).
    pub copy: Sql,
    /// Finds the rows with these keys (arrays).
    pub find_rows: Sql,
    /// Takes the rows with these keys (arrays) out of the change sets that wait for a person.
    pub release_held: Sql,
    /// Name of the stage for the keys of rows that go.
    pub stage: String,
    /// Creates it.
    pub create_stage: Sql,
    /// Empties it.
    pub clear_stage: Sql,
    /// Puts keys (arrays) into it.
    pub stage_keys: Sql,
    /// Locks, in key order, the live rows that are staged.
    pub lock_staged: Sql,
    /// Removes the staged rows, with their history.
    pub remove_staged: Sql,
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

/// One piece of text per column, behind each other.
fn each(columns: &[Column], shape: impl Fn(&str) -> String) -> String {
    columns
        .iter()
        .fold(String::new(), |text, column| text + &shape(column.sql))
}

fn list_of(columns: &[Column], shape: impl Fn(&Column) -> String) -> String {
    columns.iter().map(shape).collect::<Vec<_>>().join(", ")
}

fn list<'a>(items: impl Iterator<Item = &'a str>, shape: impl Fn(&str) -> String) -> String {
    items.map(shape).collect::<Vec<_>>().join(", ")
}

/// `unnest($first::type[], …) with ordinality s (column, …, ord)`: one array per column, `extra` ones (type, name) last.
fn arrays<'a>(
    columns: impl Iterator<Item = &'a Column>,
    extra: &[(&str, &str)],
    first: usize,
) -> String {
    let columns: Vec<(&str, &str)> = columns
        .map(|column| (column.kind.sql(), column.sql))
        .chain(extra.iter().copied())
        .collect();
    let parameters = columns
        .iter()
        .zip(first..)
        .map(|((kind, _), number)| format!("${number}::{kind}[]"))
        .collect::<Vec<_>>()
        .join(", ");
    let names = list(columns.iter().map(|(_, name)| *name), str::to_owned);
    format!("unnest({parameters}) with ordinality s ({names}, ord)")
}

/// What belongs to an entity's statements in several places.
struct Parts {
    spec: &'static EntitySpec,
    table: &'static str,
    key_list: String,
    key_match: String,
    all_list: String,
}

impl Parts {
    /// The row with the key of `s`.
    fn find(&self, wanted: &str, condition: &str, end: &str) -> String {
        format!(
            "cross join lateral ({}) t",
            self.lookup(wanted, condition, end)
        )
    }

    fn lookup(&self, wanted: &str, condition: &str, end: &str) -> String {
        format!(
            "select {wanted} from {} t where t.system_id = $1 and {} {condition} {end}",
            self.table, self.key_match
        )
    }

    fn keys(&self, first: usize) -> String {
        arrays(self.spec.key.iter(), &[], first)
    }

    fn keys_and_hashes(&self, first: usize) -> String {
        arrays(self.spec.key.iter(), &[("bytea", "content_hash")], first)
    }

    fn rows(&self) -> String {
        arrays(
            self.spec.all_columns(),
            &[("jsonb", "extended_attributes"), ("bytea", "content_hash")],
            4,
        )
    }

    fn compare(&self) -> String {
        format!(
            "select coalesce(array_agg(t.row_id) filter (where t.sync_id <> $2), '{{}}') as met, \
             coalesce(array_agg(s.ord::integer) filter (where t.row_id is null), '{{}}') as new, \
             coalesce(array_agg(s.ord::integer) filter (where not t.is_same), '{{}}') as changed, \
             coalesce(array_agg(t.row_id) filter (where t.sync_id = $2), '{{}}') as again \
             from {} left join lateral ({}) t on true",
            self.keys_and_hashes(3),
            self.lookup(
                "t.row_id, t.sync_id, t.content_hash = s.content_hash and t.deleted_at is null as is_same",
                "",
                "offset 0"
            ),
        )
    }

    fn lock_existing(&self) -> String {
        let wanted = each(self.spec.columns, |name| format!(", t.{name}"));
        format!(
            "select s.ord::integer as ord, t.row_id, t.sync_id, t.is_deleted, t.content_hash, t.extended_attributes{wanted} from {} {}",
            self.keys(2),
            self.find(
                &format!("t.row_id, t.sync_id, t.deleted_at is not null as is_deleted, t.content_hash, t.extended_attributes{wanted}"),
                "",
                "for update"
            )
        )
    }

    /// The change and the versions that it ends, in one statement: both see the same rows, which are locked.
    fn update(&self) -> String {
        let rows = self.rows();
        let ending = format!(
            "{rows} {}",
            self.find("t.*", "and t.deleted_at is null", "offset 0")
        );
        let change = format!(
            "update {table} t set {}extended_attributes = s.extended_attributes, content_hash = s.content_hash, \
             valid_from = greatest({ENDED_AT}, t.deleted_at), sync_id = $2, deleted_at = null \
             from (select s.*, t.ctid as place from {rows} {}) s where t.ctid = s.place",
            each(self.spec.columns, |name| format!("{name} = s.{name}, ")),
            self.find("t.ctid", "", "offset 0"),
            table = self.table,
        );
        if !self.spec.keeps_history {
            return change;
        }
        let history = history_of(self.spec, "update", ENDED_AT, &ending);
        format!("with ended as ({history}) {change}")
    }

    /// What goes is told by the update itself: history never speaks of a row that stayed.
    fn remove_staged(&self, stage: &str) -> String {
        let removal = format!(
            "update {} t set deleted_at = {ENDED_AT} from (select t.ctid as place from {stage} s {}) s where t.ctid = s.place",
            self.table,
            self.find("t.ctid", REMOVABLE, "offset 0"),
        );
        if !self.spec.keeps_history {
            return removal;
        }
        let history = history_of(self.spec, "delete", "t.deleted_at", "gone t");
        format!("with gone as ({removal} returning t.*) {history}")
    }

    /// The columns of a new row, in the order in which they are copied.
    fn written(&self) -> String {
        format!(
            "system_id, {}, extended_attributes, content_hash, first_seen_at, valid_from, sync_id",
            self.all_list
        )
    }
}

fn generate(spec: &'static EntitySpec) -> Statements {
    let keys = || spec.key.iter().map(|column| column.sql);
    let parts = Parts {
        spec,
        table: spec.table,
        key_list: list(keys(), str::to_owned),
        key_match: keys()
            .map(|name| format!("t.{name} = s.{name}"))
            .collect::<Vec<_>>()
            .join(" and "),
        all_list: list(spec.all_columns().map(|column| column.sql), str::to_owned),
    };
    let (table, entity) = (parts.table, spec.entity);
    let stage = format!("stage_{table}");
    let staged = format!(
        "(select * from {stage} k order by {}) s",
        list(keys(), |name| format!("k.{name}"))
    );
    Statements {
        compare: sql(parts.compare()),
        lock_changed: sql(format!(
            "select s.ord from {} {}",
            parts.keys_and_hashes(2),
            parts.find(
                "t.row_id",
                "and (t.content_hash <> s.content_hash or t.deleted_at is not null)",
                "for update"
            )
        )),
        lock_existing: sql(parts.lock_existing()),
        update: sql(parts.update()),
        insert: sql(format!(
            "insert into {table} ({}) select $1, {}, s.extended_attributes, s.content_hash, $3, $3, $2 from {}",
            parts.written(),
            list(spec.all_columns().map(|column| column.sql), |name| format!(
                "s.{name}"
            )),
            parts.rows(),
        )),
        copy: sql(format!(
            "copy {table} ({}) from stdin (format binary)",
            parts.written()
        )),
        find_rows: sql(format!(
            "select t.row_id from {} {}",
            parts.keys(2),
            parts.find("t.row_id", "", "offset 0")
        )),
        release_held: sql(format!(
            "delete from held_rows h using (select t.row_id from {} {}) met \
             where h.row_id = met.row_id and h.change_set_id in (select c.change_set_id from held_change_sets c \
             where c.system_id = $1 and c.entity = '{entity}' and c.state = 'held')",
            parts.keys(2),
            parts.find("t.row_id", "", "offset 0"),
        )),
        create_stage: sql(format!(
            "create temporary table {stage} ({}, row_id bigint, version timestamptz) on commit delete rows",
            list_of(spec.key, |column| {
                let collation = if column.kind == ColumnKind::Text {
                    " collate \"C\""
                } else {
                    ""
                };
                format!("{} {}{collation}", column.sql, column.kind.sql())
            })
        )),
        clear_stage: sql(format!("truncate {stage}")),
        stage_keys: sql(format!(
            "insert into {stage} ({}) select {} from {}",
            parts.key_list,
            list(keys(), |name| format!("s.{name}")),
            parts.keys(1),
        )),
        lock_staged: sql(format!(
            "select t.row_id from {staged} {}",
            parts.find("t.row_id", REMOVABLE, "for update")
        )),
        remove_staged: sql(parts.remove_staged(&stage)),
        stage,
        key_list: parts.key_list,
        key_match: parts.key_match,
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

/// Writes to the table's history the versions, as `t` in `ended`, that end at `valid_to`.
fn history_of(spec: &EntitySpec, operation: &str, valid_to: &str, ended: &str) -> String {
    let columns = list(spec.all_columns().map(|column| column.sql), str::to_owned);
    let values = list(spec.all_columns().map(|column| column.sql), |name| {
        format!("t.{name}")
    });
    format!(
        "insert into history_{table} (row_id, system_id, {columns}, extended_attributes, first_seen_at, valid_from, sync_id, \
         valid_to, ended_by, operation) select t.row_id, t.system_id, {values}, t.extended_attributes, t.first_seen_at, \
         t.valid_from, t.sync_id, {valid_to}, $2, '{operation}' from {ended}",
        table = spec.table,
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
