use std::collections::BTreeSet;
use std::time::Duration;

use graph_sim::{Fault, FaultAction, RoutePattern, SimOptions, TenantSpec, Throttle};
use serde_json::{Value, json};

use crate::client::{start, start_default, unlimited};

fn responses(answer: &Value) -> Vec<Value> {
    answer["responses"]
        .as_array()
        .expect("a batch has responses")
        .clone()
}

fn by_id<'a>(responses: &'a [Value], id: &str) -> &'a Value {
    responses
        .iter()
        .find(|response| response["id"] == id)
        .expect("it is answered")
}

#[tokio::test]
async fn every_part_is_answered_once_and_in_another_order() {
    let (simulator, client) = start_default().await;
    let urls: Vec<String> = simulator
        .truth()
        .groups
        .iter()
        .take(20)
        .map(|group| format!("/groups/{}/members?$select=id&$top=999", group.id))
        .collect();
    let answer = client.batch("beta", &urls).await;
    assert_eq!(answer.status, 200);
    let responses = responses(&answer.json());
    let order: Vec<usize> = responses
        .iter()
        .map(|part| {
            part["id"]
                .as_str()
                .expect("text")
                .parse()
                .expect("a number")
        })
        .collect();
    assert_eq!(
        order.iter().copied().collect::<BTreeSet<_>>(),
        (0..20).collect()
    );
    assert_ne!(order, (0..20).collect::<Vec<_>>());
    assert!(
        responses
            .iter()
            .all(|part| part["status"] == 200 && part["body"]["value"].is_array())
    );
    assert!(
        responses
            .iter()
            .all(|part| part["headers"]["x-ms-resource-unit"] == "2")
    );
    let stats = simulator.stats();
    assert_eq!(
        (stats.http_calls, stats.requests, stats.resource_units),
        (1, 20, 40)
    );
    assert_eq!(stats.routes["/groups/{id}/members"].requests, 20);
    simulator.stop().await;
}

#[tokio::test]
async fn too_many_parts_or_repeated_ids_fail_the_whole_batch() {
    let (simulator, client) = start_default().await;
    let urls = vec!["/users?$top=1".to_owned(); 21];
    let too_many = client.batch("v1.0", &urls).await;
    assert_eq!(
        (too_many.status, too_many.code().as_str()),
        (400, "BadRequest")
    );
    let part = |id: &str| json!({"id": id, "method": "GET", "url": "/users?$top=1"});
    let twice = client
        .post("/v1.0/$batch", &json!({"requests": [part("a"), part("A")]}))
        .await;
    assert_eq!((twice.status, twice.code().as_str()), (400, "BadRequest"));
    assert_eq!(
        client
            .post("/v1.0/$batch", &json!({"requests": []}))
            .await
            .status,
        400
    );
    assert_eq!(simulator.stats().requests, 0);
    simulator.stop().await;
}

#[tokio::test]
async fn parts_fail_alone_and_pages_go_on_outside_the_batch() {
    let (simulator, client) = start_default().await;
    let urls = [
        "/users?$select=id&$top=50",
        "/nowhere",
        "/groups/00000000-0000-4000-8000-000000000000",
    ]
    .map(str::to_owned);
    let responses = responses(&client.batch("v1.0", &urls).await.json());
    assert_eq!(by_id(&responses, "1")["status"], 404);
    assert_eq!(
        by_id(&responses, "2")["body"]["error"]["code"],
        "Request_ResourceNotFound"
    );
    let page = &by_id(&responses, "0")["body"];
    let mut users = page["value"].as_array().expect("a list").len();
    users += client
        .all(page["@odata.nextLink"].as_str().expect("there is more"))
        .await
        .len();
    assert_eq!(users, simulator.truth().users.len());
    simulator.stop().await;
}

#[tokio::test]
async fn parts_are_throttled_on_their_own() {
    let options = SimOptions {
        throttle: Throttle::units(10, Duration::from_secs(60)),
        ..unlimited()
    };
    let (simulator, client) = start(&TenantSpec::default(), options).await;
    let urls = vec!["/users?$select=id&$top=100".to_owned(); 20];
    let responses = responses(&client.batch("v1.0", &urls).await.json());
    let rejected: Vec<&Value> = responses
        .iter()
        .filter(|part| part["status"] == 429)
        .collect();
    assert_eq!(rejected.len(), 10);
    for part in rejected {
        let wait: u64 = part["headers"]["Retry-After"]
            .as_str()
            .expect("it is told")
            .parse()
            .expect("seconds");
        assert!((1..=60).contains(&wait));
        assert_eq!(part["body"]["error"]["code"], "TooManyRequests");
    }
    assert_eq!(simulator.stats().throttled, 10);
    simulator.stop().await;
}

#[tokio::test]
async fn a_part_can_be_left_out_and_a_dependent_part_fails_with_it() {
    let (simulator, client) = start_default().await;
    let omitted = RoutePattern::Exact("/organization".to_owned());
    simulator
        .faults()
        .add(Fault::new(omitted, FaultAction::OmitFromBatch));
    let body = json!({"requests": [
        {"id": "gone", "method": "GET", "url": "/organization"},
        {"id": "bad", "method": "GET", "url": "/nowhere"},
        {"id": "late", "method": "GET", "url": "/users?$top=1", "dependsOn": ["bad"]},
        {"id": "post", "method": "POST", "url": "/directoryObjects/getByIds?$select=id", "body": {"ids": []},
         "headers": {"Content-Type": "application/json"}},
    ]});
    let responses = responses(&client.post("/v1.0/$batch", &body).await.json());
    assert_eq!(responses.len(), 3);
    assert_eq!(by_id(&responses, "late")["status"], 424);
    assert_eq!(by_id(&responses, "post")["status"], 200);
    simulator.stop().await;
}
