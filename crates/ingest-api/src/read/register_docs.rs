//! What the routes for the register's rows do.

use contract::Permission;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::{
    export::{ExportQuery, PARQUET},
    register::{ListQuery, RowCount},
};
use crate::{
    ingest::type_name,
    openapi::{LINES, Operation, SchemaOf, Tag, schema_of},
    query::{Field, Kind, Source},
};

const LIST: &str = "Filtered, sorted and page by page. A place between rows holds whatever comes and goes around it, and the \
last page (`before=end`) is as near as the first. A page may have fewer rows than `limit` where rows are large: `next` says \
whether there are more.";

const EXPORT: &str = "All rows at once, streamed in the order of their keys. A row that fits during the whole export is in it \
exactly once; one that changes meanwhile is in it at most once, as before or after. With `asOf`, all rows are of that \
instant. An export that breaks off ends in an error of the connection, never in a proper end.";

/// `GET /api/register/{source}`.
pub fn list(source: &'static Source) -> Operation {
    operation(source, "list", "Rows")
        .says(LIST)
        .query::<ListQuery>()
        .answers_as(200, "A page.", "application/json", page_schema(source))
}

/// `GET /api/register/{source}/export`.
pub fn export(source: &'static Source) -> Operation {
    rows(operation(source, "export", "All rows").query::<ExportQuery>())
}

/// The forms in which exports answer rows.
pub fn rows(operation: Operation) -> Operation {
    operation
        .says(EXPORT)
        .answers_as(200, "The rows.", LINES, schema_of::<String>())
        .or_as("text/csv", schema_of::<String>())
        .or_as(PARQUET, Box::new(|_| json!({"contentMediaType": PARQUET})))
}

fn operation(source: &Source, verb: &str, what: &str) -> Operation {
    let id = format!("{verb}{}Rows", type_name(source.name));
    let summary = format!("{what}: {}", source.about);
    Operation::new(Tag::Register, id, summary).needs(&[Permission::Read])
}

pub fn page_schema(source: &'static Source) -> SchemaOf {
    Box::new(move |generator: &mut SchemaGenerator| {
        let count = generator.subschema_for::<RowCount>().to_value();
        let word = |description: &str| json!({"type": "string", "minLength": 1, "description": description});
        let row = row_schema(source);
        let page = json!({
            "type": "object",
            "description": "A page of rows.",
            "properties": {
                "items": {"type": "array", "description": "The rows, in order.", "items": row},
                "next": word("Pass it as `after` for the next page; absent on the last one."),
                "previous": word("Pass it as `before` for the page before; absent on the first one."),
                "count": count,
            },
            "required": ["items"],
            "additionalProperties": false,
        });
        let name = format!("{}RowPage", type_name(source.name));
        let pointer = format!("#/components/schemas/{name}");
        generator.definitions_mut().insert(name, page);
        json!({"$ref": pointer})
    })
}

fn row_schema(source: &Source) -> Value {
    let properties: Map<String, Value> = source
        .fields
        .iter()
        .map(|field| (field.wire.to_owned(), field_schema(field)))
        .collect();
    json!({
        "type": "object",
        "description": "A row. Fields that were not asked for, or have no value, are absent.",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn field_schema(field: &Field) -> Value {
    match field.kind {
        Kind::Uuid => json!({"type": "string", "format": "uuid"}),
        Kind::Text => json!({"type": "string"}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Int => json!({"type": "integer", "format": "int64"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Json if field.is_list => json!({"type": "array"}),
        Kind::Json => json!({"type": "object"}),
    }
}
