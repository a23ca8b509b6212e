//! A server that is told to stop finishes what it took, and ends whatever clients do (F28).

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Register, writers::Writers};

fn address_of(register: &Register) -> String {
    let base = register.server.base();
    base.trim_start_matches("http://").to_owned()
}

/// Sends a whole call, and does not wait for its answer.
async fn post(register: &Register, path: &str, body: &str) -> TcpStream {
    let stream = TcpStream::connect(address_of(register)).await;
    let mut stream = stream.expect("connects");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        register.client.key(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_orders_to_stop_in_the_middle_of_loads() {
    let mut register = Register::start().await;
    let mut watcher = register.postgres.connect().await;
    let mut writers = Writers::start(&register.client, register.system_id, 4);
    for _ in 0..3 {
        writers.progress(8).await;
        let ended = register.server.terminate().await;
        assert_eq!(ended.code(), Some(0), "{}", register.server.log());
        writers.check(&mut watcher).await;
        register.server.start_again().await;
    }
    let log = register.server.log();
    assert!(!log.contains("did not end in time"), "{log}");
    writers.progress(8).await;
    writers.finish(&mut watcher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_finish_and_statements_that_never_end_do_not_keep_a_server_from_stopping()
 {
    let mut register = Register::start().await;
    let address = address_of(&register);
    let mut hanging = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(&address).await.expect("connects");
        // Silent, in the middle of a header, and in the middle of a body.
        let said = [
            "",
            "POST /api/ingest/principals HTTP/1.1\r\nHost: a\r\n",
            "POST /api/ingest/principals HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{",
        ][number % 3];
        stream.write_all(said.as_bytes()).await.expect("sent");
        hanging.push(stream);
    }
    // A load that waits for a lock that nobody gives back.
    let mut watcher = register.postgres.connect().await;
    sqlx::raw_sql("begin; lock table systems")
        .execute(&mut watcher)
        .await
        .expect("locked");
    let body = r#"{"records": [{"systemType": "Test", "displayName": "Late"}]}"#;
    let mut stream = post(&register, "/api/ingest/systems", body).await;

    let ended = register.server.terminate().await;
    assert_eq!(ended.code(), Some(0), "{}", register.server.log());
    let mut rest = Vec::new();
    // Cut or closed: nobody is told that anything was done.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(
        !rest.starts_with(b"HTTP/1.1 2"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_wait_for_a_job_are_answered_when_the_server_stops() {
    let mut register = Register::start().await;
    let mut waiting = Vec::new();
    for number in 0..20 {
        let body = format!(
            r#"{{"worker": "w{number}", "version": "1", "claimId": "{}", "waitSeconds": 30}}"#,
            uuid::Uuid::new_v4()
        );
        waiting.push(post(&register, "/api/jobs/claim", &body).await);
    }
    // All of them are known, hence wait.
    let mut watcher = register.postgres.connect().await;
    crate::app::until(async || {
        let known: i64 = sqlx::query_scalar("select count(*) from workers")
            .fetch_one(&mut watcher)
            .await
            .expect("a number");
        known == 20
    })
    .await;
    let ended = register.server.terminate().await;
    let log = register.server.log();
    assert_eq!(ended.code(), Some(0), "{log}");
    assert!(!log.contains("did not end in time"), "{log}");
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
