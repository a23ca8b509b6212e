//! `$batch`: up to twenty requests in one call, each on its own account.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::answer::{Answer, Body, GraphError, Outcome, Trace};
use super::http::is_minimal;
use super::state::{Caller, Shared, SingleRequest};
use crate::random::Random;
use crate::routes::Version;

/// The most requests one batch may carry.
const LIMIT: usize = 20;

struct Part<'a> {
    id: &'a str,
    method: String,
    url: &'a str,
    headers: HashMap<String, &'a str>,
    body: Option<&'a Value>,
    depends_on: Vec<&'a str>,
}

/// Answers a whole batch.
pub(crate) fn answer(
    shared: &Shared,
    caller: &Caller,
    version: Version,
    body: Option<&Value>,
    trace: &Trace,
) -> Outcome {
    let parts = match body
        .ok_or_else(|| invalid("Invalid batch payload format."))
        .and_then(parse)
    {
        Ok(parts) => parts,
        Err(error) => return Outcome::Reply(error.into_answer(trace)),
    };
    let number = shared.recorder.batch();
    let mut failed: HashSet<&str> = HashSet::new();
    let mut responses = Vec::with_capacity(parts.len());
    let mut pace = None;
    for part in &parts {
        let outcome = if part.depends_on.iter().any(|id| failed.contains(id)) {
            let error = GraphError::new(
                424,
                "FailedDependency",
                "A request this one depends on has failed.",
            );
            Outcome::Reply(error.into_answer(trace))
        } else {
            answer_part(shared, caller, version, part, number, trace)
        };
        match outcome {
            Outcome::Reply(answer) => {
                if answer.status >= 400 {
                    failed.insert(part.id);
                }
                responses.push(response(part.id, answer));
            }
            Outcome::Omit => {}
            // One connection carries the whole batch.
            Outcome::Reset | Outcome::Truncate(_) => return Outcome::Reset,
            Outcome::Twice(answer) => {
                responses.push(response(part.id, answer.clone()));
                responses.push(response(part.id, answer));
            }
            Outcome::Slow(answer, part_pace) => {
                pace = Some(part_pace);
                responses.push(response(part.id, answer));
            }
        }
    }
    if shared.options.shuffle_batches {
        Random::new(shared.seed ^ number).shuffle(&mut responses);
    }
    let answer = Answer::ok(Body::Json(json!({"responses": responses})));
    match pace {
        Some(pace) => Outcome::Slow(answer, pace),
        None => Outcome::Reply(answer),
    }
}

fn invalid(message: &str) -> GraphError {
    GraphError::new(400, "BadRequest", message)
}

fn parse(body: &Value) -> Result<Vec<Part<'_>>, GraphError> {
    let requests = body
        .get("requests")
        .and_then(Value::as_array)
        .filter(|requests| !requests.is_empty())
        .ok_or_else(|| invalid("Invalid batch payload format."))?;
    if requests.len() > LIMIT {
        return Err(invalid(&format!(
            "Number of batch request steps exceeds the maximum value of {LIMIT}."
        )));
    }
    let parts: Vec<Part<'_>> = requests.iter().map(parse_part).collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    for part in &parts {
        if !seen.insert(part.id.to_lowercase()) {
            return Err(invalid(&format!(
                "Request id '{}' must be unique within a batch.",
                part.id
            )));
        }
    }
    Ok(parts)
}

fn parse_part(request: &Value) -> Result<Part<'_>, GraphError> {
    let field = |name: &str| {
        request
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| invalid(&format!("Request property '{name}' is required.")))
    };
    let headers = request
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.to_lowercase(), value.as_str()?)))
        .collect();
    let depends_on = request
        .get("dependsOn")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Ok(Part {
        id: field("id")?,
        method: field("method")?.to_uppercase(),
        url: field("url")?,
        headers,
        body: request.get("body"),
        depends_on,
    })
}

fn answer_part(
    shared: &Shared,
    caller: &Caller,
    version: Version,
    part: &Part<'_>,
    number: u64,
    trace: &Trace,
) -> Outcome {
    let (path, query) = part.url.split_once('?').unwrap_or((part.url, ""));
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let request = SingleRequest {
        method: &part.method,
        version,
        path: &path,
        query,
        body: part.body,
        is_eventual: part
            .headers
            .get("consistencylevel")
            .is_some_and(|level| level.eq_ignore_ascii_case("eventual")),
        prefers_minimal: part
            .headers
            .get("prefer")
            .is_some_and(|preference| is_minimal(preference)),
        batch: Some(number),
    };
    shared.answer(caller, &request, trace)
}

fn response(id: &str, answer: Answer) -> Value {
    let mut headers = Map::new();
    for (name, value) in &answer.headers {
        headers.insert((*name).to_owned(), json!(value));
    }
    let mut response = json!({"id": id, "status": answer.status});
    let content_type = match answer.body {
        Body::Json(body) => {
            response["body"] = body;
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
        }
        Body::Html(text) => {
            response["body"] = json!(text);
            "text/html"
        }
        Body::Text(text) => {
            response["body"] = json!(text);
            "text/plain"
        }
        Body::Empty => "text/plain",
    };
    headers.insert("Content-Type".to_owned(), json!(content_type));
    response["headers"] = Value::Object(headers);
    response
}
