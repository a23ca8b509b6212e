//! Random changes against a model of what a crawler holds.

use std::collections::BTreeMap;

use contract::crawler::SecretField;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{configuration, create, lease, path, value_of};
use crate::app::TestApp;

const FIELDS: [SecretField; 3] = [
    SecretField::ClientSecret,
    SecretField::CertificatePassword,
    SecretField::Proxy,
];

#[tokio::test]
async fn absent_secrets_stay_null_clears_text_sets_and_a_lease_has_exactly_those() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let mut body = configuration("Contoso", "first");
    body["enabled"] = json!(false);
    let id = create(&app, &body).await;
    let mut model = BTreeMap::from([(SecretField::ClientSecret, "first".to_owned())]);
    let (mut version, mut days) = (1, None);
    let mut fingerprints: BTreeMap<SecretField, Value> = BTreeMap::new();
    for round in 0..60 {
        let mut patch = json!({});
        let (mut wanted, mut wanted_days) = (model.clone(), days);
        for field in FIELDS {
            let name = field.wire_name();
            match rng.random_range(0..6) {
                0 => {
                    patch["secrets"][name] = Value::Null;
                    wanted.remove(&field);
                }
                1 => {
                    let text = format!("http://{round}.CANARY");
                    patch["secrets"][name] = json!(text);
                    wanted.insert(field, text);
                }
                2 => {
                    let text = format!("env:CADASTRE_SECRET_{}", rng.random_range(0..2));
                    patch["secrets"][name] = json!(text);
                    wanted.insert(field, text);
                }
                // What is there already, once more.
                3 if model.contains_key(&field) => patch["secrets"][name] = json!(model[&field]),
                _ => {}
            }
        }
        if rng.random_bool(0.3) {
            wanted_days = Some(rng.random_range(1..3));
            patch["settings"] = json!({"requestWindowDays": wanted_days});
        }
        if rng.random_bool(0.2) {
            patch["version"] = json!(version + [-1, 1][rng.random_range(0..2)]);
            let status = app.patch(&path(id), &patch).await.status.as_u16();
            assert!([400, 409].contains(&status), "{patch}");
        } else {
            patch["version"] = json!(version);
            let shown = app.patch(&path(id), &patch).await.expect(200);
            version += i32::from((&wanted, wanted_days) != (&model, days));
            assert_eq!(shown["version"], version, "{patch}");
            for field in FIELDS {
                let now = &shown["secrets"][field.wire_name()]["fingerprint"];
                let before = fingerprints
                    .insert(field, now.clone())
                    .unwrap_or(Value::Null);
                if wanted.get(&field) == model.get(&field) && before != Value::Null {
                    assert_eq!(*now, before, "{patch}");
                } else if *now != Value::Null {
                    assert_ne!(*now, before, "{patch}");
                }
            }
            (model, days) = (wanted, wanted_days);
        }
        let shown = app.get(&path(id)).await.expect(200);
        assert!(!shown.to_string().contains("CANARY"));
        let fields = |value: &Value| -> Vec<String> {
            value
                .as_object()
                .expect("secrets")
                .keys()
                .cloned()
                .collect()
        };
        let known: Vec<String> = fields(&json!(model));
        assert_eq!(fields(&shown["secrets"]), known);
        let leased = lease(&app, id).await.expect("opens").expect("a crawler");
        let opened: BTreeMap<SecretField, String> = leased
            .secrets
            .keys()
            .map(|field| {
                (
                    *field,
                    value_of(&leased, *field).expect("a secret").to_owned(),
                )
            })
            .collect();
        assert_eq!((opened, leased.version), (model.clone(), version));
    }
}
