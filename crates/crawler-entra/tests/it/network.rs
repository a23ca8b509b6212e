//! The way out: proxies, trusted roots, redirects.

use std::process::Output;

use crawler_entra::{
    check,
    check::CheckError,
    config::{Credential, ManagedIdentity, ManagedIdentityEndpoint, Network},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
};

use crate::{
    checking::{EVERYTHING, config, granted},
    support::{
        API_KEY, Bench,
        fake_graph::{CLIENT_ID, FakeGraph},
        unlimited,
    },
};

fn through(proxy: &str) -> Network {
    Network::default()
        .with_proxy(proxy.to_owned().into())
        .expect("an address")
}

#[tokio::test]
async fn graph_and_the_sign_in_are_reached_through_the_configured_proxy() {
    // A proxy sees the whole address; this one answers in Graph's place.
    let proxy = FakeGraph::start(granted(EVERYTHING)).await;
    let mut config = config("http://graph.invalid");
    config.graph.login_base_url = "http://login.invalid".parse().expect("url");
    config.graph.allow_insecure_http = true;
    config.network = through(&proxy.address);
    check(&config).await.expect("the proxy answers");
    let seen = proxy.seen();
    assert!(seen[0].uri.starts_with("http://login.invalid/"), "{seen:?}");
    assert!(seen[1].uri.starts_with("http://graph.invalid/"), "{seen:?}");
    assert!(!seen[0].has_token && seen[1].has_token, "{seen:?}");
}

#[tokio::test]
async fn a_managed_identity_is_never_asked_through_a_proxy() {
    let proxy = FakeGraph::start(granted(EVERYTHING)).await;
    let platform = FakeGraph::start(granted(EVERYTHING)).await;
    let mut config = config("http://graph.invalid");
    config.graph.allow_insecure_http = true;
    config.graph.credential = Credential::ManagedIdentity(ManagedIdentity {
        id: None,
        endpoint: ManagedIdentityEndpoint::Imds(platform.address.parse().expect("url")),
    });
    config.network = through(&proxy.address);
    check(&config).await.expect("signed in");
    assert_eq!(platform.seen().len(), 1);
    let asked = proxy.seen().into_iter();
    assert!(
        asked
            .into_iter()
            .all(|seen| seen.uri.starts_with("http://graph.invalid/"))
    );
}

async fn dry_check(variables: &[(&str, &str)], flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    let config = serde_json::json!({"Graph": {
        "TenantId": "t", "ClientId": CLIENT_ID, "ClientSecret": "CANARY", "AllowInsecureHttp": true,
        "BaseUrl": "http://graph.invalid", "LoginBaseUrl": "http://login.invalid",
    }});
    std::fs::write(&file, config.to_string()).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_crawler-entra"))
        .env_clear()
        .envs(variables.iter().copied())
        .args(["check", "--config-file"])
        .arg(&file)
        .args(flags)
        .kill_on_drop(true)
        .output()
        .await
        .expect("the command runs")
}

