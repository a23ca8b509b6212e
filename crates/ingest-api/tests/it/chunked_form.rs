use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::app::{TestApp, id, people, until};

#[tokio::test]
async fn start_continue_end_is_one_full_load() {
    let app = TestApp::start().await;
    let full =
        json!({"syncMode": "full", "syncSession": "start", "scope": {"principalType": "User"}});
    for round in 0..2 {
        let started = app
            .ingest("principals", people(0..10, "Ada"), full.clone())
            .await
            .expect(201);
        let sync_id = started["syncId"].clone();
        let next = |step: &str| json!({"syncMode": "full", "syncSession": step, "syncId": sync_id});
        app.ingest("principals", people(10..20, "Ada"), next("continue"))
            .await
            .expect(200);
        let last = if round == 0 { 20..31 } else { 20..30 };
        let ended = app
            .ingest("principals", people(last, "Ada"), next("end"))
            .await
            .expect(200);
        assert_eq!(
            app.ingest("principals", json!([]), next("end"))
                .await
                .expect(200),
            ended,
            "a lost answer can be had again"
        );
        let counts = (
            ended["inserted"].as_u64(),
            ended["unchanged"].as_u64(),
            ended["deleted"].as_u64(),
        );
        assert_eq!(
            counts,
            if round == 0 {
                (Some(31), Some(0), Some(0))
            } else {
                (Some(0), Some(30), Some(1))
            }
        );
        app.ingest("principals", people(0..1, "Ada"), next("continue"))
            .await
            .expect(409);
    }
}

#[tokio::test]
async fn an_abandoned_chunked_load_removes_nothing() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..30, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    app.ingest(
        "principals",
        people(0..10, "Ada"),
        json!({"syncMode": "full", "syncSession": "start"}),
    )
    .await
    .expect(201);
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        30
    );
}

/// Loses the second of three chunks by `lose`, then ends the load; answers the end.
async fn end_after<T>(lose: impl AsyncFn(&TestApp, &str) -> T) -> Value {
    let app = TestApp::start().await;
    let full = json!({"syncMode": "full", "syncSession": "start"});
    let load = json!({"syncMode": "full"});
    app.ingest("principals", people(0..30, "Ada"), load)
        .await
        .expect(201);
    let started = app.ingest("principals", people(0..10, "Ada"), full).await;
    let sync_id = started.expect(201)["syncId"].clone();
    let kept = lose(&app, sync_id.as_str().expect("an id")).await;
    let end = json!({"syncSession": "end", "syncId": sync_id});
    let ended = app.ingest("principals", people(20..30, "Ada"), end).await;
    let answer = ended.expect(200);
    let live = "select count(*) from principals where deleted_at is null";
    assert_eq!(app.count(live).await, 30, "{answer}");
    drop(kept);
    answer
}

async fn send(app: &TestApp, content_type: &str, body: String) -> u16 {
    let request = app
        .request(Method::POST, "/api/ingest/principals")
        .header("Content-Type", content_type)
        .body(body);
    app.send(request).await.status.as_u16()
}

