use std::time::Duration;

use graph_sim::{RetryAfterForm, SimOptions, TenantSpec, Throttle};

use crate::client::{start, start_default, unlimited};

const LONG: Duration = Duration::from_secs(600);

fn limited(throttle: Throttle) -> SimOptions {
    SimOptions {
        throttle,
        ..unlimited()
    }
}

#[tokio::test]
async fn requests_are_charged_by_the_price_list() {
    let (simulator, client) = start_default().await;
    let group = simulator.truth().groups[0].id;
    for (path, units) in [
        ("/v1.0/users".to_owned(), "2"),
        ("/v1.0/users?$select=id".to_owned(), "1"),
        (
            "/v1.0/users?$select=id&$expand=manager($select=id)".to_owned(),
            "2",
        ),
        (format!("/v1.0/groups/{group}/members"), "3"),
        (
            format!("/v1.0/groups/{group}/members?$select=id&$top=999"),
            "2",
        ),
        (format!("/v1.0/groups/{group}/owners"), "1"),
        (format!("/v1.0/groups/{group}/transitiveMembers"), "5"),
        ("/v1.0/subscribedSkus".to_owned(), "3"),
    ] {
        assert_eq!(
            client.get(&path).await.header("x-ms-resource-unit"),
            Some(units),
            "{path}"
        );
    }
    assert_eq!(simulator.stats().resource_units, 19);
    simulator.stop().await;
}

#[tokio::test]
async fn the_limit_is_announced_then_enforced_then_lifted() {
    let (simulator, client) =
        start(&TenantSpec::default(), limited(Throttle::units(10, LONG))).await;
    for spent in 1..=10 {
        let answer = client.get("/v1.0/organization").await;
        assert_eq!(answer.status, 200);
        let announced = answer.header("x-ms-throttle-limit-percentage");
        assert_eq!(announced.is_some(), spent >= 8, "{spent} of 10");
    }
    let rejected = client.get("/v1.0/organization").await;
    assert_eq!(
        (rejected.status, rejected.code().as_str()),
        (429, "TooManyRequests")
    );
    assert!(rejected.header("x-ms-throttle-scope").is_some());
    assert_eq!(
        rejected.header("x-ms-throttle-information"),
        Some("ResourceUnitLimitExceeded")
    );
    let seconds: u64 = rejected
        .header("retry-after")
        .expect("it is told")
        .parse()
        .expect("whole seconds");
    assert!((1..=600).contains(&seconds));
    simulator.set_throttle(Throttle::off());
    assert_eq!(client.get("/v1.0/organization").await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn who_waits_as_told_gets_in_again() {
    let throttle = Throttle::units(3, Duration::from_millis(400));
    let (simulator, client) = start(&TenantSpec::default(), limited(throttle)).await;
    let mut rejections = 0;
    for _ in 0..8 {
        while client.get("/v1.0/organization").await.status == 429 {
            rejections += 1;
            assert!(rejections < 50, "waiting never helps");
            tokio::time::sleep(throttle.window).await;
        }
    }
    assert_eq!(simulator.stats().throttled, rejections);
    assert_eq!(simulator.stats().requests, 8 + rejections);
    simulator.stop().await;
}

#[tokio::test]
async fn the_wait_is_told_in_the_form_that_was_asked_for() {
    for form in [
        RetryAfterForm::Fractional,
        RetryAfterForm::HttpDate,
        RetryAfterForm::Absent,
    ] {
        let throttle = Throttle {
            retry_after: form,
            ..Throttle::units(1, LONG)
        };
        let (simulator, client) = start(&TenantSpec::default(), limited(throttle)).await;
        client.get("/v1.0/organization").await;
        let rejected = client.get("/v1.0/organization").await;
        assert_eq!(rejected.status, 429);
        let told = rejected.header("retry-after");
        match form {
            RetryAfterForm::Fractional => {
                let told = told.expect("it is told");
                assert!(
                    told.contains('.') && told.parse::<f64>().is_ok_and(|wait| wait > 0.0),
                    "{told}"
                );
            }
            RetryAfterForm::HttpDate => {
                let told = told.expect("it is told");
                assert!(chrono::DateTime::parse_from_rfc2822(told).is_ok(), "{told}");
            }
            _ => {
                assert_eq!(told, None);
                assert_eq!(
                    (
                        rejected.code().as_str(),
                        &rejected.json()["error"]["message"]
                    ),
                    ("UnknownError", &"".into())
                );
            }
        }
        simulator.stop().await;
    }
}

#[tokio::test]
async fn sign_in_activity_is_limited_on_its_own() {
    let throttle = Throttle {
        window: LONG,
        ..Throttle::on()
    };
    let (simulator, client) = start(&TenantSpec::default(), limited(throttle)).await;
    let path = "/v1.0/users?$select=id,signInActivity&$top=20";
    for _ in 0..5 {
        assert_eq!(client.get(path).await.status, 200);
    }
    assert_eq!(client.get(path).await.status, 429);
    assert_eq!(client.get("/v1.0/users?$select=id").await.status, 200);
    simulator.stop().await;
}
