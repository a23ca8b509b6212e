//! The HTTP edge: connections, and what clients may do to them.
//!
//! A client may be slow, silent, greedy or gone; each costs one connection for a bounded time and next to no memory. What
//! hyper refuses by itself (a header that is too large or cannot be read, lengths that contradict each other) is
//! answered without a problem document, and its connection is closed.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::Request, http::header};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{auth::Peer, config::ServerSettings};

/// Largest header of a request; 431 beyond it.
const MAX_HEADER_BYTES: usize = 128 * 1024;
/// Most fields in a header; 431 beyond it.
const MAX_HEADER_FIELDS: usize = 100;
/// Most bytes that a connection holds unread.
const MAX_BUFFER: usize = 160 * 1024;

/// Serves until told to stop, then finishes the requests under way, within bounds.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &ServerSettings,
    stop: &CancellationToken,
) {
    let room = Arc::new(Semaphore::new(settings.max_connections));
    let connections = TaskTracker::new();
    let give_up = CancellationToken::new();
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_patience)
        .max_headers(MAX_HEADER_FIELDS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER);
    let accept = async {
        loop {
            // Before accepting: who finds no room waits in the system's queue.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let Some((stream, peer)) = accept(&listener).await else {
                continue;
            };
            let connection = Connection {
                peer: Peer(peer),
                protocol: protocol.clone(),
                router: router.clone(),
                linger: settings.linger,
                lingering: connections.clone(),
                stop: stop.clone(),
                give_up: give_up.clone(),
            };
            connections.spawn(async move {
                connection.serve(stream).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept => {}
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(settings.stop_patience, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!("requests did not end in time");
        give_up.cancel();
        connections.wait().await;
    }
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and waited for.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection ended at once");
            }
            Some((stream, peer))
        }
        Err(error) => {
            let is_its_own = matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionRefused
            );
            if !is_its_own {
                // Out of file descriptors, most likely: some come back when connections end.
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            None
        }
    }
}

struct Connection {
    peer: Peer,
    protocol: http1::Builder,
    router: Router,
    linger: Duration,
    lingering: TaskTracker,
    stop: CancellationToken,
    give_up: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| {
            let waits = request.headers().contains_key(header::EXPECT);
            let mut request = request.map(|body| Lingering {
                body: Some(body),
                // Who waits to be asked for the body has sent nothing that would have to be read.
                is_under_way: !waits,
                patience: self.linger,
                tasks: self.lingering.clone(),
            });
            request.extensions_mut().insert(self.peer);
            self.router.clone().oneshot(request)
        });
        let mut connection = pin!(
            self.protocol
                .serve_connection(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.give_up.cancelled() => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// A body of which the rest is still read for a while when nobody wants it any more. Without that, the system would tell
/// the client of a broken connection before it could read why it was refused.
struct Lingering {
    body: Option<Incoming>,
    is_under_way: bool,
    patience: Duration,
    tasks: TaskTracker,
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_under_way = true;
        match &mut self.body {
            None => Poll::Ready(None),
            Some(body) => {
                let frame = Pin::new(body).poll_frame(context);
                if matches!(frame, Poll::Ready(Some(Err(_)) | None)) {
                    self.body = None;
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let is_wanted = self.is_under_way && !self.is_end_stream();
        if let Some(mut body) = self.body.take()
            && is_wanted
            && Handle::try_current().is_ok()
        {
            let rest = async move { while let Some(Ok(_)) = body.frame().await {} };
            let patience = self.patience;
            self.tasks.spawn(async move {
                // In time or not: the connection ends.
                let _ = tokio::time::timeout(patience, rest).await;
            });
        }
    }
}
