//! Decompression in pieces: bytes as they were sent enter, bytes of the text leave.

use std::{
    io::{self, BufRead, ErrorKind, Read},
    str::FromStr,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use zstd::{stream::raw::Operation, zstd_safe::DParameter};

use crate::error::ApiError;

/// Bytes of text that are made at a time.
const PIECE: usize = 64 * 1024;
/// Largest zstd window, as a power of two: what every level up to 19 uses, and all that a decoder has to take (RFC 8878).
const MAX_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip, of one or more members.
    Gzip,
    /// zstd, of one or more frames.
    Zstd,
}

impl Encoding {
    /// What the headers say.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self::Identity),
            (Some(value), None) => value.to_str().unwrap_or("?").parse(),
            (Some(_), Some(_)) => Err(unknown()),
        }
    }
}

impl FromStr for Encoding {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(unknown()),
        }
    }
}

fn unknown() -> ApiError {
    ApiError::UnsupportedMediaType("Content-Encoding must be gzip or zstd, once".into())
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text.
    Bytes(&'a [u8]),
    /// More input is needed.
    Hungry,
    /// The text is complete.
    End,
}

/// Decompresses one body.
pub struct Inflate {
    kind: Kind,
    out: Vec<u8>,
    made: usize,
    limit: usize,
}

enum Kind {
    Identity(Feed),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Feed>>),
    Zstd(Box<Zstd>),
}

impl Inflate {
    /// Nothing was read yet; the text may have `limit` bytes.
    pub fn new(encoding: Encoding, limit: usize) -> Result<Self, ApiError> {
        let feed = Feed::default();
        let (kind, piece) = match encoding {
            Encoding::Identity => (Kind::Identity(feed), 0),
            Encoding::Gzip => (
                Kind::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(feed))),
                PIECE,
            ),
            Encoding::Zstd => (Kind::Zstd(Box::new(Zstd::new(feed)?)), PIECE),
        };
        Ok(Self {
            kind,
            out: vec![0; piece],
            made: 0,
            limit,
        })
    }

    /// Hands over the next bytes as sent; those before must have been read.
    pub fn supply(&mut self, bytes: Bytes, is_last: bool) {
        let feed = match &mut self.kind {
            Kind::Identity(feed) => feed,
            Kind::Gzip(decoder) => decoder.get_mut(),
            Kind::Zstd(zstd) => &mut zstd.feed,
        };
        *feed = Feed {
            bytes,
            taken: Bytes::new(),
            is_last,
        };
    }

    /// Memory that is held, in bytes.
    pub fn size(&self) -> usize {
        let window = match self.kind {
            Kind::Identity(_) => 0,
            Kind::Gzip(_) => 48 * 1024,
            Kind::Zstd(_) => self.made.min(1 << MAX_WINDOW_LOG),
        };
        self.out.len() + window
    }

    /// The next piece of the text.
    pub fn read(&mut self) -> Result<Piece<'_>, ApiError> {
        let piece = match &mut self.kind {
            Kind::Identity(feed) => feed.take(),
            Kind::Gzip(decoder) => match decoder.read(&mut self.out) {
                Ok(0) => Piece::End,
                Ok(length) => Piece::Bytes(&self.out[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Piece::Hungry,
                Err(_) => return Err(not_compressed()),
            },
            Kind::Zstd(zstd) => zstd.read(&mut self.out)?,
        };
        if let Piece::Bytes(bytes) = &piece {
            self.made += bytes.len();
            if self.made > self.limit {
                return Err(ApiError::TooLarge(format!(
                    "the decompressed body is larger than {} bytes",
                    self.limit
                )));
            }
        }
        Ok(piece)
    }
}

fn not_compressed() -> ApiError {
    ApiError::bad_body("the body is not compressed as Content-Encoding says, or it ends too early")
}

/// A whole body that is in memory.
pub fn inflate(encoding: Encoding, bytes: Bytes, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut inflate = Inflate::new(encoding, limit)?;
    inflate.supply(bytes, true);
    let mut text = Vec::new();
    while let Piece::Bytes(piece) = inflate.read()? {
        text.extend_from_slice(piece);
    }
    Ok(text)
}

/// The bytes that are there; asks for more by [`ErrorKind::WouldBlock`].
#[derive(Debug, Default)]
struct Feed {
    bytes: Bytes,
    /// What was taken as a whole, while it is looked at.
    taken: Bytes,
    is_last: bool,
}

impl Feed {
    const fn at_end(&self) -> Piece<'static> {
        if self.is_last {
            Piece::End
        } else {
            Piece::Hungry
        }
    }

    fn take(&mut self) -> Piece<'_> {
        if self.bytes.is_empty() {
            return self.at_end();
        }
        self.taken = std::mem::take(&mut self.bytes);
        Piece::Bytes(&self.taken)
    }
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.bytes.is_empty() && !self.is_last {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(&self.bytes)
    }

    fn consume(&mut self, length: usize) {
        self.bytes = self.bytes.slice(length..);
    }
}

