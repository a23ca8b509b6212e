//! What the server knows about each entity: its table, key, columns, scope keys and parent.
//!
//! Wire names come in, SQL names go out; nothing else in the server spells either. Systems are not here: they are few,
//! get their number from the server and have a module of their own.

mod table;

use contract::Entity;

pub use table::{ALL, spec};

/// An entity that is merged in batches.
#[derive(Debug)]
pub struct EntitySpec {
    /// The entity.
    pub entity: Entity,
    /// Its table.
    pub table: &'static str,
    /// The space that its own `id` is derived in when a record has only an `externalId`.
    pub id_space: Option<IdSpace>,
    /// The columns that, with the system, are the primary key.
    pub key: &'static [Column],
    /// The other core columns.
    pub columns: &'static [Column],
    /// Scope key on the wire and its column.
    pub scope_keys: &'static [(&'static str, &'static str)],
    /// The key column that names the parent, for completeness.
    pub parent: Option<usize>,
    /// Are ended versions kept?
    pub keeps_history: bool,
}

impl EntitySpec {
    /// Key columns, then the others: the order of a row's values.
    pub fn all_columns(&self) -> impl Iterator<Item = &'static Column> {
        self.key.iter().chain(self.columns)
    }
}

/// One core column.
#[derive(Debug)]
pub struct Column {
    /// Its name in SQL.
    pub sql: &'static str,
    /// Its name on the wire.
    pub wire: &'static str,
    /// Its type.
    pub kind: ColumnKind,
    /// Must a record have it?
    pub is_required: bool,
    /// The value of a record that lacks it.
    pub default: Option<&'static str>,
    /// Where a reference by external id (`managerExternalId` for `managerId`) points.
    pub refers_to: Option<IdSpace>,
}

impl Column {
    const fn new(sql: &'static str, wire: &'static str, kind: ColumnKind) -> Self {
        Self {
            sql,
            wire,
            kind,
            is_required: false,
            default: None,
            refers_to: None,
        }
    }

    const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn referring_to(mut self, space: IdSpace) -> Self {
        self.refers_to = Some(space);
        self
    }

    /// The wire name of the external twin of a reference: `managerExternalId` for `managerId`.
    pub fn external_wire(&self) -> Option<String> {
        self.refers_to?;
        self.wire
            .strip_suffix("Id")
            .map(|stem| format!("{stem}ExternalId"))
    }
}

/// The type of a core column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// `uuid`
    Uuid,
    /// `text`
    Text,
    /// `boolean`
    Bool,
    /// `timestamptz`
    Time,
    /// `bigint`
    Int,
}

impl ColumnKind {
    /// Its type in SQL.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::Time => "timestamptz",
            Self::Int => "bigint",
        }
    }
}

/// A space of external ids: the same external id in two spaces is two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdSpace {
    /// Principals.
    Principals,
    /// Resources.
    Resources,
    /// Identities.
    Identities,
    /// Contexts.
    Contexts,
    /// Governance catalogs.
    Catalogs,
    /// Assignment policies.
    Policies,
    /// Assignment requests.
    Requests,
    /// Certification decisions.
    Certifications,
    /// Whatever the record's `memberType` says.
    Members,
    /// Principals, or resources where the record's `principalType` is `Group`.
    Holders,
}

impl IdSpace {
    /// The word that stands for the space in derived ids. Stored rows depend on it: it must never change.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Principals | Self::Holders => "principals",
            Self::Resources => "resources",
            Self::Identities | Self::Members => "identities",
            Self::Contexts => "contexts",
            Self::Catalogs => "catalogs",
            Self::Policies => "policies",
            Self::Requests => "requests",
            Self::Certifications => "certifications",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_of_a_record_schema_has_a_column_and_every_column_a_field() {
        for spec in ALL {
            let schema = contract::record_schema(spec.entity).to_value();
            let fields: BTreeSet<String> = schema["properties"]
                .as_object()
                .expect("properties")
                .keys()
                .cloned()
                .collect();
            let mut columns: BTreeSet<String> = spec
                .all_columns()
                .map(|column| column.wire.to_owned())
                .collect();
            columns.extend(spec.all_columns().filter_map(Column::external_wire));
            columns.insert("extendedAttributes".into());
            assert_eq!(fields, columns, "{}", spec.entity);
        }
    }

    #[test]
    fn every_entity_but_systems_has_a_specification_and_its_scope_keys_are_columns() {
        for entity in Entity::ALL {
            assert_eq!(
                spec(entity).is_some(),
                entity != Entity::Systems,
                "{entity}"
            );
        }
        for spec in ALL {
            for (wire, sql) in spec.scope_keys {
                let column = spec
                    .all_columns()
                    .find(|column| column.sql == *sql)
                    .expect("a scope key is a column");
                assert_eq!(column.wire, *wire);
            }
        }
    }
}
