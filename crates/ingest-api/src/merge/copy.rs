//! New rows go into their table by PostgreSQL's binary COPY (documentation of COPY, "Binary Format").

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::PgCopyIn};

use super::Load;
use crate::record::{RowRef, key_parts, timestamp};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// How much is collected before it is sent.
const PART: usize = 256 * 1024;

/// Copies rows that begin at `now` into their table.
pub async fn copy_rows<'a>(
    connection: &mut PgConnection,
    statement: &str,
    load: Load,
    now: DateTime<Utc>,
    rows: impl Iterator<Item = RowRef<'a>>,
) -> Result<u64, sqlx::Error> {
    let frame = Frame::new(load, now);
    let mut copy = connection.copy_in_raw(statement).await?;
    match send_all(&mut copy, &frame, rows).await {
        Ok(()) => copy.finish().await,
        Err(error) => {
            // What PostgreSQL says to the end of the COPY tells nothing more.
            let _ = copy.abort("sending failed").await;
            Err(error)
        }
    }
}

async fn send_all<'a>(
    copy: &mut PgCopyIn<&mut PgConnection>,
    frame: &Frame,
    rows: impl Iterator<Item = RowRef<'a>>,
) -> Result<(), sqlx::Error> {
    let mut buffer = BytesMut::with_capacity(PART + PART / 8);
    buffer.put_slice(SIGNATURE);
    buffer.put_i32(0);
    buffer.put_i32(0);
    for row in rows {
        frame.put(&mut buffer, row);
        if buffer.len() >= PART {
            copy.send(&buffer[..]).await?;
            buffer.clear();
        }
    }
    buffer.put_i16(-1);
    copy.send(&buffer[..]).await?;
    Ok(())
}

/// What all rows of a COPY share.
struct Frame {
    load: Load,
    columns: i16,
    /// `first_seen_at`, `valid_from` and `sync_id` as fields.
    origin: Vec<u8>,
}

impl Frame {
    fn new(load: Load, now: DateTime<Utc>) -> Self {
        let mut origin = Vec::new();
        for _ in 0..2 {
            put_field(&mut origin, &timestamp(now));
        }
        put_field(&mut origin, load.sync_id.as_bytes());
        Self {
            // The system, extended attributes, the hash, and where the row came from.
            columns: (load.spec.key.len() + load.spec.columns.len() + 6) as i16,
            load,
            origin,
        }
    }

    /// In the order of the statement's columns.
    fn put(&self, buffer: &mut BytesMut, row: RowRef<'_>) {
        buffer.put_i16(self.columns);
        put_field(buffer, &self.load.system_id.to_be_bytes());
        for part in key_parts(self.load.spec.key, row.key()) {
            put_field(buffer, part);
        }
        buffer.put_slice(row.copy_fields());
        put_field(buffer, row.hash());
        buffer.put_slice(&self.origin);
    }
}

fn put_field(buffer: &mut impl BufMut, bytes: &[u8]) {
    buffer.put_i32(bytes.len() as i32);
    buffer.put_slice(bytes);
}
