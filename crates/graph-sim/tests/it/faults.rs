use graph_sim::{Fault, FaultAction, FaultBody, RoutePattern};

use crate::client::{ask_token, form, start_default};

fn users() -> RoutePattern {
    RoutePattern::Prefix("/users".to_owned())
}

#[tokio::test]
async fn a_fault_hits_its_route_for_its_number_of_times() {
    let (simulator, client) = start_default().await;
    simulator.faults().add(
        Fault::status(users(), 503, "ServiceUnavailable")
            .retry_after("30")
            .times(2),
    );
    for _ in 0..2 {
        let answer = client.get("/v1.0/users").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "ServiceUnavailable")
        );
        assert_eq!(answer.header("retry-after"), Some("30"));
        assert_eq!(client.get("/v1.0/groups").await.status, 200);
    }
    assert_eq!(client.get("/v1.0/users").await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn one_object_can_be_poisoned_for_good() {
    let (simulator, client) = start_default().await;
    let groups = simulator.truth().groups;
    let poisoned = RoutePattern::Contains(groups[0].id.to_string());
    simulator.faults().add(Fault::html(poisoned, 500));
    for _ in 0..3 {
        let answer = client
            .get(&format!(
                "/beta/groups/{}/members",
                groups[0].id.to_string().to_uppercase()
            ))
            .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (500, Some("text/html"))
        );
    }
    assert_eq!(
        client
            .get(&format!("/beta/groups/{}/members", groups[1].id))
            .await
            .status,
        200
    );
    simulator.faults().clear();
    assert_eq!(
        client
            .get(&format!("/beta/groups/{}/members", groups[0].id))
            .await
            .status,
        200
    );
    simulator.stop().await;
}

#[tokio::test]
async fn a_list_and_a_whole_tenant_can_pretend_to_be_empty() {
    let (simulator, client) = start_default().await;
    simulator
        .faults()
        .add(Fault::new(users(), FaultAction::EmptyList).times(1));
    let empty = client.get("/v1.0/users?$top=1").await;
    assert!(empty.value().is_empty());
    assert!(empty.json().get("@odata.nextLink").is_none());
    assert!(!client.get("/v1.0/users").await.value().is_empty());
    simulator.faults().set_empty_tenant(true);
    for path in [
        "/v1.0/users",
        "/v1.0/groups",
        "/beta/roleManagement/directory/roleDefinitions",
    ] {
        assert!(client.get(path).await.value().is_empty(), "{path}");
    }
    simulator.faults().set_empty_tenant(false);
    assert!(!client.get("/v1.0/groups").await.value().is_empty());
    simulator.stop().await;
}

#[tokio::test]
async fn connections_break_before_and_within_the_answer() {
    let (simulator, client) = start_default().await;
    simulator
        .faults()
        .add(Fault::new(users(), FaultAction::ResetConnection).times(1));
    let error = client
        .try_get("/v1.0/users")
        .await
        .err()
        .expect("there is no answer");
    assert!(error.is_request(), "{error:?}");
    simulator
        .faults()
        .add(Fault::new(users(), FaultAction::TruncateBody).times(1));
    let error = client
        .try_get("/v1.0/users")
        .await
        .err()
        .expect("the answer breaks off");
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(client.get("/v1.0/users").await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn later_pages_can_fail_with_an_expired_token_or_lead_back_to_themselves() {
    let (simulator, client) = start_default().await;
    simulator.faults().add(
        Fault::status(users(), 400, "Directory_ExpiredPageToken")
            .on_later_pages()
            .times(1),
    );
    let first = client.get("/v1.0/users?$top=10&$select=id").await;
    let link = first.json()["@odata.nextLink"]
        .as_str()
        .expect("there is more")
        .to_owned();
    assert_eq!(client.get(&link).await.code(), "Directory_ExpiredPageToken");
    simulator
        .faults()
        .add(Fault::new(users(), FaultAction::RepeatPage).on_later_pages());
    let page = client.get(&link).await;
    assert_eq!(page.json()["@odata.nextLink"], link);
    simulator.stop().await;
}

#[tokio::test]
async fn a_batch_and_its_parts_can_be_struck() {
    let (simulator, client) = start_default().await;
    let whole = RoutePattern::Exact("/$batch".to_owned());
    let empty = FaultAction::Answer {
        status: 504,
        body: FaultBody::Empty,
        retry_after: None,
    };
    simulator.faults().add(Fault::new(whole, empty).times(1));
    let urls = ["/users?$top=1", "/groups?$top=1"].map(str::to_owned);
    let answer = client.batch("v1.0", &urls).await;
    assert_eq!((answer.status, answer.text.as_str()), (504, ""));
    simulator.faults().add(
        Fault::status(users(), 429, "TooManyRequests")
            .retry_after("7")
            .times(1),
    );
    let responses = client.batch("v1.0", &urls).await.json()["responses"]
        .as_array()
        .expect("a list")
        .clone();
    let users = responses
        .iter()
        .find(|part| part["id"] == "0")
        .expect("it is answered");
    let groups = responses
        .iter()
        .find(|part| part["id"] == "1")
        .expect("it is answered");
    assert_eq!(
        (&users["status"], &users["headers"]["Retry-After"]),
        (&429.into(), &"7".into())
    );
    assert_eq!(groups["status"], 200);
    simulator.stop().await;
}

#[tokio::test]
async fn the_token_endpoint_can_fail() {
    let (simulator, _) = start_default().await;
    let token = RoutePattern::Suffix("/oauth2/v2.0/token".to_owned());
    simulator.faults().add(Fault::html(token, 503).times(1));
    let form = form(
        &simulator.client_id().to_string(),
        simulator.client_secret(),
    );
    let tenant = simulator.tenant_id().to_string();
    assert_eq!(ask_token(&simulator, &tenant, &form).await.status, 503);
    assert_eq!(ask_token(&simulator, &tenant, &form).await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn the_log_tells_what_was_asked_and_answered() {
    let (simulator, client) = start_default().await;
    simulator.faults().add(Fault::html(users(), 502).times(1));
    client.get("/v1.0/users?$top=1").await;
    client.get("/beta/groups").await;
    let log = simulator.requests();
    assert_eq!(
        (log[0].path.as_str(), log[0].status, log[0].batch),
        ("/users", 502, None)
    );
    assert_eq!(
        (log[1].version.as_str(), log[1].path.as_str(), log[1].status),
        ("beta", "/groups", 200)
    );
    assert_eq!(simulator.stats().routes["/users"].errors, 1);
    simulator.reset_stats();
    assert_eq!(simulator.stats().requests, 0);
    simulator.stop().await;
}
