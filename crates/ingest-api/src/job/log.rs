//! The log of a job: lines of its worker, and of the server.

use contract::{Job, JobState, LogLevel, LogLine, LogPage, MAX_LOG_CHARS, NewLogLine};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::store::word;
use crate::error::ApiError;

/// Most lines that a worker writes under one lease.
pub const MAX_LINES: u64 = 10_000;

/// A text as it is kept: one line, of bounded length.
fn plain(text: &str) -> String {
    text.chars()
        .take(MAX_LOG_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Writes lines of a worker; those that are there already stay as they are.
pub async fn append(
    connection: &mut PgConnection,
    job_id: Uuid,
    epoch: i32,
    lines: &[NewLogLine],
) -> Result<(), ApiError> {
    if let Some(index) = lines.iter().position(|line| line.seq >= MAX_LINES) {
        return Err(ApiError::bad_field(
            &format!("lines/{index}/seq"),
            format!("a lease has at most {MAX_LINES} lines, numbered from 0"),
        ));
    }
    let seqs: Vec<i64> = lines.iter().map(|line| line.seq as i64).collect();
    let levels: Vec<&str> = lines.iter().map(|line| line.level.wire_name()).collect();
    let messages: Vec<String> = lines.iter().map(|line| plain(&line.message)).collect();
    sqlx::query(
        "insert into job_log (job_id, epoch, seq, level, message) \
         select $1, $2, l.seq, l.level, l.message from unnest($3::bigint[], $4::text[], $5::text[]) with ordinality l (seq, level, message, place) \
         order by l.place on conflict (job_id, epoch, seq) do nothing",
    )
    .bind(job_id)
    .bind(epoch)
    .bind(seqs)
    .bind(levels)
    .bind(messages)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes a line of the server.
pub async fn note(
    connection: &mut PgConnection,
    job_id: Uuid,
    epoch: i32,
    level: LogLevel,
    message: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into job_log (job_id, epoch, level, message) values ($1, $2, $3, $4)")
        .bind(job_id)
        .bind(epoch)
        .bind(level.wire_name())
        .bind(plain(message))
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes what became of a job.
pub async fn note_end(
    connection: &mut PgConnection,
    job: &Job,
    state: JobState,
    message: Option<&str>,
) -> Result<(), sqlx::Error> {
    let level = match state {
        JobState::Failed | JobState::Dead => LogLevel::Error,
        JobState::Succeeded | JobState::Cancelled => LogLevel::Info,
        _ => LogLevel::Warn,
    };
    let word = state.wire_name().replace('_', " ");
    let line = match message {
        Some(message) => format!("{word}: {message}"),
        None => word,
    };
    note(connection, job.job_id, job.epoch, level, &line).await
}

/// The lines after one, oldest first.
pub async fn page(
    connection: &mut PgConnection,
    job: &Job,
    after: Option<i64>,
    limit: u32,
) -> Result<LogPage, ApiError> {
    let rows = sqlx::query(
        "select log_id, at, epoch, level, message from job_log where job_id = $1 and log_id > $2 order by log_id limit $3",
    )
    .bind(job.job_id)
    .bind(after.unwrap_or(0))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    let items = rows
        .iter()
        .map(|row| {
            Ok(LogLine {
                log_id: row.try_get("log_id")?,
                at: row.try_get("at")?,
                epoch: row.try_get("epoch")?,
                level: word(
                    &LogLevel::ALL,
                    LogLevel::wire_name,
                    &row.try_get::<String, _>("level")?,
                )?,
                message: row.try_get("message")?,
            })
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok(LogPage {
        next: items.last().map(|line| line.log_id).or(after),
        state: job.state,
        items,
    })
}
