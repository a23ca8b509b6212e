//! The log and the metrics of a server process: a line per request that tells nothing secret, figures that move.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Child, Command, Stdio},
};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{app::until, hostile::Postgres};

/// A server with everything on that tells about it.
struct Watched {
    child: Child,
    log: std::path::PathBuf,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("collected");
    }
}

impl Watched {
    async fn start(folder: &Path, postgres: &Postgres, level: &str) -> Self {
        let log = folder.join("server.log");
        let file = std::fs::File::create(&log).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_ingest-api"))
            .env("DATABASE_URL", postgres.url().expose_secret())
            .env("RUST_LOG", "trace")
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .args(["--log-format", "json", "--log-level", level])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("runs");
        let watched = Self { child, log };
        until(async || watched.found("metrics").is_some()).await;
        watched
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// Every line is an object, whatever callers wrote.
    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }

    fn found(&self, field: &str) -> Option<String> {
        let lines = self.lines();
        let found = lines.iter().find_map(|line| line[field].as_str());
        found.map(str::to_owned)
    }

    fn base(&self) -> String {
        format!("http://{}", self.found("address").expect("it listens"))
    }

    async fn metrics(&self, http: &reqwest::Client) -> BTreeMap<String, f64> {
        let address = self.found("metrics").expect("it serves metrics");
        let answer = http.get(format!("http://{address}/metrics")).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        samples(&answer.text().await.expect("text"))
    }
}

