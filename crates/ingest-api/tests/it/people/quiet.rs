//! The log holds no secret that travels in an address or a header.

use std::{
    io::{Read as _, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use tracing::subscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::app::TestApp;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Sends a request from a thread of its own, whose client's log is nobody's business.
async fn ask(app: &TestApp, path: &'static str, header: &'static str) {
    let address = app.base().trim_start_matches("http://").to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(&address).expect("connects");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\n{header}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("reads");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    });
    asked.await.expect("asked");
}

#[tokio::test]
async fn not_even_the_finest_log_has_a_code_a_link_a_cookie_or_a_key() {
    let app = TestApp::start().await;
    let log = Log::default();
    let to_log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = subscriber::set_default(to_log);
    let no_header = "Accept: */*";
    ask(&app, "/auth/callback?code=canary1&state=canary2", no_header).await;
    ask(&app, "/auth/bootstrap?token=canary3", no_header).await;
    ask(&app, "/api/me", "Cookie: cadastre=canary4").await;
    ask(
        &app,
        "/api/principals",
        "Authorization: Bearer fgc_canary5_canary6",
    )
    .await;
    let log = log.text();
    for path in [
        "/auth/callback",
        "/auth/bootstrap",
        "/api/me",
        "/api/principals",
    ] {
        assert!(log.contains(path), "{path} is not in the log:\n{log}");
    }
    let told: Vec<&str> = log.lines().filter(|line| line.contains("canary")).collect();
    assert!(told.is_empty(), "{told:#?}");
}
