//! A Graph that answers with pages of the test's making (B17, B19): whatever it sends, the crawl ends, and nothing that was
//! not read in full is taken for read.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Response, header},
};
use contract::CollectionStatus;
use crawler_entra::CrawlConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::support::{Bench, line, unlimited};

type Answer = Box<dyn Fn() -> Response<Body> + Send + Sync>;

/// What is answered at which address, whose `GRAPH` stands for this Graph's own.
struct Pages {
    answers: BTreeMap<String, Answer>,
    asked: AtomicU64,
}

fn page(value: &Value) -> Answer {
    let text = value.to_string();
    Box::new(move || Response::new(text.clone().into()))
}

/// Starts a Graph; `pages` gets its address.
async fn graph(pages: impl FnOnce(&str) -> BTreeMap<String, Answer>) -> (String, Arc<Pages>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let pages = Arc::new(Pages {
        answers: pages(&address),
        asked: AtomicU64::new(0),
    });
    let router = Router::new().fallback(answer).with_state(pages.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, pages)
}

async fn answer(State(pages): State<Arc<Pages>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path.ends_with("/token") {
        return page(&json!({"access_token": "CANARY.token.value", "expires_in": 3600}))();
    }
    if path.ends_with("/organization") {
        return page(&json!({"value": [{"id": Uuid::from_u128(9), "displayName": "Hostile"}]}))();
    }
    if path.ends_with("/$batch") {
        let body = axum::body::to_bytes(request.into_body(), 1_000_000).await;
        return batch(&pages, &body.expect("a body")).await;
    }
    // A page is known by its path, and later pages by their token too.
    let token = request.uri().query().and_then(|query| {
        query
            .split('&')
            .find_map(|part| part.strip_prefix("$skiptoken="))
    });
    let key = token.map_or(path.clone(), |token| format!("{path}?{token}"));
    pages.asked.fetch_add(1, Ordering::SeqCst);
    pages
        .answers
        .get(&key)
        .map_or_else(|| page(&json!({"value": []}))(), |answer| answer())
}

/// Each part gets what its address would get alone.
async fn batch(pages: &Pages, body: &Bytes) -> Response<Body> {
    let asked: Value = serde_json::from_slice(body).expect("a batch");
    let mut responses = Vec::new();
    for part in asked["requests"].as_array().expect("parts") {
        let url = part["url"].as_str().expect("an address");
        let path = url.split('?').next().expect("a path");
        pages.asked.fetch_add(1, Ordering::SeqCst);
        let found = pages.answers.iter().find(|(key, _)| key.ends_with(path));
        let body = match found {
            Some((_, answer)) => {
                let body = axum::body::to_bytes(answer().into_body(), 1_000_000).await;
                serde_json::from_slice(&body.expect("a body")).expect("a page")
            }
            None => json!({"value": []}),
        };
        responses.push(json!({"id": part["id"], "status": 200, "body": body}));
    }
    page(&json!({"responses": responses}))()
}

fn config(bench: &Bench, graph: &str) -> CrawlConfig {
    let mut config = bench.config();
    config.graph.base_url = graph.parse().expect("url");
    config.graph.login_base_url = config.graph.base_url.clone();
    config.selection.service_principals = false;
    config.selection.resources = false;
    config.selection.assignments = false;
    config.selection.pim = false;
    config.selection.governance = false;
    config.selection.contexts = false;
    config.selection.sign_ins = false;
    config.tuning.max_body_bytes = 100_000;
    config
}

fn user(n: u128) -> Value {
    json!({"id": Uuid::from_u128(n), "displayName": format!("Ada {n}"), "userPrincipalName": format!("ada{n}@x"),
           "mail": null, "userType": "Member", "accountEnabled": true, "department": "Tax"})
}

#[tokio::test]
async fn pages_that_lead_back_over_others_end_and_are_incomplete() {
    let bench = Bench::start(unlimited()).await;
    let (address, pages) = graph(|address| {
        let link = |to: &str| format!("{address}/v1.0/users?$skiptoken={to}");
        let to =
            |n: u128, to: &str| page(&json!({"value": [user(n)], "@odata.nextLink": link(to)}));
        BTreeMap::from([
            ("/v1.0/users".to_owned(), to(1, "a")),
            ("/v1.0/users?a".to_owned(), to(2, "b")),
            ("/v1.0/users?b".to_owned(), to(3, "a")),
        ])
    })
    .await;
    let report = bench.crawl(config(&bench, &address)).await;
    let users = line(&report, "users");
    assert_eq!(users.status, CollectionStatus::Failed);
    assert!(users.failures[0].reason.contains("does not advance"));
    assert!(pages.asked.load(Ordering::SeqCst) < 50, "it gives up soon");
    let session = bench
        .register
        .session("principals", &[("principalType", "User")]);
    assert!(!session.completeness.expect("committed").complete);
    bench.stop().await;
}

