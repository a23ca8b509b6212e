//! The keys that secrets are sealed with: wrong ones stop the start, and changing them loses nothing at any moment.

use std::{os::unix::fs::PermissionsExt as _, process::Command, sync::Arc};

use contract::crawler::SecretField;
use ingest_api::secret::{
    KeyBytes, KeyEncryption, KeyUse, Keyring, LocalKey, UnlockError, discard, key_uses, rewrap,
    unlock,
};
use serde_json::json;
use uuid::Uuid;

use super::{configuration, create, lease_with, path, value_of};
use crate::app::TestApp;

fn key() -> Arc<dyn KeyEncryption> {
    Arc::new(LocalKey(KeyBytes::random()))
}

fn only(ring: &Keyring, key_id: &str) -> Keyring {
    let (_, key) = ring.keys().find(|(id, _)| *id == key_id).expect("the key");
    Keyring::new(key_id, key.clone())
}

#[tokio::test]
async fn a_wrong_key_and_a_missing_one_stop_the_start() {
    let app = TestApp::start().await;
    // No secret is sealed yet: no key is needed, but the wrong one is known.
    unlock(&app.pool, &Keyring::none())
        .await
        .expect("no keys, no secrets");
    let wrong = unlock(&app.pool, &Keyring::new("first", key())).await;
    assert!(matches!(wrong, Err(UnlockError::Wrong(id)) if id == "first"));
    create(&app, &configuration("Contoso", "CANARY")).await;
    for ring in [Keyring::none(), Keyring::new("second", key())] {
        let error = unlock(&app.pool, &ring).await.expect_err("missing");
        assert!(matches!(&error, UnlockError::Missing { key_id, secrets: 1 } if key_id == "first"));
        assert!(error.to_string().contains("CADASTRE_KEY_FILE"), "{error}");
    }
    let with_wrong = Keyring::new("second", key()).and("first", key());
    assert!(matches!(
        unlock(&app.pool, &with_wrong).await,
        Err(UnlockError::Wrong(_))
    ));
    unlock(&app.pool, &app.keyring)
        .await
        .expect("the right one");
}

/// The real command. It looks at its keys before it looks for the database.
#[test]
fn the_command_refuses_keys_that_are_none_before_it_does_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    let good = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQI=";
    for (text, mode, part) in [
        (String::new(), 0o600, "no key"),
        (format!("a:{}", "A".repeat(43)), 0o600, "every byte"),
        (format!("a:{}", &good[..20]), 0o600, "too short"),
        (format!("a:{good}"), 0o644, "others than its owner"),
        // This one is good, and the start goes on to what is wrong next.
        (format!("a:{good}"), 0o600, "not a PostgreSQL address"),
    ] {
        std::fs::write(&file, text).expect("written");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&file, permissions).expect("set");
        let output = Command::new(env!("CARGO_BIN_EXE_ingest-api"))
            .env_clear()
            .args(["--database-url", "no address", "--key-file"])
            .arg(&file)
            .output()
            .expect("runs");
        assert!(!output.status.success());
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains(part), "{part}: {words}");
        assert!(!words.contains(&good[..20]), "{words}");
    }
}

async fn all_open(app: &TestApp, ring: &Keyring, ids: &[Uuid], expected: &[String]) {
    for (id, expected) in ids.iter().zip(expected) {
        let leased = lease_with(app, ring, *id).await.expect("opens");
        let leased = leased.expect("a crawler");
        let opened = value_of(&leased, SecretField::ClientSecret);
        assert_eq!(opened, Some(expected.as_str()));
    }
}

#[tokio::test]
async fn secrets_move_to_a_new_key_in_steps_under_load_and_the_old_one_goes_when_it_seals_nothing()
{
    let mut app = TestApp::start().await;
    let old = app.keyring.clone();
    let (mut ids, mut texts) = (Vec::new(), Vec::new());
    for n in 0..12 {
        texts.push(format!("secret {n}"));
        ids.push(create(&app, &configuration(&format!("C{n}"), &texts[n])).await);
    }
    let (_, first) = old.keys().next().expect("a key");
    let both = Keyring::new("second", key()).and("first", first.clone());
    let new = only(&both, "second");
    unlock(&app.pool, &both).await.expect("both");
    app.keyring = both.clone();
    app.restart().await;
    let mut version = 1;
    while rewrap(&app.pool, &both, Some(0))
        .await
        .expect("counted")
        .remaining
        > 0
    {
        // The old key is not to go, and one alone does not open everything.
        let refused = unlock(&app.pool, &new).await.expect_err("in use");
        assert!(matches!(refused, UnlockError::Missing { key_id, .. } if key_id == "first"));
        // Meanwhile somebody sets the first secret anew, which seals it with the new key.
        texts[0] = format!("secret of version {version}");
        let patch = json!({"version": version, "secrets": {"clientSecret": texts[0]}});
        let one = path(ids[0]);
        let (moved, changed) =
            tokio::join!(rewrap(&app.pool, &both, Some(3)), app.patch(&one, &patch));
        let moved = moved.expect("moved");
        assert_eq!(moved.refused, []);
        assert!(moved.moved <= 3);
        version = changed.expect(200)["version"].as_i64().expect("a number") as i32;
        all_open(&app, &both, &ids, &texts).await;
        // A process that ends here goes on after its restart.
        app.restart().await;
    }
    let uses = key_uses(&app.pool).await.expect("counted");
    let expected = [("first", 0), ("second", 12)].map(|(id, secrets)| KeyUse {
        key_id: id.into(),
        secrets,
    });
    assert_eq!(uses, expected);
    unlock(&app.pool, &new).await.expect("the old one may go");
    assert!(matches!(
        unlock(&app.pool, &old).await,
        Err(UnlockError::Missing { .. })
    ));
    all_open(&app, &new, &ids, &texts).await;
}

#[tokio::test]
async fn a_secret_that_does_not_open_is_not_moved_and_holds_up_no_other() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(create(&app, &configuration(&format!("C{n}"), "CANARY")).await);
    }
    sqlx::query("update secrets set wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1) where crawler_id = $1")
        .bind(ids[0])
        .execute(&app.pool)
        .await
        .expect("broken");
    let (_, first) = app.keyring.keys().next().expect("a key");
    let both = Keyring::new("second", key()).and("first", first.clone());
    let done = rewrap(&app.pool, &both, None).await.expect("moved");
    assert_eq!((done.moved, done.remaining, done.refused.len()), (2, 1, 1));
    assert_eq!(done.refused[0].0, ids[0]);
}

#[tokio::test]
async fn the_secrets_of_a_lost_key_can_be_given_up_and_set_again_and_until_then_nothing_runs() {
    let mut app = TestApp::start().await;
    let id = create(&app, &configuration("Contoso", "CANARY")).await;
    let new = Keyring::new("second", key());
    assert!(unlock(&app.pool, &new).await.is_err());
    assert_eq!(discard(&app.pool, "first").await.expect("given up"), 1);
    unlock(&app.pool, &new)
        .await
        .expect("nothing needs the lost one");
    app.keyring = new.clone();
    app.restart().await;
    assert_eq!(app.get(&path(id)).await.expect(200)["state"], "secretError");
    assert!(lease_with(&app, &new, id).await.is_err());
    let body = json!({"version": 1, "secrets": {"clientSecret": "another"}});
    assert_eq!(
        app.patch(&path(id), &body).await.expect(200)["state"],
        "ready"
    );
    all_open(&app, &new, &[id], &["another".to_owned()]).await;
}
