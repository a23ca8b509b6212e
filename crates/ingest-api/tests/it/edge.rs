//! Hostile and unlucky clients, over raw connections: each gets the right answer or a closed connection, and others are
//! served meanwhile.

use std::time::Duration;

use ingest_api::{Pace, ServerSettings};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::app::{TestApp, people};

/// A guard against waiting for ever, not a promise about speed.
const GUARD: Duration = Duration::from_secs(60);
/// Patience of a server under test: short, so that tests are.
const SHORT: Duration = Duration::from_millis(300);

fn impatient() -> ServerSettings {
    ServerSettings {
        header_patience: SHORT,
        pace: Pace {
            patience: SHORT,
            min_rate: 1024,
        },
        linger: SHORT,
        ..ServerSettings::default()
    }
}

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.address()).await.expect("connects")
}

/// Everything that is answered until the server closes the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset is closed too.
    let read = timeout(GUARD, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn send(app: &TestApp, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(app).await;
    // The server may refuse before it has read everything.
    let _ = stream.write_all(request.as_ref()).await;
    until_closed(stream).await
}

/// The statuses of the answers on one connection.
fn statuses(answers: &str) -> Vec<&str> {
    answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect()
}

fn post(app: &TestApp, headers: &str, body: &str) -> String {
    format!(
        "POST /api/ingest/principals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\n{headers}\r\n\r\n{body}",
        app.key
    )
}

/// Begins a call and waits until the server reads its body.
async fn begin(app: &TestApp, length: usize) -> TcpStream {
    let mut stream = connect(app).await;
    let headers = format!("Connection: close\r\nExpect: 100-continue\r\nContent-Length: {length}");
    let head = post(app, &headers, "");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut go_on = [0; 25];
    let read = timeout(GUARD, stream.read_exact(&mut go_on)).await;
    read.expect("in time").expect("the server reads the body");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

async fn is_serving(app: &TestApp) {
    app.ingest("resources", json!([]), json!({}))
        .await
        .expect(201);
}

#[tokio::test]
async fn lengths_that_contradict_the_body_or_each_other_smuggle_nothing_in() {
    let app = TestApp::start_with(impatient()).await;
    let good = json!({"systemId": app.system_id, "records": people(0..1, "Ada")}).to_string();
    let inner = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";

    let both = post(
        &app,
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        &format!("0\r\n\r\n{inner}"),
    );
    assert_eq!(statuses(&send(&app, both).await), ["400"]);
    let both = post(
        &app,
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        &format!("0\r\n\r\n{inner}"),
    );
    assert_eq!(statuses(&send(&app, both).await), ["400"]);
    let two = post(&app, "Content-Length: 4\r\nContent-Length: 5", &good);
    assert_eq!(statuses(&send(&app, two).await), ["400"]);
    let negative = post(&app, "Content-Length: -1", &good);
    assert_eq!(statuses(&send(&app, negative).await), ["400"]);
    let unknown = post(&app, "Transfer-Encoding: gzip", &good);
    assert_eq!(statuses(&send(&app, unknown).await), ["400"]);

    let short = post(&app, &format!("Content-Length: {}", good.len() - 4), &good);
    let answers = send(&app, short).await;
    assert!(
        statuses(&answers).iter().all(|status| *status == "400"),
        "{answers}"
    );
    let long = post(&app, &format!("Content-Length: {}", good.len() + 4), &good);
    assert_eq!(statuses(&send(&app, long).await), ["408"]);

    for chunks in [
        "FFFFFFFFFFFFFFFFF\r\nabc",
        "zz\r\nabc",
        "-1\r\nabc",
        "3\r\nabcdef\r\n0\r\n\r\n",
    ] {
        let answers = send(&app, post(&app, "Transfer-Encoding: chunked", chunks)).await;
        assert!(
            statuses(&answers).iter().all(|status| *status == "400"),
            "{chunks}: {answers}"
        );
    }
    assert_eq!(app.count("select count(*) from principals").await, 0);
    let chunked = format!("{:x}\r\n{good}\r\n0\r\n\r\n", good.len());
    let answers = send(&app, post(&app, "Transfer-Encoding: chunked", &chunked)).await;
    assert_eq!(statuses(&answers), ["201"], "{answers}");
}

#[tokio::test]
async fn headers_that_are_too_large_or_too_many_are_refused() {
    let app = TestApp::start().await;
    let large = post(
        &app,
        &format!("X-Large: {}\r\nContent-Length: 0", "x".repeat(1024 * 1024)),
        "",
    );
    let many = post(
        &app,
        &format!("{}Content-Length: 0", "X-Many: 1\r\n".repeat(10_000)),
        "",
    );
    let path = format!(
        "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n",
        "x".repeat(1024 * 1024)
    );
    for request in [large, many, path] {
        let answers = send(&app, request).await;
        // The connection may be reset before the answer is read.
        assert!(
            answers.is_empty() || ["431", "414"].contains(&statuses(&answers)[0]),
            "{answers}"
        );
    }
    for request in [
        "\u{1}\u{2}\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answers = send(&app, request).await;
        assert!(
            statuses(&answers).iter().all(|status| *status == "400"),
            "{answers}"
        );
    }
    is_serving(&app).await;
}

#[tokio::test]
async fn five_hundred_clients_that_dribble_a_header_are_closed_and_others_are_served() {
    let app = TestApp::start_with(impatient()).await;
    let mut dribbling = Vec::new();
    for _ in 0..500 {
        let mut stream = connect(&app).await;
        stream
            .write_all(b"POST /api/ingest/principals HTTP/1.1\r\nX-")
            .await
            .expect("sent");
        dribbling.push(stream);
    }
    is_serving(&app).await;
    for stream in dribbling {
        let answers = until_closed(stream).await;
        assert!(
            statuses(&answers).iter().all(|status| *status == "408"),
            "{answers}"
        );
    }
    is_serving(&app).await;
}

#[tokio::test]
async fn a_body_that_stops_or_dribbles_ends_with_408() {
    let app = TestApp::start_with(impatient()).await;
    let mut silent = begin(&app, 1000).await;
    silent.write_all(b"{\"records\":[").await.expect("sent");
    assert_eq!(statuses(&until_closed(silent).await), ["408"]);

    let dribbling = begin(&app, 1000).await;
    let (mut answers, mut body) = dribbling.into_split();
    let drip = tokio::spawn(async move {
        while body.write_all(b" ").await.is_ok() {
            tokio::time::sleep(SHORT / 6).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(GUARD, answers.read_to_end(&mut answer))
        .await
        .expect("closed");
    assert!(answer.starts_with(b"HTTP/1.1 408"));
    drop(answers);
    timeout(GUARD, drip)
        .await
        .expect("the connection is closed")
        .expect("ends");
}

#[tokio::test]
async fn half_sent_bodies_hold_neither_memory_nor_what_others_need() {
    let app = TestApp::start().await;
    let mut half = Vec::new();
    for _ in 0..40 {
        let mut stream = begin(&app, 60_000).await;
        stream.write_all(&vec![b' '; 30_000]).await.expect("sent");
        half.push(stream);
    }
    assert_eq!(app.memory.taken(), 0);
    app.ingest("principals", people(0..100, "Ada"), json!({}))
        .await
        .expect(201);
    drop(half);
}

#[tokio::test]
async fn who_finds_no_room_is_served_when_others_have_gone() {
    let settings = ServerSettings {
        max_connections: 8,
        ..impatient()
    };
    let app = TestApp::start_with(settings).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&app).await;
        stream.write_all(b"GET").await.expect("sent");
        idle.push(stream);
    }
    timeout(GUARD, is_serving(&app))
        .await
        .expect("served in the end");
}

#[tokio::test]
async fn a_server_that_stops_finishes_the_requests_under_way() {
    let mut app = TestApp::start().await;
    let body = json!({"systemId": app.system_id, "records": people(0..3, "Ada")}).to_string();
    let (first, rest) = body.split_at(body.len() / 2);
    let mut upload = begin(&app, body.len()).await;
    upload.write_all(first.as_bytes()).await.expect("sent");
    let address = app.address().to_owned();
    let rest = rest.to_owned();
    let finish = tokio::spawn(async move {
        // Until the server listens no more.
        while TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        upload.write_all(rest.as_bytes()).await.expect("sent");
        until_closed(upload).await
    });
    timeout(GUARD, app.stop()).await.expect("the server ends");
    let answers = finish.await.expect("ends");
    assert_eq!(statuses(&answers), ["201"], "{answers}");
    assert_eq!(app.count("select count(*) from principals").await, 3);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_clients_for_ever() {
    let settings = ServerSettings {
        stop_patience: SHORT,
        ..ServerSettings::default()
    };
    let mut app = TestApp::start_with(settings).await;
    let upload = begin(&app, 1000).await;
    let idle = connect(&app).await;
    timeout(GUARD, app.stop()).await.expect("the server ends");
    assert_eq!(statuses(&until_closed(upload).await), [""; 0]);
    assert_eq!(until_closed(idle).await, "");
}
