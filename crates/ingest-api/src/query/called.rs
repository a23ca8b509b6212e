//! A function of the register, called with its arguments.

use contract::SystemId;
use uuid::Uuid;

use super::Source;

/// An argument: of a type whose text can stand in a statement as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// An object of the source.
    Id(Uuid),
    /// So many.
    Number(i32),
}

impl Argument {
    fn sql(self) -> String {
        match self {
            Self::Id(id) => format!("'{id}'::uuid"),
            Self::Number(number) => format!("({number})"),
        }
    }
}

/// A source whose rows depend on arguments, with these. Its rows are of one system.
#[derive(Debug, Clone)]
pub struct Called {
    /// The function.
    pub source: &'static Source,
    /// The system of all rows.
    pub system_id: SystemId,
    relation: String,
}

impl Called {
    /// Calls a function for a system. `arguments`: each with its name in the source's relation.
    pub fn new(
        source: &'static Source,
        system_id: SystemId,
        arguments: &[(&str, Argument)],
    ) -> Self {
        let system = [("system", Argument::Number(system_id))];
        let relation = system
            .iter()
            .chain(arguments)
            .fold(source.relation.to_owned(), |relation, (name, argument)| {
                relation.replace(&format!("{{{name}}}"), &argument.sql())
            });
        Self {
            source,
            system_id,
            relation,
        }
    }

    /// What stands behind `from`.
    pub fn relation(&self) -> &str {
        &self.relation
    }
}
