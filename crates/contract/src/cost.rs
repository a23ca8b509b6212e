//! What reading costs a source, and which faults of it are got over on the way.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the reading of something cost the source; what is absent is 0. All but the waits add up: the costs of the collections and of what belongs
/// to none are the run's [`Traffic`](crate::Traffic).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Requests to the source, a batch's parts counted each.
    pub requests: u64,
    /// Resource units: as the source told, and estimated where it did not tell.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resource_units: u64,
    /// Pages of lists that arrived.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pages: u64,
    /// Requests that the source refused because there were too many (HTTP 429).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub throttled: u64,
    /// Requests that were sent again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Time in which at least one request waited, in milliseconds: for the pace, as long as the source asked for, or before it
    /// was sent again. Collections wait side by side, so their waits do not add up to the run's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
    /// Faults that were got over.
    #[serde(default, skip_serializing_if = "Recovered::is_empty")]
    pub recovered: Recovered,
}

impl Cost {
    /// Did it cost nothing?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.resource_units += other.resource_units;
        self.pages += other.pages;
        self.throttled += other.throttled;
        self.retries += other.retries;
        self.waited_ms += other.waited_ms;
        self.recovered += other.recovered;
    }
}

/// Faults that were got over, by kind: the request was answered, or the list came to its end, after all, so that nothing is
/// missing because of them. A kind that is absent did not occur. What was not got over is among the failures instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Recovered {
    /// Requests that were refused because there were too many (HTTP 429).
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled: u64,
    /// Answers that said that the server or a gateway had failed (HTTP 408, 424, 5xx).
    #[serde(skip_serializing_if = "is_zero")]
    pub server_error: u64,
    /// Connections that could not be made, or broke before the whole answer was there.
    #[serde(skip_serializing_if = "is_zero")]
    pub connection: u64,
    /// Answers that did not come in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
    /// Answers that could not be understood.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable_answer: u64,
    /// Tokens that were refused (HTTP 401).
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected_token: u64,
    /// Lists that began again because the token of a page had expired.
    #[serde(skip_serializing_if = "is_zero")]
    pub expired_page_token: u64,
    /// Lists that began again because their pages led nowhere.
    #[serde(skip_serializing_if = "is_zero")]
    pub paging_loop: u64,
    /// Parts of a batch that had no answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing_batch_item: u64,
    /// Parts of a batch that had more than one answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub repeated_batch_item: u64,
    /// Refused requests for what changed since the last run; everything was read instead.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused_delta: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Recovered {
    /// How often each kind occurred, with its name in plain words.
    pub fn by_kind(&self) -> [(&'static str, u64); 11] {
        [
            ("throttled", self.throttled),
            ("server error", self.server_error),
            ("broken connection", self.connection),
            ("late answer", self.timeout),
            ("unreadable answer", self.unreadable_answer),
            ("rejected token", self.rejected_token),
            ("expired page token", self.expired_page_token),
            ("circle of pages", self.paging_loop),
            ("missing part of a batch", self.missing_batch_item),
            ("repeated part of a batch", self.repeated_batch_item),
            ("refused list of changes", self.refused_delta),
        ]
    }

    /// Faults of all kinds.
    pub fn total(&self) -> u64 {
        self.by_kind().iter().map(|(_, count)| count).sum()
    }

    /// Did none occur?
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }
}

impl AddAssign for Recovered {
    fn add_assign(&mut self, other: Self) {
        self.throttled += other.throttled;
        self.server_error += other.server_error;
        self.connection += other.connection;
        self.timeout += other.timeout;
        self.unreadable_answer += other.unreadable_answer;
        self.rejected_token += other.rejected_token;
        self.expired_page_token += other.expired_page_token;
        self.paging_loop += other.paging_loop;
        self.missing_batch_item += other.missing_batch_item;
        self.repeated_batch_item += other.repeated_batch_item;
        self.refused_delta += other.refused_delta;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::CollectionReport;

    /// A value in which every number is another one.
    fn all_different() -> Recovered {
        let fields = serde_json::to_value(Recovered {
            throttled: 1,
            server_error: 1,
            connection: 1,
            timeout: 1,
            unreadable_answer: 1,
            rejected_token: 1,
            expired_page_token: 1,
            paging_loop: 1,
            missing_batch_item: 1,
            repeated_batch_item: 1,
            refused_delta: 1,
        });
        let mut fields = fields.expect("numbers are JSON");
        let numbers = fields.as_object_mut().expect("an object").values_mut();
        for (place, number) in numbers.enumerate() {
            *number = json!(1_u64 << place);
        }
        serde_json::from_value(fields).expect("the same form")
    }

    #[test]
    fn every_kind_is_added_named_and_counted_once() {
        let one = all_different();
        let mut sum = one;
        sum += one;
        for ((name, before), (_, after)) in one.by_kind().into_iter().zip(sum.by_kind()) {
            assert_eq!(after, 2 * before, "{name}");
        }
        let kinds = one.by_kind().len();
        assert_eq!(one.total(), (1 << kinds) - 1);
        assert!(!one.is_empty() && Recovered::default().is_empty());
    }

    #[test]
    fn a_line_of_an_older_crawler_is_understood_and_a_line_tells_only_what_occurred() {
        let older = json!({
            "collection": "users", "status": "complete", "read": 2, "inserted": 2, "updated": 0, "unchanged": 0,
            "deleted": 0, "rejected": 0, "requests": 7, "failedParents": 0, "durationMs": 12,
        });
        let mut line: CollectionReport = serde_json::from_value(older).expect("understood");
        let cost = Cost {
            requests: 7,
            ..Cost::default()
        };
        assert_eq!(line.cost, cost);
        let told = |line: &CollectionReport| serde_json::to_value(line).expect("JSON");
        assert_eq!(told(&line)["requests"], 7);
        assert_eq!(told(&line).get("recovered"), None);
        line.cost.recovered.missing_batch_item = 4;
        let expected: Value = json!({"missingBatchItem": 4});
        assert_eq!(told(&line)["recovered"], expected);
        let read: CollectionReport = serde_json::from_value(told(&line)).expect("understood");
        assert_eq!(read, line);
    }
}
