//! What all requests share, and how one request to Graph is answered: counted,
//! charged, perhaps struck by a fault, checked for permission, then handled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::Value;

use super::answer::{Answer, Body, GraphError, Outcome, Pace, Trace};
use super::faults::bend::{Places, bend};
use super::faults::{Asked, FaultAction, FaultBody, Faults, Kind, Strike};
use super::query::Query;
use super::stats::{LoggedRequest, Recorder};
use super::throttle::{Meter, Verdict};
use super::token::Tokens;
use crate::application::OwnApplication;
use crate::model::Tenant;
use crate::options::{RetryAfterForm, SimOptions};
use crate::permissions::Grants;
use crate::random::Random;
use crate::routes::delta::book::DeltaBook;
use crate::routes::{self, Call, Route, Version};

/// Everything a request needs.
pub(crate) struct Shared {
    pub(crate) base_url: String,
    /// Origin of the foreign host.
    pub(crate) foreign_url: String,
    pub(crate) seed: u64,
    pub(crate) options: SimOptions,
    /// Shared with the delta tokens that remember it; cloned when it changes.
    pub(crate) tenant: RwLock<Arc<Tenant>>,
    pub(crate) deltas: DeltaBook,
    pub(crate) licences: Mutex<Licences>,
    pub(crate) tokens: Tokens,
    pub(crate) meter: Mutex<Meter>,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    pub(crate) serial: AtomicU64,
}

