//! What all requests share, and how one request to Graph is answered: counted,
//! charged, perhaps struck by a fault, checked for permission, then handled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use super::answer::{Answer, Body, GraphError, Outcome, Trace};
use super::faults::{FaultAction, FaultBody, Faults};
use super::query::Query;
use super::stats::{LoggedRequest, Recorder};
use super::throttle::{Meter, Verdict};
use super::token::Tokens;
use crate::model::Tenant;
use crate::options::{RetryAfterForm, SimOptions};
use crate::permissions::Grants;
use crate::random::Random;
use crate::routes::{self, Call, Route, Version};

/// Everything a request needs.
pub(crate) struct Shared {
    pub(crate) base_url: String,
    pub(crate) seed: u64,
    pub(crate) options: SimOptions,
    pub(crate) tenant: RwLock<Tenant>,
    pub(crate) tokens: Tokens,
    pub(crate) meter: Mutex<Meter>,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    pub(crate) serial: AtomicU64,
}

/// Who asks.
pub(crate) struct Caller {
    pub(crate) grants: Arc<Grants>,
}

/// One request to Graph, alone or out of a batch.
pub(crate) struct SingleRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) version: Version,
    /// Path after the version.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: Option<&'a Value>,
    pub(crate) is_eventual: bool,
    pub(crate) batch: Option<u64>,
}

impl Shared {
    /// Ids for one request. They come from a counter, not from the clock.
    pub(crate) fn trace(&self, client_request_id: Option<&str>) -> Trace {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let request_id = Random::new(self.seed ^ serial).uuid().to_string();
        Trace {
            date: Utc::now().format("%Y-%m-%dT%H:%M:%S").to_string(),
            client_request_id: client_request_id.map_or_else(|| request_id.clone(), str::to_owned),
            request_id,
        }
    }

    pub(crate) fn read_tenant(&self) -> std::sync::RwLockReadGuard<'_, Tenant> {
        // A panic in a test's closure must not hide its own message behind ours.
        self.tenant.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request and writes it down.
    pub(crate) fn answer(
        &self,
        caller: &Caller,
        request: &SingleRequest<'_>,
        trace: &Trace,
    ) -> Outcome {
        let query = Query::parse(request.query);
        let found = routes::find(request.method, request.version, request.path);
        let units = found.as_ref().map_or(1, |(route, _)| route.price(&query));
        let template = found
            .as_ref()
            .map_or("(unknown)", |(route, _)| route.template);
        let verdict = self.charge(units, query.selects("signInActivity"));
        let outcome = if verdict.wait.is_some() {
            Outcome::Reply(self.rejection(&verdict, trace))
        } else {
            let fault = self
                .faults
                .strike(request.path, query.get("$skiptoken").is_some());
            self.with_fault(fault, request, &query, trace, || {
                let (route, parameters) = found.ok_or_else(|| unknown_path(request.path))?;
                self.handle(caller, request, route, parameters, &query)
            })
        };
        let outcome = with_price(outcome, units, verdict);
        let status = match &outcome {
            Outcome::Reply(answer) | Outcome::Truncate(answer) => answer.status,
            Outcome::Reset | Outcome::Omit => 0,
        };
        self.recorder.request(
            template,
            LoggedRequest {
                method: request.method.to_owned(),
                version: request.version.as_str().to_owned(),
                path: request.path.to_owned(),
                query: request.query.to_owned(),
                status,
                resource_units: units,
                batch: request.batch,
            },
        );
        outcome
    }

    fn charge(&self, units: u32, is_report: bool) -> Verdict {
        let users = self.read_tenant().users.len();
        // The meter is consistent between any two statements.
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.charge(Instant::now(), units, users, is_report)
    }

    fn handle(
        &self,
        caller: &Caller,
        request: &SingleRequest<'_>,
        route: &Route,
        parameters: Vec<&str>,
        query: &Query,
    ) -> Result<Body, GraphError> {
        if !caller.grants.has_any(route.permissions) {
            return Err(GraphError::denied());
        }
        if route.needs_p2 && !self.options.p2_licensed {
            return Err(GraphError::unlicensed());
        }
        for option in ["$search", "$orderby", "$skip"] {
            if query.get(option).is_some() {
                return Err(GraphError::unsupported(format!(
                    "The query option '{option}' is not supported here."
                )));
            }
        }
        let tenant = self.read_tenant();
        (route.handler)(&Call {
            tenant: &tenant,
            grants: &caller.grants,
            version: request.version,
            base_url: &self.base_url,
            path: request.path,
            parameters,
            query,
            body: request.body,
            is_eventual: request.is_eventual,
            p1_licensed: self.options.p1_licensed,
            p2_licensed: self.options.p2_licensed,
            short_activity_pages: self.options.short_activity_pages,
        })
    }

