//! The document as a page for people: plain HTML, made once, that loads nothing from anywhere.

mod html;
mod schema;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use html::{escape, prose};
use schema::{render_schema, type_of};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// What a browser may do with the page: show it in its own style, and nothing else.
pub fn policy() -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// One operation of the document, with its place.
struct Shown<'a> {
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
}

/// The page of a document.
pub fn render(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let shown = operations(document);
    let (mut navigation, mut chapters) = (Vec::new(), Vec::new());
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        let own = || shown.iter().filter(|one| one.operation["tags"][0] == name);
        let entries: String = own().map(navigation_entry).collect();
        navigation.push(format!("<h2>{}</h2><ul>{entries}</ul>", escape(name)));
        let operations: String = own().map(|one| operation(one, document)).collect();
        chapters.push(format!(
            "<section><h2>{}</h2><p>{}</p>{operations}</section>",
            escape(name),
            prose(text(&tag["description"]))
        ));
    }
    let schemas: String = entries(&document["components"]["schemas"])
        .map(|(name, schema)| render_schema(name, schema))
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} API</title>\
         <style>{STYLE}</style></head><body><nav><p class=\"brand\">{title} <small>{version}</small></p>{navigation}\
         <h2>Schemas</h2><ul><li><a href=\"#schemas\">All schemas</a></li></ul></nav><main><h1>{title} API</h1>\
         <p>{description}</p><p>For machines: <a href=\"openapi.json\">the OpenAPI {openapi} document</a>.</p>{chapters}\
         <section id=\"schemas\"><h2>Schemas</h2>{schemas}</section></main></body></html>\n",
        title = escape(title),
        navigation = navigation.concat(),
        chapters = chapters.concat(),
        version = escape(text(&document["info"]["version"])),
        description = prose(text(&document["info"]["description"])),
        openapi = escape(text(&document["openapi"])),
    )
}

fn operations(document: &Value) -> Vec<Shown<'_>> {
    entries(&document["paths"])
        .flat_map(|(path, methods)| {
            entries(methods).map(move |(method, operation)| Shown {
                method,
                path,
                operation,
            })
        })
        .collect()
}

fn navigation_entry(shown: &Shown<'_>) -> String {
    format!(
        "<li><a href=\"#{id}\"><span class=\"method {method}\">{method}</span> {path}</a></li>",
        id = escape(text(&shown.operation["operationId"])),
        method = escape(shown.method),
        path = escape(shown.path.trim_start_matches("/api")),
    )
}

fn operation(shown: &Shown<'_>, document: &Value) -> String {
    let operation = shown.operation;
    let mut parts = Vec::new();
    if let Some(description) = operation["description"].as_str() {
        parts.push(format!("<p>{}</p>", prose(description)));
    }
    parts.push(format!("<p class=\"access\">{}</p>", access(operation)));
    parts.push(parameters(operation));
    if let Some(body) = operation["requestBody"].as_object() {
        parts.push(format!(
            "<h4>Body</h4><p>{}</p>{}",
            prose(body["description"].as_str().unwrap_or("")),
            content(&operation["requestBody"]["content"])
        ));
    }
    parts.push(responses(operation, document));
    format!(
        "<details id=\"{id}\"><summary><span class=\"method {method}\">{method}</span> <code>{path}</code> \
         <span>{summary}</span></summary><div>{parts}</div></details>",
        id = escape(text(&operation["operationId"])),
        method = escape(shown.method),
        path = escape(shown.path),
        summary = prose(text(&operation["summary"])),
        parts = parts.concat(),
    )
}

fn access(operation: &Value) -> String {
    let alternatives = list(&operation["security"]);
    if alternatives.is_empty() {
        return "Needs no key.".to_owned();
    }
    let permissions: Vec<String> = alternatives
        .iter()
        .flat_map(|alternative| list(&alternative["apiKey"]))
        .map(|permission| format!("<code>{}</code>", escape(text(permission))))
        .collect();
    if permissions.is_empty() {
        "Needs a key.".to_owned()
    } else {
        format!(
            "Needs a key with the permission {}.",
            permissions.join(" or ")
        )
    }
}

fn parameters(operation: &Value) -> String {
    let rows = list(&operation["parameters"])
        .iter()
        .map(|parameter| {
            format!(
                "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(text(&parameter["name"])),
                required_mark(parameter["required"] == true),
                escape(text(&parameter["in"])),
                type_of(&parameter["schema"]),
                prose(text(&parameter["description"])),
            )
        })
        .collect::<Vec<_>>()
        .concat();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<h4>Parameters</h4><table><tr><th>Name</th><th>In</th><th>Type</th><th></th></tr>{rows}</table>"
    )
}

fn content(content: &Value) -> String {
    entries(content)
        .map(|(media_type, media)| {
            let example = media.get("example").map_or_else(String::new, |example| {
                let example = example.as_str().map_or_else(
                    || format!("{example:#}"),
                    |lines| lines.trim_end().to_owned(),
                );
                format!("<pre>{}</pre>", escape(&example))
            });
            format!(
                "<p><code>{}</code> {}</p>{example}",
                escape(media_type),
                type_of(&media["schema"])
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

fn responses(operation: &Value, document: &Value) -> String {
    let rows = entries(&operation["responses"])
        .map(|(status, response)| {
            let shared = response["$ref"]
                .as_str()
                .and_then(|pointer| document.pointer(pointer.trim_start_matches('#')));
            let whole = shared.unwrap_or(response);
            let description = response["description"]
                .as_str()
                .unwrap_or_else(|| text(&whole["description"]));
            format!(
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                escape(status),
                prose(description),
                entries(&whole["content"])
                    .map(|(_, media)| type_of(&media["schema"]))
                    .collect::<String>(),
            )
        })
        .collect::<Vec<_>>()
        .concat();
    format!("<h4>Answers</h4><table><tr><th>Status</th><th></th><th>Body</th></tr>{rows}</table>")
}

fn required_mark(is_required: bool) -> &'static str {
    if is_required {
        " <small>required</small>"
    } else {
        ""
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flat_map(Map::iter)
        .map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_the_document_says_becomes_markup() {
        let evil = "<script>alert('x')</script>\"&";
        let page = render(&json!({
            "openapi": evil,
            "info": {"title": evil, "version": evil, "description": evil},
            "tags": [{"name": evil, "description": evil}],
            "paths": {evil: {"get": {
                "operationId": evil, "tags": [evil], "summary": evil, "description": evil,
                "security": [{"apiKey": [evil]}],
                "parameters": [{"name": evil, "in": evil, "description": evil, "schema": {"type": evil, "enum": [evil]}}],
                "requestBody": {"description": evil, "content": {evil: {"schema": {"$ref": evil}, "example": evil}}},
                "responses": {evil: {"description": evil, "content": {"x": {"schema": {"const": evil}}}}},
            }}},
            "components": {"schemas": {evil: {"description": evil, "properties": {evil: {"pattern": evil}}}}},
        }));
        assert!(page.contains("&lt;script&gt;"), "the texts are shown");
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("')</"), "{page}");
    }
}
