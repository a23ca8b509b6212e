//! Twenty requests in one call. Each part succeeds, fails and is throttled on its own.

use std::collections::HashMap;

use chrono::Utc;
use contract::Recovered;
use ingest_client::retry::parse_retry_after;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answered, Fault, Graph, GraphError, Meter, Version,
    attempt::{price, units_of},
    client::{CONSISTENCY_LEVEL, EVENTUAL, MAX_REJECTED_TOKENS, Outgoing, needs_index},
    lanes::{Workload, workload_of},
};

/// A part of a batch: an address below the version, such as `/groups/…/members?$select=id`.
#[derive(Debug, Clone)]
pub(crate) struct SubRequest {
    pub url: String,
    /// Resource units that it probably costs.
    pub estimate: f64,
}

impl SubRequest {
    /// Most parts that a batch may have.
    pub const PER_BATCH: usize = 20;
}

#[derive(Deserialize)]
struct BatchAnswer {
    responses: Vec<PartAnswer>,
}

impl Answered for BatchAnswer {}

#[derive(Deserialize)]
struct PartAnswer {
    id: String,
    status: u16,
    #[serde(default)]
    headers: HashMap<String, Value>,
    #[serde(default)]
    body: Value,
}

impl PartAnswer {
    fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Resource units that it cost, if it tells.
    fn units(&self) -> Option<f64> {
        let told = self.header("x-ms-resource-unit")?;
        told.trim().parse().ok().and_then(price)
    }
}

/// What is known about one part.
#[derive(Default)]
struct Part {
    outcome: Option<Result<Value, GraphError>>,
    failures: u32,
    throttled: u32,
    rejected_tokens: u32,
    faults: Recovered,
}

/// Why a part must be sent again.
enum Again {
    /// Everybody is to wait.
    Throttled(Option<std::time::Duration>, Fault),
    Failed(String, Fault),
    TokenRejected,
}

impl Again {
    fn fault(&self) -> Fault {
        match self {
            Self::Throttled(_, fault) | Self::Failed(_, fault) => *fault,
            Self::TokenRejected => Fault::RejectedToken,
        }
    }
}

