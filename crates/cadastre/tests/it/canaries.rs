//! A secret is where it belongs and nowhere else: not in a log, however much is logged, not in what PostgreSQL logs and
//! stores, not in an answer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use contract::{Crawler, CreatedKey};
use graph_sim::{SimOptions, TenantSpec};
use ingest_api::people::bootstrap_link;
use reqwest::{Client, Method, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::Url;

use crate::{
    register::{Register, seed},
    runs_killed::scene::Scene,
};

/// All that PostgreSQL can be made to log: statements with the values that they are given, failed ones too.
const TALKATIVE: [(&str, &str); 4] = [
    ("log_statement", "all"),
    ("log_parameter_max_length", "-1"),
    ("log_parameter_max_length_on_error", "-1"),
    ("log_min_error_statement", "error"),
];

/// Something that nobody may find, and the one file that has it by design.
struct Canary {
    name: &'static str,
    text: String,
    home: Option<PathBuf>,
}

impl Canary {
    fn new(name: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        assert!(text.len() >= 8, "{name} is too short to be looked for");
        Self {
            name,
            text,
            home: None,
        }
    }

    fn at_home_in(self, file: PathBuf) -> Self {
        Self {
            home: Some(file),
            ..self
        }
    }
}

/// The secret part of a key.
fn secret_part(key: &str) -> &str {
    key.splitn(3, '_').nth(2).expect("a key has three parts")
}

/// A crawler of the tenant, and a run of it by one of the workers.
async fn crawl(scene: &Scene) -> Crawler {
    let register = &scene.register;
    let address = register.simulator.base_url();
    let crawler = json!({
        "name": "MARKER tenant",
        "settings": {
            "graph": {
                "tenantId": register.simulator.tenant_id(), "clientId": register.simulator.client_id(),
                "baseUrl": address, "loginBaseUrl": address,
            },
            "sync": {"servicePrincipals": true, "pim": true, "governance": true},
        },
        "secrets": {"clientSecret": register.simulator.client_secret()},
    });
    let crawler: Crawler = register.post("/api/crawlers", &crawler).await;
    let wanted = json!({"crawlerId": crawler.crawler_id, "mode": "full"});
    let _: Value = register.post("/api/jobs", &wanted).await;
    let ended = scene
        .until("the run's end", async |pool| {
            sqlx::query_scalar::<_, String>("select state from jobs where finished_at is not null")
                .fetch_optional(pool)
                .await
        })
        .await;
    assert_eq!(ended, "succeeded");
    crawler
}

/// What the simulated tenant's tokens all begin with.
async fn beginning_of_tokens(register: &Register) -> String {
    let simulator = &register.simulator;
    let url = format!(
        "{}/{}/oauth2/v2.0/token",
        simulator.base_url(),
        simulator.tenant_id()
    );
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &simulator.client_id().to_string()),
        ("client_secret", simulator.client_secret()),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let answer = Client::new().post(url).form(&form).send().await;
    let answer: Value = answer.expect("an answer").json().await.expect("a token");
    let token = answer["access_token"].as_str().expect("a token");
    let claims = token.find('.').expect("parts") + 1;
    // As far as nothing of it says when it was given out.
    token[..claims + 24].to_owned()
}

/// Becomes the first admin by a link; answers the session's cookie, what calls send along, and what the link had in it.
async fn sign_in(scene: &Scene, http: &Client) -> (String, String, String) {
    let link = bootstrap_link(scene.pool(), "https://cadastre.example.org").await;
    let link = link.expect("made").expect("nobody is admin");
    let link = Url::parse(&link).expect("an address");
    let (_, token) = link.query_pairs().next().expect("a token");
    let base = &scene.register.base_url;
    let claimed = http
        .post(format!("{base}/auth/bootstrap"))
        .form(&[("token", token.as_ref())])
        .send()
        .await
        .expect("an answer");
    assert_eq!(claimed.status(), StatusCode::SEE_OTHER);
    let cookie = claimed.headers()[header::SET_COOKIE].to_str();
    let cookie = cookie.expect("text").split(';').next().expect("a pair");
    let me = http
        .get(format!("{base}/api/me"))
        .header(header::COOKIE, cookie)
        .send();
    let me: Value = me.await.expect("an answer").json().await.expect("me");
    let along = me["csrfToken"].as_str().expect("a token").to_owned();
    (cookie.to_owned(), along, token.into_owned())
}

/// Answers to every question that needs no id, and to some that are refused.
async fn answers(register: &Register, crawler: &Crawler) -> Vec<(String, String)> {
    let document: Value = register.get("/api/openapi.json").await;
    let paths = document["paths"].as_object().expect("paths");
    let mut asked: Vec<String> = paths
        .iter()
        .filter(|(path, operations)| !path.contains('{') && operations["get"].is_object())
        .map(|(path, _)| path.clone())
        .collect();
    assert!(asked.len() > 30, "{asked:?}");
    let one = format!("/api/crawlers/{}", crawler.crawler_id);
    asked.extend([
        one.clone(),
        format!("{one}/export"),
        format!("{one}/versions"),
    ]);
    let mut answers = Vec::new();
    for path in asked {
        let url = format!("{}{path}", register.base_url);
        answers.push((path, register.answer(&url).await.1));
    }
    answers
}

