//! All rows at once, as a stream.
//!
//! Pages are read one after the other in the order of the rows' keys, each in a transaction of its own: no cursor is held
//! open for a client, and no old version of a row. One page is read while the one before is sent, and no more: memory is
//! the same for ten rows and ten million. A body ends properly only when the last row was sent; whatever goes wrong before
//! that (a fault, a panic, a client that takes nothing for too long) breaks the connection instead.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::register::{Asked, Subject, Wanted};
use crate::{
    app::AppState,
    auth::Caller,
    error::ApiError,
    openapi::LINES,
    query::{Cursor, Direction, Format, Limits, PageRows, Writer, read_page},
};

/// Rows that are read at once.
const CHUNK_ROWS: u32 = 5_000;
/// What a chunk may take. Where few rows fit a filter, the whole table is read for one.
const LIMITS: Limits = Limits {
    max_bytes: 4 * 1024 * 1024,
    patience: Duration::from_secs(300),
};
/// Longest time for the client to take a chunk.
const SEND_PATIENCE: Duration = Duration::from_secs(120);
/// How often a chunk is tried while the database is busy, and the pause between.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// RFC 4180 with a line of names; texts that a spreadsheet would run get an apostrophe in front.
    Csv,
}

/// Which rows, and in which form.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportQuery {
    /// The form; `ndjson` when absent.
    pub format: Option<ExportFormat>,
    /// A condition, as in the list.
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
    /// The fields, separated by commas; all when absent.
    #[schemars(length(min = 1, max = 2048))]
    pub fields: Option<String>,
    /// Removed rows too, which have `deletedAt`.
    pub include_deleted: Option<bool>,
    /// As the rows were at this instant.
    #[schemars(extend("format" = "date-time"))]
    pub as_of: Option<String>,
}

/// A piece of the body, or the sign that there is no more.
enum Piece {
    Rows(Bytes),
    Done,
    Broken,
}

/// What reads the chunks.
struct Export {
    pool: PgPool,
    asked: Asked,
    writer: Writer,
    format: Format,
    end: &'static [u8],
    _room: OwnedSemaphorePermit,
}

/// Answers the rows.
pub async fn export(
    state: &AppState,
    caller: &Caller,
    subject: impl Into<Subject>,
    query: ExportQuery,
) -> Result<Response, ApiError> {
    let wanted = Wanted {
        filter: query.filter.as_deref(),
        sort: None,
        fields: query.fields.as_deref(),
        includes_removed: query.include_deleted.unwrap_or(false),
        as_of: query.as_of.as_deref(),
        is_long: true,
    };
    let subject = subject.into();
    let name = subject.name().replace('/', "-");
    let asked = Asked::understand(state, caller, subject, &wanted).await?;
    let (format, end, media_type, extension): (_, &[u8], _, _) =
        match query.format.unwrap_or_default() {
            ExportFormat::Ndjson => (Format::Json, b"\n", LINES, "ndjson"),
            ExportFormat::Csv => (Format::Csv, b"\r\n", "text/csv; charset=utf-8", "csv"),
        };
    let room = std::sync::Arc::clone(&state.exports).try_acquire_owned();
    let export = Export {
        pool: state.pool.clone(),
        writer: Writer::new(&asked.names, &asked.selected, format),
        asked,
        format,
        end,
        _room: room.map_err(|_| ApiError::Busy)?,
    };
    // What is wrong with the request shows with its first rows, as long as there is a status to answer.
    let first = export.chunk(None).await?;
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(export.send(first, sender));
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.{extension}\""),
        ),
    ];
    Ok((headers, body(pieces)).into_response())
}

/// The pieces as a body that breaks unless it was told that it is done.
fn body(pieces: mpsc::Receiver<Piece>) -> Body {
    Body::from_stream(stream::unfold(Some(pieces), async |pieces| {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Piece::Rows(bytes)) => Some((Ok(bytes), Some(pieces))),
            Some(Piece::Done) => None,
            Some(Piece::Broken) | None => {
                let broken = std::io::Error::other("the export could not be finished");
                Some((Err(broken), None))
            }
        }
    }))
}

impl Export {
    /// Reads on and sends, until all is sent, something fails, or nobody takes it any more.
    async fn send(self, first: PageRows, pieces: mpsc::Sender<Piece>) {
        let header = Bytes::from(self.writer.header());
        if !header.is_empty() && !sent(&pieces, Piece::Rows(header)).await {
            return;
        }
        let mut chunk = first;
        loop {
            let place = chunk.last.take().filter(|_| chunk.has_more);
            if !chunk.bytes.is_empty()
                && !sent(
                    &pieces,
                    Piece::Rows(std::mem::take(&mut chunk.bytes).into()),
                )
                .await
            {
                return;
            }
            let Some(place) = place else {
                sent(&pieces, Piece::Done).await;
                return;
            };
            chunk = match self.chunk_at_last(place).await {
                Ok(chunk) => chunk,
                Err(error) => {
                    tracing::warn!(%error, "an export broke off");
                    sent(&pieces, Piece::Broken).await;
                    return;
                }
            };
        }
    }

    /// A chunk in the middle: the client cannot come again for it, so it is tried several times.
    async fn chunk_at_last(&self, place: Cursor) -> Result<PageRows, ApiError> {
        for _ in 1..ATTEMPTS {
            match self.chunk(Some(place.clone())).await {
                Err(ApiError::Busy | ApiError::Contention) => tokio::time::sleep(PAUSE).await,
                other => return other,
            }
        }
        self.chunk(Some(place)).await
    }

    async fn chunk(&self, place: Option<Cursor>) -> Result<PageRows, ApiError> {
        let page = self
            .asked
            .page(self.format, Direction::After(place), CHUNK_ROWS);
        let rows = read_page(&self.pool, page, &self.writer, self.end, LIMITS).await?;
        self.asked.still_known(&self.pool).await?;
        Ok(rows)
    }
}

/// Hands a piece over; answers whether somebody takes it.
async fn sent(pieces: &mpsc::Sender<Piece>, piece: Piece) -> bool {
    pieces.send_timeout(piece, SEND_PATIENCE).await.is_ok()
}
