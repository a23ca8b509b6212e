//! Parameters in paths and queries, with our kind of error.

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// Items on a page when nobody says otherwise.
pub const USUAL_PAGE: u32 = 100;
/// Most items on a page.
pub const MAX_PAGE: u32 = 1000;

/// How many items a page has at most, of what the caller wishes.
pub fn page_size(wished: Option<u32>) -> u32 {
    wished.unwrap_or(USUAL_PAGE).clamp(1, MAX_PAGE)
}

/// Parameters of the path. One that cannot be read names nothing that exists: 404.
pub struct InPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::NotFound(
                "there is nothing at this path: an id in it cannot be read".into(),
            )),
        }
    }
}

/// Parameters of the query. It is read when the handler asks, after it decided that the caller may.
pub struct InQuery<T>(Result<T, ApiError>);

impl<T> InQuery<T> {
    /// The parameters.
    pub fn read(self) -> Result<T, ApiError> {
        self.0
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Query::from_request_parts(parts, state).await;
        Ok(Self(match read {
            Ok(Query(value)) => Ok(value),
            Err(error) => {
                let text = error.body_text();
                let detail = text
                    .rsplit_once("query string: ")
                    .map_or(text.as_str(), |(_, rest)| rest);
                Err(ApiError::bad_body(format!(
                    "the query cannot be read: {detail:.200}"
                )))
            }
        }))
    }
}
