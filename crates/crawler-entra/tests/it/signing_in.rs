//! Every way of signing in, against an endpoint that looks closely, and what is said when it does not work.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use contract::RunOutcome;
use crawler_entra::{
    CrawlConfig, ProgressEvent, check,
    check::CheckError,
    config::{
        AssertionSource, ClientCertificate, Credential, ManagedIdentity, ManagedIdentityEndpoint,
        ManagedIdentityId,
    },
    crawl,
};
use graph_sim::{Fault, RoutePattern, SimOptions, sample};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, unlimited};

const TOKEN: &str = "/oauth2/v2.0/token";
const IMDS: &str = "/metadata/identity/oauth2/token";

fn certificate(files: &[&str]) -> Credential {
    let read = ClientCertificate::from_bytes(files.concat().as_bytes(), None, None);
    Credential::Certificate(read.expect("a usable certificate"))
}

fn token_file(folder: &Path, token: &str) -> Credential {
    let path = folder.join("token");
    std::fs::write(&path, token).expect("a file");
    Credential::Federated(AssertionSource::File(path))
}

fn imds(bench: &Bench, id: Option<ManagedIdentityId>) -> Credential {
    let base = bench.simulator.base_url().parse().expect("url");
    Credential::ManagedIdentity(ManagedIdentity {
        id,
        endpoint: ManagedIdentityEndpoint::Imds(base),
    })
}

fn app_service(bench: &Bench) -> Credential {
    let (url, header) = bench.simulator.identity_endpoint();
    Credential::ManagedIdentity(ManagedIdentity {
        id: None,
        endpoint: ManagedIdentityEndpoint::AppService {
            url: url.parse().expect("url"),
            header: header.into(),
        },
    })
}

fn by(bench: &Bench, credential: Credential) -> CrawlConfig {
    let mut config = bench.config();
    config.graph.credential = credential;
    config
}

/// What a check says about a sign-in that must fail.
async fn refused(config: &CrawlConfig) -> String {
    match check(config).await {
        Err(CheckError::SignIn(message)) => message,
        other => panic!("must be refused: {other:?}"),
    }
}