/// What the tenant has paid for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Licences {
    pub(crate) p1: bool,
    pub(crate) p2: bool,
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
    pub(crate) prefers_minimal: bool,
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

    pub(crate) fn read_tenant(&self) -> std::sync::RwLockReadGuard<'_, Arc<Tenant>> {
        // A panic in a test's closure must not hide its own message behind ours.
        self.tenant.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn licences(&self) -> Licences {
        *self.licences.lock().unwrap_or_else(PoisonError::into_inner)
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
            let asked = Asked {
                path: request.path,
                query: &query,
                kind: request.batch.map_or(Kind::Single, |_| Kind::Part),
            };
            let fault = self.strike(asked);
            self.with_fault(fault, request, asked, trace, || {
                let (route, parameters) = found.ok_or_else(|| unknown_path(request.path))?;
                self.handle(caller, request, route, parameters, &query)
            })
        };
        let outcome = with_price(outcome, units, verdict);
        let status = match &outcome {
            Outcome::Reply(answer)
            | Outcome::Truncate(answer)
            | Outcome::Twice(answer)
            | Outcome::Slow(answer, _) => answer.status,
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

    /// Counts an HTTP call; a verdict when it is one too many.
    pub(crate) fn over_request_cap(&self) -> Option<Verdict> {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = meter.call(Instant::now())?;
        self.recorder.refused_call();
        Some(verdict)
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
        let licences = self.licences();
        if route.needs_p2 && !licences.p2 {
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
        let assigned = self.tokens.assigned();
        (route.handler)(&Call {
            application: OwnApplication {
                client_id: self.options.client_id,
                assigned: &assigned,
            },
            tenant: &tenant,
            snapshot: &tenant,
            deltas: &self.deltas,
            grants: &caller.grants,
            version: request.version,
            base_url: &self.base_url,
            path: request.path,
            parameters,
            query,
            body: request.body,
            is_eventual: request.is_eventual,
            prefers_minimal: request.prefers_minimal,
            p1_licensed: licences.p1,
            p2_licensed: licences.p2,
            short_activity_pages: self.options.short_activity_pages,
        })
    }

    /// What happens to a request, if anything.
    pub(crate) fn strike(&self, asked: Asked<'_>) -> Option<Strike> {
        self.faults.strike(asked, self.options.time_scale)
    }

    /// A wait or lifetime as the simulator's clock runs.
    pub(crate) fn scaled(&self, time: Duration) -> Duration {
        time.div_f64(self.options.time_scale)
    }

    /// Runs `handle` unless a fault stands in the way, and bends its result if one
    /// asks for that.
    fn with_fault(
        &self,
        strike: Option<Strike>,
        request: &SingleRequest<'_>,
        asked: Asked<'_>,
        trace: &Trace,
        handle: impl FnOnce() -> Result<Body, GraphError>,
    ) -> Outcome {
        let normal = || self.normal(asked, trace, handle());
        let Some(strike) = strike else {
            return Outcome::Reply(normal());
        };
        let outcome = match strike.action.clone() {
            FaultAction::Answer {
                status,
                body,
                retry_after,
            } => Outcome::Reply(self.fault_answer(status, body, retry_after, trace)),
            FaultAction::ResetConnection => Outcome::Reset,
            FaultAction::OmitFromBatch => Outcome::Omit,
            FaultAction::RepeatInBatch => Outcome::Twice(normal()),
            FaultAction::TruncateBody => Outcome::Truncate(normal()),
            FaultAction::SlowBody { parts, pause } => {
                let pause = self.scaled(pause);
                Outcome::Slow(normal(), Pace { parts, pause })
            }
            FaultAction::ExpireTokens => {
                self.tokens.expire_all();
                Outcome::Reply(GraphError::expired_token().into_answer(trace))
            }
            FaultAction::ExpirePageTokens { .. } => {
                Outcome::Reply(GraphError::expired_page_token().into_answer(trace))
            }
            FaultAction::RedirectAbroad => Outcome::Reply(Answer {
                status: 307,
                headers: vec![("Location", self.places(request, asked).abroad)],
                body: Body::Empty,
            }),
            bending => {
                let mut answer = normal();
                if !self.bent(&mut answer, &bending, request, asked) {
                    return Outcome::Reply(answer);
                }
                Outcome::Reply(answer)
            }
        };
        self.faults.count(strike);
        outcome
    }

    /// The answer without any fault.
    fn normal(&self, asked: Asked<'_>, trace: &Trace, result: Result<Body, GraphError>) -> Answer {
        let answer = match result {
            Ok(body) => Answer::ok(body),
            Err(error) => {
                if let Some(name) = condition(&error) {
                    self.faults.count_as(name.to_owned());
                }
                error.into_answer(trace)
            }
        };
        if let Body::Json(Value::Object(page)) = &answer.body {
            self.faults.note_page(asked, page);
        }
        answer
    }

    fn bent(
        &self,
        answer: &mut Answer,
        action: &FaultAction,
        request: &SingleRequest<'_>,
        asked: Asked<'_>,
    ) -> bool {
        let places = self.places(request, asked);
        bend(answer, action, asked, &places, &mut self.faults.memory())
    }

    fn places(&self, request: &SingleRequest<'_>, asked: Asked<'_>) -> Places {
        let path = format!("/{}{}", request.version.as_str(), request.path);
        let query = asked.query.to_url();
        Places {
            here: format!("{}{path}?{query}", self.base_url),
            abroad: format!("{}{path}?{query}", self.foreign_url),
        }
    }

    pub(crate) fn fault_answer(
        &self,
        status: u16,
        body: FaultBody,
        retry_after: Option<String>,
        trace: &Trace,
    ) -> Answer {
        let mut answer = described(status, body, trace);
        let retry_after = retry_after.map(|text| self.scaled_text(text));
        answer
            .headers
            .extend(retry_after.map(|value| ("Retry-After", value)));
        answer
    }

    /// A `Retry-After` in seconds, shortened by the time scale; others stay.
    fn scaled_text(&self, text: String) -> String {
        match text.parse::<f64>() {
            Ok(seconds) if self.options.time_scale > 1.0 => {
                format!("{:.3}", seconds / self.options.time_scale)
            }
            _ => text,
        }
    }

    pub(crate) fn rejection(&self, verdict: &Verdict, trace: &Trace) -> Answer {
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
            // Whole seconds would undo the time scale.
            RetryAfterForm::Seconds if self.options.time_scale <= 1.0 => {
                Some(format!("{seconds:.0}"))
            }
            RetryAfterForm::Seconds | RetryAfterForm::Fractional => {
                Some(format!("{:.3}", wait.as_secs_f64().max(0.001)))
            }
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

/// What statistics call a refusal that comes from the tenant's conditions.
fn condition(error: &GraphError) -> Option<&'static str> {
    match error.code.as_str() {
        "AadPremiumLicenseRequired" | "Authentication_RequestFromNonPremiumTenantOrB2CTenant" => {
            Some("missing licence")
        }
        "Authorization_RequestDenied" | "Authentication_MSGraphPermissionMissing" => {
            Some("missing permission")
        }
        "resyncRequired" | "syncStateNotFound" => Some("expired delta token"),
        _ => None,
    }
}

fn unknown_path(path: &str) -> GraphError {
    GraphError::unknown_segment(path.trim_start_matches('/'))
}

/// Adds what the request cost, and how close the limit is from 80 % on.
fn with_price(outcome: Outcome, units: u32, verdict: Verdict) -> Outcome {
    match outcome {
        Outcome::Reply(answer) => Outcome::Reply(priced(answer, units, verdict)),
        Outcome::Twice(answer) => Outcome::Twice(priced(answer, units, verdict)),
        Outcome::Slow(answer, pace) => Outcome::Slow(priced(answer, units, verdict), pace),
        other => other,
    }
}

fn priced(mut answer: Answer, units: u32, verdict: Verdict) -> Answer {
    answer
        .headers
        .push(("x-ms-resource-unit", units.to_string()));
    if verdict.used >= 0.8 {
        answer.headers.push((
            "x-ms-throttle-limit-percentage",
            format!("{:.2}", verdict.used),
        ));
    }
    answer
}

/// An error as a fault describes it.
fn described(status: u16, body: FaultBody, trace: &Trace) -> Answer {
    match body {
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
    }
}
