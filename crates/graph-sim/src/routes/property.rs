//! Properties of entities: which exist, which are shown without `$select`, and
//! how `$select` and `$filter` use them.

use serde_json::{Map, Value};

use super::Version;
use crate::permissions::Grants;
use crate::server::answer::GraphError;

/// One property of an entity.
pub(crate) struct Property<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) get: fn(&T) -> Value,
    is_default: bool,
    beta_only: bool,
    needs: Option<Need>,
}

/// A permission without which a request that selects the property fails.
#[derive(Clone, Copy)]
struct Need {
    permissions: &'static [&'static str],
    /// Reports name the missing permission and use a code of their own.
    is_report: bool,
}

/// Shown by default.
pub(crate) const fn shown<T>(name: &'static str, get: fn(&T) -> Value) -> Property<T> {
    Property {
        name,
        get,
        is_default: true,
        beta_only: false,
        needs: None,
    }
}

/// Shown only when selected.
pub(crate) const fn on_request<T>(name: &'static str, get: fn(&T) -> Value) -> Property<T> {
    Property {
        name,
        get,
        is_default: false,
        beta_only: false,
        needs: None,
    }
}

impl<T> Property<T> {
    pub(crate) const fn beta_only(mut self) -> Self {
        self.beta_only = true;
        self
    }

    pub(crate) const fn needs(mut self, permissions: &'static [&'static str]) -> Self {
        self.needs = Some(Need {
            permissions,
            is_report: false,
        });
        self
    }

    pub(crate) const fn needs_report(mut self, permissions: &'static [&'static str]) -> Self {
        self.needs = Some(Need {
            permissions,
            is_report: true,
        });
        self
    }

    fn check(&self, grants: &Grants) -> Result<(), GraphError> {
        match self.needs {
            Some(need) if !grants.has_any(need.permissions) => Err(if need.is_report {
                GraphError::new(
                    403,
                    "Authentication_MSGraphPermissionMissing",
                    format!(
                        "Calling principal does not have required MSGraph permissions {}",
                        need.permissions[0]
                    ),
                )
            } else {
                GraphError::denied()
            }),
            _ => Ok(()),
        }
    }
}

/// Something Graph has a type for.
pub(crate) trait Entity: Sized + 'static {
    /// Type name without the namespace.
    const NAME: &'static str;
    /// Every property.
    const PROPERTIES: &'static [Property<Self>];
    /// `@odata.type`, e.g. `#microsoft.graph.user`.
    fn odata_type(&self) -> &'static str;
    /// Whether the object is of a derived type, which lists must point out.
    fn is_derived(&self) -> bool {
        false
    }
}

/// The properties a request wants.
pub(crate) type Selection<T> = Vec<&'static Property<T>>;

fn find<T: Entity>(name: &str, version: Version) -> Option<&'static Property<T>> {
    T::PROPERTIES
        .iter()
        .find(|property| property.name == name && (!property.beta_only || version == Version::Beta))
}

fn unknown<T: Entity>(name: &str) -> GraphError {
    GraphError::bad_request(format!(
        "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type 'microsoft.graph.{}'.",
        T::NAME
    ))
}

/// Resolves `$select`; the default set without one.
pub(crate) fn select<T: Entity>(
    names: Option<&[String]>,
    version: Version,
    grants: &Grants,
) -> Result<Selection<T>, GraphError> {
    let Some(names) = names else {
        return Ok(T::PROPERTIES
            .iter()
            .filter(|property| {
                property.is_default && (!property.beta_only || version == Version::Beta)
            })
            .collect());
    };
    names
        .iter()
        .filter(|name| *name != "*")
        .map(|name| {
            let property = find::<T>(name, version).ok_or_else(|| unknown::<T>(name))?;
            property.check(grants)?;
            Ok(property)
        })
        .collect()
}

/// Those of `names` that the type has; for lists of mixed types.
pub(crate) fn select_known<T: Entity>(names: &[String], version: Version) -> Selection<T> {
    names
        .iter()
        .filter_map(|name| find::<T>(name, version))
        .collect()
}

/// Renders the selected properties of one object.
pub(crate) fn render<T: Entity>(
    object: &T,
    selection: &[&'static Property<T>],
) -> Map<String, Value> {
    let mut map = Map::new();
    if object.is_derived() {
        map.insert("@odata.type".to_owned(), object.odata_type().into());
    }
    for property in selection {
        map.insert(property.name.to_owned(), (property.get)(object));
    }
    map
}

enum Operator {
    Equal,
    NotEqual,
    StartsWith,
    /// For moments only.
    AtLeast,
}

struct Condition<T: 'static> {
    property: &'static Property<T>,
    operator: Operator,
    values: Vec<Value>,
}

