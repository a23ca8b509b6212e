//! The refusals that operations share: `components/responses` and the headers that go with them.

use serde_json::{Map, Value, json};

/// A status that is refused with a problem document.
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Its name in `components/responses`.
    pub name: &'static str,
    description: &'static str,
    /// A header that comes with it.
    header: Option<(&'static str, &'static str, &'static str)>,
}

const fn refusal(status: u16, name: &'static str, description: &'static str) -> Refusal {
    Refusal {
        status,
        name,
        description,
        header: None,
    }
}

/// Every refusal of the API.
pub const REFUSALS: [Refusal; 14] = [
    refusal(
        400,
        "BadRequest",
        "The request itself is wrong; sending it again cannot help. `errors` names the field.",
    ),
    Refusal {
        header: Some((
            "WWW-Authenticate",
            "How to sign in: `Bearer`.",
            r#"{"type": "string", "const": "Bearer"}"#,
        )),
        ..refusal(
            401,
            "Unauthenticated",
            "No key, or one that is malformed, unknown, revoked or expired.",
        )
    },
    refusal(
        403,
        "Forbidden",
        "The key lacks the permission or the system, or is not for the address that the call came from.",
    ),
    refusal(404, "NotFound", "There is no such thing for this caller."),
    refusal(
        405,
        "MethodNotAllowed",
        "The path does not take this method; `Allow` lists those that it takes.",
    ),
    refusal(
        408,
        "TooSlow",
        "The body came too slowly; the connection is closed.",
    ),
    refusal(409, "Conflict", "Something else stands in the way."),
    refusal(
        412,
        "PreconditionFailed",
        "It is not what `If-Match` says any more: read it again.",
    ),
    refusal(413, "TooLarge", "More than is taken at once."),
    refusal(
        415,
        "UnsupportedMediaType",
        "A content type or encoding that is not taken.",
    ),
    refusal(422, "Unprocessable", "Nothing was stored."),
    Refusal {
        header: Some((
            "Retry-After",
            "Seconds to wait before the same request is sent again.",
            r#"{"type": "integer", "minimum": 0}"#,
        )),
        ..refusal(
            429,
            "TooMany",
            "The key was used more often than it may be, or too many keys were refused to this address.",
        )
    },
    refusal(
        500,
        "Internal",
        "A fault of the server. The request changed nothing.",
    ),
    Refusal {
        header: Some((
            "Retry-After",
            "Seconds to wait before the same request is sent again.",
            r#"{"type": "integer", "minimum": 0}"#,
        )),
        ..refusal(
            503,
            "Busy",
            "Too much at once, or the database is away. Sending the same again later helps.",
        )
    },
];

/// The refusal with a status.
pub fn refusal_with(status: u16) -> Option<&'static Refusal> {
    REFUSALS.iter().find(|refusal| refusal.status == status)
}

/// The header that every answer has.
pub fn request_id() -> Value {
    json!({"$ref": "#/components/headers/RequestId"})
}

/// `components/headers`.
pub fn headers() -> Value {
    json!({"RequestId": {
        "description": "Finds the request in the server's log. The caller's own `x-request-id`, where it sent one.",
        "required": true,
        "schema": {"type": "string"},
    }})
}

/// `components/responses`. `problem` is the schema of a problem document.
pub fn responses(problem: &Value) -> Map<String, Value> {
    REFUSALS
        .iter()
        .map(|refusal| {
            let mut headers = json!({"x-request-id": request_id()});
            if let Some((name, description, schema)) = refusal.header {
                let schema: Value = serde_json::from_str(schema).expect("the texts above are JSON");
                headers[name] =
                    json!({"description": description, "required": true, "schema": schema});
            }
            let response = json!({
                "description": refusal.description,
                "headers": headers,
                "content": {"application/problem+json": {"schema": problem}},
            });
            (refusal.name.to_owned(), response)
        })
        .collect()
}
