//! The filter as it is written: names, tests and their combinations. Printing it gives a text that parses to the same.

use std::fmt::{self, Display, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};

use super::QueryError;

/// Where something stands in the text; of no account when filters are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place(pub usize);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them; at least two.
    And(Vec<Filter>),
    /// One of them; at least two.
    Or(Vec<Filter>),
    /// Not so.
    Not(Box<Filter>),
    /// A test of one field.
    Test(Operand, Test),
}

/// What is tested.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// The field.
    pub name: Name,
    /// Without regard to case?
    pub is_lowered: bool,
    /// Where it stands.
    pub place: Place,
}

/// The name of a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// A core column, by its wire name.
    Core(String),
    /// An extended attribute.
    Attribute(String),
}

/// How a field is tested.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Against one value.
    Compare(Comparison, Literal),
    /// Is it one of these? At least one.
    In(Vec<Literal>),
    /// Does its text begin so?
    StartsWith(String),
    /// Does its text hold this?
    Contains(String),
    /// Has it a value?
    Exists,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal; no value is equal to nothing else.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl Comparison {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
        }
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A text.
    Text(String),
    /// An instant.
    Time(DateTime<Utc>),
}

impl Value {
    /// How error texts call it.
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Time(_) => "a date",
        }
    }
}

impl std::str::FromStr for Filter {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        super::parse::filter(text)
    }
}

impl Filter {
    /// Does the filter name an extended attribute?
    pub fn names_attributes(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::names_attributes),
            Self::Not(inner) => inner.names_attributes(),
            Self::Test(operand, _) => matches!(operand.name, Name::Attribute(_)),
        }
    }

    fn write_inside(&self, f: &mut fmt::Formatter<'_>, in_parentheses: bool) -> fmt::Result {
        if in_parentheses {
            write!(f, "({self})")
        } else {
            self.fmt(f)
        }
    }
}

impl Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => {
                for (number, part) in parts.iter().enumerate() {
                    f.write_str(if number == 0 { "" } else { " and " })?;
                    part.write_inside(f, matches!(part, Self::And(_) | Self::Or(_)))?;
                }
                Ok(())
            }
            Self::Or(parts) => {
                for (number, part) in parts.iter().enumerate() {
                    f.write_str(if number == 0 { "" } else { " or " })?;
                    part.write_inside(f, matches!(part, Self::Or(_)))?;
                }
                Ok(())
            }
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.write_inside(f, matches!(**inner, Self::And(_) | Self::Or(_)))
            }
            Self::Test(operand, test) => write!(f, "{operand} {test}"),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_lowered {
            write!(f, "lower({})", self.name)
        } else {
            self.name.fmt(f)
        }
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(name) => f.write_str(name),
            Self::Attribute(name) => {
                f.write_str("ext.")?;
                write_quoted(f, '"', name)
            }
        }
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison, literal) => {
                write!(f, "{} {}", comparison.word(), literal.value)
            }
            Self::In(literals) => {
                for (number, literal) in literals.iter().enumerate() {
                    f.write_str(if number == 0 { "in (" } else { ", " })?;
                    literal.value.fmt(f)?;
                }
                f.write_char(')')
            }
            Self::StartsWith(text) => {
                f.write_str("startsWith ")?;
                write_quoted(f, '\'', text)
            }
            Self::Contains(text) => {
                f.write_str("contains ")?;
                write_quoted(f, '\'', text)
            }
            Self::Exists => f.write_str("exists"),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => write_quoted(f, '\'', text),
            Self::Time(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        }
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, quote: char, text: &str) -> fmt::Result {
    f.write_char(quote)?;
    for char in text.chars() {
        if char == quote {
            f.write_char(quote)?;
        }
        f.write_char(char)?;
    }
    f.write_char(quote)
}
