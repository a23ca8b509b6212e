//! A10: what is no sign-in. Each is refused with a page that says nothing, one entry of the audit log, and no session.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use ring::hmac;
use serde_json::{Value, json};

use super::{
    browser::{Browser, Page, at},
    directory::{entries, new_tenant, signing_in_at},
    fake::{Fake, encoded, jwk, new_key, signed},
};
use crate::app::{TestApp, merge};

const REFUSED: &str = "person.sign-in-refused";

async fn assert_refused(app: &TestApp, page: &Page, refused_before: usize, what: &str) {
    assert_eq!(page.status.as_u16(), 403, "{what}: {}", page.text);
    assert!(page.policy.contains("default-src 'none'"), "{what}");
    for word in [
        "nonce",
        "token",
        "signature",
        "issuer",
        "audience",
        "state",
        "expired",
        "alg",
    ] {
        assert!(
            !page.text.to_lowercase().contains(word),
            "{what}: {}",
            page.text
        );
    }
    assert!(
        page.cookies
            .iter()
            .all(|line| !line.starts_with("cadastre=")),
        "{what}"
    );
    let refused = entries(app, REFUSED).await;
    assert_eq!(refused.len(), refused_before + 1, "{what}");
    let reason = refused[refused_before]["reason"]
        .as_str()
        .expect("a reason");
    assert!(!reason.is_empty(), "{what}");
    assert_eq!(
        app.count("select count(*) from people_sessions").await,
        0,
        "{what}"
    );
    assert_eq!(
        app.count("select count(*) from accounts").await,
        0,
        "{what}"
    );
}

