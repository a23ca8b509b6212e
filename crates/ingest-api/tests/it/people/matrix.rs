//! A03 for everybody: each operation of the served document by each kind of caller, over the real router.

use contract::{Permission, Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    browser::{Browser, at},
    directory::{join, map, new_tenant, signing_in_at},
    fake::Fake,
};
use crate::{app::TestApp, key_matrix::filled, openapi::operations};

/// What the document says of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Open,
    Unauthenticated,
    Forbidden,
}

/// Who is kept out by what the handler asks beside: a session signs out, and a person who is there makes tokens.
const SESSION_ONLY: [&str; 2] = ["signOut", "createToken"];

fn names<'a>(security: &'a [Value], scheme: &str) -> Option<Vec<&'a str>> {
    let choices: Vec<_> = security
        .iter()
        .filter_map(|choice| choice.get(scheme))
        .collect();
    if choices.is_empty() {
        return None;
    }
    let all = choices
        .into_iter()
        .flat_map(|names| names.as_array().expect("a list"));
    Some(all.map(|name| name.as_str().expect("a name")).collect())
}

/// What a person with a role, or with none, is to expect.
fn for_person(security: &[Value], role: Option<Role>) -> Expected {
    let open = match names(security, "session") {
        None => false,
        Some(roles) if roles.is_empty() => true,
        Some(roles) => Role::ALL
            .into_iter()
            .filter(|one| role >= Some(*one))
            .any(|one| roles.contains(&one.wire_name())),
    };
    if open {
        Expected::Open
    } else {
        Expected::Forbidden
    }
}

fn for_key(security: &[Value], permission: Permission) -> Expected {
    match names(security, "apiKey") {
        Some(wanted) if wanted.is_empty() || wanted.contains(&permission.wire_name()) => {
            Expected::Open
        }
        _ => Expected::Forbidden,
    }
}

/// The cells that were tried, and those that are not as they should be.
#[derive(Default)]
struct Findings {
    cells: usize,
    wrong: Vec<String>,
}

impl Findings {
    fn check(&mut self, expected: Expected, status: u16, place: &str) {
        self.cells += 1;
        let is_right = match expected {
            Expected::Open => status != 401 && status != 403,
            Expected::Unauthenticated => status == 401,
            Expected::Forbidden => status == 403,
        };
        if !is_right || status == 429 || status >= 500 {
            self.wrong
                .push(format!("{place}: {status}, not {expected:?}"));
        }
    }
}

/// A person's browser, with the token of its session.
struct Signed {
    browser: Browser,
    csrf_token: String,
}

impl Signed {
    async fn in_as(fake: &Fake, app: &TestApp, who: u32) -> Self {
        let mut browser = fake.signed_in(app, who).await;
        let me = browser.get(&at(app, "/api/me")).await.json();
        let csrf_token = me["csrfToken"].as_str().expect("a token").to_owned();
        Self {
            browser,
            csrf_token,
        }
    }

    async fn call(&mut self, app: &TestApp, method: &Method, path: &str) -> u16 {
        let url = at(app, &filled(path));
        let request = self
            .browser
            .request(method.clone(), &url)
            .header("x-csrf-token", &self.csrf_token)
            .json(&json!({}));
        self.browser.send(&url, request).await.status.as_u16()
    }
}

async fn by_bearer(app: &TestApp, key: Option<&str>, method: &Method, path: &str) -> u16 {
    let url = at(app, &filled(path));
    let mut browser = Browser::new();
    let request = browser.request(method.clone(), &url).json(&json!({}));
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    browser.send(&url, request).await.status.as_u16()
}

struct Callers {
    fake: Fake,
    app: TestApp,
    /// Person n has the n-th of these.
    roles: [Option<Role>; 4],
    viewers_token: String,
    keys: Vec<(Permission, String)>,
}

async fn callers() -> Callers {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let system = new_tenant(&app).await;
    for (n, role) in (2..).zip(Role::ALL) {
        join(&app, system, 100 + n, n, json!({})).await;
        map(&app, system, 100 + n, role).await;
    }
    let mut viewer = fake.signed_in(&app, 2).await;
    let page = viewer
        .call(
            &app,
            Method::POST,
            "/api/me/tokens",
            json!({"name": "token"}),
        )
        .await;
    let viewers_token = page.json()["key"].as_str().expect("a token").to_owned();
    let mut keys = Vec::new();
    for permission in Permission::ALL {
        keys.push((permission, app.new_key(&[permission], None).await));
    }
    Callers {
        fake,
        app,
        roles: [
            None,
            Some(Role::Viewer),
            Some(Role::Contributor),
            Some(Role::Admin),
        ],
        viewers_token,
        keys,
    }
}

#[tokio::test]
async fn a03_every_operation_lets_in_whom_the_document_says_and_nobody_else() {
    let callers = callers().await;
    let app = &callers.app;
    let document = app.get("/api/openapi.json").await.expect(200);
    let mut found = Findings::default();
    let mut people = Vec::new();
    for (who, _) in (1..).zip(callers.roles) {
        people.push(Signed::in_as(&callers.fake, app, who).await);
    }
    for (method, path, _) in operations() {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let security = operation["security"].as_array().expect("a list");
        if security.is_empty() {
            continue;
        }
        let id = operation["operationId"].as_str().expect("an id");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let place = |who: &str| format!("{who} {method} {path}");

        let status = by_bearer(app, None, &method, &path).await;
        found.check(Expected::Unauthenticated, status, &place("nobody"));
        for (who, (role, person)) in (1..).zip(callers.roles.iter().zip(&mut people)) {
            let status = person.call(app, &method, &path).await;
            let place = place(&format!("{role:?}"));
            found.check(for_person(security, *role), status, &place);
            if id == "signOut" {
                *person = Signed::in_as(&callers.fake, app, who).await;
            }
        }
        // A token is sent as a key is, and counts as its person.
        let mut expected = for_person(security, Some(Role::Viewer));
        if SESSION_ONLY.contains(&id) {
            expected = Expected::Forbidden;
        } else if id == "whoAmI" {
            expected = Expected::Open;
        }
        let status = by_bearer(app, Some(&callers.viewers_token), &method, &path).await;
        found.check(expected, status, &place("a viewer's token"));
        for (permission, key) in &callers.keys {
            // Rotating shortens the life of the key in use, and no more than that.
            let status = by_bearer(app, Some(key), &method, &path).await;
            found.check(
                for_key(security, *permission),
                status,
                &place(&format!("{permission:?}")),
            );
        }
    }
    assert!(found.wrong.is_empty(), "{:#?}", found.wrong);
    assert!(found.cells > 700, "{} cells", found.cells);
}
