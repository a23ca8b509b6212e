//! Pieces of SQL about a table `X` and its history, put together from the entity's specification.
//!
//! `$1` is always the system. Every value of a caller is a parameter.

use crate::{
    deletion::name_of,
    entity::{Column, EntitySpec},
};

/// The parameters of a statement behind its fixed ones, all of them texts.
#[derive(Debug)]
pub struct Binds {
    first: usize,
    values: Vec<String>,
}

impl Binds {
    /// None yet; the first one is `$first`.
    pub const fn from(first: usize) -> Self {
        Self {
            first,
            values: Vec::new(),
        }
    }

    /// A value, as its column takes it.
    pub fn add(&mut self, column: &Column, value: &str) -> String {
        self.values.push(value.to_owned());
        let number = self.first + self.values.len() - 1;
        format!("${number}::{}", column.kind.sql())
    }

    /// The values in the order of their numbers.
    pub fn values(&self) -> &[String] {
        &self.values
    }
}

/// Pieces with something between them.
pub fn join(items: impl Iterator<Item = String>, between: &str) -> String {
    items.collect::<Vec<_>>().join(between)
}

/// ` and t.key = $n and …` for some key fields.
pub fn matching(wanted: &[(&'static Column, String)], binds: &mut Binds) -> String {
    join(
        wanted
            .iter()
            .map(|(column, value)| format!(" and t.{} = {}", column.sql, binds.add(column, value))),
        "",
    )
}

/// The row's number, which only systems do not have.
pub fn row_id(spec: &EntitySpec) -> &'static str {
    if spec.key.is_empty() {
        "t.system_id::bigint"
    } else {
        "t.row_id"
    }
}

/// `t.key_1, t.key_2`, behind something else.
pub fn keys(spec: &EntitySpec, row: &str) -> String {
    join(
        spec.key
            .iter()
            .map(|column| format!(", {row}.{}", column.sql)),
        "",
    )
}

/// `one.key = other.key and …`, the system included.
pub fn same_key(spec: &EntitySpec, one: &str, other: &str) -> String {
    let keys = spec
        .key
        .iter()
        .map(|column| format!(" and {one}.{name} = {other}.{name}", name = column.sql));
    format!("{one}.system_id = {other}.system_id{}", join(keys, ""))
}

/// The key as an array of texts.
pub fn key_texts(spec: &EntitySpec, row: &str) -> String {
    let keys = spec
        .key
        .iter()
        .map(|column| format!("{row}.{}::text", column.sql));
    format!("array[{}]::text[]", join(keys, ", "))
}

/// All columns that say something, of the row `t`.
pub fn contents(spec: &EntitySpec) -> String {
    let columns = spec
        .columns
        .iter()
        .map(|column| format!("t.{}, ", column.sql));
    format!("{}t.extended_attributes", join(columns, ""))
}

/// What the row `row` says, in the words of the wire.
pub fn image(spec: &EntitySpec, row: &str) -> String {
    let fields = spec
        .columns
        .iter()
        .map(|column| format!("'{}', {row}.{}", column.wire, column.sql));
    format!(
        "jsonb_strip_nulls(jsonb_build_object({})) || jsonb_build_object('extendedAttributes', {row}.extended_attributes)",
        join(fields, ", ")
    )
}

/// The names, as far as they are known today, of what the key refers to; `key` makes the expression of a key column.
pub fn names(spec: &EntitySpec, key: impl Fn(&Column) -> String) -> String {
    let names = spec.key.iter().filter_map(|column| {
        let name = name_of(column.refers_to?, &key(column))?;
        Some(format!("'{}', {name}", column.wire))
    });
    format!(
        "jsonb_strip_nulls(jsonb_build_object({}))",
        join(names, ", ")
    )
}