    /// Runs `handle` unless a fault stands in the way, and bends its result if one
    /// asks for that.
    fn with_fault(
        &self,
        fault: Option<FaultAction>,
        request: &SingleRequest<'_>,
        query: &Query,
        trace: &Trace,
        handle: impl FnOnce() -> Result<Body, GraphError>,
    ) -> Outcome {
        let normal = || match handle() {
            Ok(body) => Answer::ok(body),
            Err(error) => error.into_answer(trace),
        };
        match fault {
            None => Outcome::Reply(normal()),
            Some(FaultAction::Answer {
                status,
                body,
                retry_after,
            }) => Outcome::Reply(fault_answer(status, body, retry_after, trace)),
            Some(FaultAction::ResetConnection) => Outcome::Reset,
            Some(FaultAction::OmitFromBatch) => Outcome::Omit,
            Some(FaultAction::TruncateBody) => Outcome::Truncate(normal()),
            Some(FaultAction::EmptyList) => Outcome::Reply(emptied(normal())),
            Some(FaultAction::RepeatPage) => {
                let version = request.version.as_str();
                let link = format!(
                    "{}/{version}{}?{}",
                    self.base_url,
                    request.path,
                    query.to_url()
                );
                Outcome::Reply(repeating(normal(), &link))
            }
        }
    }

    fn rejection(&self, verdict: &Verdict, trace: &Trace) -> Answer {
        let wait = verdict.wait.unwrap_or(Duration::ZERO);
        let form = self
            .meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .settings()
            .retry_after;
        let error = match form {
            RetryAfterForm::Absent => GraphError::new(429, "UnknownError", ""),
            _ => GraphError::new(429, "TooManyRequests", "Please retry again later."),
        };
        let mut answer = error.into_answer(trace);
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        let retry_after = match form {
            RetryAfterForm::Seconds => Some(format!("{seconds:.0}")),
            RetryAfterForm::Fractional => Some(format!("{:.3}", wait.as_secs_f64().max(0.001))),
            RetryAfterForm::HttpDate => {
                // Dates have no fractions: round up to the next second.
                let when = Utc::now() + chrono::TimeDelta::seconds(seconds as i64 + 1);
                Some(when.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
            }
            RetryAfterForm::Absent => None,
        };
        answer
            .headers
            .extend(retry_after.map(|value| ("Retry-After", value)));
        let scope = format!(
            "Tenant_Application/ReadWrite/{}/{}",
            self.options.client_id,
            self.read_tenant().tenant_id
        );
        answer.headers.push(("x-ms-throttle-scope", scope));
        answer.headers.push((
            "x-ms-throttle-information",
            "ResourceUnitLimitExceeded".to_owned(),
        ));
        answer
    }
}

fn unknown_path(path: &str) -> GraphError {
    GraphError::unknown_segment(path.trim_start_matches('/'))
}

/// Adds what the request cost, and how close the limit is from 80 % on.
fn with_price(outcome: Outcome, units: u32, verdict: Verdict) -> Outcome {
    match outcome {
        Outcome::Reply(mut answer) => {
            answer
                .headers
                .push(("x-ms-resource-unit", units.to_string()));
            if verdict.used >= 0.8 {
                answer.headers.push((
                    "x-ms-throttle-limit-percentage",
                    format!("{:.2}", verdict.used),
                ));
            }
            Outcome::Reply(answer)
        }
        other => other,
    }
}

pub(crate) fn fault_answer(
    status: u16,
    body: FaultBody,
    retry_after: Option<String>,
    trace: &Trace,
) -> Answer {
    let mut answer = match body {
        FaultBody::Json { code, message } => {
            GraphError::new(status, &code, message).into_answer(trace)
        }
        FaultBody::Html => {
            let page = format!(
                "<html><head><title>{status} Gateway Error</title></head><body></body></html>"
            );
            Answer {
                status,
                ..Answer::ok(Body::Html(page))
            }
        }
        FaultBody::Empty => Answer {
            status,
            ..Answer::ok(Body::Empty)
        },
    };
    answer
        .headers
        .extend(retry_after.map(|value| ("Retry-After", value)));
    answer
}

/// The same list without its content.
fn emptied(mut answer: Answer) -> Answer {
    if let Body::Json(Value::Object(page)) = &mut answer.body
        && page.get("value").is_some_and(Value::is_array)
    {
        page.insert("value".to_owned(), json!([]));
        page.remove("@odata.nextLink");
    }
    answer
}

fn repeating(mut answer: Answer, link: &str) -> Answer {
    if let Body::Json(Value::Object(page)) = &mut answer.body
        && page.get("value").is_some_and(Value::is_array)
    {
        page.insert("@odata.nextLink".to_owned(), json!(link));
    }
    answer
}
