//! A body's text, in pieces of any size, into the fields of the call and the texts of its records.

use contract::MAX_RECORDS;

use super::{
    fields::{self, Fields},
    scan::Scanner,
};
use crate::error::ApiError;

/// Longest text of one record.
pub const MAX_RECORD_BYTES: usize = 32 * 1024 * 1024;
/// A buffer that grew beyond this is not kept for the next record.
const KEPT_BUFFER: usize = 1024 * 1024;

/// What takes the records.
pub trait Sink {
    /// Takes the text of the next record.
    fn record(&mut self, text: &str);

    /// The records begin behind these fields: shall they be read? With `is_complete`, no other fields can follow.
    fn wants_records(&mut self, fields: &Fields, is_complete: bool) -> bool;
}

/// How far reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All of the piece was read.
    Read,
    /// The sink wants no records; nothing more can be read.
    Stopped,
}

/// What is expected next in a JSON body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Body,
    FirstName,
    Name,
    Colon,
    Value,
    FieldEnd,
    Records,
    FirstRecord,
    Record,
    RecordEnd,
    Nothing,
}

/// Splits one body.
pub struct Splitter {
    is_lines: bool,
    /// Of NDJSON: `Body` before the envelope, `Record` behind it.
    expected: Expected,
    /// The last byte belonged to a name, a value or a record that goes on.
    is_inside: bool,
    scanner: Scanner,
    /// The beginning of what goes on.
    begun: Vec<u8>,
    /// The name of the field whose value is expected.
    name: String,
    fields: Fields,
    has_records: bool,
    records: usize,
}

impl Splitter {
    /// For JSON, or for NDJSON.
    pub fn new(is_lines: bool) -> Self {
        Self {
            is_lines,
            expected: Expected::Body,
            is_inside: false,
            scanner: Scanner::default(),
            begun: Vec::new(),
            name: String::new(),
            fields: Fields::default(),
            has_records: false,
            records: 0,
        }
    }

    /// The fields that were read so far.
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Memory that is held between two pieces, in bytes.
    pub fn size(&self) -> usize {
        self.begun.capacity() + self.fields.size()
    }

    /// Reads the next piece.
    pub fn read(&mut self, piece: &[u8], sink: &mut impl Sink) -> Result<Progress, ApiError> {
        if self.is_lines {
            self.read_lines(piece, sink)
        } else {
            self.read_json(piece, sink)
        }
    }

    /// The body is complete: was its value?
    pub fn finish(&mut self, sink: &mut impl Sink) -> Result<(), ApiError> {
        if self.is_lines {
            let last = std::mem::take(&mut self.begun);
            self.line(&last, sink)?;
        }
        match self.expected {
            Expected::Body if self.is_lines => {
                Err(ApiError::bad_body("the first line must be the envelope"))
            }
            Expected::Nothing if !self.has_records => Err(ApiError::bad_field(
                "records",
                "'records' is missing; it may be empty",
            )),
            Expected::Nothing => Ok(()),
            _ if self.is_lines => Ok(()),
            _ => Err(not_json("it ends too early")),
        }
    }

