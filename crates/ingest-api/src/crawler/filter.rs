//! The grammar of identity filters, as the crawler reads it. Whether its properties exist is known to the source only.

use serde_json::{Map, Value};

/// Groups may lie in each other so deep.
const MAX_DEPTH: usize = 5;
/// A filter may have so many conditions.
const MAX_CONDITIONS: usize = 100;
/// A condition may name so many values.
const MAX_VALUES: usize = 1_000;

/// What is wrong with a filter: where in it, and a sentence. `None` when nothing is.
pub fn wrong(filter: &Value) -> Option<(String, &'static str)> {
    rule(filter, "", 0, &mut 0).err()
}

type Outcome = Result<(), (String, &'static str)>;

fn rule(value: &Value, place: &str, depth: usize, conditions: &mut usize) -> Outcome {
    let at = |detail: &'static str| Err((place.to_owned(), detail));
    let Value::Object(fields) = value else {
        return at("a rule is an object with 'and', 'or', or 'property' and 'operator'");
    };
    for name in ["and", "or"] {
        let Some(rules) = fields.get(name) else {
            continue;
        };
        if depth >= MAX_DEPTH {
            return at("groups may lie in each other at most 5 deep");
        }
        if fields.len() > 1 {
            return at("a group has nothing beside its rules");
        }
        let rules = rules.as_array().filter(|rules| !rules.is_empty());
        let Some(rules) = rules else {
            return at("a group needs rules");
        };
        for (index, inner) in rules.iter().enumerate() {
            rule(
                inner,
                &format!("{place}/{name}/{index}"),
                depth + 1,
                conditions,
            )?;
        }
        return Ok(());
    }
    *conditions += 1;
    if *conditions > MAX_CONDITIONS {
        return at("a filter has at most 100 conditions");
    }
    condition(fields).map_err(|(field, detail)| (format!("{place}{field}"), detail))
}

fn condition(fields: &Map<String, Value>) -> Result<(), (&'static str, &'static str)> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if !text("property").is_some_and(is_path) {
        return Err((
            "/property",
            "the name of a property is missing, or cannot be one",
        ));
    }
    let argument = match text("operator") {
        Some("isNotNull") => None,
        Some("equals" | "notEquals") => Some("value"),
        Some("inValues") => Some("values"),
        _ => {
            return Err((
                "/operator",
                "the operator must be isNotNull, equals, notEquals or inValues",
            ));
        }
    };
    let is_known =
        |name: &String| name == "property" || name == "operator" || Some(name.as_str()) == argument;
    if !fields.keys().all(is_known) {
        return Err((
            "",
            "the condition has a field that its operator does not know",
        ));
    }
    match argument {
        Some("value") if !fields.get("value").is_some_and(is_scalar) => {
            Err(("/value", "a text, a number or a truth value is needed"))
        }
        Some("values") => {
            let values = fields.get("values").and_then(Value::as_array);
            let is_good = values.is_some_and(|values| {
                (1..=MAX_VALUES).contains(&values.len()) && values.iter().all(is_scalar)
            });
            if is_good {
                Ok(())
            } else {
                Err((
                    "/values",
                    "1 to 1,000 texts, numbers or truth values are needed",
                ))
            }
        }
        _ => Ok(()),
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
