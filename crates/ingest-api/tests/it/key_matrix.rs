//! Keys by endpoints: each operation of the served document, with a key of each permission, over the real router.

use contract::Permission;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{app::TestApp, openapi::operations};

/// A path with something in good form in each place.
pub fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{systemId}" => "1",
        "{seq}" => "0",
        "{keyId}" => "abcdefabcdef",
        part if part.starts_with('{') => "00000000-0000-0000-0000-000000000001",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Does the document let a key with this one permission in?
fn is_declared(security: &[Value], permission: Permission) -> bool {
    let of_keys = security.iter().filter_map(|choice| choice.get("apiKey"));
    of_keys.into_iter().any(|wanted| {
        let wanted = wanted.as_array().expect("a list");
        wanted.is_empty() || wanted.iter().any(|name| name == permission.wire_name())
    })
}

#[tokio::test]
async fn a03_a_key_gets_what_the_document_declares_for_its_permission_and_nothing_else() {
    let app = TestApp::start().await;
    let document = app.get("/api/openapi.json").await.expect(200);
    let (mut open, mut closed) = (0, 0);
    for permission in Permission::ALL {
        for (method, path, _) in operations() {
            let operation = &document["paths"][&path][method.to_lowercase()];
            let security = operation["security"].as_array().expect("a list");
            if security.is_empty() {
                continue;
            }
            // A new one for each cell: whatever becomes of it disturbs no other.
            let key = app.new_key(&[permission], None).await;
            let verb = Method::from_bytes(method.as_bytes()).expect("a method");
            let request = app.request_as(&key, verb, &filled(&path)).json(&json!({}));
            let status = request.send().await.expect("an answer").status().as_u16();
            let place = format!("{permission:?} {method} {path}: {status}");
            assert!(status != 401 && status != 429 && status < 500, "{place}");
            if is_declared(security, permission) {
                assert_ne!(status, 403, "{place}");
                open += 1;
            } else {
                assert_eq!(status, 403, "{place}");
                closed += 1;
            }
        }
    }
    assert!(open > 100 && closed > 200, "{open} open, {closed} closed");
}
