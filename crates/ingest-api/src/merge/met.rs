//! Which rows a batch met: they exist in the source at this moment.
//!
//! A commit removes none of these rows, neither its own load's nor those that any load met since its reading began. A
//! load that opened after this one wrote a row, and before this one brought it again, spares it for the second time only.

use std::fmt::Write as _;

use chrono::TimeDelta;
use sqlx::PgConnection;

use super::{Load, MergeError};

/// How long it is kept. What a load may need that is still open is kept longer.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// The numbers of rows that exist.
#[derive(Debug, Default)]
pub struct Met {
    /// Written by others.
    pub first: Vec<i64>,
    /// Written by this very load before: their records came again.
    pub again: Vec<i64>,
}

/// Is a row that is met more than once in a load counted as a duplicate?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// When the load is committed.
    AtTheEnd,
    /// It is counted with its batch, or was refused.
    No,
}

/// Stores the numbers of rows that were met. A batch often meets rows that were inserted together, so ranges of numbers
/// say it in few bytes.
pub async fn remember(
    connection: &mut PgConnection,
    load: Load,
    row_ids: Vec<i64>,
    counted: Counted,
) -> Result<(), MergeError> {
    if row_ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into rows_met (sync_id, system_id, entity, met_at, row_ids, is_counted, seq) \
         values ($1, $2, $3, greatest(clock_timestamp(), $4), $5::text::int8multirange, $6, $7)",
    )
    .bind(load.sync_id)
    .bind(load.system_id)
    .bind(load.spec.entity.wire_name())
    .bind(load.not_before)
    .bind(ranges(row_ids))
    .bind(counted == Counted::AtTheEnd)
    .bind(load.seq)
    .execute(connection)
    .await?;
    Ok(())
}

/// The text of a multirange.
fn ranges(mut row_ids: Vec<i64>) -> String {
    row_ids.sort_unstable();
    let mut text = String::from("{");
    for run in row_ids.chunk_by(|this, next| next - this <= 1) {
        let separator = if text.len() > 1 { "," } else { "" };
        let (from, to) = (run[0], run[run.len() - 1] + 1);
        write!(text, "{separator}[{from},{to})").expect("a String can be written to");
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_fewest_ranges_that_hold_just_them() {
        assert_eq!(ranges(vec![]), "{}");
        assert_eq!(ranges(vec![7]), "{[7,8)}");
        assert_eq!(ranges(vec![3, 1, 2, 9, 2, 5, 6]), "{[1,4),[5,7),[9,10)}");
    }
}
