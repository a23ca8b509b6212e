//! A filter becomes a condition in SQL, or an error that names the place.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Kind, Names, QueryError,
    bind::{Bind, Binds},
    filter::{Comparison, Filter, Literal, Name, Operand, Test, Value},
    names::{SORTED_CHARS, sorted_text},
};

/// The condition. It may be null, which counts as false; a negation makes it true.
pub fn condition(filter: &Filter, names: &Names, binds: &mut Binds) -> Result<String, QueryError> {
    let joined = |parts: &[Filter], word: &str, binds: &mut Binds| {
        let parts: Result<Vec<String>, QueryError> = parts
            .iter()
            .map(|part| condition(part, names, binds))
            .collect();
        parts.map(|parts| format!("({})", parts.join(word)))
    };
    match filter {
        Filter::And(parts) => joined(parts, " and ", binds),
        Filter::Or(parts) => joined(parts, " or ", binds),
        Filter::Not(inner) => Ok(format!("({} is not true)", condition(inner, names, binds)?)),
        Filter::Test(operand, test) => {
            let target = Target::find(operand, test, names, binds)?;
            Ok(format!("({})", target.test(test, binds)?))
        }
    }
}

/// What is tested: an expression and its type.
struct Target {
    sql: String,
    /// What an index of it holds, where there is one.
    indexed: Option<String>,
    kind: Kind,
    is_lowered: bool,
    position: usize,
}

/// The type of a value; none for null.
const fn kind_of(value: &Value) -> Option<Kind> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(Kind::Bool),
        Value::Number(_) => Some(Kind::Number),
        Value::Text(_) => Some(Kind::Text),
        Value::Time(_) => Some(Kind::Time),
    }
}

impl Target {
    fn find(
        operand: &Operand,
        test: &Test,
        names: &Names,
        binds: &mut Binds,
    ) -> Result<Self, QueryError> {
        let position = operand.place.0;
        let (sql, kind) = match &operand.name {
            Name::Core(name) => {
                let field = names.core(name, position)?;
                (format!("t.{}", field.sql), field.kind)
            }
            Name::Attribute(name) => {
                names.require_attributes(position)?;
                // An attribute has no type of its own: what it is compared with decides how it is read.
                let kind = match test {
                    Test::Compare(_, literal) => kind_of(&literal.value),
                    Test::In(literals) => literals.first().and_then(|first| kind_of(&first.value)),
                    Test::StartsWith(_) | Test::Contains(_) | Test::Exists => None,
                };
                let kind = kind.unwrap_or(Kind::Text);
                (names.attribute(name, kind, binds), kind)
            }
        };
        if operand.is_lowered && kind != Kind::Text {
            let detail = format!("lower() is for texts; this is {}", kind.name());
            return Err(QueryError::new(position, detail));
        }
        let is_indexed = kind == Kind::Text && names.has_index(&operand.name);
        Ok(Self {
            indexed: is_indexed.then(|| sorted_text(&sql)),
            sql: if operand.is_lowered {
                format!("lower({sql} collate \"default\")")
            } else {
                sql
            },
            kind,
            is_lowered: operand.is_lowered,
            position,
        })
    }

    fn test(&self, test: &Test, binds: &mut Binds) -> Result<String, QueryError> {
        let sql = &self.sql;
        if self.kind == Kind::Json && *test != Test::Exists {
            let detail =
                "an object cannot be compared; name one of its attributes, such as ext.name";
            return Err(QueryError::new(self.position, detail));
        }
        match test {
            Test::Exists => Ok(format!("{sql} is not null")),
            Test::Compare(Comparison::Eq, literal) if literal.value == Value::Null => {
                Ok(format!("{sql} is null"))
            }
            Test::Compare(Comparison::Ne, literal) if literal.value == Value::Null => {
                Ok(format!("{sql} is not null"))
            }
            Test::Compare(comparison, literal) => self.compare(*comparison, literal, binds),
            Test::In(literals) => self.is_one_of(literals, binds),
            Test::StartsWith(text) => {
                self.require_text("startsWith")?;
                let prefix = self.text(text, binds);
                let starts = format!("starts_with({sql}, {prefix})");
                // The same once more for the index that serves sorting; upper case may be longer than lower case.
                Ok(
                    if self.is_lowered && text.chars().count() <= SORTED_CHARS / 4 {
                        format!(
                            "{starts} and starts_with((left({sql}, {SORTED_CHARS}) collate \"C\"), {prefix})"
                        )
                    } else {
                        starts
                    },
                )
            }
            Test::Contains(text) => {
                self.require_text("contains")?;
                Ok(format!("strpos({sql}, {}) > 0", self.text(text, binds)))
            }
        }
    }

    fn require_text(&self, word: &str) -> Result<(), QueryError> {
        if self.kind == Kind::Text {
            return Ok(());
        }
        let detail = format!("{word} is for texts; this is {}", self.kind.name());
        Err(QueryError::new(self.position, detail))
    }

    /// A text to compare with, lowered where the field is.
    fn text(&self, text: &str, binds: &mut Binds) -> String {
        let bound = binds.push(Bind::Text(text.to_owned()));
        if self.is_lowered {
            format!("lower({bound})")
        } else {
            bound
        }
    }