#[tokio::test]
async fn a_chunk_that_was_refused_keeps_the_load_from_removing_anything() {
    let ended = end_after(async |app, sync_id| {
        let chunk = |more: &str| {
            format!(r#"{{"syncSession":"continue","syncId":"{sync_id}","records":[{more}"#)
        };
        assert_eq!(send(app, "application/json", chunk("{]")).await, 400);
    });
    assert_eq!(ended.await["deleted"], 0);
    let ended = end_after(async |app, sync_id| {
        let behind =
            format!(r#"{{"records":[{{]],"syncSession":"continue","syncId":"{sync_id}"}}"#);
        assert_eq!(send(app, "application/json", behind).await, 400);
    });
    assert_eq!(ended.await["deleted"], 0);
    let ended = end_after(async |app, sync_id| {
        let lines =
            format!("{{\"syncSession\":\"continue\",\"syncId\":\"{sync_id}\",\"what\":1}}\n");
        assert_eq!(send(app, "application/x-ndjson", lines).await, 400);
    });
    assert_eq!(ended.await["deleted"], 0);
    let ended = end_after(async |app, sync_id| {
        let as_text = format!(r#"{{"syncSession":"continue","syncId":"{sync_id}","records":[]}}"#);
        assert_eq!(send(app, "text/plain", as_text).await, 415);
    });
    assert_eq!(ended.await["deleted"], 0);
    let ended = end_after(async |app, sync_id| {
        let elsewhere = json!({"syncSession": "continue", "syncId": sync_id});
        app.ingest("resources", json!([]), elsewhere)
            .await
            .expect(409);
    });
    assert_eq!(ended.await["deleted"], 0);
    let ended = end_after(async |app, _| {
        let too_many = format!(r#"{{"records":[{}1]}}"#, "1,".repeat(100_000));
        assert_eq!(send(app, "application/json", too_many).await, 413);
    });
    assert_eq!(ended.await["deleted"], 0);
    let ended = end_after(async |app, sync_id| {
        let forgotten = format!(
            r#"{{"systemId":{},"syncId":"{sync_id}","records":[]}}"#,
            app.system_id
        );
        assert_eq!(send(app, "application/json", forgotten).await, 400);
    });
    assert_eq!(ended.await["deleted"], 0);
}

#[tokio::test]
async fn a_client_that_left_in_the_middle_of_a_chunk_keeps_the_load_from_removing_anything() {
    let ended = end_after(async |app, _| {
        let mut stream = TcpStream::connect(app.address()).await.expect("connects");
        let head = format!(
            "POST /api/ingest/principals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nExpect: 100-continue\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
            app.key
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut go_on = [0; 12];
        stream
            .read_exact(&mut go_on)
            .await
            .expect("the server reads");
        assert_eq!(&go_on, b"HTTP/1.1 100");
        stream.write_all(b"{\"records\":[").await.expect("sent");
        drop(stream);
        let marked =
            "select count(*) from sync_sessions where form = 'chunked' and unidentified = 1";
        until(async || app.count(marked).await > 0).await;
    });
    assert!(ended.await["removalsSkipped"].is_string());
}

#[tokio::test]
async fn a_chunk_that_is_still_on_its_way_at_the_end_keeps_the_load_from_removing_anything() {
    let ended = end_after(async |app, sync_id| {
        let mut stream = TcpStream::connect(app.address()).await.expect("connects");
        let begun = format!(
            "POST /api/ingest/principals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/x-ndjson\r\nContent-Length: 1000000\r\n\r\n\
             {{\"syncSession\":\"continue\",\"syncId\":\"{sync_id}\"}}\n{}",
            app.key,
            " ".repeat(100_000)
        );
        stream.write_all(begun.as_bytes()).await.expect("sent");
        let marked =
            "select count(*) from sync_sessions where form = 'chunked' and unidentified = 1";
        until(async || app.count(marked).await > 0).await;
        // The connection outlives the load.
        stream
    });
    assert!(ended.await["removalsSkipped"].is_string());
}

#[tokio::test]
async fn a_call_that_carried_no_chunk_leaves_open_loads_alone() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..30, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let full = json!({"syncMode": "full", "syncSession": "start"});
    let started = app.ingest("principals", people(0..29, "Ada"), full).await;
    let sync_id = started.expect(201)["syncId"].clone();
    app.ingest("principals", json!([]), json!({"systemId": 999_999}))
        .await
        .expect(403);
    app.ingest("principals", json!([]), json!({"scope": {"country": "SE"}}))
        .await
        .expect(400);
    assert_eq!(
        app.post("/api/ingest/resources", &json!([])).await.status,
        400
    );
    let end = json!({"syncSession": "end", "syncId": sync_id});
    let ended = app.ingest("principals", json!([]), end).await.expect(200);
    assert_eq!(ended["deleted"], 1);
}

#[tokio::test]
async fn an_end_with_records_that_never_came_is_not_answered_as_stored() {
    let app = TestApp::start().await;
    let full = json!({"syncMode": "full", "syncSession": "start"});
    let started = app.ingest("principals", people(0..10, "Ada"), full).await;
    let end = json!({"syncSession": "end", "syncId": started.expect(201)["syncId"]});
    let ended = app
        .ingest("principals", people(10..20, "Ada"), end.clone())
        .await
        .expect(200);
    let again = app
        .ingest("principals", people(10..20, "Ada"), end.clone())
        .await
        .expect(200);
    assert_eq!(again, ended);
    app.ingest("principals", people(20..30, "Ada"), end)
        .await
        .expect(409);
    assert_eq!(app.count("select count(*) from principals").await, 20);
}

#[tokio::test]
async fn the_id_in_a_scope_may_be_written_in_either_case() {
    let app = TestApp::start().await;
    let context = id(0x00ab_cdef).to_string();
    let step = |more: Value| {
        let mut step = json!({"syncMode": "full", "scope": {"contextId": context.to_uppercase()}});
        crate::app::merge(&mut step, more);
        step
    };
    let member = |n: u32| json!([{"memberId": id(n), "memberType": "Identity"}]);
    let start = step(json!({"syncSession": "start"}));
    let started = app.ingest("context-members", member(1), start).await;
    let end = step(json!({"syncSession": "end", "syncId": started.expect(201)["syncId"]}));
    let ended = app.ingest("context-members", member(2), end).await;
    assert_eq!(ended.expect(200)["inserted"], 2);
}
