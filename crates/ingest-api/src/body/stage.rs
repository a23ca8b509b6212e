//! The work on a body's bytes: hash, decompress, split, hand over. It stops when it needs bytes, memory or a pause.

use axum::body::Bytes;
use sha2::{Digest, Sha256};

use super::{
    MAX_DECODED_BYTES,
    fields::Fields,
    inflate::{Encoding, Inflate, Piece},
    split::{Progress, Sink, Splitter},
};
use crate::{error::ApiError, memory::Share};

/// Bytes of text after which others get their turn.
const TURN: usize = 4 * 1024 * 1024;

/// Why the work stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// It needs the next bytes.
    Hungry,
    /// It needs more memory, or it is another's turn.
    Paused,
    /// The sink wants no more.
    Stopped,
    /// The body was read to its end.
    Done,
}

/// A sink that grows.
pub trait Growing: Sink {
    /// Is the hash of the body wanted?
    const HASHES: bool;

    /// Memory that it takes, in bytes.
    fn size(&self) -> usize;
}

/// The work on one body.
pub struct Stage<S> {
    inflate: Inflate,
    splitter: Splitter,
    hasher: Sha256,
    unhashed: Bytes,
    is_fresh: bool,
    /// Bytes as sent that are in memory.
    held: usize,
    pub share: Share,
    pub sink: S,
}

impl<S: Growing> Stage<S> {
    /// Nothing was read yet.
    pub fn new(
        encoding: Encoding,
        is_lines: bool,
        share: Share,
        sink: S,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            inflate: Inflate::new(encoding, MAX_DECODED_BYTES)?,
            splitter: Splitter::new(is_lines),
            hasher: Sha256::new(),
            unhashed: Bytes::new(),
            is_fresh: true,
            held: 0,
            share,
            sink,
        })
    }

    /// Was nothing handed over yet?
    pub const fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Hands over the next bytes; `held` bytes as sent are in memory with them.
    pub fn supply(&mut self, bytes: Bytes, is_last: bool, held: usize) {
        self.is_fresh = false;
        self.held = held;
        if S::HASHES {
            self.unhashed = bytes.clone();
        }
        self.inflate.supply(bytes, is_last);
    }

    /// Memory that all of it takes, in bytes.
    pub fn size(&self) -> usize {
        self.held + self.inflate.size() + self.splitter.size() + self.sink.size()
    }

    /// Works until something is missing. Takes time: not for an async thread, unless the body is small.
    pub fn run(&mut self) -> Result<Halt, ApiError> {
        self.hasher.update(std::mem::take(&mut self.unhashed));
        let mut read = 0;
        while read < TURN {
            let size = self.size();
            if !self.share.try_hold(size) {
                return Ok(Halt::Paused);
            }
            match self.inflate.read()? {
                Piece::Hungry => return Ok(Halt::Hungry),
                Piece::End => {
                    self.splitter.finish(&mut self.sink)?;
                    return Ok(Halt::Done);
                }
                Piece::Bytes(bytes) => {
                    read += bytes.len();
                    if self.splitter.read(bytes, &mut self.sink)? == Progress::Stopped {
                        return Ok(Halt::Stopped);
                    }
                }
            }
        }
        Ok(Halt::Paused)
    }

    /// The fields beside the records that were read so far.
    pub const fn fields(&self) -> &Fields {
        self.splitter.fields()
    }

    /// The SHA-256 of the bytes as sent.
    pub fn hash(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }
}
