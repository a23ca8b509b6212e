//! The order of rows.

use super::{Kind, Names, QueryError, bind::Binds, filter::Name, names::sorted, parse};

/// Most characters of a sort list, and most keys in it.
const MAX_CHARS: usize = 1_024;
const MAX_KEYS: usize = 4;

/// What rows are sorted by before their key decides.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The sort keys, the weightiest first.
    pub keys: Vec<OrderKey>,
}

/// A sort key.
#[derive(Debug, Clone)]
pub struct OrderKey {
    name: Name,
    /// The type of its values.
    pub kind: Kind,
    /// May it be null? Nulls come last, whatever the direction.
    pub is_nullable: bool,
    /// The greatest first?
    pub is_descending: bool,
}

impl Order {
    /// The order that a comma-separated list of names says, each with a minus sign for the greatest first.
    pub fn parse(text: Option<&str>, names: &Names) -> Result<Self, QueryError> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let mut keys = Vec::new();
        for (name, is_descending, position) in parse::names(text, MAX_CHARS, MAX_KEYS, true)? {
            let (kind, is_nullable) = match &name {
                Name::Core(core) => {
                    let field = names.core(core, position)?;
                    (field.kind, field.is_nullable)
                }
                Name::Attribute(attribute) => {
                    names.require_attributes(position)?;
                    (names.attribute_kind(attribute), true)
                }
            };
            if kind == Kind::Json {
                let detail =
                    "an object cannot be sorted by; name one of its attributes, such as ext.name";
                return Err(QueryError::new(position, detail));
            }
            keys.push(OrderKey {
                name,
                kind,
                is_nullable,
                is_descending,
            });
        }
        Ok(Self { keys })
    }

    /// May it name an extended attribute?
    pub fn may_name_attributes(text: &str) -> bool {
        text.contains("ext")
    }

    /// What a cursor of this order is good for: the source with its arguments, the keys, their directions and types.
    pub fn identity(&self, names: &Names) -> String {
        use std::fmt::Write as _;
        let mut identity = names.source.name.to_owned();
        if names.is_called() {
            identity += names.relation();
        }
        for key in &self.keys {
            let sign = if key.is_descending { '-' } else { '+' };
            // Writing to a string cannot fail.
            let _ = write!(identity, "\n{sign}{} {:?}", key.name, key.kind);
        }
        identity
    }
}

impl OrderKey {
    /// The expression that is sorted by.
    pub fn sql(&self, names: &Names, binds: &mut Binds) -> String {
        let value = match &self.name {
            Name::Core(core) => {
                let sql = names
                    .source
                    .field(core)
                    .map_or("system_id", |field| field.sql);
                format!("t.{sql}")
            }
            Name::Attribute(attribute) => names.attribute(attribute, self.kind, binds),
        };
        sorted(self.kind, &value)
    }
}
