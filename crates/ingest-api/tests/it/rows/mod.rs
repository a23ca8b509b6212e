//! Lists and exports of the register's rows.
//!
//! `oracle` says which rows a filter keeps and in which order they come, told from docs/read-api.md and independent of the
//! SQL; `generate` draws rows and questions.

mod access;
mod evolving;
mod export;
mod fields;
mod generate;
mod indexes;
mod instants;
mod isolation;
mod matrix;
mod oracle;
mod pages;
mod parquet;
mod promoted;
mod refusals;
mod views;

use std::fmt::Write as _;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::app::{Answer, TestApp};

/// A path with a query.
fn path(base: &str, parameters: &[(&str, &str)]) -> String {
    let mut path = base.to_owned();
    for (number, (name, value)) in parameters.iter().enumerate() {
        let sign = if number == 0 { '?' } else { '&' };
        let _ = write!(path, "{sign}{name}=");
        for byte in value.bytes() {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

/// A question with a key of its own.
fn ask(app: &TestApp, key: &str, base: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
    let url = format!("{}{}", app.base(), path(base, parameters));
    reqwest::Client::new()
        .request(Method::GET, url)
        .bearer_auth(key)
}

/// A list with the test's own key.
async fn get(app: &TestApp, base: &str, parameters: &[(&str, &str)]) -> Answer {
    app.get(&path(base, parameters)).await
}

/// The rows of an answer.
fn items(answer: &Value) -> Vec<Value> {
    answer["items"].as_array().expect("items").clone()
}

/// One field of each row.
fn each(answer: &Value, field: &str) -> Vec<Value> {
    items(answer)
        .iter()
        .map(|item| item[field].clone())
        .collect()
}
