//! What is kept about an endpoint from run to run.

use std::collections::BTreeMap;

use contract::{CollectionReport, CollectionStatus, MAX_TOKEN_BYTES};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Endpoint;
use crate::mapping;

/// Objects that may be kept for another look. With more of them the old beginning stays.
const MAX_AGAIN: usize = 200;

/// The text of a token: the register keeps it without looking into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    /// Where the next round begins.
    pub link: String,
    /// How many objects the last full read found.
    pub objects: Option<u64>,
    /// Objects to look at once more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<Uuid>,
    /// What the last full reading could not see, by collection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lacking: BTreeMap<String, Lacking>,
    /// The register holds rows of which the changes from here on may tell nothing: all is to be read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_void: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Why a collection is not all there is, although reading again would bring nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lacking {
    pub status: CollectionStatus,
    pub missing_permission: Option<String>,
    pub reason: String,
}

/// Characters of a reason that are kept.
const REASON_LENGTH: usize = 200;

impl Lacking {
    /// What the line of a partial collection says.
    pub fn of(line: &CollectionReport) -> Self {
        let failure = line.failures.first().map(|failure| &failure.reason);
        let reason = line.message.as_ref().or(failure);
        let reason = reason.map_or("some of it could not be read", String::as_str);
        Self {
            status: line.status,
            missing_permission: line.missing_permission.clone(),
            reason: reason.chars().take(REASON_LENGTH).collect(),
        }
    }
}

impl Token {
    /// Nothing can be followed from here.
    pub fn void() -> Self {
        Self {
            link: String::new(),
            objects: None,
            again: Vec::new(),
            lacking: BTreeMap::new(),
            is_void: true,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text, if it is not too much to keep.
    pub fn text(&self) -> Option<String> {
        let text = serde_json::to_string(self).expect("texts and numbers are JSON");
        (self.again.len() <= MAX_AGAIN && text.len() <= MAX_TOKEN_BYTES).then_some(text)
    }
}

/// How the endpoint is read, and with which permissions: with another fingerprint, a token tells of other things than are needed.
pub(super) fn config_hash(endpoint: &Endpoint, granted: &str) -> String {
    let read = format!(
        "{} {} {} {} granted {granted} mapping {}",
        endpoint.name,
        endpoint.select,
        endpoint.seen_with,
        endpoint.collections.join(","),
        mapping::VERSION,
    );
    Uuid::new_v5(&Uuid::NAMESPACE_OID, read.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_kept_and_never_too_long() {
        let token = Token {
            link: "https://graph.example/v1.0/users/delta?$deltatoken=x".into(),
            objects: Some(7),
            again: vec![Uuid::from_u128(1)],
            lacking: BTreeMap::from([(
                "group members".to_owned(),
                Lacking {
                    status: CollectionStatus::Partial,
                    missing_permission: Some("Member.Read.Hidden".into()),
                    reason: "hidden".into(),
                },
            )]),
            is_void: false,
        };
        let text = token.text().expect("short enough");
        assert_eq!(Token::parse(&text), Some(token.clone()));
        assert_eq!(Token::parse("something else"), None);
        let void = Token::void();
        assert_eq!(Token::parse(&void.text().expect("short")), Some(void));
        let many = (0..201).map(Uuid::from_u128).collect();
        assert_eq!(
            Token {
                again: many,
                ..token
            }
            .text(),
            None
        );
    }

    #[test]
    fn a_token_of_another_reading_is_no_token() {
        let endpoint = |select: &str, collections: &[&'static str]| Endpoint {
            name: "groups",
            select: select.to_owned(),
            seen_with: String::new(),
            collections: collections.to_vec(),
            of_objects: 1,
            ..Endpoint::default()
        };
        let config_hash = |endpoint| super::config_hash(&endpoint, "Group.Read.All");
        let groups = config_hash(endpoint("id", &["groups"]));
        assert_eq!(groups, config_hash(endpoint("id", &["groups"])));
        assert_ne!(groups, config_hash(endpoint("id,mail", &["groups"])));
        // What was forbidden may be seen now.
        let with_more = super::config_hash(
            &endpoint("id", &["groups"]),
            "Group.Read.All,Member.Read.Hidden",
        );
        assert_ne!(groups, with_more);
        // Members were not read: what changed since says nothing about those that were there before.
        let with_members = config_hash(endpoint("id", &["groups", "group members"]));
        assert_ne!(groups, with_members);
    }
}