    fn read_json(&mut self, piece: &[u8], sink: &mut impl Sink) -> Result<Progress, ApiError> {
        let mut at = 0;
        while at < piece.len() {
            if !self.is_inside {
                let byte = piece[at];
                if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                    at += 1;
                    continue;
                }
                if let Some(next) = mark(self.expected, byte)? {
                    at += 1;
                    let is_records = next == Expected::Value && self.name == "records";
                    self.expected = if is_records { Expected::Records } else { next };
                    if next == Expected::FirstRecord && !self.begin_records(sink)? {
                        return Ok(Progress::Stopped);
                    }
                    continue;
                }
                self.is_inside = true;
            }
            let rest = &piece[at..];
            let end = self.scanner.read(rest);
            let Some(length) = end.map_err(|error| not_json(&error.to_string()))? else {
                self.keep(rest)?;
                return Ok(Progress::Read);
            };
            self.is_inside = false;
            at += length;
            if self.begun.is_empty() {
                self.bound(length)?;
                self.token(&rest[..length], sink)?;
            } else {
                self.keep(&rest[..length])?;
                let token = std::mem::take(&mut self.begun);
                self.token(&token, sink)?;
                self.reuse(token);
            }
        }
        Ok(Progress::Read)
    }

    /// Takes a buffer back that is of use for the next record.
    fn reuse(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEPT_BUFFER {
            buffer.clear();
            self.begun = buffer;
        }
    }

    /// The array of the records was opened: are they wanted?
    fn begin_records(&mut self, sink: &mut impl Sink) -> Result<bool, ApiError> {
        if std::mem::replace(&mut self.has_records, true) {
            return Err(self.fields.repeated("records"));
        }
        Ok(sink.wants_records(&self.fields, false))
    }

    /// A whole name, value or record.
    fn token(&mut self, text: &[u8], sink: &mut impl Sink) -> Result<(), ApiError> {
        match self.expected {
            Expected::FirstRecord | Expected::Record => {
                self.expected = Expected::RecordEnd;
                self.record(text, sink)
            }
            Expected::FirstName | Expected::Name => {
                self.name = fields::name(text)?;
                self.expected = Expected::Colon;
                Ok(())
            }
            _ => {
                self.expected = Expected::FieldEnd;
                self.fields.add(&self.name, text)
            }
        }
    }

    fn record(&mut self, text: &[u8], sink: &mut impl Sink) -> Result<(), ApiError> {
        self.records += 1;
        if self.records > MAX_RECORDS {
            return Err(ApiError::TooLarge(format!(
                "a call carries at most {MAX_RECORDS} records; use a session for more"
            )));
        }
        let text =
            std::str::from_utf8(text).map_err(|_| ApiError::bad_body("the body is not UTF-8"))?;
        sink.record(text);
        Ok(())
    }

    /// Keeps the beginning of what goes on, within bounds.
    fn keep(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        self.bound(self.begun.len() + piece.len())?;
        self.begun.extend_from_slice(piece);
        Ok(())
    }

    /// May what is expected be as long as this?
    fn bound(&self, length: usize) -> Result<(), ApiError> {
        let is_record = matches!(self.expected, Expected::FirstRecord | Expected::Record);
        let (what, limit) = if is_record {
            ("a record", MAX_RECORD_BYTES)
        } else {
            ("a field beside 'records'", fields::MAX_BYTES)
        };
        if length > limit {
            return Err(ApiError::TooLarge(format!(
                "{what} is larger than {limit} bytes"
            )));
        }
        Ok(())
    }

    fn read_lines(&mut self, piece: &[u8], sink: &mut impl Sink) -> Result<Progress, ApiError> {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let progress = if self.begun.is_empty() {
                self.bound(end)?;
                self.line(&rest[..end], sink)?
            } else {
                self.keep(&rest[..end])?;
                let line = std::mem::take(&mut self.begun);
                let progress = self.line(&line, sink)?;
                self.reuse(line);
                progress
            };
            if progress == Progress::Stopped {
                return Ok(progress);
            }
            rest = &rest[end + 1..];
        }
        self.keep(rest)?;
        Ok(Progress::Read)
    }

    fn line(&mut self, line: &[u8], sink: &mut impl Sink) -> Result<Progress, ApiError> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(Progress::Read);
        }
        if self.expected == Expected::Record {
            return self.record(line, sink).map(|()| Progress::Read);
        }
        self.expected = Expected::Record;
        self.fields.read_object(line)?;
        if self.fields.map().contains_key("records") {
            return Err(ApiError::bad_field(
                "records",
                "in NDJSON the records follow the envelope, one a line",
            ));
        }
        Ok(if sink.wants_records(&self.fields, true) {
            Progress::Read
        } else {
            Progress::Stopped
        })
    }
}

/// What follows a byte between names, values and records; `None` when a name, value or record begins with it.
fn mark(expected: Expected, byte: u8) -> Result<Option<Expected>, ApiError> {
    let next = match (expected, byte) {
        (Expected::Body, b'{') => Expected::FirstName,
        (Expected::FirstName | Expected::FieldEnd, b'}') => Expected::Nothing,
        (Expected::FieldEnd, b',') => Expected::Name,
        (Expected::Colon, b':') => Expected::Value,
        (Expected::Records, b'[') => Expected::FirstRecord,
        (Expected::FirstRecord | Expected::RecordEnd, b']') => Expected::FieldEnd,
        (Expected::RecordEnd, b',') => Expected::Record,
        (Expected::FirstName | Expected::Name, b'"')
        | (Expected::Value | Expected::FirstRecord | Expected::Record, _) => return Ok(None),
        (Expected::Body, _) => return Err(not_json("an object with 'records' is expected")),
        (Expected::Records, _) => {
            return Err(ApiError::bad_field("records", "'records' must be an array"));
        }
        (Expected::FirstName | Expected::Name, _) => {
            return Err(not_json("the name of a field is expected"));
        }
        (Expected::Colon, _) => return Err(not_json("':' is expected behind a name")),
        (Expected::FieldEnd, _) => return Err(not_json("',' or '}' is expected behind a field")),
        (Expected::RecordEnd, _) => return Err(not_json("',' or ']' is expected behind a record")),
        (Expected::Nothing, _) => return Err(not_json("something follows its end")),
    };
    Ok(Some(next))
}

fn not_json(why: &str) -> ApiError {
    ApiError::bad_body(format!("the body is not valid JSON: {why}"))
}
