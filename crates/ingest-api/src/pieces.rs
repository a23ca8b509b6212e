//! Bodies that take long: sent piece by piece, with an end that cannot be mistaken.
//!
//! A body ends properly only when its writer says that it is done; whatever goes wrong before that (a fault, a panic, a client
//! that takes nothing for too long, a key that was revoked) breaks the connection instead.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::FromRequestParts,
    http::{Version, request::Parts},
};
use futures_util::stream;
use tokio::sync::mpsc;

use crate::{auth::Watch, error::ApiError};

/// Longest time for the client to take a piece.
const SEND_PATIENCE: Duration = Duration::from_secs(120);

/// A connection that tells a broken body from a whole one. Below HTTP/1.1 the end of a body is the end of the connection, so
/// that an export that broke would look like one that is done.
pub struct TellsTheEnd;

impl<S: Sync> FromRequestParts<S> for TellsTheEnd {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.version < Version::HTTP_11 {
            return Err(ApiError::bad_body(
                "exports need HTTP/1.1 or later: before, a client cannot tell that one broke off",
            ));
        }
        Ok(Self)
    }
}

/// A piece of the body, or the sign that there is no more.
enum Piece {
    Bytes(Bytes),
    Done,
    Broken,
}

/// The writer's end: at most one piece waits for the client.
pub struct Pieces(mpsc::Sender<Piece>);

impl Pieces {
    /// Hands bytes over, if there are any; answers whether somebody takes them.
    pub async fn send(&self, bytes: Vec<u8>) -> bool {
        bytes.is_empty() || self.hand_over(Piece::Bytes(bytes.into())).await
    }

    /// Ends the body as the writer's work ended: it is whole (`true`), nobody takes it any more, or it failed.
    pub async fn end(self, outcome: Result<bool, ApiError>) {
        let last = match outcome {
            Ok(true) => Piece::Done,
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "an export broke off");
                Piece::Broken
            }
        };
        self.hand_over(last).await;
    }

    async fn hand_over(&self, piece: Piece) -> bool {
        self.0.send_timeout(piece, SEND_PATIENCE).await.is_ok()
    }
}

/// A body and what writes it. It breaks when the key that asked for it does not work any more.
pub fn body(watch: Watch) -> (Pieces, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let body = Body::from_stream(stream::unfold(Some((receiver, watch)), async |open| {
        let (mut receiver, watch) = open?;
        let piece = tokio::select! {
            biased;
            () = watch.ended() => Some(Piece::Broken),
            piece = receiver.recv() => piece,
        };
        match piece {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some((receiver, watch)))),
            Some(Piece::Done) => None,
            Some(Piece::Broken) | None => {
                let broken = std::io::Error::other("the export could not be finished");
                Some((Err(broken), None))
            }
        }
    }));
    (Pieces(sender), body)
}