#[tokio::test]
async fn every_way_of_signing_in_gets_a_token_that_graph_takes() {
    let bench = Bench::start(unlimited()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let assertion = sample::federated_assertion(sample::SUBJECT, 600);
    for credential in [
        certificate(&[sample::CERTIFICATE, sample::KEY]),
        token_file(folder.path(), &format!("{assertion}\n")),
        imds(&bench, None),
        app_service(&bench),
    ] {
        let method = credential.method();
        let report = bench.crawl(by(&bench, credential)).await;
        assert_eq!(
            report.outcome,
            RunOutcome::Complete,
            "{method:?}: {:?}",
            report.message
        );
    }
    bench.stop().await;
}

#[tokio::test]
async fn what_entra_refuses_is_explained_by_its_number() {
    let bench = Bench::start(unlimited()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let now = chrono::Utc::now().timestamp();
    let foreign = sample::sign(
        &serde_json::json!({"alg": "RS256"}),
        &serde_json::json!({"iss": "https://elsewhere", "sub": sample::SUBJECT, "aud": sample::AUDIENCE, "exp": now + 60}),
        sample::OTHER_KEY,
    );
    let forged = sample::sign(
        &serde_json::json!({"alg": "RS256"}),
        &serde_json::json!({"iss": sample::ISSUER, "sub": sample::SUBJECT, "aud": sample::AUDIENCE, "exp": now + 60}),
        sample::KEY,
    );
    let file = |name: &str, token: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        token_file(&folder, token)
    };
    for (credential, code, advice) in [
        (
            Credential::Secret("CANARY".into()),
            "AADSTS7000215",
            "Graph.ClientSecret",
        ),
        (
            certificate(&[sample::OTHER_CERTIFICATE, sample::OTHER_KEY]),
            "AADSTS700027",
            "registered with the application",
        ),
        (
            file(
                "subject",
                &sample::federated_assertion("somebody else", 600),
            ),
            "AADSTS700213",
            "federated credential",
        ),
        (file("issuer", &foreign), "AADSTS700211", "issuer"),
        (file("forged", &forged), "AADSTS50013", "signature"),
        (
            file("expired", &sample::federated_assertion(sample::SUBJECT, -5)),
            "AADSTS700024",
            "expired",
        ),
    ] {
        let message = refused(&by(&bench, credential)).await;
        assert!(message.contains(code), "{code} in {message}");
        assert!(message.contains(advice), "{advice} in {message}");
        assert!(!message.contains("CANARY"), "{message}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn no_secret_that_the_endpoint_echoes_is_repeated() {
    let bench = Bench::start(unlimited()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let canary = "CANARYa.CANARYb.CANARYc";
    for credential in [
        Credential::Secret(canary.into()),
        token_file(folder.path(), canary),
        imds(&bench, Some(ManagedIdentityId::Client(canary.to_owned()))),
    ] {
        bench.simulator.faults().add(Fault::status(
            RoutePattern::Suffix("/token".to_owned()),
            400,
            canary,
        ));
        let config = by(&bench, credential);
        let error = check(&config).await.expect_err("refused");
        let shown = format!("{error} {error:?} {:?}", config.graph.credential.method());
        assert!(!shown.contains("CANARY"), "{shown}");
        bench.simulator.faults().clear();
    }
    bench.stop().await;
}

#[tokio::test]
async fn debug_output_of_a_credential_holds_no_secret() {
    let github = Credential::Federated(AssertionSource::GitHub {
        request_url: "https://example.com/CANARY?x=CANARY".parse().expect("url"),
        request_token: "CANARY".into(),
        audience: "a".to_owned(),
    });
    let service = Credential::ManagedIdentity(ManagedIdentity {
        id: None,
        endpoint: ManagedIdentityEndpoint::AppService {
            url: "http://127.0.0.1/".parse().expect("url"),
            header: "CANARY".into(),
        },
    });
    for credential in [github, service, Credential::Secret("CANARY".into())] {
        let shown = format!("{credential:?}");
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}

/// Runs a crawl in which something happens as soon as the tenant is known; every token so far is worthless then.
async fn crawl_with_a_surprise(
    bench: &Bench,
    config: CrawlConfig,
    surprise: impl Fn() + Send + Sync + 'static,
) -> contract::RunReport {
    let happened = AtomicBool::new(false);
    let sink = move |event: ProgressEvent| {
        if matches!(event, ProgressEvent::TenantKnown { .. })
            && !happened.swap(true, Ordering::SeqCst)
        {
            surprise();
        }
    };
    bench.simulator.reset_stats();
    crawl(config, Arc::new(sink), CancellationToken::new())
        .await
        .expect("the crawl begins")
}

#[tokio::test]
async fn a_secret_that_is_replaced_during_a_run_ends_it_with_a_clear_word_and_one_more_try() {
    let bench = Arc::new(Bench::start(unlimited()).await);
    let inside = bench.clone();
    let report = crawl_with_a_surprise(&bench, bench.config(), move || {
        inside.simulator.set_client_secret("another");
        inside.simulator.expire_tokens();
    })
    .await;
    assert_eq!(report.outcome, RunOutcome::Failed);
    let reasons = format!("{report:?}");
    assert!(reasons.contains("AADSTS7000215"), "{reasons}");
    assert!(reasons.contains("probably replaced"), "{reasons}");
    // Many requests were refused at once, and the wrong secret was shown once.
    assert_eq!(bench.simulator.stats().token_requests, 2);
}

#[tokio::test]
async fn a_federated_token_is_read_anew_for_each_token() {
    let bench = Arc::new(Bench::start(unlimited()).await);
    let folder = tempfile::tempdir().expect("a folder");
    let credential = token_file(
        folder.path(),
        &sample::federated_assertion(sample::SUBJECT, 600),
    );
    let inside = bench.clone();
    let path = folder.path().join("token");
    let report = crawl_with_a_surprise(&bench, by(&bench, credential), move || {
        // The first file would be refused now; its successor has another lifetime.
        std::fs::write(&path, sample::federated_assertion(sample::SUBJECT, 700)).expect("a file");
        inside.simulator.expire_tokens();
    })
    .await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{:?}", report.message);
    std::fs::remove_file(folder.path().join("token")).expect("removed");
    let credential = Credential::Federated(AssertionSource::File(folder.path().join("token")));
    let message = refused(&by(&bench, credential)).await;
    assert!(message.contains("token file"), "{message}");
}

#[tokio::test]
async fn one_renewal_serves_all_requests_that_were_rejected_together() {
    let bench = Arc::new(Bench::start(unlimited()).await);
    let inside = bench.clone();
    let report = crawl_with_a_surprise(&bench, bench.config(), move || {
        inside.simulator.expire_tokens();
    })
    .await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{:?}", report.message);
    assert_eq!(bench.simulator.stats().token_requests, 2);
}

#[tokio::test]
async fn an_assertion_is_never_used_twice() {
    let bench = Arc::new(Bench::start(unlimited()).await);
    let credential = certificate(&[sample::CERTIFICATE, sample::KEY]);
    let inside = bench.clone();
    // The endpoint refuses an id that it has seen.
    let report = crawl_with_a_surprise(&bench, by(&bench, credential), move || {
        inside.simulator.expire_tokens();
    })
    .await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{:?}", report.message);
    assert_eq!(bench.simulator.stats().token_requests, 2);
}

#[tokio::test]
async fn a_metadata_service_that_starts_or_is_updated_is_asked_again() {
    let bench = Bench::start(unlimited()).await;
    let route = || RoutePattern::Exact(IMDS.to_owned());
    for (status, times) in [(404, 4), (429, 4), (500, 4), (410, 7)] {
        bench
            .simulator
            .faults()
            .add(Fault::status(route(), status, "busy").times(times));
        let config = by(&bench, imds(&bench, None));
        check(&config).await.expect("it came back in time");
        bench.simulator.faults().clear();
    }
    // For ever is too long.
    bench
        .simulator
        .faults()
        .add(Fault::status(route(), 404, "none"));
    bench.simulator.reset_stats();
    let message = refused(&by(&bench, imds(&bench, None))).await;
    assert!(message.contains("managed identity"), "{message}");
    assert_eq!(bench.simulator.stats().token_requests, 5);
    bench.stop().await;
}

#[tokio::test]
async fn a_user_assigned_identity_is_asked_for_by_its_id() {
    let bench = Bench::start(SimOptions {
        managed_identity: Some("its-id".to_owned()),
        ..unlimited()
    })
    .await;
    for id in [
        ManagedIdentityId::Client("its-id".to_owned()),
        ManagedIdentityId::Object("its-id".to_owned()),
        ManagedIdentityId::Resource("its-id".to_owned()),
    ] {
        let config = by(&bench, imds(&bench, Some(id)));
        check(&config).await.expect("signed in");
    }
    let message = refused(&by(&bench, imds(&bench, None))).await;
    assert!(message.contains("user-assigned"), "{message}");
    bench.stop().await;
}

#[tokio::test]
async fn a_sign_in_that_stumbles_is_tried_again() {
    let bench = Bench::start(unlimited()).await;
    let route = RoutePattern::Suffix(TOKEN.to_owned());
    bench
        .simulator
        .faults()
        .add(Fault::status(route, 503, "busy").times(2));
    let credential = certificate(&[sample::CERTIFICATE, sample::KEY]);
    check(&by(&bench, credential)).await.expect("signed in");
    bench.stop().await;
}

/// GitHub's token service: gives an assertion to who shows the right token, for the audience that was asked for.
async fn github() -> url::Url {
    let answer = |request: axum::extract::Request| async move {
        let is_known = request
            .headers()
            .get("authorization")
            .is_some_and(|value| value == "Bearer CANARY_request_token");
        let query = request.uri().query().unwrap_or("").to_owned();
        let is_meant = query.contains("api-version=2") && query.contains("audience=api%3A%2F%2F");
        if is_known && is_meant {
            let assertion = sample::federated_assertion(sample::SUBJECT, 60);
            (
                axum::http::StatusCode::OK,
                serde_json::json!({"value": assertion, "count": 9}).to_string(),
            )
        } else {
            (
                axum::http::StatusCode::FORBIDDEN,
                "CANARY_request_token".to_owned(),
            )
        }
    };
    let router = axum::Router::new().fallback(answer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/token?api-version=2")
        .parse()
        .expect("url")
}

#[tokio::test]
async fn a_workflow_of_github_signs_in_by_the_token_it_asks_for() {
    let bench = Bench::start(unlimited()).await;
    let service = github().await;
    let by_github = |request_token: &str| {
        Credential::Federated(AssertionSource::GitHub {
            request_url: service.clone(),
            request_token: request_token.into(),
            audience: sample::AUDIENCE.to_owned(),
        })
    };
    check(&by(&bench, by_github("CANARY_request_token")))
        .await
        .expect("signed in");
    let message = refused(&by(&bench, by_github("CANARY_other"))).await;
    assert!(message.contains("id-token: write"), "{message}");
    assert!(!message.contains("CANARY"), "{message}");
    bench.stop().await;
}