/// A conjunction of simple conditions, the part of `$filter` the simulator knows.
pub(crate) struct Filter<T: 'static>(Vec<Condition<T>>);

impl<T: Entity> Filter<T> {
    pub(crate) fn parse(
        text: Option<&str>,
        version: Version,
        is_eventual: bool,
    ) -> Result<Self, GraphError> {
        let conditions = text.map_or(Ok(Vec::new()), |text| {
            split_conjunction(text)
                .into_iter()
                .map(|part| condition(part, version, is_eventual))
                .collect()
        })?;
        Ok(Self(conditions))
    }

    pub(crate) fn matches(&self, object: &T) -> bool {
        self.0.iter().all(|condition| {
            let actual = (condition.property.get)(object);
            match condition.operator {
                Operator::Equal => condition.values.iter().any(|value| same(&actual, value)),
                Operator::NotEqual => !condition.values.iter().any(|value| same(&actual, value)),
                Operator::StartsWith => starts_with(&actual, &condition.values[0]),
                Operator::AtLeast => at_least(&actual, &condition.values[0]),
            }
        })
    }

    /// The value a property must equal, if the filter says so.
    pub(crate) fn required(&self, property: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|condition| {
                condition.property.name == property && matches!(condition.operator, Operator::Equal)
            })
            .and_then(|condition| condition.values[0].as_str())
    }
}

/// Graph compares strings without regard to case.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            left == right || left.to_lowercase() == right.to_lowercase()
        }
        (left, right) => left == right,
    }
}

fn starts_with(actual: &Value, prefix: &Value) -> bool {
    match (actual, prefix) {
        (Value::String(actual), Value::String(prefix)) => {
            actual.to_lowercase().starts_with(&prefix.to_lowercase())
        }
        _ => false,
    }
}

fn at_least(actual: &Value, limit: &Value) -> bool {
    let moment = |value: &Value| {
        let text = value.as_str()?;
        chrono::DateTime::parse_from_rfc3339(text).ok()
    };
    match (moment(actual), moment(limit)) {
        (Some(actual), Some(limit)) => actual >= limit,
        _ => false,
    }
}

fn split_conjunction(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    for (place, character) in text.char_indices() {
        if character == '\'' {
            quoted = !quoted;
        }
        if !quoted && place >= start && text[place..].to_ascii_lowercase().starts_with(" and ") {
            parts.push(text[start..place].trim());
            start = place + " and ".len();
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn condition<T: Entity>(
    part: &str,
    version: Version,
    is_eventual: bool,
) -> Result<Condition<T>, GraphError> {
    let unsupported = || {
        GraphError::unsupported(format!(
            "Unsupported or invalid query filter clause specified: '{part}'."
        ))
    };
    let property = |name: &str| {
        find::<T>(name.trim(), version).ok_or_else(|| GraphError::bad_request(format!("Invalid filter clause: Could not find a property named '{name}' on type 'microsoft.graph.{}'.", T::NAME)))
    };
    if let Some(arguments) = part
        .strip_prefix("startswith(")
        .or_else(|| part.strip_prefix("startsWith("))
    {
        let (name, value) = arguments
            .strip_suffix(')')
            .and_then(|inner| inner.split_once(','))
            .ok_or_else(unsupported)?;
        let value = literal(value).ok_or_else(unsupported)?;
        return Ok(Condition {
            property: property(name)?,
            operator: Operator::StartsWith,
            values: vec![value],
        });
    }
    let mut words = part.splitn(3, ' ');
    let (Some(name), Some(operator), Some(rest)) = (words.next(), words.next(), words.next())
    else {
        return Err(unsupported());
    };
    let (operator, values) = match operator {
        "eq" => (
            Operator::Equal,
            vec![literal(rest).ok_or_else(unsupported)?],
        ),
        "ge" if chrono::DateTime::parse_from_rfc3339(rest.trim()).is_ok() => {
            (Operator::AtLeast, vec![Value::from(rest.trim())])
        }
        "ne" if is_eventual => (
            Operator::NotEqual,
            vec![literal(rest).ok_or_else(unsupported)?],
        ),
        "in" => {
            let list = rest
                .trim()
                .strip_prefix('(')
                .and_then(|list| list.strip_suffix(')'))
                .ok_or_else(unsupported)?;
            let values: Option<Vec<Value>> = list.split(',').map(literal).collect();
            let values = values
                .filter(|values| values.len() <= 15)
                .ok_or_else(unsupported)?;
            (Operator::Equal, values)
        }
        _ => return Err(unsupported()),
    };
    Ok(Condition {
        property: property(name)?,
        operator,
        values,
    })
}

fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ => {
            let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
            Some(Value::String(inner.replace("''", "'")))
        }
    }
}
