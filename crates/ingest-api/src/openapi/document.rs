//! The OpenAPI document.

use std::sync::LazyLock;

use contract::Problem;
use serde_json::{Map, Value, json};

use super::{
    Routes, Tag, problems,
    schemas::{Schemas, schema_of},
};

const DESCRIPTION: &str = "The register of who holds which access: posting records, and asking who has access to \
what, and why. Every call but health, the sign-in and this description carries an API key, or the cookie of a person's \
session. Errors are problem documents (RFC 9457), also for paths that do not exist (404) and for methods that a path does \
not take (405, with `Allow`). An answer in the 2xx range is durable; a request that fails changed nothing.";

/// The document of this server.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| describe(crate::app::routes()));
    &DOCUMENT
}

/// Describes routes.
fn describe(routes: Routes) -> Value {
    let mut schemas = Schemas::new();
    let paths = paths(routes, &mut schemas);
    let problem = schemas.answer(&schema_of::<Problem>());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cadastre",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": Tag::ALL.map(|tag| json!({"name": tag.name(), "description": tag.description()})),
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "responses": problems::responses(&problem),
            "headers": problems::headers(),
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "fgc_…",
                    "description": "An API key. The names listed with an operation are the permissions of which the key \
                        needs one; a key may also be limited to some systems. A personal token is sent the same way, and \
                        counts as its person.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-cadastre",
                    "description": "A person's session. The name listed with an operation is the least role that may call \
                        it; none stands for everybody who is signed in. Calls that change something send `X-CSRF-Token` \
                        with what `GET /api/me` answers.",
                },
            },
        },
    })
}

fn paths(routes: Routes, schemas: &mut Schemas) -> Map<String, Value> {
    let mut paths = Map::new();
    for documented in routes.into_operations() {
        let operation = documented.operation.to_openapi(schemas);
        let path = paths.entry(documented.path).or_insert_with(|| json!({}));
        path[documented.method] = operation;
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_schema_name_means_one_thing_in_a_body_and_another_in_an_answer() {
        let mut schemas = Schemas::new();
        paths(crate::app::routes(), &mut schemas);
        assert_eq!(schemas.ambiguous(), Vec::<String>::new());
    }
}
