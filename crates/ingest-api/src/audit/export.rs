//! All entries at once, as a stream: page by page, newest first.

use std::sync::Arc;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use chrono::SecondsFormat;
use contract::AuditEntry;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    find::{self, Filter, Place},
    record,
};
use crate::{
    app::AppState,
    auth::{Caller, Watch},
    durable::durable,
    error::ApiError,
    openapi::LINES,
    pieces::{Pieces, body},
    query::write_cell,
};

/// Entries that are read at once.
const CHUNK: u32 = 1_000;
const CSV_NAMES: &str = "auditId,at,actor,action,target,detail,address,requestId\r\n";

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditForm {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// RFC 4180 with a line of names; texts that a spreadsheet would run get an apostrophe in front.
    Csv,
}

struct Export {
    pool: PgPool,
    workspace_id: i32,
    filter: Filter,
    form: AuditForm,
    _room: OwnedSemaphorePermit,
}

/// Answers the entries; that somebody took them along is an entry itself.
pub async fn answer(
    state: &AppState,
    caller: Caller,
    filter: Filter,
    form: AuditForm,
) -> Result<Response, ApiError> {
    let room = Arc::clone(&state.exports).try_acquire_owned();
    let export = Export {
        pool: state.pool.clone(),
        workspace_id: caller.workspace_id,
        filter,
        form,
        _room: room.map_err(|_| ApiError::Busy)?,
    };
    let first = export.chunk(None).await?;
    let (pieces, body) = body(Watch::over(state, &caller));
    let pool = state.pool.clone();
    durable(async move {
        let mut connection = pool.acquire().await?;
        record(
            &mut connection,
            &caller,
            "audit.export",
            "audit log",
            json!({}),
        )
        .await?;
        Ok(())
    })
    .await?;
    tokio::spawn(async move {
        let outcome = export.send_all(first, &pieces).await;
        pieces.end(outcome).await;
    });
    let (media_type, name) = match form {
        AuditForm::Ndjson => (LINES, "audit.ndjson"),
        AuditForm::Csv => ("text/csv; charset=utf-8", "audit.csv"),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    Ok((headers, body).into_response())
}

impl Export {
    async fn chunk(
        &self,
        after: Option<Place>,
    ) -> Result<(Vec<AuditEntry>, Option<Place>), ApiError> {
        Ok(find::page(&self.pool, self.workspace_id, &self.filter, after, CHUNK).await?)
    }

    /// Answers whether somebody took everything.
    async fn send_all(
        &self,
        first: (Vec<AuditEntry>, Option<Place>),
        pieces: &Pieces,
    ) -> Result<bool, ApiError> {
        let mut out = Vec::new();
        if self.form == AuditForm::Csv {
            out.extend(CSV_NAMES.as_bytes());
        }
        let (mut entries, mut next) = first;
        loop {
            for entry in &entries {
                self.write(entry, &mut out)?;
            }
            if !pieces.send(std::mem::take(&mut out)).await {
                return Ok(false);
            }
            let Some(place) = next else {
                return Ok(true);
            };
            (entries, next) = self.chunk(Some(place)).await?;
        }
    }

    fn write(&self, entry: &AuditEntry, out: &mut Vec<u8>) -> Result<(), ApiError> {
        if self.form == AuditForm::Ndjson {
            serde_json::to_writer(&mut *out, entry).map_err(ApiError::internal)?;
            out.push(b'\n');
            return Ok(());
        }
        let detail = serde_json::to_string(&entry.detail).map_err(ApiError::internal)?;
        out.extend(entry.audit_id.to_string().as_bytes());
        let at = entry.at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let cells = [
            at.as_str(),
            &entry.actor,
            &entry.action,
            &entry.target,
            &detail,
            entry.address.as_deref().unwrap_or(""),
            entry.request_id.as_deref().unwrap_or(""),
        ];
        for cell in cells {
            out.push(b',');
            write_cell(out, cell);
        }
        out.extend(b"\r\n");
        Ok(())
    }
}