#[tokio::test]
async fn the_environments_proxy_holds_unless_a_flag_says_otherwise() {
    let of_environment = FakeGraph::start(granted(EVERYTHING)).await;
    let of_flag = FakeGraph::start(granted(EVERYTHING)).await;
    let variables = [("HTTP_PROXY", of_environment.address.as_str())];
    let output = dry_check(&variables, &[]).await;
    assert_eq!(output.status.code(), Some(0));
    let asked = of_environment.seen().len();
    assert!(asked > 0);
    let output = dry_check(&variables, &["--proxy", &of_flag.address]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(of_flag.seen().len(), asked);
    let spared = [variables[0], ("NO_PROXY", "graph.invalid,login.invalid")];
    for flags in [&[][..], &["--proxy", &of_flag.address]] {
        let output = dry_check(&spared, flags).await;
        assert_eq!(
            output.status.code(),
            Some(1),
            "nobody is there without a proxy"
        );
    }
    assert_eq!(
        (of_environment.seen().len(), of_flag.seen().len()),
        (asked, asked)
    );
}

#[tokio::test]
async fn the_register_is_reached_through_the_same_proxy() {
    let bench = Bench::start(unlimited()).await;
    // It passes every request on to the one register that there is.
    let proxy = ForwardingProxy::start(bench.register.base_url().as_str()).await;
    let mut config = bench.config();
    let register = config.register.as_mut().expect("a register");
    register.base_url = "http://register.invalid".parse().expect("url");
    config.network = through(&proxy);
    // Graph and the sign-in would go through it as well and are not there: the key is confirmed first.
    let report = bench.crawl(config).await;
    let message = report.message.expect("a reason");
    assert!(message.contains("sign-in"), "{message}");
    assert!(!message.contains(API_KEY));
    bench.stop().await;
}

/// A proxy for plain HTTP that knows one destination.
struct ForwardingProxy;

impl ForwardingProxy {
    async fn start(destination: &str) -> String {
        let target = destination
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.clone();
                tokio::spawn(async move {
                    let mut head = vec![0; 16 * 1024];
                    let Ok(read) = client.read(&mut head).await else {
                        return;
                    };
                    let text = String::from_utf8_lossy(&head[..read]).into_owned();
                    let Some(rest) = text.strip_prefix("GET http://register.invalid") else {
                        let _ = client
                            .write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
                            .await;
                        return;
                    };
                    let Ok(mut server) = tokio::net::TcpStream::connect(&target).await else {
                        return;
                    };
                    let _ = server.write_all(format!("GET {rest}").as_bytes()).await;
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        address
    }
}

#[tokio::test]
async fn a_redirect_of_the_sign_in_or_of_graph_is_not_followed_anywhere() {
    let elsewhere = FakeGraph::start(granted(EVERYTHING)).await;
    for (status, is_login) in [
        (302, true),
        (307, true),
        (308, true),
        (301, false),
        (307, false),
    ] {
        let redirecting = redirecting_host(status, &elsewhere.address).await;
        let honest = FakeGraph::start(granted(EVERYTHING)).await;
        let mut config = config(&honest.address);
        if is_login {
            config.graph.login_base_url = redirecting.parse().expect("url");
            let error = check(&config).await.expect_err("no token");
            assert!(matches!(error, CheckError::SignIn(_)), "{error}");
        } else {
            config.graph.base_url = redirecting.parse().expect("url");
            check(&config).await.expect("the check is made");
        }
    }
    assert!(elsewhere.seen().is_empty(), "{:?}", elsewhere.seen());
}

/// A host that sends everybody elsewhere.
async fn redirecting_host(status: u16, elsewhere: &str) -> String {
    let to = elsewhere.to_owned();
    let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let to = format!("{to}{}", request.uri());
        async move {
            axum::http::Response::builder()
                .status(status)
                .header("location", to)
                .body(String::new())
                .expect("a response")
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A certificate for 127.0.0.1 that no system trusts, and its key; made up for this test.
const SERVER_CERTIFICATE: &str = include_str!("fixtures/server-certificate.pem");
const SERVER_KEY: &str = include_str!("fixtures/server-key.pem");

/// A Graph behind TLS.
async fn tls_graph() -> (String, FakeGraph) {
    let graph = FakeGraph::start(granted(EVERYTHING)).await;
    let target = graph.address.trim_start_matches("http://").to_owned();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = CertificateDer::from_pem_slice(SERVER_CERTIFICATE.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("PEM")], key.expect("PEM"))
        .expect("they belong together");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let Ok(mut server) = tokio::net::TcpStream::connect(&target).await else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, graph)
}

#[tokio::test]
async fn a_root_of_the_configuration_is_trusted_and_no_other_unknown_one() {
    let (address, graph) = tls_graph().await;
    let mut config = config(&address);
    config.tuning.max_tries = 1;
    let error = check(&config).await.expect_err("nobody vouches for it");
    assert!(matches!(error, CheckError::SignIn(_)), "{error}");
    let trusting = |pem: &str| Network::default().with_roots(pem.as_bytes());
    config.network = trusting(graph_sim::sample::OTHER_CERTIFICATE).expect("a certificate");
    check(&config)
        .await
        .expect_err("another root vouches for others");
    assert!(graph.seen().is_empty(), "nothing was sent to a stranger");
    config.network = trusting(SERVER_CERTIFICATE).expect("a certificate");
    check(&config).await.expect("the root is trusted");
    assert!(!graph.seen().is_empty());
}
