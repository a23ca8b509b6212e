use std::collections::BTreeMap;
use std::time::Duration;

use graph_sim::{Profile, SimOptions, TenantSpec, Throttle};
use serde_json::Value;
use uuid::Uuid;

use crate::client::{Client, ask_token, form, http, id, ids, start, start_default, unlimited};

#[tokio::test]
async fn after_any_profile_a_calm_tenant_can_be_read() {
    let (simulator, _) = start(
        &TenantSpec::default(),
        SimOptions {
            time_scale: 1_000.0,
            token_lifetime: Duration::from_hours(1_000),
            ..unlimited()
        },
    )
    .await;
    for profile in Profile::ALL
        .iter()
        .copied()
        .chain((1..8).map(Profile::Mixed))
    {
        simulator.set_profile(profile);
        let client = Client::try_login(&simulator).await;
        if let Some(client) = client {
            for group in simulator.truth().groups.iter().take(2) {
                // Whatever happens is part of the profile.
                let _ = client
                    .try_get(&format!("/beta/groups/{}/owners", group.id))
                    .await;
            }
        }
        simulator.set_profile(Profile::Calm);
        let client = Client::login(&simulator).await;
        let users = client.all("/v1.0/users?$select=id&$top=50").await;
        assert_eq!(users.len(), simulator.truth().users.len(), "{profile}");
        let path = "/beta/roleManagement/directory/roleEligibilitySchedules";
        assert_eq!(client.get(path).await.status, 200, "{profile}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_flaky_tenant_fails_one_request_in_twenty_the_same_way_every_time() {
    let mut records = Vec::new();
    for _ in 0..2 {
        let (simulator, client) = start_default().await;
        simulator.set_profile(Profile::Flaky5);
        for turn in 0..600 {
            let _ = client
                .try_get(&format!("/v1.0/users?$top={}", 1 + turn % 30))
                .await;
        }
        let faults = simulator.stats().faults;
        let count: u64 = faults.values().sum();
        assert!((10..60).contains(&count), "{count} of 600");
        records.push(faults);
        simulator.stop().await;
    }
    assert_eq!(records[0], records[1]);
}

#[tokio::test]
async fn hostile_values_are_on_the_wire_as_they_are_in_the_truth() {
    let (simulator, client) = start(
        &TenantSpec::new(5, 120, 30, 20),
        SimOptions {
            profile: Profile::HostileValues,
            ..unlimited()
        },
    )
    .await;
    let path = "/v1.0/users?$top=999&$select=id,displayName,createdDateTime";
    let text = client.get(path).await.text;
    assert!(text.contains("\\ud83d"), "half a surrogate pair");
    assert!(serde_json::from_str::<Value>(&text).is_err());
    let page: Value =
        serde_json::from_str(&text.replace("\\ud83d", "\u{fffd}")).expect("else it is JSON");
    let shown: BTreeMap<Uuid, String> = page["value"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|user| {
            let name = user["displayName"].as_str().expect("a name");
            (id(user), name.to_owned())
        })
        .collect();
    let truth: BTreeMap<Uuid, String> = simulator
        .truth()
        .users
        .into_iter()
        .map(|user| (user.id, user.display_name))
        .collect();
    assert_eq!(shown, truth);
    for part in ["\u{0}", "\u{202e}", "\u{1f469}", "\u{fffd}"] {
        assert!(truth.values().any(|name| name.contains(part)), "{part:?}");
    }
    for year in [
        "\"0001-01-01T00:00:00Z\"",
        "\"9999-12-31T23:59:59.9999999Z\"",
    ] {
        assert!(text.contains(year), "{year}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn licences_and_permissions_come_and_go_with_their_profiles() {
    let (simulator, client) = start_default().await;
    let pim = "/beta/roleManagement/directory/roleEligibilitySchedules";
    simulator.set_profile(Profile::MissingLicence);
    assert_eq!(client.get(pim).await.code(), "AadPremiumLicenseRequired");
    assert_eq!(simulator.stats().faults["missing licence"], 1);
    simulator.set_profile(Profile::PartialPermissions);
    assert_eq!(client.get(pim).await.status, 401, "old tokens are void");
    let client = Client::login(&simulator).await;
    assert_eq!(client.get(pim).await.code(), "Authorization_RequestDenied");
    simulator.set_profile(Profile::Calm);
    let client = Client::login(&simulator).await;
    assert_eq!(client.get(pim).await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn calls_are_capped_whatever_they_cost() {
    let throttle = Throttle {
        calls_per_second: Some(3),
        window: Duration::from_hours(1),
        ..Throttle::off()
    };
    // A second lasts a hundred: the test is over before it is.
    let (simulator, client) = start(
        &TenantSpec::default(),
        SimOptions {
            throttle,
            time_scale: 0.01,
            ..SimOptions::default()
        },
    )
    .await;
    let urls: Vec<String> = vec!["/users?$top=1".to_owned(); 20];
    assert_eq!(client.batch("v1.0", &urls).await.status, 200);
    for status in [200, 200, 429] {
        assert_eq!(client.get("/v1.0/users?$top=1").await.status, status);
    }
    simulator.stop().await;
}

#[tokio::test]
async fn the_time_scale_divides_what_is_told_to_wait_and_to_live() {
    let (simulator, client) = start(
        &TenantSpec::default(),
        SimOptions {
            throttle: Throttle::units(2, Duration::from_secs(100_000)),
            time_scale: 10_000.0,
            token_lifetime: Duration::from_secs(2_000_000),
            ..SimOptions::default()
        },
    )
    .await;
    let form = form(
        &simulator.client_id().to_string(),
        simulator.client_secret(),
    );
    let token = ask_token(&simulator, &simulator.tenant_id().to_string(), &form).await;
    assert_eq!(token.json()["expires_in"], 200);
    let mut refused = None;
    while refused.is_none() {
        let answer = client.get("/v1.0/groups").await;
        refused = answer.header("retry-after").map(str::to_owned);
    }
    let seconds: f64 = refused.expect("just seen").parse().expect("a number");
    assert!(seconds > 0.0 && seconds <= 10.0, "{seconds}");
    simulator.stop().await;
}

#[tokio::test]
async fn the_foreign_host_shows_an_object_that_no_tenant_has() {
    let (simulator, _) = start_default().await;
    let url = format!("{}/v1.0/users", simulator.foreign_url());
    let page: Value = serde_json::from_str(
        &http()
            .get(url)
            .send()
            .await
            .expect("it answers")
            .text()
            .await
            .expect("the body arrives"),
    )
    .expect("it is JSON");
    let shown = ids(page["value"].as_array().expect("a list"));
    let users = simulator.truth().users;
    assert!(users.iter().all(|user| !shown.contains(&user.id)));
    assert!(!simulator.foreign_requests()[0].has_token);
    simulator.stop().await;
}
