//! Entries as somebody looks for them.

use std::str::FromStr;

use chrono::{DateTime, Datelike as _, TimeZone as _, Utc};
use contract::{AuditEntry, AuditPage};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::{PgPool, Row as _, postgres::PgRow, types::Json};

use crate::error::ApiError;

/// Which entries.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// Only those of actors whose name begins so, such as `key:ab12CD34ef56`.
    #[schemars(length(min = 1, max = 300))]
    pub actor: Option<String>,
    /// Only these actions: one (`key.create`), or all of a kind (`key`).
    #[schemars(length(min = 1, max = 100))]
    pub action: Option<String>,
    /// Only those done to this.
    #[schemars(length(min = 1, max = 300))]
    pub target: Option<String>,
    /// Only those from this instant on.
    #[schemars(extend("format" = "date-time"))]
    pub from: Option<String>,
    /// Only those before this instant.
    #[schemars(extend("format" = "date-time"))]
    pub to: Option<String>,
}

/// The same, with its instants read.
#[derive(Debug, Clone)]
pub struct Filter {
    wanted: Wanted,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl Filter {
    /// Reads what is wanted.
    pub fn of(wanted: Wanted) -> Result<Self, ApiError> {
        let texts = [
            ("actor", &wanted.actor, 300),
            ("action", &wanted.action, 100),
            ("target", &wanted.target, 300),
        ];
        for (name, text, most) in texts {
            let length = text.as_deref().map(|text| text.chars().count());
            if length.is_some_and(|length| length == 0 || length > most) {
                return Err(ApiError::bad_field(
                    name,
                    format!("must have 1 to {most} characters"),
                ));
            }
        }
        Ok(Self {
            from: instant("from", wanted.from.as_deref())?,
            to: instant("to", wanted.to.as_deref())?,
            wanted,
        })
    }
}

fn instant(name: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        .filter(|at| (1..=9999).contains(&at.year()))
        .map(Some)
        .ok_or_else(|| ApiError::bad_field(name, "not an instant such as 2026-01-31T08:00:00Z"))
}

/// Where a page ended. On the wire it is an opaque word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    at: DateTime<Utc>,
    audit_id: i64,
}

impl Place {
    fn of(entry: &AuditEntry) -> Self {
        Self {
            at: entry.at,
            audit_id: entry.audit_id,
        }
    }

    fn word(self) -> String {
        format!("{}-{}", self.at.timestamp_micros(), self.audit_id)
    }
}

impl FromStr for Place {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        text.split_once('-')
            .and_then(|(at, audit_id)| {
                let at = Utc.timestamp_micros(at.parse().ok()?).single()?;
                let audit_id = audit_id.parse().ok()?;
                Some(Self { at, audit_id })
            })
            .filter(|place| (1..=9999).contains(&place.at.year()))
            .ok_or_else(|| ApiError::bad_field("after", "not a `next` of a page"))
    }
}

fn entry(row: &PgRow) -> Result<AuditEntry, sqlx::Error> {
    Ok(AuditEntry {
        audit_id: row.try_get("audit_id")?,
        at: row.try_get("at")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        target: row.try_get("target")?,
        detail: row.try_get::<Json<_>, _>("detail")?.0,
        address: row.try_get("address")?,
        request_id: row.try_get("request_id")?,
    })
}

/// Entries of a workspace, newest first, and where to go on.
pub async fn page(
    pool: &PgPool,
    workspace_id: i32,
    filter: &Filter,
    after: Option<Place>,
    limit: u32,
) -> Result<(Vec<AuditEntry>, Option<Place>), sqlx::Error> {
    let rows = sqlx::query(
        "select audit_id, at, actor, action, target, detail, host(address) as address, request_id from audit_log \
         where workspace_id = $1 and ($2::text is null or starts_with(actor, $2)) \
         and ($3::text is null or action = $3 or starts_with(action, $3 || '.')) and ($4::text is null or target = $4) \
         and ($5::timestamptz is null or at >= $5) and ($6::timestamptz is null or at < $6) \
         and ($7::timestamptz is null or (at, audit_id) < ($7, $8)) order by at desc, audit_id desc limit $9",
    )
    .bind(workspace_id)
    .bind(&filter.wanted.actor)
    .bind(&filter.wanted.action)
    .bind(&filter.wanted.target)
    .bind(filter.from)
    .bind(filter.to)
    .bind(after.map(|place| place.at))
    .bind(after.map(|place| place.audit_id))
    .bind(i64::from(limit) + 1)
    .fetch_all(pool)
    .await?;
    let mut items = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    // One more than asked for says whether there is a next page.
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| has_more).map(Place::of);
    Ok((items, next))
}

/// The same as an answer.
pub fn answer((items, next): (Vec<AuditEntry>, Option<Place>)) -> AuditPage {
    AuditPage {
        items,
        next: next.map(Place::word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_nonsense_is_refused() {
        let place = Place {
            at: Utc
                .timestamp_micros(1_764_000_000_123_456)
                .single()
                .expect("an instant"),
            audit_id: 42,
        };
        assert_eq!(place.word().parse::<Place>().ok(), Some(place));
        for text in ["", "-", "1-", "-1-2", "x-1", "1", "9223372036854775807-1"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
