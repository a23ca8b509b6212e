//! The filter as a whole.

use contract::records::Principal;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use uuid::Uuid;

use super::rule::{Rule, parse};

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The text is no JSON.
    #[error("the identity filter is no JSON: {0}")]
    NoJson(String),
    /// A rule is something else than an object.
    #[error("the identity filter must be an object with 'and', 'or', or 'property' and 'operator'")]
    NotAnObject,
    /// A field has no place there.
    #[error("the identity filter does not know the field '{0}' there")]
    UnknownField(String),
    /// A condition lacks something.
    #[error("a condition of the identity filter lacks a usable '{name}'")]
    Missing {
        /// What it lacks.
        name: &'static str,
    },
    /// There is no such operator.
    #[error(
        "the identity filter does not know the operator '{0}', but isNotNull, equals, notEquals and inValues"
    )]
    UnknownOperator(String),
    /// The name of the property cannot be one.
    #[error("the identity filter names '{0}', which is no property")]
    NoProperty(String),
    /// A group without rules would let in everybody or nobody.
    #[error("a group of the identity filter has no rules")]
    EmptyGroup,
    /// Too many levels.
    #[error("the groups of the identity filter may lie in each other at most {levels} deep")]
    TooDeep {
        /// So many are allowed.
        levels: usize,
    },
    /// Too many conditions.
    #[error("the identity filter may have at most {conditions} conditions")]
    TooMany {
        /// So many are allowed.
        conditions: usize,
    },
}

/// Decides which users become identities.
///
/// ```
/// let filter: crawler_entra::IdentityFilter = serde_json::from_str(
///     r#"{"and": [{"property": "employeeId", "operator": "isNotNull"},
///                 {"property": "userType", "operator": "equals", "value": "Member"}]}"#,
/// )?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityFilter {
    rule: Rule,
    fingerprint: Uuid,
}

impl IdentityFilter {
    /// Reads a filter.
    pub fn parse(value: &Value) -> Result<Self, FilterError> {
        Ok(Self {
            rule: parse(value)?,
            // The keys of objects are sorted, so the same filter has the same text.
            fingerprint: Uuid::new_v5(&Uuid::nil(), value.to_string().as_bytes()),
        })
    }

    /// Reads a filter's text.
    pub fn parse_text(text: &str) -> Result<Self, FilterError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| FilterError::NoJson(error.to_string()))?;
        Self::parse(&value)
    }

    /// Tells this filter from others.
    pub fn fingerprint(&self) -> Uuid {
        self.fingerprint
    }

    /// The properties of Graph that the filter asks about, each once.
    pub fn properties(&self) -> Vec<&str> {
        let mut paths = Vec::new();
        self.rule.collect_properties(&mut paths);
        let mut names: Vec<&str> = paths
            .into_iter()
            .map(|path| path.split('.').next().unwrap_or(path))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Does this user become an identity?
    pub fn matches(&self, user: &Principal) -> bool {
        let Ok(record) = serde_json::to_value(user) else {
            return false;
        };
        self.rule.holds(&|path| value_at(&record, path))
    }
}

/// The value of a property by Graph's name for it: a field of the record, else one of the extended attributes, else
/// something inside of one of them.
fn value_at<'v>(record: &'v Value, path: &str) -> Option<&'v Value> {
    let field = if path == "mail" { "email" } else { path };
    if field != "extendedAttributes"
        && let Some(value) = record.get(field)
    {
        return Some(value);
    }
    let extended = record.get("extendedAttributes")?;
    extended.get(path).or_else(|| {
        let mut parts = path.split('.');
        let first = extended.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    })
}