/// A token that is keyed with what everybody knows, the provider's public key.
fn keyed(claims: &Value, public: &[u8]) -> String {
    let text = format!(
        "{}.{}",
        encoded(&json!({"alg": "HS256", "kid": "rsa", "typ": "JWT"})),
        encoded(claims)
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, public);
    let tag = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

type Attack = (&'static str, Box<dyn Fn(&Fake, &str) -> String>);

/// Good claims with something wrong in them.
fn wrong(name: &'static str, more: Value) -> Attack {
    (
        name,
        Box::new(move |fake, nonce| fake.token(1, nonce, more.clone())),
    )
}

/// Good claims under a header with something wrong in it.
fn header(name: &'static str, header: Value) -> Attack {
    (
        name,
        Box::new(move |fake, nonce| fake.sign(&header, &fake.claims(1, nonce))),
    )
}

fn attacks(modulus: &[u8]) -> Vec<Attack> {
    let now = Utc::now().timestamp();
    let modulus = modulus.to_vec();
    let by_other = |name: &'static str, header: fn(&Fake) -> Value| -> Attack {
        (
            name,
            Box::new(move |fake, nonce| signed(&new_key(), &header(fake), &fake.claims(1, nonce))),
        )
    };
    vec![
        (
            "alg none",
            Box::new(|fake, nonce| {
                let header = encoded(&json!({"alg": "none"}));
                format!("{header}.{}.", encoded(&fake.claims(1, nonce)))
            }),
        ),
        header("alg none, signed", json!({"alg": "none", "kid": "one"})),
        (
            "HS256 with the RSA public key",
            Box::new(move |fake, nonce| keyed(&fake.claims(1, nonce), &modulus)),
        ),
        (
            "HS256 with the client's secret",
            Box::new(|fake, nonce| {
                keyed(&fake.claims(1, nonce), super::directory::SECRET.as_bytes())
            }),
        ),
        (
            "HS256 with the EC public key",
            Box::new(|fake, nonce| {
                let key = fake.answers().keys["keys"][0].to_string();
                keyed(&fake.claims(1, nonce), key.as_bytes())
            }),
        ),
        header(
            "another algorithm than the key's",
            json!({"alg": "RS256", "kid": "one"}),
        ),
        header(
            "an unknown algorithm",
            json!({"alg": "ES257", "kid": "one"}),
        ),
        header("an unknown kid", json!({"alg": "ES256", "kid": "other"})),
        header(
            "critical extensions",
            json!({"alg": "ES256", "kid": "one", "crit": ["x"], "x": 1}),
        ),
        by_other(
            "another key under the known kid",
            |_| json!({"alg": "ES256", "kid": "one"}),
        ),
        by_other(
            "jku",
            |fake| json!({"alg": "ES256", "kid": "theirs", "jku": format!("{}/their-keys", fake.issuer)}),
        ),
        by_other(
            "x5u",
            |fake| json!({"alg": "ES256", "kid": "one", "x5u": format!("{}/their-keys", fake.issuer)}),
        ),
        by_other(
            "a key in the header",
            |_| json!({"alg": "ES256", "kid": "one", "jwk": jwk(&new_key(), "one")}),
        ),
        wrong("wrong iss", json!({"iss": "https://evil.test"})),
        wrong("wrong aud", json!({"aud": "another client"})),
        wrong(
            "an audience beside us",
            json!({"aud": ["cadastre", "another client"]}),
        ),
        wrong("made for another client", json!({"azp": "another client"})),
        wrong("no aud", json!({"aud": []})),
        wrong("exp", json!({"exp": now - 120})),
        wrong("nbf", json!({"nbf": now + 600})),
        wrong("iat in the future", json!({"iat": now + 600})),
        wrong("iat long ago", json!({"iat": now - 86_400})),
        wrong("another nonce", json!({"nonce": "another"})),
        wrong("no nonce", json!({"nonce": null})),
        wrong("no sub", json!({"sub": ""})),
        ("nonsense", Box::new(|_, _| "nonsense".into())),
        ("nothing", Box::new(|_, _| String::new())),
    ]
}

#[tokio::test]
async fn a10_a_forged_token_signs_nobody_in_leaves_one_entry_and_says_nothing() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    new_tenant(&app).await;
    // Nobody has the private half of this key; everybody has the public one.
    let modulus: Vec<u8> = (0..256_u32).map(|n| (n * 7 + 193) as u8 | 1).collect();
    let rsa = json!({
        "kty": "RSA", "use": "sig", "kid": "rsa", "n": URL_SAFE_NO_PAD.encode(&modulus), "e": "AQAB",
    });
    let ours = fake.answers().keys["keys"][0].clone();
    fake.answers().keys = json!({"keys": [ours, rsa]});
    for (refused, (what, token)) in attacks(&modulus).into_iter().enumerate() {
        let mut browser = Browser::new();
        let page = fake
            .sign_in_with(&app, &mut browser, |nonce| token(&fake, nonce))
            .await;
        assert_refused(&app, &page, refused, what).await;
    }
    // The same, with nothing wrong.
    fake.signed_in(&app, 1).await;
}