impl Graph {
    /// The same as [`batch`](Self::batch); where the whole batch is hopeless, so is each part.
    pub async fn batch_each(
        &self,
        version: Version,
        requests: &[SubRequest],
        meter: &Meter,
    ) -> Vec<Result<Value, GraphError>> {
        match self.batch(version, requests, meter).await {
            Ok(answers) => answers,
            Err(error) => requests.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Sends the parts (at most 20) and sends again those that failed for a while, until each has its outcome. The
    /// outcomes come in the order of the parts. `Err` only when the whole batch is hopeless.
    pub async fn batch(
        &self,
        version: Version,
        requests: &[SubRequest],
        meter: &Meter,
    ) -> Result<Vec<Result<Value, GraphError>>, GraphError> {
        let mut parts: Vec<Part> = requests.iter().map(|_| Part::default()).collect();
        loop {
            let open: Vec<usize> = (0..parts.len())
                .filter(|&index| parts[index].outcome.is_none())
                .collect();
            if open.is_empty() {
                break;
            }
            let generation = self.token_generation().await?;
            let answer = self.send_parts(version, requests, &open, meter).await?;
            let mut answers: HashMap<String, PartAnswer> = HashMap::new();
            for part in answer.responses {
                if answers.insert(part.id.clone(), part).is_some() {
                    meter.got_over_one(Fault::RepeatedBatchItem);
                }
            }
            let mut worst = None;
            let workload = self.workload_of_batch(version, requests)?;
            for index in open {
                let answered = answers.remove(&index.to_string());
                if let Some(answered) = &answered {
                    let units =
                        units_of(answered.units(), answered.status, requests[index].estimate);
                    book(answered, units, meter);
                }
                let part = &mut parts[index];
                if let Some(again) = judge(part, answered) {
                    if matches!(again, Again::TokenRejected) {
                        self.reject_token(generation).await;
                    }
                    worst = self.settle(workload, part, again, worst, meter);
                } else {
                    meter.got_over(part.faults);
                }
            }
            if let Some(failures) = worst {
                self.or_cancelled(self.wait_for_parts(failures, meter))
                    .await?;
            }
        }
        Ok(parts
            .into_iter()
            .map(|part| part.outcome.unwrap_or(Err(GraphError::Cancelled)))
            .collect())
    }

    /// The workload that answers a batch: that of its parts, which are all of one kind.
    fn workload_of_batch(
        &self,
        version: Version,
        requests: &[SubRequest],
    ) -> Result<Workload, GraphError> {
        let first = requests.first().map_or("", |request| &request.url);
        Ok(workload_of(&self.origin.address(version, first)?))
    }

    async fn send_parts(
        &self,
        version: Version,
        requests: &[SubRequest],
        open: &[usize],
        meter: &Meter,
    ) -> Result<BatchAnswer, GraphError> {
        let mut items = Vec::new();
        let workload = self.workload_of_batch(version, requests)?;
        for &index in open {
            let address = &requests[index].url;
            let url = self.origin.address(version, address)?;
            let mut item = json!({"id": index.to_string(), "method": "GET", "url": address});
            if needs_index(&url) {
                // The batch's own headers do not reach its parts.
                item["headers"] = json!({ CONSISTENCY_LEVEL: EVENTUAL });
            }
            items.push(item);
        }
        let outgoing = Outgoing {
            method: Method::POST,
            url: self.origin.address(version, "$batch")?,
            body: Some(json!({ "requests": items }).to_string().into()),
            estimate: open.iter().map(|&index| requests[index].estimate).sum(),
            parts: open.len() as u64,
            is_batch: true,
            workload,
            is_eventual: false,
        };
        self.call(&outgoing, meter).await
    }

    /// Books a failed try: the part is out of tries and gets its outcome, or it is sent again after the worst wait.
    fn settle(
        &self,
        workload: Workload,
        part: &mut Part,
        again: Again,
        worst: Option<u32>,
        meter: &Meter,
    ) -> Option<u32> {
        again.fault().add_to(&mut part.faults);
        let hopeless = match again {
            Again::Throttled(retry_after, _) => {
                part.throttled += 1;
                self.pause_lane(workload, part.throttled, retry_after).err()
            }
            Again::TokenRejected => {
                part.rejected_tokens += 1;
                (part.rejected_tokens > MAX_REJECTED_TOKENS).then_some(GraphError::Unauthorized)
            }
            Again::Failed(last, _) => {
                part.failures += 1;
                (part.failures >= self.tuning.max_tries).then_some(GraphError::Unanswered {
                    tries: part.failures,
                    last,
                })
            }
        };
        if let Some(error) = hopeless {
            part.outcome = Some(Err(error));
            return worst;
        }
        meter.book(|cost| cost.retries += 1);
        Some(worst.unwrap_or(0).max(part.failures))
    }

    /// Backoff for parts that failed; throttled ones wait in the lane.
    async fn wait_for_parts(&self, failures: u32, meter: &Meter) -> Result<(), GraphError> {
        if failures > 0 {
            let wait = ingest_client::retry::full_jitter(
                failures,
                self.tuning.first_backoff,
                self.tuning.max_backoff,
            );
            self.wait(wait, meter).await;
        }
        Ok(())
    }
}

/// Counts what an answer brought and cost.
fn book(answer: &PartAnswer, units: u64, meter: &Meter) {
    let is_done = matches!(answer.status, 200..=299);
    let pages = if is_done { answer.body.pages() } else { 0 };
    meter.book(|cost| {
        cost.pages += pages;
        cost.resource_units += units;
        cost.throttled += u64::from(answer.status == 429);
    });
}

/// Takes a part's answer as its outcome, or says why the part must be sent again.
fn judge(part: &mut Part, answered: Option<PartAnswer>) -> Option<Again> {
    // A batch whose answers are fewer than its parts has been seen; the part was lost on the way.
    let Some(answer) = answered else {
        let last = "no answer in the batch".to_owned();
        return Some(Again::Failed(last, Fault::MissingBatchItem));
    };
    let retry_after = answer
        .header("Retry-After")
        .and_then(|text| parse_retry_after(&text, Utc::now()));
    match answer.status {
        200..=299 => {
            part.outcome = Some(Ok(answer.body));
            None
        }
        401 => Some(Again::TokenRejected),
        429 => Some(Again::Throttled(retry_after, Fault::Throttled)),
        503 if retry_after.is_some() => Some(Again::Throttled(retry_after, Fault::ServerError)),
        408 | 424 | 500 | 502..=599 => {
            let last = format!("HTTP {}", answer.status);
            Some(Again::Failed(last, Fault::ServerError))
        }
        status => {
            part.outcome = Some(Err(GraphError::from_refusal(status, &answer.body)));
            None
        }
    }
}
