//! From a JSON object to a typed row.

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use contract::{RecordError, SyncMode, TypeName};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{IdRule, Key, LoadContext, Row, Value, extended::extended_attributes, schema::Misfit};
use crate::entity::{Column, ColumnKind, EntitySpec, IdSpace};

pub(super) type Object = Map<String, Json>;

/// Makes a row of a record. A refusal carries the key when it can be told.
pub fn convert(
    context: &LoadContext,
    index: usize,
    mut record: Object,
) -> Result<Row, (RecordError, Option<Key>)> {
    fill_from_scope(context, &mut record);
    let key = parse_key(context.spec, &context.ids, &record);
    match convert_fields(context, record, &key) {
        Ok((fields, extended)) => match key {
            Ok(key) => Ok(Row {
                index,
                key,
                fields,
                extended,
            }),
            Err(misfit) => Err((at(index, misfit), None)),
        },
        Err(misfit) => Err((at(index, misfit), key.ok().map(|key| Key::new(&key)))),
    }
}

fn at(index: usize, misfit: Misfit) -> RecordError {
    RecordError {
        index,
        pointer: misfit.pointer,
        code: misfit.code.to_owned(),
        detail: misfit.detail,
    }
}

pub(super) fn misfit(pointer: &str, code: &'static str, detail: impl Into<String>) -> Misfit {
    Misfit {
        pointer: format!("/{pointer}"),
        code,
        detail: detail.into(),
    }
}

/// A record that does not say where in the scope it lies, lies where the load says.
fn fill_from_scope(context: &LoadContext, record: &mut Object) {
    for (wire, value) in &context.scope {
        if record.get(wire).is_none_or(Json::is_null) {
            record.insert(wire.clone(), Json::String(value.clone()));
        }
    }
}

/// The key of a record, or of an entry of `deletedIds`.
pub fn parse_key(spec: &EntitySpec, ids: &IdRule, record: &Object) -> Result<Vec<Value>, Misfit> {
    spec.key
        .iter()
        .map(|column| {
            let value = match column_value(spec, column, ids, record)? {
                Some(Value::Null) | None => default_of(column)?,
                Some(value) => value,
            };
            match value {
                Value::Null => Err(misfit(column.wire, "required", missing(spec, column))),
                value => Ok(value),
            }
        })
        .collect()
}

fn missing(spec: &EntitySpec, column: &Column) -> String {
    match column.external_wire() {
        Some(external) => format!("'{}' (or '{external}') is missing", column.wire),
        None if column.wire == "id" && spec.id_space.is_some() => {
            "'id' (or 'externalId') is missing".to_owned()
        }
        None => format!("'{}' is missing", column.wire),
    }
}

/// The value of a column that a record says nothing about.
pub(super) fn default_of(column: &Column) -> Result<Value, Misfit> {
    match column.default {
        None => Ok(Value::Null),
        Some(text) => scalar(column, &Json::String(text.to_owned())),
    }
}

fn convert_fields(
    context: &LoadContext,
    mut record: Object,
    key: &Result<Vec<Value>, Misfit>,
) -> Result<(Vec<Option<Value>>, Object), Misfit> {
    let spec = context.spec;
    if let Some(system) = record.remove("systemId")
        && system.as_i64() != Some(i64::from(context.system_id))
    {
        return Err(misfit(
            "systemId",
            "foreign_system",
            "a record cannot name another system than its load's",
        ));
    }
    let record = Json::Object(record);
    context.schemas.check(spec.entity, context.mode, &record)?;
    let Json::Object(mut record) = record else {
        unreachable!("it was made an object above")
    };
    if let Err(misfit) = key {
        return Err(misfit.clone());
    }
    check_scope(context, &record)?;

    let mut fields = Vec::with_capacity(spec.columns.len());
    for column in spec.columns {
        let value = column_value(spec, column, &context.ids, &record)?;
        fields.push(match (value, context.mode) {
            (None, SyncMode::Delta) => None,
            (None | Some(Value::Null), _) => Some(default_of(column)?),
            (value, _) => value,
        });
        if column.is_required && matches!(fields.last(), Some(Some(Value::Null))) {
            return Err(misfit(
                column.wire,
                "required",
                format!("'{}' cannot be cleared", column.wire),
            ));
        }
    }
    for column in spec.all_columns() {
        record.remove(column.wire);
        if let Some(external) = column.external_wire() {
            record.remove(&external);
        }
    }
    Ok((fields, extended_attributes(context.mode, record)?))
}

