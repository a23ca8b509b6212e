//! What the endpoints of the entities take and answer.

use contract::{Entity, IngestAnswer, IngestRequest, MAX_RECORDS, Permission, record_subschema};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::example;
use crate::{
    entity,
    openapi::{LINES, Operation, SchemaOf, Tag, schema_of},
};

const HOW: &str = "`delta` (the default) changes the fields that are there; `full` replaces rows and speaks of the whole \
scope: rows that it does not bring are removed, or held where they are many. A record that cannot be stored is refused by \
itself and counted in `rejected`, unless the call is `atomic`. In a `delta` load, required fields may be absent where the \
row is known, and `null` clears a field. Fields that the record's schema does not name become extended attributes.";

const FORMS: &str = "At most 64 MiB as sent and 256 MiB decompressed. May be compressed: `Content-Encoding` gzip or zstd. \
NDJSON: the call without `records` in the first line, then one record a line.";

/// `POST /api/ingest/{entity}`.
pub fn post(entity: Entity) -> Operation {
    let call = example::call(entity);
    let lines = example::lines(&call);
    let operation = Operation::new(
        Tag::Records,
        format!("post{}", type_name(entity.wire_name())),
        format!("Post records: {}", about(entity)),
    )
    .says(HOW)
    .needs(&[Permission::Ingest])
    .takes_any(
        FORMS,
        vec![
            ("application/json", call_schema(entity), Some(call)),
            (LINES, schema_of::<String>(), Some(lines.into())),
        ],
    )
    .answers::<IngestAnswer>(201, "The records are stored; what became of them.")
    .leads_to("getSession", &json!({"syncId": "$response.body#/syncId"}))
    .leads_to("listRejected", &json!({"syncId": "$response.body#/syncId"}))
    .answers::<IngestAnswer>(200, "The same, for `continue` and `end` of the chunked form.")
    .refuses(403, "The key lacks the permission or the system.")
    .refuses(404, "There is no session with this `syncId`.")
    .refuses(409, "A full load of the scope is open, or the session cannot take this step.")
    .refuses(
        422,
        "The `Idempotency-Key` came back with another body, or the call is `atomic` and had bad records. Nothing was \
         stored.",
    );
    if entity == Entity::Systems {
        return operation;
    }
    operation.header(
        "Idempotency-Key",
        "The same key and body within 24 hours get the first answer again; another body is refused (422). Has no effect \
         in the chunked form.",
        &json!({"type": "string", "minLength": 1, "maxLength": 255}),
    )
}

/// What is named so on the wire, as it is named in the schemas and operation ids.
pub fn type_name(wire_name: &str) -> String {
    wire_name
        .split(['-', '/'])
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        })
        .collect()
}

/// What its rows are.
pub const fn about(entity: Entity) -> &'static str {
    match entity {
        Entity::Systems => "connected sources",
        Entity::Principals => "users, service principals, agents",
        Entity::Resources => "groups, roles, applications",
        Entity::ResourceAssignments => "who holds what",
        Entity::ResourceRelationships => "which resource contains or grants which",
        Entity::Identities => "the people behind principals",
        Entity::IdentityMembers => "which principals belong to whom",
        Entity::Contexts => "departments, administrative units, trees",
        Entity::ContextMembers => "who is in which context",
        Entity::PrincipalActivity => "last sign-ins",
        Entity::GovernanceCatalogs => "entitlement catalogs",
        Entity::AssignmentPolicies => "assignment policies",
        Entity::AssignmentRequests => "requests for access",
        Entity::CertificationDecisions => "decisions of access reviews",
    }
}

/// The contract's envelope around the contract's record, with what the server knows of the entity.
fn call_schema(entity: Entity) -> SchemaOf {
    Box::new(move |generator: &mut SchemaGenerator| {
        let record = record_subschema(entity, generator).to_value();
        let mut call = IngestRequest::<Value>::json_schema(generator).to_value();
        call["additionalProperties"] = false.into();
        call["description"] = "A call with its records.".into();
        if entity == Entity::Systems {
            // Older callers send the same fields with every entity; here they are not looked at.
            for field in ["idPrefix", "sourceFilter", "readBeganMsAgo"] {
                call["properties"][field] = json!({"description": "Has no effect on systems."});
            }
        } else {
            call["required"] = json!(["records", "systemId"]);
            call["properties"]["systemId"]["type"] = "integer".into();
        }
        let properties = &mut call["properties"];
        properties["records"] = json!({
            "type": "array",
            "description": format!("The records, at most {MAX_RECORDS}."),
            "items": record,
        });
        properties["scope"] = scope_schema(entity);
        properties["deletedIds"]["items"] = key_schema(entity);
        let name = format!("{}Call", type_name(entity.wire_name()));
        let pointer = format!("#/components/schemas/{name}");
        generator.definitions_mut().insert(name, call);
        json!({"$ref": pointer})
    })
}

/// Only the entity's own scope keys.
fn scope_schema(entity: Entity) -> Value {
    let keys: Map<String, Value> = entity::spec(entity)
        .into_iter()
        .flat_map(|spec| spec.scope_keys)
        .map(|(wire, column)| {
            let is_id = column.ends_with("_id");
            let value = if is_id {
                json!({"type": "string", "format": "uuid"})
            } else {
                json!({"type": "string", "minLength": 1, "maxLength": 100})
            };
            ((*wire).to_owned(), value)
        })
        .collect();
    json!({
        "type": ["object", "null"],
        "description": "The part of the rows that the load is about.",
        "properties": keys,
        "additionalProperties": false,
    })
}

/// An entry of `deletedIds`.
fn key_schema(entity: Entity) -> Value {
    let Some(spec) = entity::spec(entity) else {
        return json!({"type": "object"});
    };
    let fields: Vec<&str> = spec.key.iter().map(|column| column.wire).collect();
    let object = json!({
        "type": "object",
        "description": format!("The key of a row: {}, or their `…ExternalId`.", fields.join(", ")),
    });
    if fields.len() == 1 {
        json!({"anyOf": [{"type": "string", "format": "uuid"}, object]})
    } else {
        object
    }
}
