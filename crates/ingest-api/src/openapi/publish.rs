//! The document and its page over HTTP. Neither is a secret, and neither changes while the process lives.

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Operation, Routes, Tag, document, page};

/// Something that is the same until the server is replaced.
struct Published {
    bytes: Bytes,
    media_type: &'static str,
    tag: HeaderValue,
    /// What a browser may do with it.
    policy: HeaderValue,
}

impl Published {
    fn new(bytes: Vec<u8>, media_type: &'static str, policy: &str) -> Self {
        let digest = Sha256::digest(&bytes);
        let short = digest[..16]
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let ascii = "digests and policies are ASCII";
        Self {
            bytes: bytes.into(),
            media_type,
            tag: HeaderValue::try_from(format!("\"{short}\"")).expect(ascii),
            policy: HeaderValue::try_from(policy).expect(ascii),
        }
    }

    /// The whole, or 304 for who has it already.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let has_it = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .any(|known| known == self.tag);
        let common = [
            (header::ETAG, self.tag.clone()),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=300"),
            ),
        ];
        if has_it {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let own = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static(self.media_type),
            ),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
        ];
        (common, own, self.bytes.clone()).into_response()
    }
}

static JSON: LazyLock<Published> = LazyLock::new(|| {
    let text = document().to_string().into_bytes();
    Published::new(text, "application/json", "default-src 'none'")
});

static PAGE: LazyLock<Published> = LazyLock::new(|| {
    Published::new(
        page::render(document()).into_bytes(),
        "text/html; charset=utf-8",
        &page::policy(),
    )
});

/// The routes of the description.
pub fn routes() -> Routes {
    let known = |operation: Operation| {
        operation
            .public()
            .header(
                "If-None-Match",
                "The `ETag` of an earlier answer.",
                &json!({"type": "string"}),
            )
            .answers_nothing(304, "The caller has it already.")
    };
    Routes::new()
        .get(
            "/api/openapi.json",
            async |headers: HeaderMap| JSON.answer(&headers),
            known(
                Operation::new(Tag::Server, "getOpenApi", "This description, for machines")
                    .answers::<serde_json::Map<String, Value>>(200, "An OpenAPI 3.1 document."),
            ),
        )
        .get(
            "/api/docs",
            async |headers: HeaderMap| PAGE.answer(&headers),
            known(
                Operation::new(Tag::Server, "getDocs", "This description, for people").answers_as(
                    200,
                    "A page that needs nothing from elsewhere.",
                    "text/html",
                    Box::new(|_| json!({"type": "string"})),
                ),
            ),
        )
}
