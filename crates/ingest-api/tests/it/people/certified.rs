//! Against a certified provider that is not ours (npm `oidc-provider`; `make deps` installs it).

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use contract::Role;
use ingest_api::people::{Link, LinkColumn};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::{
    browser::{Browser, Page, at},
    directory::{TENANT, entries, join, load, map, new_tenant, signing_in_at, with_link},
};
use crate::app::{TestApp, id};

/// The provider; it stops with the value.
struct Certified {
    process: Child,
    issuer: String,
    /// Held open: the provider says more, and ends when nobody can hear it.
    _said: BufReader<ChildStdout>,
}

impl Drop for Certified {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Certified {
    fn start(people: &Value) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("target");
        let folder = target.join("tools/oidc-provider");
        assert!(
            folder.join("complete").exists(),
            "the provider of the tests is missing: run `make deps`"
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/provider.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .arg(folder)
            .arg(people.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let mut line = String::new();
        let mut said = BufReader::new(process.stdout.take().expect("piped"));
        said.read_line(&mut line).expect("a line");
        let issuer = line.trim().strip_prefix("issuer ").expect("an issuer");
        Self {
            issuer: issuer.to_owned(),
            process,
            _said: said,
        }
    }

    /// Signs in and consents there; ends before the callback.
    async fn to_callback(&self, app: &TestApp, browser: &mut Browser, login: &str) -> Url {
        let start = at(app, "/auth/sign-in?returnTo=/start?x=1");
        let mut page = browser.get(&start).await;
        for _ in 0..12 {
            let Some(next) = page.location.clone() else {
                panic!("no way on: {} {}", page.status, page.text);
            };
            if next.path() == "/auth/callback" && next.as_str().starts_with(app.base()) {
                return next;
            }
            page = browser.get(&next).await;
            if page.location.is_none() {
                let prompt = if page.text.contains("value=\"login\"") {
                    "login"
                } else {
                    "consent"
                };
                let form = [("prompt", prompt), ("login", login), ("password", "any")];
                page = browser.post(&next, &form).await;
            }
        }
        panic!("the provider never sent the person back");
    }

    async fn sign_in(&self, app: &TestApp, browser: &mut Browser, login: &str) -> Page {
        let callback = self.to_callback(app, browser, login).await;
        browser.get(&callback).await
    }
}

async fn me(app: &TestApp, browser: &mut Browser) -> Value {
    let page = browser.get(&at(app, "/api/me")).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    page.json()
}

#[tokio::test]
async fn a_person_of_the_synced_directory_signs_in_and_has_the_role_of_their_group_at_once() {
    let provider = Certified::start(&json!({
        "ada": {"oid": id(1), "tid": TENANT, "name": "Ada Lovelace"},
        "bob": {"oid": id(2), "tid": TENANT, "name": "Bob"},
    }));
    let app = TestApp::start_with(signing_in_at(&provider.issuer)).await;
    let system = new_tenant(&app).await;
    join(&app, system, 101, 1, json!({})).await;
    map(&app, system, 101, Role::Admin).await;

    let mut ada = Browser::new();
    let page = provider.sign_in(&app, &mut ada, "ada").await;
    assert_eq!(page.status.as_u16(), 303, "{}", page.text);
    assert_eq!(page.location, Some(at(&app, "/start?x=1")));
    let said = me(&app, &mut ada).await;
    assert_eq!(
        (&said["role"], &said["displayName"]),
        (&json!("admin"), &json!("Ada Lovelace"))
    );
    assert_eq!(ada.get(&at(&app, "/api/audit")).await.status.as_u16(), 200);
    assert_eq!(entries(&app, "person.sign-in").await.len(), 1);

    // Without a group with a role: signed in, without rights, and told so.
    let mut bob = Browser::new();
    provider.sign_in(&app, &mut bob, "bob").await;
    assert_eq!(me(&app, &mut bob).await.get("role"), None);
    let page = bob.get(&at(&app, "/api/systems")).await;
    assert_eq!(page.status.as_u16(), 403);
    assert!(page.text.contains("without rights"), "{}", page.text);
}

#[tokio::test]
async fn a10_a_code_is_exchanged_once_and_only_by_who_holds_its_verifier() {
    let provider = Certified::start(&json!({"ada": {}}));
    let app = TestApp::start_with(signing_in_at(&provider.issuer)).await;
    let mut browser = Browser::new();
    let first = provider.to_callback(&app, &mut browser, "ada").await;
    assert_eq!(browser.get(&first).await.status.as_u16(), 303);

    // The code again, under the state of another sign-in of the same browser.
    let second = provider.to_callback(&app, &mut browser, "ada").await;
    let (code, state) = (
        super::browser::parameter(&first, "code"),
        super::browser::parameter(&second, "state"),
    );
    let mut replayed = second.clone();
    replayed
        .query_pairs_mut()
        .clear()
        .append_pair("code", &code)
        .append_pair("state", &state)
        .append_pair("iss", &provider.issuer);
    assert_eq!(
        browser.get(&replayed).await.status.as_u16(),
        403,
        "code replay"
    );

    // A good code that another sign-in asked for: its verifier is another one.
    let (mut theirs, mut ours) = (Browser::new(), Browser::new());
    let victim = provider.to_callback(&app, &mut theirs, "ada").await;
    let attacker = provider.to_callback(&app, &mut ours, "ada").await;
    let mut injected = attacker.clone();
    injected
        .query_pairs_mut()
        .clear()
        .append_pair("code", &super::browser::parameter(&victim, "code"))
        .append_pair("state", &super::browser::parameter(&attacker, "state"))
        .append_pair("iss", &provider.issuer);
    assert_eq!(
        ours.get(&injected).await.status.as_u16(),
        403,
        "code injection"
    );
    let reasons = entries(&app, "person.sign-in-refused").await;
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    for entry in reasons {
        let reason = entry["reason"].as_str().expect("a reason");
        assert!(reason.contains("invalid_grant"), "{reason}");
    }

    // An answer that names another issuer, or none where this provider always names itself.
    for issuer in [Some("https://evil.test"), None] {
        let mut mixed = provider.to_callback(&app, &mut theirs, "ada").await;
        let kept: Vec<(String, String)> = mixed
            .query_pairs()
            .filter(|(name, _)| name != "iss")
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        mixed.query_pairs_mut().clear().extend_pairs(kept);
        if let Some(issuer) = issuer {
            mixed.query_pairs_mut().append_pair("iss", issuer);
        }
        assert_eq!(theirs.get(&mixed).await.status.as_u16(), 403, "{issuer:?}");
    }
}

#[tokio::test]
async fn a11_an_account_is_its_subject_and_no_mail_address_or_group_claim_gives_anything() {
    let mail = "ada@example.org";
    let provider = Certified::start(&json!({
        "ada": {"email": mail, "email_verified": true},
        "eve": {"email": mail, "email_verified": false, "preferred_username": "ada"},
        "overage": {
            "email": "other@example.org", "email_verified": true,
            "groups": [id(101)], "_claim_names": {"groups": "src1"},
        },
    }));
    // The system is not there yet when the server is set up; its number will be the second.
    let link = Link::Claim {
        claim: "email".into(),
        column: LinkColumn::Email,
        system_id: 2,
    };
    let app = TestApp::start_with(with_link(&provider.issuer, link)).await;
    let system = new_tenant(&app).await;
    assert_eq!(system, 2);
    let record = json!([{"id": id(1), "displayName": "Ada", "email": mail}]);
    load(&app, system, "principals", record).await;
    join(&app, system, 101, 1, json!({})).await;
    map(&app, system, 101, Role::Contributor).await;

    let mut roles = Vec::new();
    for login in ["ada", "eve", "overage"] {
        let mut browser = Browser::new();
        let page = provider.sign_in(&app, &mut browser, login).await;
        assert_eq!(page.status.as_u16(), 303, "{}", page.text);
        let said = me(&app, &mut browser).await;
        roles.push((said["accountId"].to_string(), said["role"].clone()));
    }
    assert_eq!(roles[0].1, "contributor");
    assert_eq!((&roles[1].1, &roles[2].1), (&Value::Null, &Value::Null));
    assert_ne!(
        roles[0].0, roles[1].0,
        "never one account by its mail address"
    );
    assert_eq!(app.count("select count(*) from accounts").await, 3);

    // The address changes hands: whom it led to before is nobody now.
    let mut ada = Browser::new();
    provider.sign_in(&app, &mut ada, "ada").await;
    let record = json!([
        {"id": id(1), "displayName": "Ada", "email": "new@example.org"},
        {"id": id(2), "displayName": "Bob", "email": mail},
    ]);
    load(&app, system, "principals", record).await;
    assert_eq!(me(&app, &mut ada).await["role"], Value::Null);
    // Two with one address are nobody, too.
    let record = json!([{"id": id(1), "displayName": "Ada", "email": mail}]);
    load(&app, system, "principals", record).await;
    let mut again = Browser::new();
    provider.sign_in(&app, &mut again, "ada").await;
    assert_eq!(me(&app, &mut again).await["role"], Value::Null);
    let page = again
        .call(&app, Method::POST, "/auth/sign-out", json!({}))
        .await;
    assert_eq!(page.status.as_u16(), 204, "{}", page.text);
}