/// Every file below the folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            files(&path, found);
        } else if kind.is_ok_and(|kind| kind.is_file()) {
            found.push(path);
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// Where a canary is that must not be there. A file that PostgreSQL removes meanwhile holds nothing.
fn escaped(folder: &Path, canaries: &[Canary]) -> Vec<String> {
    let mut all = Vec::new();
    files(folder, &mut all);
    let mut escaped = Vec::new();
    for file in all {
        let Ok(bytes) = fs::read(&file) else {
            continue;
        };
        for canary in canaries {
            if canary.home.as_ref() != Some(&file) && holds(&bytes, &canary.text) {
                let text = String::from_utf8_lossy(&bytes);
                let line = text.lines().find(|line| line.contains(&canary.text));
                let line: String = line.unwrap_or_default().chars().take(400).collect();
                escaped.push(format!("{} in {}: {line}", canary.name, file.display()));
            }
        }
    }
    escaped
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_no_log_no_file_of_the_database_and_no_answer_has_a_secret_however_much_is_logged() {
    let spec = TenantSpec::new(seed(), 60, 20, 10).with_access_packages(2);
    let scene = Scene::start_logging(&spec, SimOptions::default(), "trace", &TALKATIVE).await;
    let register = &scene.register;
    let http = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let base = &register.base_url;
    let crawler = crawl(&scene).await;
    let (cookie, along, link) = sign_in(&scene, &http).await;
    let session = cookie.split_once('=').expect("a pair").1;

    // Secrets that come and go, taken and refused.
    let one = format!("{base}/api/crawlers/{}", crawler.crawler_id);
    for (version, expected) in [(1, StatusCode::OK), (1, StatusCode::CONFLICT)] {
        let body =
            json!({"version": version, "secrets": {"certificatePassword": "CANARY-password"}});
        let patched = http.patch(&one).bearer_auth(&register.key).json(&body);
        let patched = patched.send().await.expect("an answer");
        assert_eq!(patched.status(), expected);
    }
    let made: CreatedKey = register
        .post(
            "/api/admin/keys",
            &json!({"name": "another", "permissions": ["read"]}),
        )
        .await;
    for (method, path) in [
        (Method::GET, "/api/principals"),
        (Method::POST, "/api/admin/keys"),
    ] {
        let call = |key: &str| {
            http.request(method.clone(), format!("{base}{path}"))
                .bearer_auth(key)
        };
        call(&made.key).send().await.expect("an answer");
        let wrong = call("fgc_CANARYwrong0_CANARYwrongCANARYwrong").send().await;
        assert_eq!(wrong.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    }
    let by_person = http
        .post(format!("{base}/api/admin/keys"))
        .header(header::COOKIE, &cookie)
        .header("x-csrf-token", &along)
        .json(&json!({"name": "by a person", "permissions": ["read"]}));
    let by_person = by_person.send().await.expect("an answer");
    assert_eq!(by_person.status(), StatusCode::CREATED);
    let by_person: CreatedKey = by_person.json().await.expect("a key");

    let (worker_key, database) = scene.known();
    let database = Url::parse(database.expose_secret()).expect("an address");
    let key_file = scene.folder().join("keys");
    let keys = fs::read_to_string(&key_file).expect("the keys of secrets");
    let seals = keys
        .trim()
        .rsplit([' ', ':', '=', '"'])
        .find(|part| part.len() > 20);
    let canaries = [
        Canary::new("the client secret", register.simulator.client_secret()),
        Canary::new("a token of Graph", beginning_of_tokens(register).await),
        Canary::new("the password of a certificate", "CANARY-password"),
        Canary::new("a key that was refused", "CANARYwrongCANARYwrong"),
        Canary::new("the key of the workers", secret_part(worker_key)),
        Canary::new("the key of an admin", secret_part(&register.key)),
        Canary::new("a new key", secret_part(&made.key)),
        Canary::new("a key that a person made", secret_part(&by_person.key)),
        Canary::new("the link for the first admin", link),
        Canary::new("the cookie of a session", session),
        Canary::new("what a page sends along", along.as_str()),
        Canary::new(
            "the database's password",
            database.password().expect("a password"),
        )
        .at_home_in(scene.folder().join("postgres/secret")),
        Canary::new("the key that seals secrets", seals.expect("a key"))
            .at_home_in(key_file.clone()),
    ];
    let answers = answers(register, &crawler).await;
    let mut administrator = scene.administrator().await;
    sqlx::query("checkpoint")
        .execute(&mut administrator)
        .await
        .expect("a checkpoint");

    // The search finds what is there, and everything has talked.
    for (file, text) in [
        ("server.log", "INFO"),
        ("workers.log", "INFO"),
        ("postgres/server.log", "parameters: "),
        ("postgres/server.log", "MARKER tenant"),
        ("keys", &canaries[12].text),
        ("postgres/secret", &canaries[11].text),
    ] {
        let bytes = fs::read(scene.folder().join(file)).expect(file);
        assert!(holds(&bytes, text), "{file} says nothing");
    }
    assert!(answers.iter().any(|(_, answer)| answer.contains("MARKER")));
    assert_eq!(escaped(scene.folder(), &canaries), Vec::<String>::new());
    for (path, answer) in answers {
        for canary in &canaries {
            assert!(!answer.contains(&canary.text), "{} in {path}", canary.name);
        }
    }
}
