//! What a filter keeps and how rows are sorted, over rows as JSON.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use ingest_api::query::{Comparison, Filter, Kind, Literal, Name, Source, Test, Value as Asked};
use serde_json::Value;

/// A row's value under a name, as text for attributes.
fn found(row: &Value, name: &Name) -> Option<Value> {
    let value = match name {
        Name::Core(name) => row[name].clone(),
        Name::Attribute(name) => match &row["extendedAttributes"][name] {
            Value::Null => Value::Null,
            Value::String(text) => Value::String(text.clone()),
            other => Value::String(other.to_string()),
        },
    };
    (!value.is_null()).then_some(value)
}

/// What counts as a number (docs/attributes.md): at most 30 digits on each side of the point, two in the exponent.
fn number(text: &str) -> Option<f64> {
    let is_digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let unsigned = |text| str::strip_prefix(text, ['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(unsigned(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = match unsigned(mantissa).split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned(mantissa), None),
    };
    let is_number = is_digits(whole, 30)
        && fraction.is_none_or(|fraction| is_digits(fraction, 30))
        && exponent.is_none_or(|exponent| is_digits(exponent, 2));
    is_number.then(|| text.parse().expect("a number as Rust knows it too"))
}

pub fn time(text: &str) -> Option<DateTime<Utc>> {
    if text.len() == 10 {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// Compares a row's value with one of the filter; none where the row's value is none of that type.
fn order(value: &Value, asked: &Asked, is_lowered: bool) -> Option<Ordering> {
    let text = || match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match asked {
        Asked::Null => None,
        // Texts count in any case (docs/attributes.md).
        Asked::Bool(asked) => match text().to_ascii_lowercase().as_str() {
            "true" => Some(true.cmp(asked)),
            "false" => Some(false.cmp(asked)),
            _ => None,
        },
        Asked::Number(asked) => number(&text())?.partial_cmp(&asked.parse().ok()?),
        Asked::Text(asked) if is_lowered => Some(text().to_lowercase().cmp(&asked.to_lowercase())),
        Asked::Text(asked) => Some(text().cmp(asked)),
        Asked::Time(asked) => Some(time(&text())?.cmp(asked)),
    }
}

/// Does a filter keep a row?
pub fn keeps(filter: &Filter, row: &Value) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| keeps(part, row)),
        Filter::Or(parts) => parts.iter().any(|part| keeps(part, row)),
        Filter::Not(inner) => !keeps(inner, row),
        Filter::Test(operand, test) => {
            let value = found(row, &operand.name);
            passes(value.as_ref(), test, operand.is_lowered)
        }
    }
}

fn passes(value: Option<&Value>, test: &Test, is_lowered: bool) -> bool {
    let equals = |literal: &Literal| {
        value.is_some_and(|value| order(value, &literal.value, is_lowered) == Some(Ordering::Equal))
    };
    let text = || {
        let text = value?.as_str()?.to_owned();
        Some(if is_lowered {
            text.to_lowercase()
        } else {
            text
        })
    };
    let same_case = |asked: &str| {
        if is_lowered {
            asked.to_lowercase()
        } else {
            asked.to_owned()
        }
    };
    match test {
        Test::Exists => value.is_some(),
        Test::In(literals) => literals.iter().any(equals),
        Test::StartsWith(asked) => text().is_some_and(|text| text.starts_with(&same_case(asked))),
        Test::Contains(asked) => text().is_some_and(|text| text.contains(&same_case(asked))),
        Test::Compare(comparison, literal) => {
            if literal.value == Asked::Null {
                return value.is_none() == (*comparison == Comparison::Eq);
            }
            let found = value.and_then(|value| order(value, &literal.value, is_lowered));
            match comparison {
                Comparison::Eq => found == Some(Ordering::Equal),
                Comparison::Ne => found != Some(Ordering::Equal),
                Comparison::Lt => found == Some(Ordering::Less),
                Comparison::Le => matches!(found, Some(Ordering::Less | Ordering::Equal)),
                Comparison::Gt => found == Some(Ordering::Greater),
                Comparison::Ge => matches!(found, Some(Ordering::Greater | Ordering::Equal)),
            }
        }
    }
}

/// The order of two rows: the sort keys (name, greatest first), nulls last, then the key,
/// then the system.
pub fn compare(source: &Source, sort: &[(Name, bool)], left: &Value, right: &Value) -> Ordering {
    let by_keys =
        sort.iter().map(
            |(name, is_descending)| match (found(left, name), found(right, name)) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(left), Some(right)) => {
                    let kind = match name {
                        Name::Core(name) => source.field(name).expect("a field").kind,
                        Name::Attribute(_) => Kind::Text,
                    };
                    let order = in_order(kind, &left, &right);
                    if *is_descending {
                        order.reverse()
                    } else {
                        order
                    }
                }
            },
        );
    let key = source.key.iter().map(|(sql, _)| {
        let field = source.fields.iter().find(|field| field.sql == *sql);
        let wire = field.expect("a field").wire;
        left[wire].as_str().cmp(&right[wire].as_str())
    });
    let system = left["systemId"].as_i64().cmp(&right["systemId"].as_i64());
    // The key goes the way of the last sort key.
    let is_descending = sort.last().is_some_and(|(_, is_descending)| *is_descending);
    let tie = key.chain([system]).map(|order| {
        if is_descending {
            order.reverse()
        } else {
            order
        }
    });
    by_keys
        .chain(tie)
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn in_order(kind: Kind, left: &Value, right: &Value) -> Ordering {
    match kind {
        Kind::Text => {
            let text = |value: &Value| -> String {
                let text = value.as_str().expect("a text").to_lowercase();
                text.chars().take(200).collect()
            };
            text(left).cmp(&text(right))
        }
        Kind::Time => {
            let at = |value: &Value| time(value.as_str().expect("a text")).expect("a time");
            at(left).cmp(&at(right))
        }
        Kind::Uuid => left.as_str().cmp(&right.as_str()),
        Kind::Bool => left.as_bool().cmp(&right.as_bool()),
        Kind::Int | Kind::Number | Kind::Json => left.as_i64().cmp(&right.as_i64()),
    }
}
