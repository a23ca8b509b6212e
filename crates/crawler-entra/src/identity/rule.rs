//! Conditions and groups of them.

use serde_json::{Map, Value};

use super::FilterError;

/// Groups may lie in each other so deep.
const MAX_DEPTH: usize = 5;
/// A filter may have so many conditions.
const MAX_CONDITIONS: usize = 100;
/// A condition may name so many values.
const MAX_VALUES: usize = 1_000;

/// A condition, or a group of rules.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    And(Vec<Rule>),
    Or(Vec<Rule>),
    Condition { property: String, test: Test },
}

/// What is asked of a property.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    IsNotNull,
    Equals(Value),
    NotEquals(Value),
    InValues(Vec<Value>),
}

/// Reads a filter; counts its conditions.
pub(super) fn parse(value: &Value) -> Result<Rule, FilterError> {
    let mut conditions = 0;
    parse_rule(value, 0, &mut conditions)
}

fn parse_rule(value: &Value, depth: usize, conditions: &mut usize) -> Result<Rule, FilterError> {
    let Value::Object(fields) = value else {
        return Err(FilterError::NotAnObject);
    };
    for (name, group) in [
        ("and", Rule::And as fn(Vec<Rule>) -> Rule),
        ("or", Rule::Or as fn(Vec<Rule>) -> Rule),
    ] {
        if let Some(rules) = fields.get(name) {
            if depth >= MAX_DEPTH {
                return Err(FilterError::TooDeep { levels: MAX_DEPTH });
            }
            only(fields, &[name])?;
            let rules = rules
                .as_array()
                .filter(|rules| !rules.is_empty())
                .ok_or(FilterError::EmptyGroup)?;
            let rules: Result<Vec<Rule>, FilterError> = rules
                .iter()
                .map(|rule| parse_rule(rule, depth + 1, conditions))
                .collect();
            return Ok(group(rules?));
        }
    }
    *conditions += 1;
    if *conditions > MAX_CONDITIONS {
        return Err(FilterError::TooMany {
            conditions: MAX_CONDITIONS,
        });
    }
    parse_condition(fields)
}

fn parse_condition(fields: &Map<String, Value>) -> Result<Rule, FilterError> {
    let word = |name: &'static str| {
        let word = fields.get(name).and_then(Value::as_str);
        word.ok_or(FilterError::Missing { name })
    };
    let property = word("property")?;
    if !is_path(property) {
        return Err(FilterError::NoProperty(property.chars().take(60).collect()));
    }
    let value = || {
        let value = fields.get("value").filter(|value| is_scalar(value));
        value.cloned().ok_or(FilterError::Missing { name: "value" })
    };
    let (allowed, test): (&[&str], Test) = match word("operator")? {
        "isNotNull" => (&["property", "operator"], Test::IsNotNull),
        "equals" => (&["property", "operator", "value"], Test::Equals(value()?)),
        "notEquals" => (
            &["property", "operator", "value"],
            Test::NotEquals(value()?),
        ),
        "inValues" => {
            let values = fields
                .get("values")
                .and_then(Value::as_array)
                .filter(|values| {
                    (1..=MAX_VALUES).contains(&values.len()) && values.iter().all(is_scalar)
                })
                .ok_or(FilterError::Missing { name: "values" })?;
            let test = Test::InValues(values.clone());
            (&["property", "operator", "values"], test)
        }
        other => {
            return Err(FilterError::UnknownOperator(
                other.chars().take(60).collect(),
            ));
        }
    };
    only(fields, allowed)?;
    Ok(Rule::Condition {
        property: property.to_owned(),
        test,
    })
}

/// A field that is not known is a mistake, and a filter that ignores it would let the wrong people in.
fn only(fields: &Map<String, Value>, allowed: &[&str]) -> Result<(), FilterError> {
    match fields.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(FilterError::UnknownField(key.chars().take(60).collect())),
        None => Ok(()),
    }
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// A property of Graph, or one inside another: `employeeOrgData.costCenter`.
fn is_path(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

impl Rule {
    /// Does an object whose values `value_of` tells satisfy the rule?
    pub(super) fn holds<'v>(&self, value_of: &impl Fn(&str) -> Option<&'v Value>) -> bool {
        match self {
            Self::And(rules) => rules.iter().all(|rule| rule.holds(value_of)),
            Self::Or(rules) => rules.iter().any(|rule| rule.holds(value_of)),
            Self::Condition { property, test } => test.holds(value_of(property)),
        }
    }

    /// The names of the properties that are asked about.
    pub(super) fn collect_properties<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Self::And(rules) | Self::Or(rules) => {
                for rule in rules {
                    rule.collect_properties(into);
                }
            }
            Self::Condition { property, .. } => into.push(property),
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::IsNotNull => value.is_some_and(is_set),
            Self::Equals(wanted) => value.is_some_and(|value| is_same(value, wanted)),
            Self::NotEquals(wanted) => !value.is_some_and(|value| is_same(value, wanted)),
            Self::InValues(wanted) => {
                value.is_some_and(|value| wanted.iter().any(|wanted| is_same(value, wanted)))
            }
        }
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Texts are compared as Graph compares them, without regard to case; a list is the same as a value that it holds.
fn is_same(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Array(items), wanted) => items.iter().any(|item| is_same(item, wanted)),
        (Value::String(value), Value::String(wanted)) => {
            value.trim().to_lowercase() == wanted.trim().to_lowercase()
        }
        (value, wanted) => value == wanted,
    }
}
