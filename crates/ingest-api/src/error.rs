//! Errors at the edge: one type, one conversion to problem documents (RFC 9457). Nothing internal leaks.

use std::net::IpAddr;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{Problem, RecordError};
use uuid::Uuid;

use crate::{merge::MergeError, query::QueryError};

/// Why a request was not done, and what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 401: no key or session, or none that works. Deliberately says no more.
    #[error("a valid API key is needed, or a session")]
    Unauthenticated,
    /// 401: a key whose secret is right, but which has expired or was revoked.
    #[error("the key has been valid, but it is {0}")]
    KeyEnded(&'static str),
    /// 403: the key is one for other addresses.
    #[error("the key may not be used from {}", .0.map_or_else(|| "an address that is not known".into(), |address| address.to_string()))]
    WrongAddress(Option<IpAddr>),
    /// 429: too often.
    #[error("{detail}; wait {seconds} s")]
    TooMany {
        /// What was too much.
        detail: String,
        /// How long to wait.
        seconds: u32,
    },
    /// 403: the key works but may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// 404: there is no such thing for this caller.
    #[error("{0}")]
    NotFound(String),
    /// 405: the path exists, the method does not.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// 400: the request itself is wrong; sending it again cannot help.
    #[error("{detail}")]
    BadRequest {
        /// The field, as a JSON pointer; empty for the whole body.
        pointer: String,
        /// A sentence.
        detail: String,
    },
    /// 400: fields of the body are wrong; all of them at once.
    #[error("{}", first_of(.0))]
    Invalid(Vec<RecordError>),
    /// 400: a text of the query is wrong at a place that is known.
    #[error("{parameter}: {error}")]
    BadQuery {
        /// The parameter, such as `filter`.
        parameter: &'static str,
        /// What is wrong, and where.
        error: QueryError,
    },
    /// 409: something else stands in the way.
    #[error("{detail}")]
    Conflict {
        /// A sentence.
        detail: String,
        /// The session that stands in the way.
        sync_id: Option<Uuid>,
    },
    /// 412: it is not what `If-Match` says any more.
    #[error("{0}")]
    PreconditionFailed(String),
    /// 408: the body came too slowly.
    #[error("the body came too slowly")]
    TooSlow,
    /// 413: more than is taken at once.
    #[error("{0}")]
    TooLarge(String),
    /// 415: a content type or encoding that is not taken.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// 422: an `Idempotency-Key` came back with another body.
    #[error("this Idempotency-Key was used for another body")]
    IdempotencyKeyReused,
    /// 422: an atomic call had bad records; nothing was stored.
    #[error("{} of the records cannot be stored, and the call is atomic: nothing was stored", .0.len())]
    RecordsRefused(Vec<RecordError>),
    /// 503: too much at once, or the database is away. Sending it again later helps.
    #[error("the server cannot take this now; try again")]
    Busy,
    /// 503: other loads wrote the same rows at the same moment, several times in a row.
    #[error("the server cannot take this now; try again")]
    Contention,
    /// 500: a fault of ours.
    #[error("something went wrong on our side")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The first of several faults, with its place.
fn first_of(faults: &[RecordError]) -> String {
    let first = faults
        .first()
        .map(|fault| format!(": {}: {}", fault.pointer, fault.detail));
    format!("the request is wrong{}", first.unwrap_or_default())
}

impl ApiError {
    /// A 400 that names a field of the body.
    pub fn bad_field(field: &str, detail: impl Into<String>) -> Self {
        Self::BadRequest {
            pointer: format!("/{field}"),
            detail: detail.into(),
        }
    }

    /// A 400 about the whole body.
    pub fn bad_body(detail: impl Into<String>) -> Self {
        Self::BadRequest {
            pointer: String::new(),
            detail: detail.into(),
        }
    }

    /// A fault of ours.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated | Self::KeyEnded(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::WrongAddress(_) => StatusCode::FORBIDDEN,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest { .. } | Self::Invalid(_) | Self::BadQuery { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::PreconditionFailed(_) => StatusCode::PRECONDITION_FAILED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused | Self::RecordsRefused(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Busy | Self::Contention => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Unauthenticated => ("/problems/unauthenticated", "Not signed in"),
            Self::KeyEnded("expired") => ("/problems/key-expired", "Key expired"),
            Self::KeyEnded(_) => ("/problems/key-revoked", "Key revoked"),
            Self::WrongAddress(_) => ("/problems/wrong-address", "Not from this address"),
            Self::TooMany { .. } => ("/problems/too-many-requests", "Too many requests"),
            Self::Forbidden(_) => ("/problems/forbidden", "Not allowed"),
            Self::NotFound(_) => ("/problems/not-found", "Not found"),
            Self::MethodNotAllowed => ("/problems/method-not-allowed", "Method not allowed"),
            Self::BadRequest { .. } | Self::Invalid(_) | Self::BadQuery { .. } => {
                ("/problems/bad-request", "Bad request")
            }
            Self::Conflict { .. } => ("/problems/conflict", "Conflict"),
            Self::PreconditionFailed(_) => ("/problems/precondition-failed", "Precondition failed"),
            Self::TooSlow => ("/problems/too-slow", "Too slow"),
            Self::TooLarge(_) => ("/problems/too-large", "Too large"),
            Self::UnsupportedMediaType(_) => {
                ("/problems/unsupported-media-type", "Unsupported media type")
            }
            Self::IdempotencyKeyReused => {
                ("/problems/idempotency-key-reused", "Idempotency key reused")
            }
            Self::RecordsRefused(_) => ("/problems/records-refused", "Records refused"),
            Self::Busy | Self::Contention => ("/problems/busy", "Busy"),
            Self::Internal(_) => ("/problems/internal", "Internal error"),
        }
    }

    fn problem(self) -> Problem {
        let (kind, title) = self.kind();
        let mut problem = Problem {
            kind: kind.to_owned(),
            title: title.to_owned(),
            status: self.status().as_u16(),
            detail: self.to_string(),
            error: self.to_string(),
            ..Problem::default()
        };
        match self {
            Self::BadRequest { pointer, detail } if !pointer.is_empty() => {
                problem.errors = vec![RecordError {
                    index: 0,
                    pointer,
                    code: "invalid".into(),
                    detail,
                }];
            }
            Self::BadQuery { parameter, error } => {
                problem.position = Some(error.position as u64);
                problem.errors = vec![RecordError {
                    index: 0,
                    pointer: format!("/{parameter}"),
                    code: "invalid".into(),
                    detail: error.to_string(),
                }];
            }
            Self::Conflict { sync_id, .. } => problem.sync_id = sync_id,
            Self::RecordsRefused(mut errors) | Self::Invalid(mut errors) => {
                errors.truncate(contract::MAX_ERRORS_IN_ANSWER);
                problem.errors = errors;
            }
            _ => {}
        }
        problem
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if let Self::Internal(source) = &self {
            tracing::error!(error = %source, "a request failed on our side");
        }
        let wait = match self {
            Self::Busy | Self::Contention => Some(2),
            Self::TooMany { seconds, .. } => Some(seconds),
            _ => None,
        };
        let problem = self.problem();
        let mut response = (status, Json(&problem)).into_response();
        response.extensions_mut().insert(problem);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::PAYLOAD_TOO_LARGE {
            // What is left of the body is not waited for.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if is_contention(&error) {
            Self::Contention
        } else if is_unstorable(&error) {
            tracing::warn!(%error, "a value that PostgreSQL cannot store got as far as a statement");
            Self::bad_body(
                "a value in the request cannot be stored, such as a NUL character or a text that is too long",
            )
        } else if is_database_away(&error) {
            tracing::warn!(%error, "the database is away or overloaded");
            Self::Busy
        } else {
            Self::internal(error)
        }
    }
}

impl From<MergeError> for ApiError {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::Conflict => Self::Contention,
            MergeError::Database(error) => error.into(),
        }
    }
}

/// Did the transaction lose against another one (serialization failure, deadlock)?
fn is_contention(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "40001" || code == "40P01")
}

/// Did a value of the request break a rule of PostgreSQL (class 22 data, 54 limits)? What is known is checked before;
/// this is the net under it.
fn is_unstorable(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
}

/// Is the database unreachable, starting, stopping, full or out of connections, so that a later try may work?
pub fn is_database_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            // Classes 08 connection, 53 resources, 57 operator intervention; 55P03 lock; 25P03 idle too long.
            ["08", "53", "57"]
                .iter()
                .any(|class| code.starts_with(class))
                || code == "55P03"
                || code == "25P03"
        }),
        _ => false,
    }
}
