//! What servers of others have lying about is not here, however its path is written (W09).

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::app::TestApp;

/// The status of an answer to a path as it is written, which no client puts in order first.
async fn status(app: &TestApp, method: &str, path: &str) -> u16 {
    let address = app.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let line = answer.lines().next().unwrap_or_default();
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    status.unwrap_or_else(|| panic!("{method} {path}: {answer}"))
}

#[tokio::test]
async fn nothing_is_found_beside_the_api_and_no_path_leads_around_its_doors() {
    let app = TestApp::start().await;
    assert_eq!(status(&app, "GET", "/health/live").await, 200);
    for path in [
        "/.git/config",
        "/.env",
        "/metrics",
        "/debug",
        "/debug/pprof/",
        "/server-status",
        "/actuator/env",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/../etc/passwd",
        "/health/../api/principals",
        "/health/%2e%2e/api/principals",
        "//api/principals",
        "/api//principals",
        "/api/principals/.",
        "/api/principals.",
        "/api/principals;x=y",
        "/API/principals",
        "/health/live/",
        "/health/live.",
    ] {
        let status = status(&app, "GET", path).await;
        assert!([401, 404].contains(&status), "{path}: {status}");
    }
    for method in ["TRACE", "CONNECT", "PROPFIND", "DEBUG"] {
        for path in ["/health/live", "/api/principals"] {
            let status = status(&app, method, path).await;
            assert!(
                [400, 401, 404, 405].contains(&status),
                "{method} {path}: {status}"
            );
        }
    }
}
