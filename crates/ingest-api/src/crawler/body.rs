//! Bodies checked against the schema of their type, so that every fault names its field. Values are never repeated: one
//! may be a secret.

use std::sync::LazyLock;

use contract::{
    RecordError,
    crawler::{CrawlerSettings, CreateCrawler, ImportCrawler, PatchCrawler, ReplaceCrawler},
};
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::fault;
use crate::{body::SmallBody, error::ApiError};

/// Most faults that are told at once.
const MAX_FAULTS: usize = 20;

/// A type with its compiled schema.
pub trait Checked: JsonSchema + DeserializeOwned + 'static {
    /// The schema.
    fn validator() -> &'static Validator;
}

macro_rules! checked {
    ($($kind:ty),*) => {$(
        impl Checked for $kind {
            fn validator() -> &'static Validator {
                static VALIDATOR: LazyLock<Validator> = LazyLock::new(validator_of::<$kind>);
                &VALIDATOR
            }
        }
    )*};
}

checked!(
    CreateCrawler,
    ReplaceCrawler,
    PatchCrawler,
    ImportCrawler,
    CrawlerSettings
);

fn validator_of<T: JsonSchema>() -> Validator {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let schema = settings.into_generator().into_root_schema_for::<T>();
    jsonschema::validator_for(&schema.to_value()).expect("a generated schema is valid")
}

/// Reads a body.
pub fn read<T: Checked>(body: &SmallBody) -> Result<T, ApiError> {
    from_value("", body.json()?)
}

/// Reads a value that stands at a place of the body.
pub fn from_value<T: Checked>(place: &str, value: Value) -> Result<T, ApiError> {
    let faults: Vec<RecordError> = T::validator()
        .iter_errors(&value)
        .take(MAX_FAULTS)
        .map(|error| misfit(place, &error))
        .collect();
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    // serde's words may repeat a value.
    serde_json::from_value(value)
        .map_err(|_| ApiError::Invalid(vec![fault(place, "the value cannot be read")]))
}

fn misfit(place: &str, error: &ValidationError<'_>) -> RecordError {
    let mut pointer = format!("{place}{}", error.instance_path().as_str());
    let detail = match error.kind() {
        ValidationErrorKind::Required { property } => {
            pointer = format!("{pointer}/{}", property.as_str().unwrap_or_default());
            "the field is missing".to_owned()
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let first = unexpected.first().map(String::as_str).unwrap_or_default();
            let name: String = first.chars().take(60).collect();
            pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            "there is no such field".to_owned()
        }
        ValidationErrorKind::Type { .. } => "the value has the wrong type".to_owned(),
        ValidationErrorKind::Pattern { pattern } => {
            format!("the text does not have the form {pattern}")
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!("the text is longer than {limit} characters")
        }
        ValidationErrorKind::MinLength { .. } => "the text is empty".to_owned(),
        ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
            "the number is out of range".to_owned()
        }
        _ => "the value is none of those that can stand here".to_owned(),
    };
    fault(pointer, detail)
}