impl<'de> Deserialize<'de> for IdentityFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use contract::records::principal_type;
    use serde_json::json;

    use super::*;

    fn user(extended: &Value) -> Principal {
        let mut user = Principal {
            display_name: "Ada".to_owned(),
            ..Principal::default()
        };
        user.principal_type = Some(principal_type::USER);
        user.email = Some("ada@x.example".to_owned());
        user.employee_id = Some("E-1".to_owned());
        user.account_enabled = Some(true);
        user.department = Some("Sales".to_owned());
        user.extended_attributes = extended.as_object().cloned();
        user
    }

    fn holds(filter: &Value, extended: &Value) -> bool {
        IdentityFilter::parse(filter)
            .expect("a filter")
            .matches(&user(extended))
    }

    fn condition(property: &str, operator: &str, value: &Value) -> Value {
        match operator {
            "isNotNull" => json!({"property": property, "operator": operator}),
            "inValues" => json!({"property": property, "operator": operator, "values": value}),
            _ => json!({"property": property, "operator": operator, "value": value}),
        }
    }

    #[test]
    fn conditions_see_core_fields_extended_attributes_and_what_is_inside_of_them() {
        let extended = json!({
            "userType": "Member", "employeeOrgData": {"costCenter": "CC-1"}, "otherMails": ["a@b", "c@d"],
            "Clearance.Level": "C2", "blank": " "
        });
        for (property, operator, value, expected) in [
            ("employeeId", "isNotNull", Value::Null, true),
            ("companyName", "isNotNull", Value::Null, false),
            ("blank", "isNotNull", Value::Null, false),
            ("mail", "equals", json!("ADA@x.example"), true),
            ("accountEnabled", "equals", json!(true), true),
            ("accountEnabled", "equals", json!("true"), false),
            ("userType", "equals", json!("member"), true),
            ("userType", "notEquals", json!("Guest"), true),
            ("userType", "notEquals", json!("Member"), false),
            // What is not there is not equal to anything.
            ("companyName", "notEquals", json!("X"), true),
            ("companyName", "equals", json!("X"), false),
            ("department", "inValues", json!(["HR", "SALES"]), true),
            ("department", "inValues", json!(["HR"]), false),
            ("otherMails", "equals", json!("c@d"), true),
            ("employeeOrgData.costCenter", "equals", json!("cc-1"), true),
            ("Clearance.Level", "equals", json!("C2"), true),
        ] {
            let filter = condition(property, operator, &value);
            assert_eq!(holds(&filter, &extended), expected, "{filter}");
        }
    }

    #[test]
    fn groups_combine_what_is_in_them() {
        let yes = condition("employeeId", "isNotNull", &Value::Null);
        let no = condition("companyName", "isNotNull", &Value::Null);
        for (filter, expected) in [
            (json!({"and": [yes, yes]}), true),
            (json!({"and": [yes, no]}), false),
            (json!({"or": [no, yes]}), true),
            (json!({"or": [no, no]}), false),
            (json!({"and": [yes, {"or": [no, {"and": [yes]}]}]}), true),
        ] {
            assert_eq!(holds(&filter, &json!({})), expected, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_reason() {
        let yes = condition("employeeId", "isNotNull", &Value::Null);
        let deep = (0..6).fold(yes.clone(), |rule, _| json!({"and": [rule]}));
        let many = json!({"or": vec![yes.clone(); 101]});
        for (filter, part) in [
            (json!([]), "must be an object"),
            (json!({}), "'property'"),
            (json!({"and": []}), "no rules"),
            (json!({"and": [yes], "or": [yes]}), "field 'or'"),
            (
                json!({"property": "a", "operator": "like", "value": "x"}),
                "'like'",
            ),
            (json!({"property": "a b", "operator": "isNotNull"}), "'a b'"),
            (json!({"property": "a", "operator": "equals"}), "'value'"),
            (
                json!({"property": "a", "operator": "equals", "value": null}),
                "'value'",
            ),
            (
                json!({"property": "a", "operator": "inValues", "values": []}),
                "'values'",
            ),
            (
                json!({"property": "a", "operator": "isNotNull", "value": "x"}),
                "field 'value'",
            ),
            (deep, "at most 5 deep"),
            (many, "at most 100 conditions"),
        ] {
            let error = IdentityFilter::parse(&filter).expect_err(part).to_string();
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(IdentityFilter::parse_text("{").is_err());
        let five = (0..5).fold(yes, |rule, _| json!({"or": [rule]}));
        assert!(IdentityFilter::parse(&five).is_ok());
    }

    #[test]
    fn the_order_of_fields_is_no_other_filter_but_another_value_is() {
        let print = |text: &str| {
            IdentityFilter::parse_text(text)
                .expect("a filter")
                .fingerprint()
        };
        let one = print(r#"{"property": "a", "operator": "equals", "value": "x"}"#);
        let same = print(r#"{"value": "x", "operator": "equals", "property": "a"}"#);
        let other = print(r#"{"value": "y", "operator": "equals", "property": "a"}"#);
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn the_properties_to_ask_for_are_named_once_without_what_is_inside() {
        let filter = IdentityFilter::parse(&json!({"and": [
            condition("city", "isNotNull", &Value::Null),
            condition("employeeOrgData.costCenter", "isNotNull", &Value::Null),
            {"or": [condition("city", "equals", &json!("Rotterdam"))]},
        ]}));
        assert_eq!(
            filter.expect("a filter").properties(),
            ["city", "employeeOrgData"]
        );
    }
}
