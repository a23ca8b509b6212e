//! Answers and errors in Graph's shapes.

use std::time::Duration;

use serde_json::{Value, json};

/// Body of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Json(Value),
    Html(String),
    Text(String),
    Empty,
}

/// One answer of Graph, before it becomes HTTP or a part of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

impl Answer {
    pub(crate) fn ok(body: Body) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body,
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Reply(Answer),
    Reset,
    Truncate(Answer),
    Omit,
    /// A part of a batch that is answered twice.
    Twice(Answer),
    Slow(Answer, Pace),
}

/// How slowly a body arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) parts: usize,
    pub(crate) pause: Duration,
}

/// Stands for the shape of error that has no code.
const ODD: &str = "";

/// An error with Graph's status and code.
#[derive(Debug, Clone)]
pub(crate) struct GraphError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl GraphError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "Request_BadRequest", message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(400, "Request_UnsupportedQuery", message)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(
            404,
            "Request_ResourceNotFound",
            format!(
                "Resource '{what}' does not exist or one of its queried reference-property objects are not present."
            ),
        )
    }

    pub(crate) fn unknown_segment(segment: &str) -> Self {
        Self::new(
            404,
            "BadRequest",
            format!("Resource not found for the segment '{segment}'."),
        )
    }

    /// A refusal in a shape of its own, without code: `{"value": "…"}`.
    pub(crate) fn odd(message: &str) -> Self {
        Self::new(400, ODD, message)
    }

    pub(crate) fn denied() -> Self {
        Self::new(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        )
    }

    pub(crate) fn unlicensed() -> Self {
        Self::new(
            400,
            "AadPremiumLicenseRequired",
            "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.",
        )
    }

    pub(crate) fn unauthenticated(message: &str) -> Self {
        let mut error = Self::new(401, "InvalidAuthenticationToken", message);
        let challenge = "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\"";
        error
            .headers
            .push(("WWW-Authenticate", challenge.to_owned()));
        error
    }

    pub(crate) fn expired_token() -> Self {
        Self::unauthenticated("Lifetime validation failed, the token is expired.")
    }

    pub(crate) fn expired_page_token() -> Self {
        let message = "The specified page token value has expired and can no longer be included in your request.";
        Self::new(400, "Directory_ExpiredPageToken", message)
    }

    /// Adds the ids that a support ticket would ask for.
    pub(crate) fn into_answer(self, trace: &Trace) -> Answer {
        if self.code == ODD {
            let body = json!({"@odata.context": "$metadata#Edm.String", "value": self.message});
            return Answer {
                status: self.status,
                headers: self.headers,
                body: Body::Json(body),
            };
        }
        let body = json!({"error": {
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": trace.date,
                "request-id": trace.request_id,
                "client-request-id": trace.client_request_id,
            },
        }});
        Answer {
            status: self.status,
            headers: self.headers,
            body: Body::Json(body),
        }
    }
}

/// Ids and time of one request.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) date: String,
    pub(crate) request_id: String,
    pub(crate) client_request_id: String,
}