fn check_scope(context: &LoadContext, record: &Object) -> Result<(), Misfit> {
    for (wire, wanted) in &context.scope {
        let is_inside = record
            .get(wire)
            .and_then(Json::as_str)
            .is_some_and(|found| {
                // Ids are compared as ids: GUIDs come in either case.
                found == wanted
                    || found
                        .parse::<Uuid>()
                        .is_ok_and(|id| wanted.parse() == Ok(id))
            });
        if !is_inside {
            return Err(misfit(
                wire,
                "outside_scope",
                format!("the load's scope says {wire} = '{wanted}'"),
            ));
        }
    }
    Ok(())
}

/// The value of a column; `None` when the record does not mention it.
fn column_value(
    spec: &EntitySpec,
    column: &Column,
    ids: &IdRule,
    record: &Object,
) -> Result<Option<Value>, Misfit> {
    let external = |name: &str| {
        record
            .get(name)
            .and_then(Json::as_str)
            .filter(|text| !text.is_empty())
    };
    match record.get(column.wire) {
        Some(Json::Null) | None => {}
        Some(value) => return scalar(column, value).map(Some),
    }
    if column.wire == "id"
        && let Some(space) = spec.id_space
        && let Some(text) = external("externalId")
    {
        return Ok(Some(Value::Uuid(ids.own_id(space, text))));
    }
    if let Some(space) = column.refers_to
        && let Some(text) = column.external_wire().as_deref().and_then(external)
    {
        return Ok(Some(Value::Uuid(
            ids.reference(target_space(space, record)?, text),
        )));
    }
    Ok(record.get(column.wire).map(|_| Value::Null))
}

/// The space that a reference points into, where the record itself decides: members of a context by `memberType`,
/// holders of an assignment by `principalType` (a group that holds something is a resource). A word that cannot be one
/// tells nothing: then the row that is meant is unknown.
fn target_space(space: IdSpace, record: &Object) -> Result<IdSpace, Misfit> {
    let field = match space {
        IdSpace::Members => "memberType",
        IdSpace::Holders => "principalType",
        _ => return Ok(space),
    };
    let word = match record.get(field) {
        None | Some(Json::Null) => None,
        Some(Json::String(word)) if word.parse::<TypeName>().is_ok() => Some(word.as_str()),
        Some(_) => {
            return Err(misfit(
                field,
                "invalid_name",
                "the value is not a type name",
            ));
        }
    };
    Ok(space_by_word(space, word))
}

/// The space that a reference points into, by the word that decides about it.
pub(super) fn space_by_word(space: IdSpace, word: Option<&str>) -> IdSpace {
    match (space, word) {
        (IdSpace::Members, Some("Principal")) => IdSpace::Principals,
        (IdSpace::Members, Some("Resource")) | (IdSpace::Holders, Some("Group")) => {
            IdSpace::Resources
        }
        (space, _) => space,
    }
}

fn scalar(column: &Column, value: &Json) -> Result<Value, Misfit> {
    let text = || {
        value
            .as_str()
            .ok_or_else(|| misfit(column.wire, "type", "the value must be text"))
    };
    match column.kind {
        ColumnKind::Text => text().map(|text| Value::Text(text.to_owned())),
        ColumnKind::Bool => value
            .as_bool()
            .map(Value::Bool)
            .ok_or_else(|| misfit(column.wire, "type", "the value must be true or false")),
        ColumnKind::Int => value
            .as_i64()
            .map(Value::Int)
            .ok_or_else(|| misfit(column.wire, "type", "the value must be a 64-bit integer")),
        ColumnKind::Uuid => {
            let text = text()?;
            // Only the hyphenated form: braces and URNs would be a second spelling of the same key.
            if text.len() == 36
                && let Ok(id) = Uuid::parse_str(text)
            {
                return Ok(Value::Uuid(id));
            }
            Err(misfit(
                column.wire,
                "invalid_uuid",
                "the value is not a UUID (8-4-4-4-12 hexadecimal digits)",
            ))
        }
        ColumnKind::Time => {
            instant(text()?).map_err(|detail| misfit(column.wire, "invalid_date", detail))
        }
    }
}

