//! Too much at once: bombs, large bodies, many calls.

use std::{io::Write as _, time::Duration};

use ingest_api::ServerSettings;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    app::{TestApp, id, people, until},
    bodies::{JSON, LINES, PRINCIPALS, person, post},
};

/// A server that lets clients finish sending, however busy the machine is, before it closes on them.
pub async fn with_patience() -> TestApp {
    TestApp::start_with(ServerSettings {
        linger: Duration::from_secs(60),
        ..ServerSettings::default()
    })
    .await
}

#[tokio::test]
async fn a_bomb_is_refused_while_it_streams_and_takes_little_memory() {
    let app = with_patience().await;
    // Ten gigabytes in ten megabytes: 640 members, or frames, of 16 MiB each.
    let spaces = vec![b' '; 16 * 1024 * 1024];
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(&spaces).expect("in memory");
    let member = gz.finish().expect("in memory");
    let frame = zstd::encode_all(spaces.as_slice(), 1).expect("in memory");
    for (encoding, part) in [("gzip", member), ("zstd", frame)] {
        for content_type in [JSON, LINES] {
            let body = part.repeat(640);
            let answer = post(&app, &[content_type, ("Content-Encoding", encoding)], body).await;
            let detail = answer.expect(413)["detail"].to_string();
            assert!(
                detail.contains("268435456") || detail.contains("16777216"),
                "{detail}"
            );
        }
    }
    let skipped = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd".repeat(100_000);
    post(&app, &[JSON, ("Content-Encoding", "zstd")], skipped)
        .await
        .expect(400);
    // A frame header that asks for a window of 64 MiB.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 16 << 3, 0, 0, 0];
    post(&app, &[JSON, ("Content-Encoding", "zstd")], wide)
        .await
        .expect(413);
    assert!(
        app.memory.peak() < 40 * 1024 * 1024,
        "{}",
        app.memory.peak()
    );
    assert_eq!(app.memory.taken(), 0);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_answer_can_be_read() {
    let app = with_patience().await;
    let body = vec![b' '; 64 * 1024 * 1024 + 1];
    let answer = post(&app, &[JSON], body).await.expect(413);
    assert!(
        answer["detail"]
            .as_str()
            .expect("text")
            .contains("67108864")
    );
    let request = app.request(Method::POST, "/api/ingest/sessions");
    let small = request
        .header(JSON.0, JSON.1)
        .body(vec![b' '; 4 * 1024 * 1024]);
    app.send(small).await.expect(413);
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_learns_why_it_was_refused() {
    let app = with_patience().await;
    let body = vec![b' '; 64 * 1024 * 1024 + 1];
    for (key, status) in [(app.key.as_str(), "413"), ("fgc_wrong", "401")] {
        let mut stream = TcpStream::connect(app.address()).await.expect("connects");
        let head = head(&app, body.len()).replace(&app.key, key);
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&body).await.expect("the rest is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

fn head(app: &TestApp, length: usize) -> String {
    format!(
        "POST {PRINCIPALS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n",
        app.key
    )
}

#[tokio::test]
async fn bodies_share_one_budget_of_memory_and_the_first_large_one_gets_through() {
    let settings = ServerSettings {
        ingest_memory_bytes: 1024 * 1024,
        ..ServerSettings::default()
    };
    let app = TestApp::start_with(settings).await;
    let mut lines = format!("{}\n", json!({"systemId": app.system_id}));
    for n in 0..30_000 {
        lines += &person(n);
    }
    let (first, rest) = lines.as_bytes().split_at(lines.len() - 100);
    let mut slow = TcpStream::connect(app.address()).await.expect("connects");
    slow.write_all(head(&app, lines.len()).as_bytes())
        .await
        .expect("sent");
    slow.write_all(first).await.expect("sent");
    until(async || app.memory.taken() > 1024 * 1024).await;

    let request = app
        .request(Method::POST, PRINCIPALS)
        .header(LINES.0, LINES.1);
    let other = request.body(lines.clone()).send().await.expect("an answer");
    assert_eq!(other.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(other.headers()["retry-after"], "2");
    app.ingest(
        "resources",
        json!([{"id": id(1), "displayName": "small"}]),
        json!({}),
    )
    .await
    .expect(201);

    slow.write_all(rest).await.expect("sent");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(app.count("select count(*) from principals").await, 30_000);
    assert_eq!(app.memory.taken(), 0);
}

#[tokio::test]
async fn of_more_calls_than_can_be_worked_on_each_is_done_or_asked_to_come_again() {
    let app = std::sync::Arc::new(TestApp::start().await);
    let calls: Vec<_> = (0..300_u32)
        .map(|n| {
            let app = std::sync::Arc::clone(&app);
            tokio::spawn(async move {
                let body = json!({"systemId": app.system_id, "records": people(n * 10..n * 10 + 10, "Ada")});
                let response = app.request(Method::POST, PRINCIPALS).json(&body).send().await.expect("an answer");
                match response.status().as_u16() {
                    201 => 10,
                    503 => {
                        assert!(response.headers().contains_key("retry-after"));
                        0
                    }
                    other => panic!("{other}"),
                }
            })
        })
        .collect();
    let mut stored = 0;
    for call in calls {
        stored += call.await.expect("ends");
    }
    assert!(stored > 0);
    assert_eq!(app.count("select count(*) from principals").await, stored);
    app.ingest("principals", people(0..1, "Eve"), json!({}))
        .await
        .expect(201);
}
