//! PostgreSQL's binary COPY format (documentation of COPY, "Binary Format").

use bytes::{BufMut, BytesMut};
use serde_json::Map;
use sqlx::PgConnection;

use crate::record::Value;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// PostgreSQL counts time from 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Collects rows for one COPY.
pub struct Encoder {
    buffer: BytesMut,
    rows: usize,
}

impl Encoder {
    pub fn new() -> Self {
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        buffer.put_slice(SIGNATURE);
        buffer.put_i32(0);
        buffer.put_i32(0);
        Self { buffer, rows: 0 }
    }

    pub fn begin_row(&mut self, columns: usize) {
        self.rows += 1;
        self.buffer.put_i16(columns as i16);
    }

    fn field(&mut self, bytes: &[u8]) {
        self.buffer.put_i32(bytes.len() as i32);
        self.buffer.put_slice(bytes);
    }

    pub fn bytes(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.field(bytes),
            None => self.buffer.put_i32(-1),
        }
    }

    pub fn int4(&mut self, value: i32) {
        self.field(&value.to_be_bytes());
    }

    pub fn boolean(&mut self, value: bool) {
        self.field(&[u8::from(value)]);
    }

    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.bytes(None),
            Value::Bool(value) => self.boolean(*value),
            Value::Int(value) => self.field(&value.to_be_bytes()),
            Value::Time(value) => {
                self.field(&(value.timestamp_micros() - EPOCH_MICROS).to_be_bytes());
            }
            Value::Uuid(value) => self.field(value.as_bytes()),
            Value::Text(value) => self.field(value.as_bytes()),
        }
    }

    pub fn jsonb(&mut self, value: &Map<String, serde_json::Value>) {
        let start = self.buffer.len();
        self.buffer.put_i32(0);
        self.buffer.put_u8(1);
        serde_json::to_writer((&mut self.buffer).writer(), value)
            .expect("a JSON map is written to memory");
        let length = (self.buffer.len() - start - 4) as i32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Sends what was collected; nothing at all when there are no rows.
    pub async fn send(
        mut self,
        connection: &mut PgConnection,
        statement: &str,
    ) -> Result<(), sqlx::Error> {
        if self.rows == 0 {
            return Ok(());
        }
        self.buffer.put_i16(-1);
        let mut copy = connection.copy_in_raw(statement).await?;
        let mut rest = self.buffer.freeze();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(1024 * 1024));
            if let Err(error) = copy.send(part).await {
                copy.abort("sending failed").await?;
                return Err(error);
            }
        }
        copy.finish().await?;
        Ok(())
    }
}