#[tokio::test]
async fn an_endless_or_packed_or_foreign_body_is_no_list() {
    let bench = Bench::start(unlimited()).await;
    let answers: [fn() -> Response<Body>; 3] = [
        // Its length is not declared, and it has no end.
        || {
            Response::new(Body::from_stream(ReaderStream::new(tokio::io::repeat(
                b' ',
            ))))
        },
        // Nobody asked for a compressed answer.
        || {
            let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".repeat(1_000);
            let mut answer = Response::new(Body::from(packed));
            answer
                .headers_mut()
                .insert(header::CONTENT_ENCODING, "gzip".parse().expect("a value"));
            answer
        },
        || {
            let mut answer = Response::new(Body::from("<html>sign in again</html>"));
            answer.headers_mut().insert(
                header::CONTENT_TYPE,
                "application/json".parse().expect("a value"),
            );
            answer
        },
    ];
    for answer in answers {
        let (address, _) = graph(|_| {
            let answer: Answer = Box::new(answer);
            BTreeMap::from([("/v1.0/users".to_owned(), answer)])
        })
        .await;
        let report = bench.crawl(config(&bench, &address)).await;
        assert_eq!(line(&report, "users").status, CollectionStatus::Failed);
    }
    assert!(bench.register.sessions().is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn a_page_with_fewer_fields_clears_nothing_and_makes_the_list_incomplete() {
    let bench = Bench::start(unlimited()).await;
    let (address, _) = graph(|address| {
        let next = format!("{address}/v1.0/users?$skiptoken=2");
        let poor = json!({"id": Uuid::from_u128(2), "displayName": "Bo", "userPrincipalName": "bo@x", "mail": null});
        BTreeMap::from([
            (
                "/v1.0/users".to_owned(),
                page(&json!({"value": [user(1)], "@odata.nextLink": next})),
            ),
            ("/v1.0/users?2".to_owned(), page(&json!({"value": [poor]}))),
        ])
    })
    .await;
    let report = bench.crawl(config(&bench, &address)).await;
    assert_eq!(line(&report, "users").status, CollectionStatus::Failed);
    let session = bench
        .register
        .session("principals", &[("principalType", "User")]);
    let sent: Vec<&Value> = session.records().map(|record| &record["id"]).collect();
    assert_eq!(
        sent,
        [&json!(Uuid::from_u128(1))],
        "the poor one is not posted"
    );
    assert!(!session.completeness.expect("committed").complete);
    bench.stop().await;
}

/// Members of the one group; `CADASTRE_TEST_SIZE=100` makes them 200,000.
fn member_pages() -> u128 {
    let size =
        std::env::var("CADASTRE_TEST_SIZE").map_or(1, |size| size.parse().expect("a number"));
    20 * size
}

/// The pages of a group's members: a hundred each, and one more that each page repeats from the one before. `ends` is how
/// the last page ends.
fn group_with_members(address: &str, ends: Answer) -> BTreeMap<String, Answer> {
    let group = Uuid::from_u128(7);
    let path = format!("/v1.0/groups/{group}/members").replace("/v1.0/", "/beta/");
    let pages = member_pages();
    let list = json!({"value": [{"id": group, "displayName": "Everybody", "securityEnabled": true, "groupTypes": [],
                                 "mailEnabled": false, "visibility": null, "isAssignableToRole": null}]});
    let mut answers = BTreeMap::from([("/v1.0/groups".to_owned(), page(&list))]);
    for number in 0..pages {
        let members: Vec<Value> = ((number * 100).saturating_sub(1)..(number + 1) * 100)
            .map(|n| json!({"@odata.type": "#microsoft.graph.user", "id": Uuid::from_u128(1_000 + n)}))
            .collect();
        let key = if number == 0 {
            path.clone()
        } else {
            format!("{path}?{number}")
        };
        let next = format!("{address}{path}?$skiptoken={}", number + 1);
        answers.insert(
            key,
            page(&json!({"value": members, "@odata.nextLink": next})),
        );
    }
    answers.insert(format!("{path}?{pages}"), ends);
    answers
}

async fn crawl_members(bench: &Bench, ends: Answer) -> (CollectionStatus, crate::support::Session) {
    let (address, _) = graph(|address| group_with_members(address, ends)).await;
    let mut config = config(bench, &address);
    config.selection.principals = false;
    config.selection.resources = true;
    config.selection.assignments = true;
    let report = bench.crawl(config).await;
    let session = bench.register.session(
        "resource-assignments",
        &[("assignmentType", "Direct"), ("resourceType", "EntraGroup")],
    );
    (line(&report, "group members").status, session)
}

#[tokio::test]
async fn a_member_on_several_of_many_pages_is_sent_once() {
    let bench = Bench::start(unlimited()).await;
    let (status, session) = crawl_members(&bench, page(&json!({"value": []}))).await;
    assert_eq!(status, CollectionStatus::Complete);
    let members: std::collections::BTreeSet<&str> = session
        .records()
        .map(|record| record["principalId"].as_str().expect("an id"))
        .collect();
    assert_eq!(members.len() as u128, member_pages() * 100);
    assert_eq!(session.records().count(), members.len());
    let completeness = session.completeness.clone().expect("committed");
    assert!(completeness.complete && completeness.incomplete_parents.is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn a_group_whose_last_page_fails_is_named_and_keeps_its_members() {
    let bench = Bench::start(unlimited()).await;
    let broken: Answer = Box::new(|| {
        let mut answer =
            Response::new(Body::from("{\"error\":{\"code\":\"InternalServerError\"}}"));
        *answer.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        answer
    });
    let (status, session) = crawl_members(&bench, broken).await;
    assert_eq!(status, CollectionStatus::Partial);
    let completeness = session.completeness.expect("committed");
    assert!(completeness.complete);
    assert_eq!(completeness.incomplete_parents, [Uuid::from_u128(7)]);
    bench.stop().await;
}
