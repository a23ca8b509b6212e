//! Questions about the past, read from a query and checked: each parameter is known, said once, and of its column's type.

use std::collections::BTreeMap;

use contract::SystemId;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::page::place;
use crate::{
    entity::{Column, ColumnKind, EntitySpec},
    error::ApiError,
    params::page_size,
};

/// Some columns and the values that they must have.
pub type Wanted = Vec<(&'static Column, String)>;

/// The parameters of a query, taken one after the other; what is left is refused.
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Refuses a parameter that is said twice.
    pub fn new(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if value.contains('\0') {
                return Err(ApiError::bad_field(
                    &name,
                    "a NUL character is in no value of the register",
                ));
            }
            if parameters.insert(name.clone(), value).is_some() {
                return Err(ApiError::bad_field(&name, "the parameter is there twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter's text.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The system, which every question names.
    pub fn system_id(&mut self) -> Result<SystemId, ApiError> {
        let text = self
            .take("systemId")
            .ok_or_else(|| ApiError::bad_field("systemId", "the system is needed"))?;
        text.parse()
            .map_err(|_| ApiError::bad_field("systemId", "a system has a whole number"))
    }

    /// The place behind which the page begins.
    pub fn after<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        self.take("after").map(|text| place(&text)).transpose()
    }

    /// How many items at most.
    pub fn limit(&mut self) -> Result<u32, ApiError> {
        let wished = self.take("limit").map(|text| text.parse()).transpose();
        wished
            .map(page_size)
            .map_err(|_| ApiError::bad_field("limit", "a whole number is needed, from 1 to 1,000"))
    }

    /// The values of columns that are said, in the columns' order.
    pub fn columns(
        &mut self,
        columns: impl Iterator<Item = &'static Column>,
    ) -> Result<Wanted, ApiError> {
        let mut wanted = Wanted::new();
        for column in columns {
            if let Some(value) = self.take(column.wire) {
                check(column, &value)?;
                wanted.push((column, value));
            }
        }
        Ok(wanted)
    }

    /// Refuses what was not taken.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::bad_field(
                &name,
                format!("there is no parameter '{name:.60}' here"),
            )),
        }
    }
}

/// Key and scope columns are ids and words.
fn check(column: &Column, value: &str) -> Result<(), ApiError> {
    if column.kind == ColumnKind::Uuid && value.parse::<Uuid>().is_err() {
        return Err(ApiError::bad_field(column.wire, "an id (UUID) is needed"));
    }
    Ok(())
}

/// The columns by which differences can be narrowed: the key, and what scopes are made of.
pub fn filters(spec: &'static EntitySpec) -> impl Iterator<Item = &'static Column> {
    let is_scope = |column: &Column| spec.scope_keys.iter().any(|(_, sql)| *sql == column.sql);
    let scopes = spec.columns.iter().filter(move |column| is_scope(column));
    spec.key.iter().chain(scopes)
}

/// Is it part of the key, so that it is the same in every version of a row?
pub fn is_key(spec: &EntitySpec, column: &Column) -> bool {
    spec.key.iter().any(|key| key.sql == column.sql)
}

#[cfg(test)]
mod tests {
    use contract::Entity;

    use super::*;
    use crate::entity::spec;

    fn parameters(pairs: &[(&str, &str)]) -> Result<Parameters, ApiError> {
        Parameters::new(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn field(error: &ApiError) -> &str {
        match error {
            ApiError::BadRequest { pointer, .. } => pointer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_parameter_that_is_unknown_said_twice_or_of_another_type_is_refused_by_name() {
        let twice = parameters(&[("limit", "1"), ("limit", "1")]);
        assert_eq!(field(&twice.err().expect("refused")), "/limit");
        let nul = parameters(&[("roleScope", "a\0b")]);
        assert_eq!(field(&nul.err().expect("refused")), "/roleScope");
        let unknown = parameters(&[("shoe", "38")]).expect("said once").finish();
        assert_eq!(field(&unknown.expect_err("refused")), "/shoe");
        for (name, text) in [("systemId", "one"), ("limit", "-1"), ("limit", "many")] {
            let mut said = parameters(&[(name, text)]).expect("said once");
            let error = match name {
                "systemId" => said.system_id().expect_err("refused"),
                _ => said.limit().expect_err("refused"),
            };
            assert_eq!(field(&error), format!("/{name}"));
        }
    }

    #[test]
    fn key_fields_are_taken_in_their_order_and_ids_must_be_ids() {
        let assignments = spec(Entity::ResourceAssignments).expect("a table");
        let mut said = parameters(&[
            ("roleScope", "/"),
            ("principalId", "10000000-0000-4000-8000-000000000001"),
        ])
        .expect("said once");
        let wanted = said.columns(assignments.key.iter()).expect("fine");
        let names: Vec<&str> = wanted.iter().map(|(column, _)| column.wire).collect();
        assert_eq!(names, ["principalId", "roleScope"]);
        said.finish().expect("nothing is left");

        let mut said = parameters(&[("principalId", "Ada")]).expect("said once");
        let refused = said.columns(assignments.key.iter());
        assert_eq!(field(&refused.expect_err("refused")), "/principalId");
    }
}