/// RFC 3339 with 0 to 9 fractional digits, cut to microseconds. Year 1 reads as absent; the end of year 9999 means
/// "never" and is absent too.
pub(super) fn instant(text: &str) -> Result<Value, &'static str> {
    let parsed = DateTime::parse_from_rfc3339(text).map_err(
        |_| "the value is not an RFC 3339 date and time with a zone, such as 2026-01-31T08:00:00Z",
    )?;
    let utc = parsed.with_timezone(&Utc).trunc_subsecs(6);
    match utc.year() {
        ..=1 | 9999.. => Ok(Value::Null),
        _ => Ok(Value::Time(utc)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use contract::Entity;
    use serde_json::json;

    use super::*;
    use crate::{entity, record::Schemas};

    fn run(
        entity: Entity,
        mode: SyncMode,
        scope: &[(&str, &str)],
        record: Json,
    ) -> Result<Row, (RecordError, Option<Key>)> {
        let scope = scope
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let context = LoadContext {
            spec: entity::spec(entity).expect("a merged entity"),
            schemas: Arc::new(Schemas::compile()),
            system_id: 7,
            mode,
            scope,
            ids: IdRule::Native { system_id: 7 },
        };
        let Json::Object(record) = record else {
            panic!("a record is an object")
        };
        convert(&context, 3, record)
    }

    const ID: &str = "6F1C3F2E-7A55-4A8E-9A71-0D5F5A1F9B10";

    #[test]
    fn unknown_fields_become_extended_attributes_and_named_ones_columns() {
        let row = run(
            Entity::Principals,
            SyncMode::Full,
            &[],
            json!({"id": ID, "displayName": "Ada", "costCentre": "C1", "extendedAttributes": {"shoe": 38, "gone": null}}),
        )
        .expect("fits");
        assert_eq!(
            row.key,
            [Value::Uuid(ID.to_lowercase().parse().expect("uuid"))]
        );
        assert_eq!(
            serde_json::to_value(&row.extended).expect("json"),
            json!({"costCentre": "C1", "shoe": 38})
        );
        assert_eq!(row.fields[1], Some(Value::Text("User".into())));
    }

    #[test]
    fn a_delta_record_speaks_only_of_the_fields_it_has() {
        let row = run(
            Entity::Principals,
            SyncMode::Delta,
            &[],
            json!({"id": ID, "jobTitle": null, "email": "a@b"}),
        )
        .expect("fits");
        assert_eq!(row.fields.iter().filter(|field| field.is_some()).count(), 2);
        assert!(row.fields.contains(&Some(Value::Null)));
    }

    #[test]
    fn a_refused_record_keeps_its_key_when_that_can_be_told() {
        let (error, key) = run(
            Entity::Principals,
            SyncMode::Full,
            &[],
            json!({"id": ID, "displayName": 5}),
        )
        .expect_err("no text");
        assert_eq!(
            (error.index, error.pointer.as_str(), error.code.as_str()),
            (3, "/displayName", "type")
        );
        assert!(key.is_some());
        let (error, key) = run(
            Entity::Principals,
            SyncMode::Full,
            &[],
            json!({"id": "zz", "displayName": "A"}),
        )
        .expect_err("no id");
        assert_eq!(
            (error.pointer.as_str(), error.code.as_str()),
            ("/id", "invalid_uuid")
        );
        assert!(key.is_none());
        let (error, _) = run(
            Entity::Principals,
            SyncMode::Full,
            &[],
            json!({"displayName": "A"}),
        )
        .expect_err("no id");
        assert_eq!(
            (error.pointer.as_str(), error.code.as_str()),
            ("/id", "required")
        );
    }

    #[test]
    fn a_record_lies_in_its_loads_scope_and_system() {
        let scope = [("assignmentType", "Direct")];
        let ends = |more: Json| {
            let mut record = json!({"resourceId": ID, "principalId": ID});
            record
                .as_object_mut()
                .expect("object")
                .extend(more.as_object().expect("object").clone());
            run(Entity::ResourceAssignments, SyncMode::Full, &scope, record)
        };
        let row = ends(json!({"systemId": 7})).expect("filled from the scope");
        assert_eq!(
            row.key[2..],
            [Value::Text("Direct".into()), Value::Text("/".into())]
        );
        assert_eq!(
            ends(json!({"assignmentType": "Owner"}))
                .expect_err("outside")
                .0
                .code,
            "outside_scope"
        );
        assert_eq!(
            ends(json!({"systemId": 8})).expect_err("foreign").0.code,
            "foreign_system"
        );
    }

    #[test]
    fn dates_are_read_with_any_fraction_and_sentinels_as_absent() {
        assert_eq!(
            instant("2026-01-31T08:00:00.1234567+01:00"),
            instant("2026-01-31T07:00:00.123456Z")
        );
        assert_eq!(instant("0001-01-01T00:00:00Z"), Ok(Value::Null));
        assert_eq!(instant("9999-12-31T23:59:59.9999999Z"), Ok(Value::Null));
        for bad in [
            "2026-01-31",
            "yesterday",
            "2026-02-30T00:00:00Z",
            "2026-01-31T08:00:00",
            "294277-01-01T00:00:00Z",
        ] {
            assert!(instant(bad).is_err(), "{bad}");
        }
    }
}
