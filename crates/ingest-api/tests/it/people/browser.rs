//! A browser: cookies, and redirections that are followed by hand.

use std::collections::HashMap;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header, redirect};
use serde_json::Value;
use url::Url;

use crate::app::TestApp;

/// What was answered.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub location: Option<Url>,
    pub cookies: Vec<String>,
    pub policy: String,
    pub text: String,
}

impl Page {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The value of a parameter of where the page leads to.
    pub fn leads_with(&self, name: &str) -> String {
        parameter(self.location.as_ref().expect("a redirection"), name)
    }
}

pub fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.expect(name).1.into_owned()
}

/// A browser with its cookies, by origin.
#[derive(Clone)]
pub struct Browser {
    http: Client,
    jar: HashMap<(String, String), String>,
}

impl Browser {
    pub fn new() -> Self {
        let http = Client::builder().redirect(redirect::Policy::none()).build();
        Self {
            http: http.expect("a client"),
            jar: HashMap::new(),
        }
    }

    /// The value of a cookie.
    pub fn cookie(&self, origin: &str, name: &str) -> Option<String> {
        self.jar.get(&(origin.into(), name.into())).cloned()
    }

    pub fn set_cookie(&mut self, origin: &str, name: &str, value: &str) {
        self.jar
            .insert((origin.into(), name.into()), value.to_owned());
    }

    /// A request with this browser's cookies.
    pub fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let origin = url.origin().ascii_serialization();
        let cookies: Vec<String> = self
            .jar
            .iter()
            .filter(|((of, _), _)| *of == origin)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let request = self.http.request(method, url.clone());
        if cookies.is_empty() {
            request
        } else {
            request.header(header::COOKIE, cookies.join("; "))
        }
    }

    pub async fn get(&mut self, url: &Url) -> Page {
        let request = self.request(Method::GET, url);
        self.send(url, request).await
    }

    pub async fn post(&mut self, url: &Url, form: &[(&str, &str)]) -> Page {
        let request = self.request(Method::POST, url).form(form);
        self.send(url, request).await
    }

    pub async fn send(&mut self, url: &Url, request: RequestBuilder) -> Page {
        let response = request.send().await.expect("an answer");
        self.keep_cookies(url, &response);
        let text_of = |name: header::HeaderName| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        Page {
            status: response.status(),
            location: text_of(header::LOCATION).map(|to| url.join(&to).expect("a location")),
            policy: text_of(header::CONTENT_SECURITY_POLICY).unwrap_or_default(),
            cookies: lines(&response),
            text: response.text().await.expect("a body"),
        }
    }

    fn keep_cookies(&mut self, url: &Url, response: &Response) {
        let origin = url.origin().ascii_serialization();
        for line in lines(response) {
            let pair = line.split(';').next().expect("a cookie");
            let (name, value) = pair.split_once('=').expect("a value");
            let key = (origin.clone(), name.trim().to_owned());
            if value.is_empty() {
                self.jar.remove(&key);
            } else {
                self.jar.insert(key, value.to_owned());
            }
        }
    }

    /// A call of the API by a page of ours.
    pub async fn call(&mut self, app: &TestApp, method: Method, path: &str, body: Value) -> Page {
        let url = at(app, path);
        let mut request = self.request(method.clone(), &url);
        if method != Method::GET {
            let me = self.get(&at(app, "/api/me")).await.json();
            let token = me["csrfToken"].as_str().unwrap_or("none").to_owned();
            request = request
                .header("x-csrf-token", token)
                .header("origin", app.base())
                .header("sec-fetch-site", "same-origin")
                .json(&body);
        }
        self.send(&url, request).await
    }
}

fn lines(response: &Response) -> Vec<String> {
    response
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|line| line.to_str().expect("a text").to_owned())
        .collect()
}

/// A page of the server.
pub fn at(app: &TestApp, path: &str) -> Url {
    format!("{}{path}", app.base()).parse().expect("a URL")
}
