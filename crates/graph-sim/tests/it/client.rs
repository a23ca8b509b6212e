//! A small Graph client for the tests.

use std::collections::BTreeSet;

use graph_sim::{SimOptions, Simulator, Tenant, TenantSpec, Throttle};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use uuid::Uuid;

/// An answer with everything a test may want to look at.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("the body is JSON")
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .expect("the body is an error")
            .to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("headers are text"))
    }

    pub fn value(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["value"]
            .as_array()
            .expect("the body is a list")
            .clone()
    }
}

pub struct Client {
    http: reqwest::Client,
    pub base: String,
    token: String,
}

pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A form body for the token endpoint.
pub fn form(client_id: &str, secret: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", client_id.to_owned()),
        ("client_secret", secret.to_owned()),
        ("scope", "https://graph.microsoft.com/.default".to_owned()),
    ]
}

pub async fn ask_token(simulator: &Simulator, tenant: &str, form: &[(&str, String)]) -> Answer {
    let url = format!("{}/{tenant}/oauth2/v2.0/token", simulator.base_url());
    answer(
        http()
            .post(url)
            .form(form)
            .send()
            .await
            .expect("the simulator answers"),
    )
    .await
}

async fn answer(response: reqwest::Response) -> Answer {
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.expect("the body arrives"),
    }
}

impl Client {
    pub async fn login(simulator: &Simulator) -> Self {
        let form = form(
            &simulator.client_id().to_string(),
            simulator.client_secret(),
        );
        let token = ask_token(simulator, &simulator.tenant_id().to_string(), &form)
            .await
            .json();
        Self {
            http: http(),
            base: simulator.base_url(),
            token: token["access_token"]
                .as_str()
                .expect("a token is given")
                .to_owned(),
        }
    }

    /// Asks for a token where that may fail.
    pub async fn try_login(simulator: &Simulator) -> Option<Self> {
        let form = form(
            &simulator.client_id().to_string(),
            simulator.client_secret(),
        );
        let tenant = simulator.tenant_id();
        let url = format!("{}/{tenant}/oauth2/v2.0/token", simulator.base_url());
        let response = http().post(url).form(&form).send().await.ok()?;
        let token: Value = serde_json::from_str(&response.text().await.ok()?).ok()?;
        Some(Self {
            http: http(),
            base: simulator.base_url(),
            token: token["access_token"].as_str()?.to_owned(),
        })
    }

    /// `path` begins with the version, or is a whole URL.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        let response = self.http.get(url).bearer_auth(&self.token).send().await?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await?,
        })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.expect("the simulator answers")
    }

    pub async fn get_eventual(&self, path: &str) -> Answer {
        let request = self
            .http
            .get(format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        answer(
            request
                .header("ConsistencyLevel", "eventual")
                .send()
                .await
                .expect("the simulator answers"),
        )
        .await
    }

    /// With a `Prefer` header; `url` is whole.
    pub async fn get_preferring(&self, url: &str, preference: &str) -> Answer {
        let request = self.http.get(url).bearer_auth(&self.token);
        let request = request.header("Prefer", preference);
        answer(request.send().await.expect("the simulator answers")).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .json(body);
        answer(request.send().await.expect("the simulator answers")).await
    }

    /// All pages of a list.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await;
            found.extend(page.value());
            next = page.json()["@odata.nextLink"].as_str().map(str::to_owned);
        }
        found
    }

    /// A batch of GET requests, named by their place.
    pub async fn batch(&self, version: &str, urls: &[String]) -> Answer {
        let requests: Vec<Value> = urls
            .iter()
            .enumerate()
            .map(|(place, url)| json!({"id": place.to_string(), "method": "GET", "url": url}))
            .collect();
        self.post(
            &format!("/{version}/$batch"),
            &json!({"requests": requests}),
        )
        .await
    }
}

/// The id of an object, whatever its case.
pub fn id(object: &Value) -> Uuid {
    Uuid::parse_str(object["id"].as_str().expect("objects have an id")).expect("ids are GUIDs")
}

/// The ids of several objects.
pub fn ids(objects: &[Value]) -> BTreeSet<Uuid> {
    objects.iter().map(id).collect()
}

pub fn unlimited() -> SimOptions {
    SimOptions {
        throttle: Throttle::off(),
        ..SimOptions::default()
    }
}

pub async fn start(spec: &TenantSpec, options: SimOptions) -> (Simulator, Client) {
    let simulator = Simulator::start(Tenant::generate(spec), options)
        .await
        .expect("a free port is found");
    let client = Client::login(&simulator).await;
    (simulator, client)
}

pub async fn start_default() -> (Simulator, Client) {
    start(&TenantSpec::default(), unlimited()).await
}
