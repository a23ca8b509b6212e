//! What can be asked: something with typed columns.

use std::sync::LazyLock;

use contract::Entity;

use crate::entity::{self, Column, ColumnKind, EntitySpec};

/// The field by which lists of principals and resources have an index from the beginning.
pub const DISPLAY_NAME: &str = "displayName";

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `uuid`
    Uuid,
    /// `text`
    Text,
    /// `boolean`
    Bool,
    /// `timestamptz`
    Time,
    /// `integer` or `bigint`
    Int,
    /// `numeric`; values of attributes only.
    Number,
    /// `jsonb`: shown, but neither compared nor sorted.
    Json,
}

impl Kind {
    /// How error texts call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uuid => "an id",
            Self::Text => "a text",
            Self::Bool => "a boolean",
            Self::Time => "a date",
            Self::Int | Self::Number => "a number",
            Self::Json => "an object",
        }
    }
}

impl From<ColumnKind> for Kind {
    fn from(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Uuid => Self::Uuid,
            ColumnKind::Text => Self::Text,
            ColumnKind::Bool => Self::Bool,
            ColumnKind::Time => Self::Time,
            ColumnKind::Int => Self::Int,
        }
    }
}

/// A column under its two names.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name on the wire.
    pub wire: &'static str,
    /// Its name in SQL.
    pub sql: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Can it be null?
    pub is_nullable: bool,
    /// Is it a list? Only of the type [`Kind::Json`].
    pub is_list: bool,
}

impl Field {
    /// A column that is never null.
    pub const fn new(wire: &'static str, sql: &'static str, kind: Kind) -> Self {
        Self {
            wire,
            sql,
            kind,
            is_nullable: false,
            is_list: false,
        }
    }

    /// The same column where it may be null.
    #[must_use]
    pub const fn nullable(mut self) -> Self {
        self.is_nullable = true;
        self
    }

    /// A column with JSON lists.
    pub const fn list(wire: &'static str, sql: &'static str) -> Self {
        let mut field = Self::new(wire, sql, Kind::Json);
        field.is_list = true;
        field
    }

    fn of(column: &Column, is_key: bool) -> Self {
        Self {
            wire: column.wire,
            sql: column.sql,
            kind: column.kind.into(),
            // The tables say `not null` in the same places, which a test checks.
            is_nullable: !(is_key || column.is_required || column.default.is_some()),
            is_list: false,
        }
    }
}

/// How something is read as of an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// Only the present is known.
    Unknown,
    /// By a function of the instant that stands behind `from`; its name.
    Function(String),
    /// By its own name in a transaction that is turned to the instant: what the crate `views` installs.
    Views,
}

/// A table, view or function with typed columns, one of them `system_id`.
#[derive(Debug)]
pub struct Source {
    /// Its name on the wire.
    pub name: &'static str,
    /// What its rows are, for people.
    pub about: &'static str,
    /// What stands behind `from`. Of a function: its call with the names of its arguments in braces, which
    /// [`Called`](super::Called) replaces.
    pub relation: &'static str,
    /// How it is read as of an instant.
    pub as_of: Past,
    /// Its columns, in the order in which they are shown.
    pub fields: Vec<Field>,
    /// The SQL names of the columns that, with `system_id`, tell rows apart; none of them is ever null.
    pub key: Vec<(&'static str, Kind)>,
    /// The entity, where rows have extended attributes.
    pub entity: Option<Entity>,
    /// Do removed rows stay, marked by `deleted_at`?
    pub keeps_removed: bool,
}

impl Source {
    /// The table of an entity.
    pub fn of(spec: &'static EntitySpec) -> &'static Self {
        static ALL: LazyLock<Vec<Source>> =
            LazyLock::new(|| entity::ALL.iter().map(|spec| table(spec)).collect());
        ALL.iter()
            .find(|source| source.entity == Some(spec.entity))
            .expect("every specification has its source")
    }

    /// The column with a wire name.
    pub fn field(&self, wire: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.wire == wire)
    }

    /// Is there an index by name from the beginning?
    pub const fn is_listed_by_name(&self) -> bool {
        matches!(self.entity, Some(Entity::Principals | Entity::Resources))
    }

    /// Do lists by this field have an index from the beginning? That is the key's, which begins with the key's first
    /// column, and that by name.
    pub fn has_own_index(&self, field: &Field) -> bool {
        let leads_the_key = self.key.first().is_some_and(|(sql, _)| *sql == field.sql);
        leads_the_key || self.is_listed_by_name() && field.wire == DISPLAY_NAME
    }
}

fn table(spec: &EntitySpec) -> Source {
    let mut fields = vec![Field::new("systemId", "system_id", Kind::Int)];
    fields.extend(spec.key.iter().map(|column| Field::of(column, true)));
    fields.extend(spec.columns.iter().map(|column| Field::of(column, false)));
    fields.extend([
        Field::new("extendedAttributes", "extended_attributes", Kind::Json),
        Field::new("firstSeenAt", "first_seen_at", Kind::Time),
        Field::new("validFrom", "valid_from", Kind::Time),
        Field::new("syncId", "sync_id", Kind::Uuid),
        Field::new("deletedAt", "deleted_at", Kind::Time).nullable(),
    ]);
    Source {
        name: spec.entity.wire_name(),
        about: crate::ingest::about(spec.entity),
        relation: spec.table,
        as_of: if spec.keeps_history {
            Past::Function(format!("{}_as_of", spec.table))
        } else {
            Past::Unknown
        },
        fields,
        key: spec
            .key
            .iter()
            .map(|column| (column.sql, column.kind.into()))
            .collect(),
        entity: Some(spec.entity),
        keeps_removed: true,
    }
}
