//! All rows at once, as a stream.
//!
//! Pages are read one after the other in the order of the rows' keys, each in a transaction of its own: no cursor is held
//! open for a client, and no old version of a row. One page is read while the one before is sent, and no more (for Parquet:
//! one row group): memory is the same for ten rows and ten million.

use std::time::Duration;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::PgPool;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use super::register::{Asked, Subject, Wanted};
use crate::{
    app::AppState,
    auth::{Caller, Watch},
    error::ApiError,
    openapi::LINES,
    pieces::{Pieces, TellsTheEnd, body},
    query::{Cursor, Direction, Format, Limits, ParquetWriter, Writer, read_page, read_rows},
};

/// Rows that are read at once.
const CHUNK_ROWS: u32 = 5_000;
/// What a chunk may take. Where few rows fit a filter, the whole table is read for one.
const LIMITS: Limits = Limits {
    max_bytes: 4 * 1024 * 1024,
    patience: Duration::from_secs(300),
};
/// How often a chunk is tried while the database is busy, and the pause between.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// The media type of Parquet.
pub const PARQUET: &str = "application/vnd.apache.parquet";

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// RFC 4180 with a line of names; texts that a spreadsheet would run get an apostrophe in front.
    Csv,
    /// A file with typed columns, compressed: ids and single attributes are texts, times are in microseconds UTC.
    Parquet,
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

/// How the rows are written.
enum Form {
    Text {
        writer: Writer,
        format: Format,
        end: &'static [u8],
    },
    Parquet(Box<ParquetWriter>),
}

/// What reads the chunks.
struct Export {
    pool: PgPool,
    asked: Asked,
    _room: OwnedSemaphorePermit,
}

/// What was read: the bytes to send, which may be none yet, and where to go on.
struct Chunk {
    bytes: Vec<u8>,
    next: Option<Cursor>,
}

/// Answers the rows.
pub async fn export(
    state: &AppState,
    caller: &Caller,
    subject: impl Into<Subject>,
    query: ExportQuery,
    _: TellsTheEnd,
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
    let format = query.format.unwrap_or_default();
    let (media_type, extension) = match format {
        ExportFormat::Ndjson => (LINES, "ndjson"),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "csv"),
        ExportFormat::Parquet => (PARQUET, "parquet"),
    };
    let mut form = Form::new(format, &asked)?;
    let room = std::sync::Arc::clone(&state.exports).try_acquire_owned();
    let export = Export {
        pool: state.pool.clone(),
        asked,
        _room: room.map_err(|_| ApiError::Busy)?,
    };
    // What is wrong with the request shows with its first rows, as long as there is a status to answer.
    let first = export.chunk(&mut form, None).await?;
    let (pieces, body) = body(Watch::over(state, caller));
    let sending = async move {
        let outcome = export.send_all(form, first, &pieces).await;
        pieces.end(outcome).await;
    };
    tokio::spawn(sending.in_current_span());
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.{extension}\""),
        ),
    ];
    Ok((headers, body).into_response())
}

impl Form {
    fn new(format: ExportFormat, asked: &Asked) -> Result<Self, ApiError> {
        let (format, end): (_, &[u8]) = match format {
            ExportFormat::Ndjson => (Format::Json, b"\n"),
            ExportFormat::Csv => (Format::Csv, b"\r\n"),
            ExportFormat::Parquet => {
                let file = ParquetWriter::new(&asked.names, &asked.selected);
                return file
                    .map(|file| Self::Parquet(Box::new(file)))
                    .map_err(ApiError::internal);
            }
        };
        Ok(Self::Text {
            writer: Writer::new(&asked.names, &asked.selected, format),
            format,
            end,
        })
    }

    /// What comes before the first row.
    fn header(&self) -> Vec<u8> {
        match self {
            Self::Text { writer, .. } => writer.header(),
            // Its first bytes come with the first rows.
            Self::Parquet(_) => Vec::new(),
        }
    }

    /// How many rows were read that are not written yet.
    fn rows_kept(&self) -> usize {
        match self {
            Self::Text { .. } => 0,
            Self::Parquet(file) => file.rows(),
        }
    }

    fn forget_beyond(&mut self, rows: usize) {
        if let Self::Parquet(file) = self {
            file.forget_beyond(rows);
        }
    }

    /// What can be sent of the rows that were kept back, or what is left of all. That is work for the processor: others
    /// are not kept waiting.
    async fn ready(self, is_end: bool) -> Result<(Self, Vec<u8>), ApiError> {
        match self {
            Self::Parquet(mut file) if is_end || file.is_full() => {
                let written = tokio::task::spawn_blocking(move || {
                    let bytes = if is_end {
                        file.finish()
                    } else {
                        file.write_group()
                    };
                    bytes.map(|bytes| (Self::Parquet(file), bytes))
                });
                let written = written.await.map_err(ApiError::internal)?;
                written.map_err(ApiError::internal)
            }
            other => Ok((other, Vec::new())),
        }
    }
}

impl Export {
    /// Reads on and sends, until all is sent, something fails, or nobody takes it any more; answers whether somebody took
    /// everything.
    async fn send_all(
        &self,
        mut form: Form,
        first: Chunk,
        pieces: &Pieces,
    ) -> Result<bool, ApiError> {
        let mut chunk = first;
        if !pieces.send(form.header()).await {
            return Ok(false);
        }
        loop {
            let place = chunk.next.take();
            let (kept, ready) = form.ready(place.is_none()).await?;
            form = kept;
            for bytes in [std::mem::take(&mut chunk.bytes), ready] {
                if !pieces.send(bytes).await {
                    return Ok(false);
                }
            }
            let Some(place) = place else {
                return Ok(true);
            };
            chunk = self.chunk_at_last(&mut form, place).await?;
        }
    }

    /// A chunk in the middle: the client cannot come again for it, so it is tried several times.
    async fn chunk_at_last(&self, form: &mut Form, place: Cursor) -> Result<Chunk, ApiError> {
        for _ in 1..ATTEMPTS {
            match self.chunk(form, Some(place.clone())).await {
                Err(ApiError::Busy | ApiError::Contention) => tokio::time::sleep(PAUSE).await,
                other => return other,
            }
        }
        self.chunk(form, Some(place)).await
    }

    /// Reads a chunk; after an error everything is as it was.
    async fn chunk(&self, form: &mut Form, place: Option<Cursor>) -> Result<Chunk, ApiError> {
        let rows_before = form.rows_kept();
        let read = self.read(form, place).await;
        read.inspect_err(|_| form.forget_beyond(rows_before))
    }

    async fn read(&self, form: &mut Form, place: Option<Cursor>) -> Result<Chunk, ApiError> {
        let page = |format| self.asked.page(format, Direction::After(place), CHUNK_ROWS);
        let chunk = match form {
            Form::Text {
                writer,
                format,
                end,
            } => {
                let rows = read_page(&self.pool, page(*format), writer, end, LIMITS).await?;
                Chunk {
                    bytes: rows.bytes,
                    next: rows.last.filter(|_| rows.has_more),
                }
            }
            Form::Parquet(file) => {
                // Single attributes are texts, as in CSV.
                let places =
                    read_rows(&self.pool, page(Format::Csv), file.as_mut(), LIMITS).await?;
                Chunk {
                    bytes: Vec::new(),
                    next: places.last.filter(|_| places.has_more),
                }
            }
        };
        self.asked.still_known(&self.pool).await?;
        Ok(chunk)
    }
}
