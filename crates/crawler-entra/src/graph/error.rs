//! What Graph's refusals mean for a collection.

use contract::CollectionStatus;
use serde_json::Value;

use crate::auth::AuthError;

/// A request that did not bring data. Texts hold Graph's error code and request id, never its message: messages are
/// localised, change, and may repeat what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GraphError {
    #[error(transparent)]
    SignIn(#[from] AuthError),
    #[error("Graph keeps rejecting fresh tokens")]
    Unauthorized,
    #[error("access denied ({code})")]
    Forbidden {
        code: String,
        /// Named by Graph; else the collection knows.
        permission: Option<String>,
    },
    #[error("the tenant lacks the licence ({code})")]
    Unlicensed { code: String },
    #[error("not found ({code})")]
    NotFound { code: String },
    #[error("HTTP {status} ({code}){}", request_suffix(.request_id.as_deref()))]
    Refused {
        status: u16,
        code: String,
        request_id: Option<String>,
    },
    #[error("no usable answer in {tries} tries, the last: {last}")]
    Unanswered { tries: u32, last: String },
    #[error("Graph asked to wait {wait_s} seconds, which is longer than this crawl waits")]
    ThrottledTooLong { wait_s: u64 },
    #[error("the page token expired")]
    ExpiredPageToken,
    #[error("a next link leads away from the configured address and was not followed")]
    ForeignLink,
    #[error("the list does not advance")]
    PagingLoop,
    #[error("the answer is larger than allowed")]
    TooLarge,
    #[error("Graph answered with a redirect, which is not followed")]
    Redirected,
    #[error("objects came back without the properties that were asked for")]
    LimitedObjects,
    #[error("cancelled")]
    Cancelled,
}

fn request_suffix(request_id: Option<&str>) -> String {
    match request_id {
        Some(id) => format!(", request {id}"),
        None => String::new(),
    }
}

impl GraphError {
    /// Reads a refusal (4xx or 501).
    pub fn from_refusal(status: u16, body: &Value) -> Self {
        let error = &body["error"];
        let code = code_of(error);
        let inner = error.get("innerError").or_else(|| error.get("innererror"));
        let request_id = inner
            .and_then(|inner| inner["request-id"].as_str())
            .filter(|id| id.len() <= 40 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
            .map(str::to_owned);
        let is_licence = code.contains("License") || code.contains("NonPremiumTenant");
        match status {
            400 if code == "Directory_ExpiredPageToken" => Self::ExpiredPageToken,
            400 | 403 if is_licence => Self::Unlicensed { code },
            403 => Self::Forbidden {
                code,
                permission: error["message"].as_str().and_then(permission_in),
            },
            404 => Self::NotFound { code },
            _ => Self::Refused {
                status,
                code,
                request_id,
            },
        }
    }

    /// What it means when a whole collection answers this.
    pub fn collection_status(&self) -> CollectionStatus {
        match self {
            Self::Forbidden { .. } => CollectionStatus::Forbidden,
            Self::Unlicensed { .. } => CollectionStatus::Unlicensed,
            Self::NotFound { .. } | Self::Refused { status: 501, .. } => {
                CollectionStatus::Unavailable
            }
            _ => CollectionStatus::Failed,
        }
    }

    /// Is the data not to be had in this tenant, cloud or with these permissions, however often it is asked for?
    pub fn is_lasting_absence(&self) -> bool {
        matches!(
            self,
            Self::Forbidden { .. }
                | Self::Unlicensed { .. }
                | Self::NotFound { .. }
                | Self::Refused { .. }
        )
    }
}

/// Graph's code, cut to what a code looks like.
fn code_of(error: &Value) -> String {
    let code = error["code"].as_str().unwrap_or_default();
    let is_code = !code.is_empty()
        && code.len() <= 80
        && code
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if is_code {
        code.to_owned()
    } else {
        "no code".to_owned()
    }
}

/// A word of the message that has the form of a permission.
fn permission_in(message: &str) -> Option<String> {
    message
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
        .map(|word| word.trim_end_matches('.'))
        .find(|word| {
            let mut parts = word.split('.');
            word.len() <= 80
                && parts
                    .next()
                    .is_some_and(|first| first.starts_with(|c: char| c.is_ascii_uppercase()))
                && parts
                    .next()
                    .is_some_and(|second| second.starts_with("Read"))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, code: &str, message: &str) -> GraphError {
        GraphError::from_refusal(
            status,
            &json!({"error": {"code": code, "message": message}}),
        )
    }

    #[test]
    fn refusals_are_told_apart_by_status_and_code() {
        let status = |error: GraphError| error.collection_status();
        assert_eq!(
            status(refusal(403, "Authorization_RequestDenied", "x")),
            CollectionStatus::Forbidden
        );
        assert_eq!(
            status(refusal(400, "AadPremiumLicenseRequired", "x")),
            CollectionStatus::Unlicensed
        );
        assert_eq!(
            status(refusal(
                403,
                "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
                "x"
            )),
            CollectionStatus::Unlicensed
        );
        assert_eq!(
            status(refusal(404, "Request_ResourceNotFound", "x")),
            CollectionStatus::Unavailable
        );
        assert_eq!(
            status(refusal(400, "Request_BadRequest", "x")),
            CollectionStatus::Failed
        );
        assert_eq!(
            refusal(400, "Directory_ExpiredPageToken", "x"),
            GraphError::ExpiredPageToken
        );
    }

    #[test]
    fn a_named_permission_is_passed_on_and_nothing_else_of_the_message() {
        let error = refusal(
            403,
            "Authentication_MSGraphPermissionMissing",
            "Calling principal does not have required MSGraph permissions AuditLog.Read.All. CANARY",
        );
        let GraphError::Forbidden { permission, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(permission.as_deref(), Some("AuditLog.Read.All"));
        assert!(!error.to_string().contains("CANARY"));
        let other = refusal(400, "Bearer CANARY secret", "CANARY");
        assert!(!other.to_string().contains("CANARY"), "{other}");
    }
}
