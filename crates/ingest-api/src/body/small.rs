//! Bodies that are not records.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use serde::de::DeserializeOwned;

use super::{
    fields,
    inflate::{Encoding, inflate},
    media_type,
    source::Source,
};
use crate::{app::AppState, error::ApiError};

/// Most bytes of such a body, as sent and decompressed.
const MAX_BYTES: usize = 1024 * 1024;

/// A small body, read but not yet looked at: a handler first decides whether the caller may do this at all.
pub struct SmallBody {
    media_type: String,
    encoding: Encoding,
    bytes: Bytes,
}

impl SmallBody {
    /// The body as one JSON value.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.media_type != "application/json" {
            return Err(ApiError::UnsupportedMediaType(
                "Content-Type must be application/json".into(),
            ));
        }
        fields::read_value(&inflate(self.encoding, self.bytes.clone(), MAX_BYTES)?)
    }
}

impl SmallBody {
    /// The body as a form of HTML.
    pub fn form<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.media_type != "application/x-www-form-urlencoded" {
            return Err(ApiError::UnsupportedMediaType(
                "Content-Type must be application/x-www-form-urlencoded".into(),
            ));
        }
        let text = inflate(self.encoding, self.bytes.clone(), MAX_BYTES)?;
        serde_urlencoded::from_bytes(&text)
            .map_err(|error| ApiError::bad_body(format!("the form cannot be read: {error:.200}")))
    }
}

impl FromRequest<AppState> for SmallBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let media_type = media_type(&parts.headers)?;
        let encoding = Encoding::of(&parts.headers)?;
        let mut source = Source::new(body, MAX_BYTES, state.pace);
        let (bytes, _) = source.block(usize::MAX).await?;
        Ok(Self {
            media_type,
            encoding,
            bytes,
        })
    }
}
