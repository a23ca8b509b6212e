//! Schemas in a form that people read.

use serde_json::Value;

use super::{
    entries,
    html::{escape, prose},
    list, required_mark, text,
};

/// A named schema with its fields.
pub fn render_schema(name: &str, schema: &Value) -> String {
    let fields = entries(&schema["properties"])
        .map(|(field, property)| {
            let is_required = list(&schema["required"]).iter().any(|known| known == field);
            format!(
                "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td></tr>",
                escape(field),
                required_mark(is_required),
                type_of(property),
                prose(text(&property["description"])),
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let inside = if fields.is_empty() {
        format!("<p>{}</p>{}", type_of(schema), variants(schema))
    } else {
        format!("<table><tr><th>Field</th><th>Type</th><th></th></tr>{fields}</table>")
    };
    format!(
        "<details id=\"schema-{id}\"><summary><code>{id}</code></summary><div><p>{}</p>{inside}</div></details>",
        prose(text(&schema["description"])),
        id = escape(name),
    )
}

/// The values of an enumeration, each with its meaning.
fn variants(schema: &Value) -> String {
    let rows = list(&schema["oneOf"])
        .iter()
        .filter(|variant| variant.get("const").is_some())
        .map(|variant| {
            format!(
                "<tr><td>{}</td><td>{}</td></tr>",
                type_of(variant),
                prose(text(&variant["description"]))
            )
        })
        .collect::<Vec<_>>()
        .concat();
    if rows.is_empty() {
        rows
    } else {
        format!("<table><tr><th>Value</th><th></th></tr>{rows}</table>")
    }
}

/// What a value must be, in a few words.
pub fn type_of(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = escape(target.rsplit('/').next().unwrap_or(target));
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escape(&value.to_string()));
    }
    for any in ["anyOf", "oneOf"] {
        if let Some(alternatives) = schema[any].as_array() {
            return alternatives
                .iter()
                .map(type_of)
                .collect::<Vec<_>>()
                .join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .map(|value| format!("<code>{}</code>", escape(&value.to_string())))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        kind => text(kind).to_owned(),
    };
    let mut words = if schema["type"] == "array" {
        format!("array of {}", type_of(&schema["items"]))
    } else if kinds.is_empty() {
        "anything".to_owned()
    } else {
        escape(&kinds)
    };
    for limit in [
        "format",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "maxItems",
    ] {
        if let Some(value) = schema.get(limit) {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            words.extend([" <small>", limit, " ", &escape(&value), "</small>"]);
        }
    }
    words
}
