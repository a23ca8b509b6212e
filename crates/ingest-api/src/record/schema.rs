//! The contract's JSON Schemas, compiled once.

use std::{collections::HashMap, sync::Arc};

use contract::{Entity, SyncMode};
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use super::fast::{EntityPlan, RecordRules};
use crate::entity;

/// Validators for every entity. A delta record may lack required fields: the row may have them already.
pub struct Schemas {
    full: HashMap<Entity, Validator>,
    delta: HashMap<Entity, Validator>,
    plans: HashMap<Entity, Arc<EntityPlan>>,
}

/// The first thing about a record that its schema does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// JSON pointer into the record.
    pub pointer: String,
    /// A stable word.
    pub code: &'static str,
    /// One sentence.
    pub detail: String,
}

impl Schemas {
    /// Compiles every schema.
    ///
    /// # Panics
    /// When a generated schema is not valid, which a test rules out.
    pub fn compile() -> Self {
        let compile = |required: bool| {
            Entity::ALL
                .into_iter()
                .map(|entity| {
                    let mut schema = contract::record_schema(entity).to_value();
                    if !required && let Some(object) = schema.as_object_mut() {
                        object.remove("required");
                    }
                    (
                        entity,
                        jsonschema::validator_for(&schema).expect("a generated schema is valid"),
                    )
                })
                .collect()
        };
        Self {
            full: compile(true),
            delta: compile(false),
            plans: entity::ALL
                .into_iter()
                .filter_map(|spec| {
                    let rules =
                        RecordRules::derive(&contract::record_schema(spec.entity).to_value())?;
                    Some((spec.entity, Arc::new(EntityPlan::new(spec, &rules)?)))
                })
                .collect(),
        }
    }

    /// What the fast path knows of an entity's records, if it can read them.
    pub(super) fn plan(&self, entity: Entity) -> Option<&Arc<EntityPlan>> {
        self.plans.get(&entity)
    }

    /// Checks a record.
    pub fn check(&self, entity: Entity, mode: SyncMode, record: &Value) -> Result<(), Misfit> {
        let validators = match mode {
            SyncMode::Full => &self.full,
            SyncMode::Delta => &self.delta,
        };
        match validators[&entity].validate(record) {
            Ok(()) => Ok(()),
            Err(error) => Err(misfit(&error)),
        }
    }
}

fn misfit(error: &ValidationError<'_>) -> Misfit {
    let mut pointer = error.instance_path().as_str().to_owned();
    let (code, detail) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            pointer = format!("{pointer}/{property}");
            ("required", format!("'{property}' is missing"))
        }
        ValidationErrorKind::Type { kind } => (
            "type",
            format!("the value has the wrong type: expected {}", expected(kind)),
        ),
        ValidationErrorKind::MaxLength { limit } => (
            "too_long",
            format!("the text is longer than {limit} characters"),
        ),
        ValidationErrorKind::MinLength { limit } => (
            "too_short",
            format!("the text is shorter than {limit} characters"),
        ),
        ValidationErrorKind::Pattern { .. } | ValidationErrorKind::AnyOf { .. } => (
            "invalid_name",
            "the value is not a type name: a letter, then up to 49 letters, digits or underscores"
                .to_owned(),
        ),
        ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
            ("out_of_range", "the number is out of range".to_owned())
        }
        _ => (
            "schema",
            format!(
                "the value does not fit the schema ({})",
                error.kind().keyword()
            ),
        ),
    };
    Misfit {
        pointer,
        code,
        detail,
    }
}

fn expected(kind: &jsonschema::error::TypeKind) -> String {
    match kind {
        jsonschema::error::TypeKind::Single(one) => one.to_string(),
        jsonschema::error::TypeKind::Multiple(many) => many
            .iter()
            .map(|one| one.to_string())
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_misfit_names_the_field_and_the_reason() {
        let schemas = Schemas::compile();
        let check = |mode, record: Value| schemas.check(Entity::Principals, mode, &record);
        assert_eq!(
            check(
                SyncMode::Full,
                json!({"displayName": "Ada", "anything": [1]})
            ),
            Ok(())
        );
        assert_eq!(check(SyncMode::Delta, json!({"jobTitle": null})), Ok(()));

        let missing = check(SyncMode::Full, json!({"id": "x"})).expect_err("no name");
        assert_eq!(
            (missing.pointer.as_str(), missing.code),
            ("/displayName", "required")
        );
        let wrong =
            check(SyncMode::Delta, json!({"accountEnabled": "yes"})).expect_err("no boolean");
        assert_eq!(
            (wrong.pointer.as_str(), wrong.code),
            ("/accountEnabled", "type")
        );
        let name =
            check(SyncMode::Delta, json!({"principalType": "no good"})).expect_err("no name");
        assert_eq!(
            (name.pointer.as_str(), name.code),
            ("/principalType", "invalid_name")
        );
        let long =
            check(SyncMode::Delta, json!({"department": "x".repeat(401)})).expect_err("too long");
        assert_eq!(
            (long.pointer.as_str(), long.code),
            ("/department", "too_long")
        );
    }
}
