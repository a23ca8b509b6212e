//! Faults that bend an answer rather than replace it.

use std::collections::BTreeSet;
use std::time::Duration;

use graph_sim::{Fault, FaultAction, RoutePattern};
use serde_json::Value;

use crate::client::{Answer, Client, id, ids, start_default};

fn users() -> RoutePattern {
    RoutePattern::Exact("/users".to_owned())
}

fn next(page: &Answer) -> String {
    page.json()["@odata.nextLink"]
        .as_str()
        .expect("there is more")
        .to_owned()
}

const SMALL: &str = "/v1.0/users?$select=id&$top=10";

#[tokio::test]
async fn a_slow_body_arrives_whole() {
    let (simulator, client) = start_default().await;
    let whole = client.get(SMALL).await.text;
    let slow = FaultAction::SlowBody {
        parts: 4,
        pause: Duration::from_millis(5),
    };
    simulator.faults().add(Fault::new(users(), slow).times(1));
    let answer = client.get(SMALL).await;
    assert_eq!(answer.text, whole);
    assert!(answer.header("content-length").is_none(), "it is streamed");
    assert_eq!(simulator.stats().faults["slow body"], 1);
    simulator.stop().await;
}

#[tokio::test]
async fn pages_lead_in_a_circle() {
    let (simulator, client) = start_default().await;
    let cycle = Fault::new(users(), FaultAction::CyclePages);
    simulator.faults().add(cycle);
    let first = client.get(SMALL).await;
    let second_link = next(&first);
    let second = client.get(&second_link).await;
    let back = next(&second);
    assert!(!back.contains("skiptoken"), "{back}");
    assert_eq!(next(&client.get(&back).await), second_link);
    simulator.stop().await;
}

#[tokio::test]
async fn objects_come_again_on_the_next_page() {
    let (simulator, client) = start_default().await;
    let repeat = Fault::new(users(), FaultAction::RepeatItems);
    simulator.faults().add(repeat);
    let shown = client.all(SMALL).await;
    let truth: BTreeSet<_> = simulator.truth().users.iter().map(|user| user.id).collect();
    assert_eq!(ids(&shown), truth);
    assert!(shown.len() > truth.len());
    simulator.stop().await;
}

#[tokio::test]
async fn a_token_that_is_taken_abroad_is_noticed() {
    let (simulator, client) = start_default().await;
    let foreign = simulator.foreign_url();
    let abroad = Fault::new(users(), FaultAction::ForeignLink).times(1);
    simulator.faults().add(abroad);
    let link = next(&client.get(SMALL).await);
    assert!(link.starts_with(&foreign), "{link}");
    assert_eq!(simulator.foreign_requests(), []);
    client.get(&link).await;
    let leaked = simulator.foreign_requests();
    assert_eq!(leaked.len(), 1);
    assert!(leaked[0].has_token);
    assert!(foreign.ends_with(&leaked[0].host));
    let home = simulator.received();
    let token = home.iter().filter(|call| !call.has_token).count();
    assert_eq!(token, 1, "only the request for the token came without one");
    assert!(
        home.iter()
            .all(|call| simulator.base_url().ends_with(&call.host))
    );
    simulator.stop().await;
}

#[tokio::test]
async fn a_redirect_leads_abroad_without_the_token_of_a_careful_client() {
    let (simulator, client) = start_default().await;
    let redirect = Fault::new(users(), FaultAction::RedirectAbroad).times(1);
    simulator.faults().add(redirect);
    client.get(SMALL).await;
    let followed = simulator.foreign_requests();
    assert_eq!(followed.len(), 1);
    assert!(!followed[0].has_token);
    simulator.stop().await;
}

async fn pages_until_refused(client: &Client) -> usize {
    let mut page = client.get(SMALL).await;
    let mut read = 1;
    loop {
        page = client.get(&next(&page)).await;
        if page.status != 200 {
            assert_eq!(page.code(), "Directory_ExpiredPageToken");
            return read;
        }
        read += 1;
    }
}

#[tokio::test]
async fn page_tokens_expire_after_some_pages_or_some_time() {
    let (simulator, client) = start_default().await;
    let expire = |after_pages, after| {
        let action = FaultAction::ExpirePageTokens { after_pages, after };
        Fault::new(users(), action).times(1)
    };
    simulator.faults().add(expire(Some(3), None));
    assert_eq!(pages_until_refused(&client).await, 3);
    let shown = client.all(SMALL).await;
    assert_eq!(shown.len(), simulator.truth().users.len());
    simulator.faults().add(expire(None, Some(Duration::ZERO)));
    assert_eq!(pages_until_refused(&client).await, 1);
    simulator.stop().await;
}

#[tokio::test]
async fn a_member_can_be_of_a_type_nobody_knows() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let group = truth.members[0].group_id;
    let members = RoutePattern::Suffix("/members".to_owned());
    simulator
        .faults()
        .add(Fault::new(members, FaultAction::UnknownType));
    let shown = client.all(&format!("/beta/groups/{group}/members")).await;
    let known: BTreeSet<_> = truth
        .members
        .iter()
        .filter(|link| link.group_id == group)
        .map(|link| link.member_id)
        .collect();
    let strangers: Vec<&Value> = shown
        .iter()
        .filter(|member| !known.contains(&id(member)))
        .collect();
    assert_eq!(strangers.len(), 1);
    assert_eq!(shown.len(), known.len() + 1);
    simulator.stop().await;
}

#[tokio::test]
async fn a_part_of_a_batch_can_be_answered_twice() {
    let (simulator, client) = start_default().await;
    let twice = Fault::new(users(), FaultAction::RepeatInBatch).inside_batches();
    simulator.faults().add(twice.times(1));
    assert_eq!(client.get(SMALL).await.status, 200);
    let urls = ["/users?$top=1", "/groups?$top=1"].map(str::to_owned);
    let answer = client.batch("v1.0", &urls).await.json();
    let mut named: Vec<&str> = answer["responses"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|part| part["id"].as_str())
        .collect();
    named.sort_unstable();
    assert_eq!(named, ["0", "0", "1"]);
    simulator.stop().await;
}

#[tokio::test]
async fn all_tokens_can_die_at_once() {
    let (simulator, client) = start_default().await;
    let dying = Fault::new(users(), FaultAction::ExpireTokens).times(1);
    simulator.faults().add(dying);
    for path in [SMALL, "/v1.0/groups"] {
        assert_eq!(client.get(path).await.code(), "InvalidAuthenticationToken");
    }
    let client = Client::login(&simulator).await;
    assert_eq!(client.get(SMALL).await.status, 200);
    simulator.stop().await;
}

#[tokio::test]
async fn a_permission_can_be_revoked_during_a_crawl() {
    let (simulator, client) = start_default().await;
    simulator.faults().add(Fault::revoked_after(users(), 2));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.get(SMALL).await.status);
    }
    assert_eq!(statuses, [200, 200, 403, 403]);
    simulator.stop().await;
}