/// Every sample by its name and labels; a text that is no exposition fails the test.
fn samples(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            assert!(name.starts_with("cadastre_"), "{line}");
            (
                name.to_owned(),
                value.parse().unwrap_or_else(|_| panic!("{line}")),
            )
        })
        .collect()
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn post(http: &reqwest::Client, url: String, key: &str, body: &Value) -> u16 {
    let sent = http.post(url).bearer_auth(key).json(body).send().await;
    sent.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_one_line_with_its_id_and_key_and_no_line_tells_what_was_sent() {
    let place = tempfile::tempdir().expect("a folder");
    let postgres = Postgres::start(place.path(), &[]).await;
    let server = Watched::start(place.path(), &postgres, "trace").await;
    let (http, (key, key_id)) = (client(), postgres.new_key().await);
    let canary = format!("CANARY-{}", uuid::Uuid::new_v4());
    let base = server.base();
    let record = json!({"records": [{"systemType": "Test", "displayName": canary, &canary: "\u{1b}[31m\nx"}]});
    assert_eq!(
        post(&http, format!("{base}/api/ingest/systems"), &key, &record).await,
        201
    );
    let nonsense = json!({"records": [{"systemType": [canary]}], "systemId": 1});
    assert_eq!(
        post(
            &http,
            format!("{base}/api/ingest/principals?x={canary}"),
            &key,
            &nonsense
        )
        .await,
        201
    );
    assert_eq!(
        post(&http, format!("{base}/api/ingest/{canary}"), &key, &record).await,
        404
    );
    let wrong = format!("fgc_{canary}");
    assert_eq!(
        post(&http, format!("{base}/api/ingest/systems"), &wrong, &record).await,
        401
    );
    let filter = format!("{base}/api/principals?filter=displayName eq '{canary}'&limit=1");

    for id in [
        "one.2-3_4".to_owned(),
        canary.clone() + " {\"a\":1}",
        "y".repeat(500),
    ] {
        let sent = http
            .get(&filter)
            .bearer_auth(&key)
            .header("x-request-id", id)
            .send()
            .await;
        sent.expect("an answer").bytes().await.expect("a body");
    }
    let of_requests = || -> Vec<Value> {
        let lines = server.lines().into_iter();
        lines.filter(|line| line["message"] == "request").collect()
    };
    until(async || of_requests().len() >= 7).await;
    let lines = of_requests();
    assert_eq!(lines.len(), 7, "{lines:#?}");
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64()).collect();
    assert_eq!(statuses[..4], [201, 201, 404, 401].map(Some));
    for (line, is_known) in lines
        .iter()
        .zip([true, true, false, false, true, true, true])
    {
        for field in ["method", "route", "duration_ms", "bytes"] {
            assert!(!line[field].is_null(), "{field} in {line}");
        }
        assert!(line["span"]["request_id"].is_string(), "{line}");
        let known = line["key_id"].as_str() == Some(&key_id);
        // The path of the third may be one whose entity is looked at only after the key.
        assert!(known == is_known || line["status"] == 404, "{line}");
    }
    assert_eq!(lines[0]["route"], "/api/ingest/systems");
    let id_of = |line: &Value| line["span"]["request_id"].as_str().map(str::to_owned);
    assert_eq!(id_of(&lines[4]).as_deref(), Some("one.2-3_4"));
    // What is no name that a log can use was replaced by one of ours.
    for line in &lines[5..] {
        let ours = id_of(line).and_then(|id| id.parse::<uuid::Uuid>().ok());
        assert!(ours.is_some(), "{line}");
    }
    let (text, secret) = (server.text(), key.rsplit('_').nth(1).expect("a secret"));
    for told in [canary.as_str(), secret] {
        assert!(!text.contains(told), "{told} in {text}");
    }
    assert!(text.contains("\"level\":\"DEBUG\"") || text.contains("\"level\":\"INFO\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_move_with_what_happens_and_no_caller_can_add_to_their_labels() {
    let place = tempfile::tempdir().expect("a folder");
    let postgres = Postgres::start(place.path(), &[]).await;
    let server = Watched::start(place.path(), &postgres, "info").await;
    let (http, (key, _)) = (client(), postgres.new_key().await);
    let base = server.base();
    let system = json!({"records": [{"systemType": "Test", "displayName": "Tenant"}]});
    assert_eq!(
        post(&http, format!("{base}/api/ingest/systems"), &key, &system).await,
        201
    );
    let before = server.metrics(&http).await;
    let is_build = |name: &&String| name.starts_with("cadastre_build_info{version=\"");
    assert_eq!(before.keys().filter(is_build).count(), 1, "{before:?}");
    assert!((before["cadastre_database_up"] - 1.0).abs() < f64::EPSILON);

    let people = json!({"systemId": 1, "records": [
        {"id": "10000000-0000-4000-8000-000000000001", "displayName": "Ada"},
        {"id": "10000000-0000-4000-8000-000000000002", "displayName": "Bo"}, {"id": 7}]});
    for _ in 0..2 {
        assert_eq!(
            post(
                &http,
                format!("{base}/api/ingest/principals"),
                &key,
                &people
            )
            .await,
            201
        );
    }
    let session = json!({"entity": "resources", "systemId": 1, "syncMode": "full"});
    assert_eq!(
        post(&http, format!("{base}/api/ingest/sessions"), &key, &session).await,
        201
    );
    let after = server.metrics(&http).await;
    let grew = |name: &str| {
        after.get(name).copied().unwrap_or(0.0) - before.get(name).copied().unwrap_or(0.0)
    };
    let rows = |outcome: &str| {
        grew(&format!(
            "cadastre_ingest_rows_total{{entity=\"principals\",outcome=\"{outcome}\"}}"
        ))
    };
    let found =
        ["inserted", "unchanged", "rejected", "deleted"].map(|outcome| rows(outcome) as i64);
    assert_eq!(found, [2, 2, 2, 0], "{after:#?}");
    assert_eq!(grew("cadastre_ingest_sessions_open") as i64, 1);
    let claim =
        json!({"worker": "w", "version": "1", "claimId": uuid::Uuid::new_v4(), "waitSeconds": 0});
    assert_eq!(
        post(&http, format!("{base}/api/jobs/claim"), &key, &claim).await,
        200
    );
    let with_worker = server.metrics(&http).await;
    let queued = "cadastre_jobs{state=\"queued\"}";
    for (name, wanted) in [
        ("cadastre_workers", 1),
        (queued, 0),
        ("cadastre_jobs_waited_seconds", 0),
    ] {
        assert_eq!(with_worker[name] as i64, wanted, "{with_worker:#?}");
    }
    let route = "/api/ingest/{entity}";
    let requests = after
        .keys()
        .filter(|name| name.contains("principals") || name.contains(route))
        .count();
    assert!(requests > 0, "{after:#?}");
    let count: f64 = after
        .iter()
        .filter(|(name, _)| name.starts_with("cadastre_http_requests_total"))
        .map(|(_, value)| value)
        .sum();
    let timed: f64 = after
        .iter()
        .filter(|(name, _)| name.starts_with("cadastre_http_request_duration_seconds_count"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!((count as i64, timed as i64), (4, 4), "{after:#?}");

    // Paths, methods, ids and keys that callers make up end in the same few series.
    let mut seen = Vec::new();
    for round in 0..2 {
        for number in round * 20..round * 20 + 20 {
            let wild =
                reqwest::Method::from_bytes(format!("WILD{number}").as_bytes()).expect("a method");
            for (method, path) in [
                (reqwest::Method::GET, format!("/made/up/{number}")),
                (
                    reqwest::Method::GET,
                    format!("/api/ingest/sessions/{}", uuid::Uuid::new_v4()),
                ),
                (reqwest::Method::POST, format!("/api/ingest/entity{number}")),
                (wild, "/api/ingest/sessions".to_owned()),
            ] {
                let sent = http
                    .request(method, format!("{base}{path}"))
                    .bearer_auth(&key)
                    .send()
                    .await;
                sent.expect("an answer").bytes().await.expect("a body");
            }
        }
        let names = server.metrics(&http).await.into_keys();
        seen.push(names.collect::<BTreeSet<_>>());
    }
    assert_eq!(seen[0], seen[1]);

    // Not beside the API, and nothing else beside them.
    let address = server.found("metrics").expect("an address");
    for (url, status) in [
        (format!("{base}/metrics"), 404),
        (format!("http://{address}/health/live"), 404),
    ] {
        assert_eq!(
            http.get(url).send().await.expect("an answer").status(),
            status
        );
    }
}
