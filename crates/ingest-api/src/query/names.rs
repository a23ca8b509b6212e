//! Names become SQL: the columns of a source, extended attributes in the JSON or in columns of their own.

use super::{
    Called, Field, Kind, QueryError, Source,
    bind::{Bind, Binds},
    filter::Name,
    output::Format,
    parse,
    source::DISPLAY_NAME,
};
use contract::ValueType;

use crate::attributes::Promoted;

/// Most characters of a list of names, and most names in `fields`.
const MAX_NAMES_CHARS: usize = 2_048;
const MAX_FIELDS: usize = 100;

/// How much of a text counts when rows are sorted. More does not fit into an index or a cursor.
pub const SORTED_CHARS: usize = 200;

/// What names mean.
#[derive(Debug, Clone)]
pub struct Names {
    /// Whose columns.
    pub source: &'static Source,
    /// The call, where the source is a function.
    called: Option<Called>,
    /// Attributes with columns of their own.
    promoted: Vec<Promoted>,
    /// Shall conditions name what indexes hold, too?
    uses_indexes: bool,
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// A core column: its place among the fields of the source.
    Core(usize),
    /// An extended attribute.
    Attribute(String),
}

impl From<ValueType> for Kind {
    fn from(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Text => Self::Text,
            ValueType::Number => Self::Number,
            ValueType::Boolean => Self::Bool,
            ValueType::Timestamp => Self::Time,
        }
    }
}

impl Names {
    /// The names of a source and of attributes with columns of their own; none of these as of an instant, for which only
    /// the JSON is known.
    pub const fn new(source: &'static Source, promoted: Vec<Promoted>) -> Self {
        Self {
            source,
            called: None,
            promoted,
            uses_indexes: true,
        }
    }

    /// The names of what a function answers.
    pub const fn of_call(called: Called) -> Self {
        Self {
            source: called.source,
            called: Some(called),
            promoted: Vec::new(),
            uses_indexes: true,
        }
    }

    /// Is it a function with its arguments?
    pub const fn is_called(&self) -> bool {
        self.called.is_some()
    }

    /// What stands behind `from`.
    pub fn relation(&self) -> &str {
        self.called
            .as_ref()
            .map_or(self.source.relation, Called::relation)
    }

    /// The same for a guess at the number of rows: PostgreSQL takes two conditions that say the same for two.
    #[must_use]
    pub fn without_indexes(&self) -> Self {
        Self {
            uses_indexes: false,
            ..self.clone()
        }
    }

    /// Is there an index of these texts as they are sorted?
    pub fn has_index(&self, name: &Name) -> bool {
        self.uses_indexes
            && match name {
                Name::Core(name) => self.source.is_listed_by_name() && name == DISPLAY_NAME,
                Name::Attribute(name) => self.promoted.iter().any(|promoted| {
                    promoted.attribute == *name && promoted.value_type == ValueType::Text
                }),
            }
    }

    /// The core column with a name.
    pub fn core(&self, name: &str, position: usize) -> Result<&'static Field, QueryError> {
        self.source.field(name).ok_or_else(|| {
            let known: Vec<&str> = self.source.fields.iter().map(|field| field.wire).collect();
            let detail = format!(
                "expected one of {} or an attribute such as ext.name, found '{name:.60}'",
                known.join(", ")
            );
            QueryError::new(position, detail)
        })
    }

    /// Refuses attributes where rows have none.
    pub fn require_attributes(&self, position: usize) -> Result<(), QueryError> {
        if self.source.entity.is_some() {
            return Ok(());
        }
        let detail = format!("rows of {} have no extended attributes", self.source.name);
        Err(QueryError::new(position, detail))
    }

    /// What an attribute is sorted as: the type of its column, or text where it has none.
    pub fn attribute_kind(&self, name: &str) -> Kind {
        self.promoted
            .iter()
            .find(|promoted| promoted.attribute == name)
            .map_or(Kind::Text, |promoted| promoted.value_type.into())
    }

    /// An attribute as a value of a type: its column where it has one of that type, else from the JSON.
    pub fn attribute(&self, name: &str, kind: Kind, binds: &mut Binds) -> String {
        let column = self
            .promoted
            .iter()
            .find(|promoted| promoted.attribute == name && Kind::from(promoted.value_type) == kind);
        if let Some(promoted) = column {
            return format!("t.\"{}\"", promoted.column.replace('"', "\"\""));
        }
        let name = binds.push(Bind::Text(name.to_owned()));
        // The same functions fill a promoted attribute's column: an answer does not depend on whether there is one.
        let cast = match kind {
            Kind::Number | Kind::Int => "attribute_number",
            Kind::Bool => "attribute_boolean",
            Kind::Time => "attribute_timestamp",
            Kind::Text | Kind::Uuid | Kind::Json => "attribute_text",
        };
        format!("{cast}(t.extended_attributes, {name})")
    }

    /// The columns of the answer: those of a comma-separated list, or all.
    pub fn select(&self, list: Option<&str>) -> Result<Vec<Selected>, QueryError> {
        let Some(list) = list else {
            return Ok((0..self.source.fields.len()).map(Selected::Core).collect());
        };
        parse::names(list, MAX_NAMES_CHARS, MAX_FIELDS, false)?
            .into_iter()
            .map(|(name, _, position)| match name {
                Name::Core(name) => {
                    self.core(&name, position)?;
                    let place = self
                        .source
                        .fields
                        .iter()
                        .position(|field| field.wire == name);
                    // `core` has just found it.
                    place
                        .map(Selected::Core)
                        .ok_or_else(|| QueryError::new(position, "expected a field"))
                }
                Name::Attribute(name) => {
                    self.require_attributes(position)?;
                    Ok(Selected::Attribute(name))
                }
            })
            .collect()
    }

    /// A column of the answer in SQL.
    pub fn selected(&self, selected: &Selected, format: Format, binds: &mut Binds) -> String {
        match selected {
            Selected::Core(place) => {
                let field = &self.source.fields[*place];
                match field.kind {
                    Kind::Int => format!("t.{}::bigint", field.sql),
                    Kind::Json => format!("t.{}::text", field.sql),
                    _ => format!("t.{}", field.sql),
                }
            }
            Selected::Attribute(name) => {
                let name = binds.push(Bind::Text(name.clone()));
                match format {
                    Format::Json => format!("(t.extended_attributes -> {name})::text"),
                    Format::Csv => format!("t.extended_attributes ->> {name}"),
                }
            }
        }
    }
}

/// A value as rows are sorted by it, as an index has it, too.
pub fn sorted(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Text => sorted_text(value),
        Kind::Int => format!("({value}::bigint)"),
        _ => format!("({value})"),
    }
}

/// A text as rows are sorted by it: without regard to case, by code points.
pub fn sorted_text(text: &str) -> String {
    format!("(left(lower({text} collate \"default\"), {SORTED_CHARS}) collate \"C\")")
}
