//! Bodies as bounded streams.
//!
//! Bytes come from the connection in blocks, are hashed, decompressed, and split into the fields of the call and the
//! texts of its records; each record goes to its reader at once. So a body takes the memory of what its records become,
//! and of a small window; its text is nowhere as a whole. A block is worked on off the async threads, and a client that
//! is waited for holds no thread, no connection to the database and next to no memory.
//!
//! Some fields decide how records are read, and JSON may bring them behind the records. Until they are known, the bytes
//! are kept as they were sent, and then read a second time.

mod fields;
mod inflate;
mod scan;
mod small;
mod source;
mod split;
mod stage;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, marker::PhantomData, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

pub use small::SmallBody;
pub use source::Pace;

use self::{
    fields::Fields,
    inflate::Encoding,
    source::Source,
    split::Sink,
    stage::{Growing, Halt, Stage},
};
use crate::{
    app::AppState,
    error::ApiError,
    memory::{Memory, Share},
    record::{Decoded, Decoder},
};

/// Most bytes of a body as sent.
const MAX_ENCODED_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes of a body once decompressed.
const MAX_DECODED_BYTES: usize = 256 * 1024 * 1024;
/// Bytes that are collected before they are worked on: first few, so that a slow client holds next to nothing, then
/// enough to make the changes of thread rare.
const FIRST_BLOCK: usize = 64 * 1024;
const NEXT_BLOCKS: usize = 128 * 1024;
/// A body of at most so many bytes, not compressed, is worked on where it is: changing the thread would take longer.
const SMALL: usize = 16 * 1024;

/// The fields of a call beside its records.
pub trait Envelope: DeserializeOwned + 'static {
    /// Do these fields, the first ones of the body, tell how its records are read? Fields that follow must not matter
    /// for that.
    fn is_settled(fields: &Map<String, Value>) -> bool;
}

/// What reads the records.
pub trait Records: Send + 'static {
    /// What they become.
    type Output: Send + 'static;

    /// Reads the next record.
    fn record(&mut self, text: &str);

    /// Memory that they take by now, in bytes.
    fn size(&self) -> usize;

    /// There are no more.
    fn finish(self) -> Self::Output;
}

impl Records for Decoder {
    type Output = Decoded;

    fn record(&mut self, text: &str) {
        Self::record(self, text);
    }

    fn size(&self) -> usize {
        Self::size(self)
    }

    fn finish(self) -> Decoded {
        Self::finish(self)
    }
}

/// The texts of records that are few.
pub struct Texts {
    texts: Vec<String>,
    most: usize,
    bytes: usize,
}

impl Texts {
    /// Keeps one text more than there may be, which tells that there are too many.
    pub const fn new(most: usize) -> Self {
        Self {
            texts: Vec::new(),
            most,
            bytes: 0,
        }
    }
}

impl Records for Texts {
    type Output = Vec<String>;

    fn record(&mut self, text: &str) {
        if self.texts.len() <= self.most {
            self.bytes += size_of::<String>() + text.len();
            self.texts.push(text.to_owned());
        }
    }

    fn size(&self) -> usize {
        self.bytes
    }

    fn finish(self) -> Vec<String> {
        self.texts
    }
}

/// A body that was read to its end.
pub struct Received<E, R> {
    /// The fields beside the records.
    pub envelope: E,
    /// What the records became.
    pub records: R,
    /// The SHA-256 of the bytes as sent: what tells a repetition from another body.
    pub hash: [u8; 32],
    /// The memory that the records take; given back with them.
    _share: Share,
}

/// A body of records. Nothing of it is read before it is asked for.
pub struct RecordBody {
    /// What the headers say: encoding, and whether it is NDJSON.
    form: Result<(Encoding, bool), Option<ApiError>>,
    source: Source,
    memory: Memory,
    cores: Arc<Semaphore>,
    share: Option<Share>,
    /// What was read once and is needed again.
    kept: VecDeque<Bytes>,
    is_complete: bool,
    is_small: bool,
    seen: Map<String, Value>,
}

impl FromRequest<AppState> for RecordBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let source = Source::new(body, MAX_ENCODED_BYTES, state.pace);
        Ok(Self::new(
            form(&parts.headers),
            source,
            state.memory.clone(),
            Arc::clone(&state.cores),
        ))
    }
}

fn form(headers: &HeaderMap) -> Result<(Encoding, bool), ApiError> {
    let is_lines = match media_type(headers)?.as_str() {
        "application/json" => false,
        "application/x-ndjson" | "application/ndjson" => true,
        _ => {
            return Err(ApiError::UnsupportedMediaType(
                "Content-Type must be application/json or application/x-ndjson".into(),
            ));
        }
    };
    Ok((Encoding::of(headers)?, is_lines))
}

fn media_type(headers: &HeaderMap) -> Result<String, ApiError> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map_or(Ok(""), |value| value.to_str());
    let value =
        value.map_err(|_| ApiError::UnsupportedMediaType("Content-Type cannot be read".into()))?;
    Ok(value
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase())
}

impl RecordBody {
    fn new(
        form: Result<(Encoding, bool), ApiError>,
        source: Source,
        memory: Memory,
        cores: Arc<Semaphore>,
    ) -> Self {
        Self {
            form: form.map_err(Some),
            source,
            memory,
            cores,
            share: None,
            kept: VecDeque::new(),
            is_complete: false,
            is_small: false,
            seen: Map::new(),
        }
    }

