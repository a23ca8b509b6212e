//! The token and the secrets stay where they belong.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, extract::State, http::HeaderMap};
use contract::{CollectionStatus, RunOutcome};
use crawler_entra::{CrawlError, config::Credential, crawl, progress::Quiet};
use graph_sim::{Fault, RoutePattern};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{API_KEY, Bench, line, unlimited};

/// A host that counts its visitors and those among them that bring a token.
async fn other_host() -> (String, Arc<AtomicU64>) {
    async fn visit(State(visits): State<Arc<AtomicU64>>, _headers: HeaderMap) -> &'static str {
        visits.fetch_add(1, Ordering::SeqCst);
        "{\"value\":[]}"
    }
    let visits = Arc::new(AtomicU64::new(0));
    let router = Router::new().fallback(visit).with_state(visits.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, visits)
}

/// A Graph that answers users with what the test wants and nothing else.
async fn hostile_graph(users: axum::response::Response<String>) -> String {
    let users = Arc::new(users);
    let token = json!({"access_token": "CANARY.token.value", "expires_in": 3600}).to_string();
    let organization =
        json!({"value": [{"id": uuid::Uuid::from_u128(9), "displayName": "Hostile"}]});
    let router = Router::new()
        .route(
            "/{tenant}/oauth2/v2.0/token",
            axum::routing::post(move || async move { token }),
        )
        .route(
            "/v1.0/organization",
            axum::routing::get(move || async move { organization.to_string() }),
        )
        .route(
            "/v1.0/users",
            axum::routing::get(move || {
                let (mut parts, body) =
                    axum::http::Response::new(users.body().clone()).into_parts();
                parts.status = users.status();
                parts.headers = users.headers().clone();
                async move { axum::http::Response::from_parts(parts, body) }
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn crawl_users_of(bench: &Bench, graph: &str) -> contract::RunReport {
    let mut config = bench.config();
    config.graph.base_url = graph.parse().expect("url");
    config.graph.login_base_url = config.graph.base_url.clone();
    config.selection.service_principals = false;
    config.selection.resources = false;
    config.selection.assignments = false;
    config.selection.pim = false;
    config.tuning.max_body_bytes = 100_000;
    bench.crawl(config).await
}

#[tokio::test]
async fn a_next_link_to_another_host_is_not_visited() {
    let (other, visits) = other_host().await;
    let bench = Bench::start(unlimited()).await;
    let evil_port = other.rsplit(':').next().expect("port");
    for link in [
        format!("{other}/v1.0/users?$skiptoken=x"),
        format!("http://127.0.0.1@127.0.0.1:{evil_port}/v1.0/users"),
        format!("http://localhost:{evil_port}/v1.0/users"),
    ] {
        let page = json!({"value": [], "@odata.nextLink": link}).to_string();
        let graph = hostile_graph(axum::http::Response::new(page)).await;
        let report = crawl_users_of(&bench, &graph).await;
        assert_eq!(
            line(&report, "users").status,
            CollectionStatus::Failed,
            "{link}"
        );
        assert!(
            line(&report, "users").failures[0]
                .reason
                .contains("next link"),
            "{link}"
        );
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
    bench.stop().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (other, visits) = other_host().await;
    let bench = Bench::start(unlimited()).await;
    let redirect = axum::http::Response::builder()
        .status(302)
        .header("location", format!("{other}/v1.0/users"))
        .body(String::new())
        .expect("a response");
    let report = crawl_users_of(&bench, &hostile_graph(redirect).await).await;
    assert_eq!(line(&report, "users").status, CollectionStatus::Failed);
    assert_eq!(visits.load(Ordering::SeqCst), 0);
    bench.stop().await;
}

#[tokio::test]
async fn an_oversized_or_meaningless_answer_is_no_empty_list() {
    let bench = Bench::start(unlimited()).await;
    for body in [
        format!("{{\"value\":[\"{}\"]}}", "x".repeat(200_000)),
        "<html>maintenance</html>".to_owned(),
        "{}".to_owned(),
        "{\"value\":{}}".to_owned(),
    ] {
        let graph = hostile_graph(axum::http::Response::new(body.clone())).await;
        let report = crawl_users_of(&bench, &graph).await;
        assert_eq!(
            report.outcome,
            RunOutcome::Failed,
            "{}",
            &body[..10.min(body.len())]
        );
    }
    assert!(bench.register.sessions().is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn objects_without_the_properties_asked_for_are_not_posted_and_make_the_list_incomplete() {
    let bench = Bench::start(unlimited()).await;
    let page = json!({"value": [
        {"id": uuid::Uuid::from_u128(1), "displayName": "Full", "userPrincipalName": "full@x", "userType": "Member",
         "accountEnabled": true, "department": null},
        {"id": uuid::Uuid::from_u128(2)},
        "no object"
    ]});
    let report = crawl_users_of(
        &bench,
        &hostile_graph(axum::http::Response::new(page.to_string())).await,
    )
    .await;
    assert_eq!(line(&report, "users").status, CollectionStatus::Failed);
    let session = bench
        .register
        .session("principals", &[("principalType", "User")]);
    assert_eq!(session.records().count(), 1);
    assert!(!session.completeness.expect("committed").complete);
    bench.stop().await;
}

#[tokio::test]
async fn secrets_appear_in_no_error_event_or_report() {
    let bench = Bench::start(unlimited()).await;
    let mut everything = String::new();

    // A wrong secret, and a sign-in endpoint that echoes what it got.
    let mut config = bench.config();
    config.graph.credential = Credential::Secret("CANARY_client_secret".to_owned().into());
    let report = bench.crawl(config.clone()).await;
    assert_eq!(report.outcome, RunOutcome::Failed);
    let message = report.message.clone().expect("a reason");
    assert!(message.contains("AADSTS7000215"), "{message}");
    let token_route = RoutePattern::Suffix("/oauth2/v2.0/token".to_owned());
    let echo = Fault::status(token_route, 400, "echo CANARY_client_secret");
    bench.simulator.faults().add(echo);
    let echoed = bench.crawl(config.clone()).await;
    bench.simulator.faults().clear();
    let _ = write!(everything, "{report:?} {echoed:?}");

    // A refusal whose code repeats what was sent.
    let users = RoutePattern::Exact("/users".to_owned());
    let denied = Fault::status(users, 403, "CANARY Bearer token");
    bench.simulator.faults().add(denied);
    let refused = bench.crawl(bench.config()).await;
    let _ = write!(everything, "{refused:?}");

    // A register that does not know the key.
    let mut config = bench.config();
    let register = config.register.as_mut().expect("a register");
    register.api_key = "fgc_CANARY_other".to_owned().into();
    let error = crawl(config.clone(), Arc::new(Quiet), CancellationToken::new())
        .await
        .expect_err("refused");
    assert!(matches!(error, CrawlError::Register { .. }), "{error:?}");
    let _ = write!(everything, "{error} {error:?} {config:?}");

    let events = format!("{:?}", bench.events.lock().expect("events"));
    let reports = format!("{:?}", bench.register.reports());
    everything.push_str(&events);
    everything.push_str(&reports);
    for secret in ["CANARY", API_KEY, bench.simulator.client_secret()] {
        assert!(!everything.contains(secret), "{secret} leaked");
    }
    bench.stop().await;
}