struct Zstd {
    feed: Feed,
    decoder: zstd::stream::raw::Decoder<'static>,
    /// A frame was begun and did not end yet.
    is_inside: bool,
    /// The last piece was full: there may be more without further input.
    is_full: bool,
}

impl Zstd {
    fn new(feed: Feed) -> Result<Self, ApiError> {
        let mut decoder = zstd::stream::raw::Decoder::new().map_err(ApiError::internal)?;
        decoder
            .set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))
            .map_err(ApiError::internal)?;
        Ok(Self {
            feed,
            decoder,
            is_inside: false,
            is_full: false,
        })
    }

    fn read<'a>(&mut self, out: &'a mut [u8]) -> Result<Piece<'a>, ApiError> {
        loop {
            if self.feed.bytes.is_empty() && !self.is_full {
                return match self.feed.at_end() {
                    Piece::End if self.is_inside => Err(not_compressed()),
                    piece => Ok(piece),
                };
            }
            let status = self
                .decoder
                .run_on_buffers(&self.feed.bytes, out)
                .map_err(|error| refused(&error))?;
            self.feed.consume(status.bytes_read);
            // A frame that was read to its end leaves nothing to flush, and the next one begins by itself.
            self.is_inside = status.remaining != 0;
            self.is_full = self.is_inside && status.bytes_written == out.len();
            if status.bytes_written > 0 {
                return Ok(Piece::Bytes(&out[..status.bytes_written]));
            }
            if status.bytes_read == 0 && !self.feed.bytes.is_empty() {
                return Err(not_compressed());
            }
        }
    }
}

fn refused(error: &io::Error) -> ApiError {
    if error.to_string().contains("too much memory") {
        return ApiError::TooLarge(format!(
            "the zstd window is larger than {} bytes; compress at level 19 or less, without a long window",
            1_u32 << MAX_WINDOW_LOG
        ));
    }
    not_compressed()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn zstd_frame(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 1).expect("in memory")
    }

    /// A skippable frame with four bytes of content.
    const SKIPPED: &[u8] = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd";

    fn in_pieces(encoding: Encoding, bytes: &[u8], size: usize) -> Result<Vec<u8>, ApiError> {
        let mut inflate = Inflate::new(encoding, 1 << 20)?;
        let mut text = Vec::new();
        let mut rest = bytes;
        loop {
            match inflate.read()? {
                Piece::Bytes(piece) => text.extend_from_slice(piece),
                Piece::End => return Ok(text),
                Piece::Hungry => {
                    let next;
                    (next, rest) = rest.split_at(size.min(rest.len()));
                    inflate.supply(Bytes::copy_from_slice(next), rest.is_empty());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn members_and_frames_in_any_pieces_are_one_text(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..4),
            repeat in 1usize..400,
            size in 1usize..5000,
        ) {
            let parts: Vec<Vec<u8>> = parts.into_iter().map(|part| part.repeat(repeat)).collect();
            let text = parts.concat();
            let members: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
            prop_assert_eq!(&in_pieces(Encoding::Gzip, &members, size).expect("gzip"), &text);
            let frames: Vec<u8> = parts.iter().flat_map(|part| [SKIPPED.to_vec(), zstd_frame(part)].concat()).collect();
            prop_assert_eq!(&in_pieces(Encoding::Zstd, &frames, size).expect("zstd"), &text);
            prop_assert_eq!(&in_pieces(Encoding::Identity, &text, size).expect("identity"), &text);
        }

        #[test]
        fn what_is_cut_off_or_followed_by_something_else_is_refused(text in proptest::collection::vec(any::<u8>(), 1..300), cut in 1usize..300, size in 1usize..400) {
            for (encoding, whole) in [(Encoding::Gzip, gzip(&text)), (Encoding::Zstd, zstd_frame(&text))] {
                let cut = 1 + cut % (whole.len() - 1);
                prop_assert!(in_pieces(encoding, &whole[..cut], size).is_err());
                prop_assert!(in_pieces(encoding, &[whole.as_slice(), b"more"].concat(), size).is_err());
            }
        }
    }

    #[test]
    fn skippable_frames_alone_are_an_empty_text() {
        assert_eq!(
            in_pieces(Encoding::Zstd, &SKIPPED.repeat(1000), 7).expect("reads"),
            b""
        );
    }

    #[test]
    fn a_text_beyond_the_limit_and_a_window_that_costs_memory_are_too_large() {
        let zeros = vec![0; (1 << 20) + 1];
        for (encoding, bytes) in [
            (Encoding::Gzip, gzip(&zeros)),
            (Encoding::Zstd, zstd_frame(&zeros)),
        ] {
            assert!(matches!(
                in_pieces(encoding, &bytes, 100),
                Err(ApiError::TooLarge(_))
            ));
        }
        // A frame header that asks for a window of 64 MiB.
        let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 16 << 3, 0, 0, 0];
        assert!(matches!(
            in_pieces(Encoding::Zstd, &wide, 100),
            Err(ApiError::TooLarge(_))
        ));
    }
}