    fn misfit(&self, literal: &Literal) -> QueryError {
        let expected = match self.kind {
            Kind::Text => "a text in single quotes",
            Kind::Uuid => "an id in single quotes, such as '00000000-0000-0000-0000-000000000001'",
            Kind::Bool => "true or false",
            Kind::Time => "a date such as 2026-01-31 or 2026-01-31T08:00:00Z, without quotes",
            Kind::Int | Kind::Number => "a number",
            Kind::Json => "nothing",
        };
        let found = literal.value.describe();
        QueryError::new(
            literal.place.0,
            format!("expected {expected}, found {found}"),
        )
    }

    fn compare(
        &self,
        comparison: Comparison,
        literal: &Literal,
        binds: &mut Binds,
    ) -> Result<String, QueryError> {
        let has_order =
            !matches!(self.kind, Kind::Bool | Kind::Uuid) && literal.value != Value::Null;
        let operator = match comparison {
            Comparison::Eq => "=",
            Comparison::Ne => "is distinct from",
            _ if !has_order => {
                let detail = format!(
                    "{} is compared by eq, ne and in only",
                    if literal.value == Value::Null {
                        "null"
                    } else {
                        self.kind.name()
                    }
                );
                return Err(QueryError::new(literal.place.0, detail));
            }
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
        };
        let mut sql = self.sql.clone();
        let value = match (self.kind, &literal.value) {
            (Kind::Text, Value::Text(text)) => {
                if !matches!(comparison, Comparison::Eq | Comparison::Ne) {
                    // By code points, whatever the database's language.
                    sql = format!("({sql} collate \"C\")");
                }
                if let (Comparison::Eq, Some(indexed)) = (comparison, &self.indexed) {
                    let same = sorted_text(&binds.push(Bind::Text(text.clone())));
                    sql = format!("{indexed} = {same} and {sql}");
                }
                self.text(text, binds)
            }
            (Kind::Uuid, Value::Text(_)) => binds.push(Bind::Uuid(self.uuid(literal)?)),
            (Kind::Bool, Value::Bool(value)) => binds.push(Bind::Bool(*value)),
            (Kind::Time, Value::Time(time)) => binds.push(Bind::Time(*time)),
            (Kind::Int, Value::Number(text)) if text.parse::<i64>().is_ok() => {
                // An index of integers serves no other numbers.
                format!("{}::text::bigint", binds.push(Bind::Text(text.clone())))
            }
            (Kind::Int | Kind::Number, Value::Number(text)) => {
                format!("{}::text::numeric", binds.push(Bind::Text(text.clone())))
            }
            _ => return Err(self.misfit(literal)),
        };
        Ok(format!("{sql} {operator} {value}"))
    }

    fn uuid(&self, literal: &Literal) -> Result<Uuid, QueryError> {
        let Value::Text(text) = &literal.value else {
            return Err(self.misfit(literal));
        };
        Uuid::try_parse(text).map_err(|_| {
            let detail = "expected an id such as '00000000-0000-0000-0000-000000000001'";
            QueryError::new(literal.place.0, detail)
        })
    }

    fn is_one_of(&self, literals: &[Literal], binds: &mut Binds) -> Result<String, QueryError> {
        let mut sql = self.sql.clone();
        let list = match self.kind {
            Kind::Uuid => {
                let ids: Result<Vec<Uuid>, _> =
                    literals.iter().map(|literal| self.uuid(literal)).collect();
                binds.push(Bind::Uuids(ids?))
            }
            Kind::Text => {
                let texts = self.all(literals, |value| match value {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                })?;
                let texts = binds.push(Bind::Texts(texts));
                if let Some(indexed) = &self.indexed {
                    let same = sorted_text("x.value");
                    sql = format!(
                        "{indexed} = any (array(select {same} from unnest({texts}::text[]) x(value))) and {sql}"
                    );
                }
                if self.is_lowered {
                    format!(
                        "(select array_agg(lower(x.value)) from unnest({texts}::text[]) x(value))"
                    )
                } else {
                    texts
                }
            }
            Kind::Bool => binds.push(Bind::Bools(self.all(literals, |value| match value {
                Value::Bool(value) => Some(*value),
                _ => None,
            })?)),
            Kind::Time => binds.push(Bind::Times(self.all(
                literals,
                |value| -> Option<DateTime<Utc>> {
                    match value {
                        Value::Time(time) => Some(*time),
                        _ => None,
                    }
                },
            )?)),
            Kind::Int | Kind::Number | Kind::Json => {
                let numbers = self.all(literals, |value| match value {
                    Value::Number(text) => Some(text.clone()),
                    _ => None,
                })?;
                let are_whole = numbers.iter().all(|text| text.parse::<i64>().is_ok());
                let kind = if self.kind == Kind::Int && are_whole {
                    "bigint"
                } else {
                    "numeric"
                };
                format!("{}::text[]::{kind}[]", binds.push(Bind::Texts(numbers)))
            }
        };
        Ok(if self.is_lowered {
            // A subquery behind `any` would be read as rows: the array is unwrapped.
            format!("{sql} = any (coalesce({list}, '{{}}'))")
        } else {
            format!("{sql} = any ({list})")
        })
    }

    /// The values of a list, all of one type.
    fn all<T>(
        &self,
        literals: &[Literal],
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, QueryError> {
        literals
            .iter()
            .map(|literal| read(&literal.value).ok_or_else(|| self.misfit(literal)))
            .collect()
    }
}