#[tokio::test]
async fn a10_a_token_of_another_sign_in_a_state_and_a_callback_work_in_their_browser_once() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    new_tenant(&app).await;

    // The token of one sign-in, in another: nonce replay.
    let mut browser = Browser::new();
    let (_, nonce) = fake.to_callback(&app, &mut browser).await;
    let stolen = fake.token(1, &nonce, json!({}));
    let page = fake.sign_in_with(&app, &mut browser, |_| stolen).await;
    assert_refused(&app, &page, 0, "nonce replay").await;

    // A state that is none, that is another's, and none at all.
    let (callback, _) = fake.to_callback(&app, &mut browser).await;
    let mut other = callback.clone();
    other.set_query(Some(&format!("code=x&state={}", "A".repeat(43))));
    let page = browser.get(&other).await;
    assert_refused(&app, &page, 1, "state mismatch").await;
    other.set_query(Some("code=x"));
    let page = browser.get(&other).await;
    assert_refused(&app, &page, 2, "no state").await;

    // Another browser's callback: one without a sign-in, and one with its own.
    let (callback, nonce) = fake.to_callback(&app, &mut browser).await;
    fake.answers().id_token = fake.token(1, &nonce, json!({}));
    let page = Browser::new().get(&callback).await;
    assert_refused(&app, &page, 3, "no sign-in in this browser").await;
    let mut theirs = Browser::new();
    fake.to_callback(&app, &mut theirs).await;
    let page = theirs.get(&callback).await;
    assert_refused(&app, &page, 4, "another browser's callback").await;
    assert!(
        fake.answers().exchanges.len() <= 1,
        "no code was exchanged for them"
    );

    // What the provider refused.
    let (mut denied, _) = fake.to_callback(&app, &mut theirs).await;
    let state = super::browser::parameter(&denied, "state");
    denied.set_query(Some(&format!("error=access_denied&state={state}")));
    let page = theirs.get(&denied).await;
    assert_refused(&app, &page, 5, "denied").await;

    // Too late.
    let (late, nonce) = fake.to_callback(&app, &mut theirs).await;
    fake.answers().id_token = fake.token(1, &nonce, json!({}));
    sqlx::query("update sign_ins set created_at = created_at - interval '11 minutes'")
        .execute(&app.pool)
        .await
        .expect("moved");
    let page = theirs.get(&late).await;
    assert_refused(&app, &page, 6, "too late").await;

    // In its browser it works, once.
    let (callback, nonce) = fake.to_callback(&app, &mut browser).await;
    fake.answers().id_token = fake.token(1, &nonce, json!({}));
    let mut copy = browser.clone();
    assert_eq!(browser.get(&callback).await.status.as_u16(), 303);
    let page = copy.get(&callback).await;
    assert_eq!(page.status.as_u16(), 403, "a callback is used once");
}

#[tokio::test]
async fn a10_every_sign_in_sends_its_own_challenge_and_the_exchange_its_verifier() {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut browser = Browser::new();
        let page = browser.get(&at(&app, "/auth/sign-in")).await;
        assert_eq!(page.leads_with("code_challenge_method"), "S256");
        assert_eq!(page.leads_with("response_type"), "code");
        let challenge = page.leads_with("code_challenge");
        let mut callback = at(&app, "/auth/callback");
        callback.set_query(Some(&format!("code=c&state={}", page.leads_with("state"))));
        browser.get(&callback).await;
        let form = fake.answers().exchanges.pop().expect("an exchange");
        let verifier = url::form_urlencoded::parse(form.as_bytes())
            .find(|(name, _)| name == "code_verifier")
            .expect("a verifier")
            .1
            .into_owned();
        let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(digest.as_ref()), challenge);
        seen.extend([
            challenge,
            page.leads_with("state"),
            page.leads_with("nonce"),
        ]);
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "nothing is used twice");
}

#[tokio::test]
async fn a_key_that_is_new_at_the_provider_is_found_and_an_unknown_one_does_not_make_us_ask_each_time()
 {
    let fake = Fake::start().await;
    let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
    let by_unknown = |nonce: &str| {
        fake.sign(
            &json!({"alg": "ES256", "kid": "unknown"}),
            &fake.claims(1, nonce),
        )
    };
    for _ in 0..5 {
        let mut browser = Browser::new();
        let page = fake.sign_in_with(&app, &mut browser, by_unknown).await;
        assert_eq!(page.status.as_u16(), 403);
    }
    assert!(fake.answers().key_reads <= 2);
}

#[tokio::test]
async fn a_provider_that_leads_elsewhere_is_not_followed() {
    for (field, place) in [
        ("jwks_uri", "http://127.0.0.1:9/keys"),
        ("token_endpoint", "http://169.254.169.254/token"),
        (
            "authorization_endpoint",
            "http://login.example.org/authorize",
        ),
        ("issuer", "http://127.0.0.1:9"),
    ] {
        let fake = Fake::start().await;
        merge(&mut fake.answers().discovery, json!({field: place}));
        let app = TestApp::start_with(signing_in_at(&fake.issuer)).await;
        let page = Browser::new().get(&at(&app, "/auth/sign-in")).await;
        assert_eq!(page.status.as_u16(), 503, "{field}: {}", page.text);
    }
}