    /// The fields that decide how the records are read; others may be missing yet.
    pub async fn envelope<E: Envelope>(&mut self) -> Result<E, ApiError> {
        let stage = self.stage(Look::<E>(PhantomData))?;
        let stage = self.drive(stage, true).await?;
        let envelope = self.fields(&stage)?;
        self.share = Some(stage.share);
        Ok(envelope)
    }

    /// Reads the body to its end; each record goes to `records`.
    pub async fn read<E, R>(&mut self, records: R) -> Result<Received<E, R::Output>, ApiError>
    where
        E: DeserializeOwned,
        R: Records,
    {
        let stage = self.stage(Take(records))?;
        let stage = self.drive(stage, false).await?;
        let (envelope, hash, share) = (self.fields(&stage)?, stage.hash(), stage.share);
        let records = stage.sink.0;
        let records = if records.size() <= SMALL {
            records.finish()
        } else {
            on_core(&self.cores, move || records.finish()).await?
        };
        Ok(Received {
            envelope,
            records,
            hash,
            _share: share,
        })
    }

    /// A field that was read before the body turned out to be bad.
    pub fn seen(&self, field: &str) -> Option<&Value> {
        self.seen.get(field)
    }

    fn fields<E: DeserializeOwned, S: Growing>(&mut self, stage: &Stage<S>) -> Result<E, ApiError> {
        let fields = stage.fields();
        fields
            .read()
            .inspect_err(|_| self.seen.clone_from(fields.map()))
    }

    fn stage<S: Growing>(&mut self, sink: S) -> Result<Stage<S>, ApiError> {
        let (encoding, is_lines) = match &mut self.form {
            Ok(form) => *form,
            Err(error) => return Err(error.take().unwrap_or(ApiError::Busy)),
        };
        let share = self.share.take().unwrap_or_else(|| self.memory.share());
        Stage::new(encoding, is_lines, share, sink)
    }

    /// Works on the body until it is done or the sink wants no more. With `keeps`, all bytes are kept for another reading.
    async fn drive<S>(&mut self, mut stage: Stage<S>, keeps: bool) -> Result<Stage<S>, ApiError>
    where
        S: Growing + Send + 'static,
    {
        let mut again = VecDeque::new();
        let mut halt = Halt::Hungry;
        while matches!(halt, Halt::Hungry | Halt::Paused) {
            let ready = if halt == Halt::Hungry {
                self.supply(&mut stage, keeps.then_some(&mut again)).await
            } else {
                stage.share.hold(stage.size()).await
            };
            let outcome;
            (stage, outcome) = match ready {
                Ok(()) => work(&self.cores, stage, self.is_small).await?,
                Err(error) => (stage, Err(error)),
            };
            halt = outcome.inspect_err(|_| self.seen.clone_from(stage.fields().map()))?;
        }
        again.append(&mut self.kept);
        self.kept = again;
        Ok(stage)
    }

    /// Gives the stage the next block: one that was kept, or else from the connection.
    async fn supply<S: Growing>(
        &mut self,
        stage: &mut Stage<S>,
        again: Option<&mut VecDeque<Bytes>>,
    ) -> Result<(), ApiError> {
        let block = if let Some(block) = self.kept.pop_front() {
            block
        } else {
            let size = if stage.is_fresh() {
                FIRST_BLOCK
            } else {
                NEXT_BLOCKS
            };
            let (block, is_last) = self.source.block(size).await?;
            self.is_complete = is_last;
            self.is_small = stage.is_fresh()
                && is_last
                && block.len() <= SMALL
                && matches!(self.form, Ok((Encoding::Identity, _)));
            block
        };
        let is_last = self.is_complete && self.kept.is_empty();
        let mut held: usize = block.len() + self.kept.iter().map(Bytes::len).sum::<usize>();
        if let Some(again) = again {
            held += again.iter().map(Bytes::len).sum::<usize>();
            again.push_back(block.clone());
        }
        stage.supply(block, is_last, held);
        Ok(())
    }
}

/// Lets a stage work, off the async threads unless the body is small.
async fn work<S>(
    cores: &Arc<Semaphore>,
    mut stage: Stage<S>,
    is_small: bool,
) -> Result<(Stage<S>, Result<Halt, ApiError>), ApiError>
where
    S: Growing + Send + 'static,
{
    let work = move || {
        let halt = stage.run();
        (stage, halt)
    };
    if is_small {
        return Ok(work());
    }
    on_core(cores, work).await
}

/// Works off the async threads, on no more threads than there are cores.
async fn on_core<T: Send + 'static>(
    cores: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let core = Arc::clone(cores)
        .acquire_owned()
        .await
        .map_err(ApiError::internal)?;
    tokio::task::spawn_blocking(move || {
        let _core = core;
        work()
    })
    .await
    .map_err(ApiError::internal)
}

/// Looks for the deciding fields only.
struct Look<E>(PhantomData<fn() -> E>);

impl<E: Envelope> Sink for Look<E> {
    fn record(&mut self, _: &str) {}

    fn wants_records(&mut self, fields: &Fields, is_complete: bool) -> bool {
        !is_complete && !E::is_settled(fields.map())
    }
}

impl<E: Envelope> Growing for Look<E> {
    const HASHES: bool = false;

    fn size(&self) -> usize {
        0
    }
}

/// Reads the records.
struct Take<R>(R);

impl<R: Records> Sink for Take<R> {
    fn record(&mut self, text: &str) {
        self.0.record(text);
    }

    fn wants_records(&mut self, _: &Fields, _: bool) -> bool {
        true
    }
}

impl<R: Records> Growing for Take<R> {
    const HASHES: bool = true;

    fn size(&self) -> usize {
        self.0.size()
    }
}
