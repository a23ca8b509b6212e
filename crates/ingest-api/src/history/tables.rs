//! The tables whose past is kept.

use contract::Entity;

use crate::entity::{ALL, Column, ColumnKind, EntitySpec};

const fn text(sql: &'static str, wire: &'static str) -> Column {
    Column {
        sql,
        wire,
        kind: ColumnKind::Text,
        is_required: false,
        default: None,
        refers_to: None,
    }
}

/// Systems are not merged in batches, but their past is kept like that of all others. Their key is the system alone.
static SYSTEMS: EntitySpec = EntitySpec {
    entity: Entity::Systems,
    table: "systems",
    id_space: None,
    key: &[],
    columns: &[
        text("system_type", "systemType"),
        text("tenant_id", "tenantId"),
        text("display_name", "displayName"),
        text("description", "description"),
        Column {
            kind: ColumnKind::Bool,
            ..text("enabled", "enabled")
        },
    ],
    scope_keys: &[],
    parent: None,
    keeps_history: true,
};

/// Every table with a past.
pub fn all() -> impl Iterator<Item = &'static EntitySpec> {
    std::iter::once(&SYSTEMS).chain(ALL.into_iter().filter(|spec| spec.keeps_history))
}

/// The key fields by which rows are found without a look at the whole table: the history and the table have an index that
/// begins with each of them.
pub fn ways_in(spec: &EntitySpec) -> impl Iterator<Item = &'static Column> {
    let also: &[&str] = match spec.entity {
        Entity::ResourceAssignments => &["principal_id"],
        Entity::ResourceRelationships => &["child_resource_id"],
        _ => &[],
    };
    (spec.key.iter().enumerate())
        .filter(move |(place, column)| *place == 0 || also.contains(&column.sql))
        .map(|(_, column)| column)
}
