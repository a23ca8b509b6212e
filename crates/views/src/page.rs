//! Keyset pages: who holds a resource, what a principal holds.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{At, ViewError};

/// Most rows that one page has, whatever was asked for.
pub const MAX_PAGE: u32 = 1000;

/// Where a page ended: the key of its last row. On the wire it is an opaque word; rows that came or went since do not
/// disturb the pages after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    other_id: Uuid,
    via_id: Uuid,
    via_kind: String,
    assignment_type: String,
    role_scope: String,
}

impl Cursor {
    /// Before every row: no assignment type is empty. A condition that is always there lets the index find the place.
    const START: Self = Self {
        other_id: Uuid::nil(),
        via_id: Uuid::nil(),
        via_kind: String::new(),
        assignment_type: String::new(),
        role_scope: String::new(),
    };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "{}{}{}\n{}\n{}",
            self.other_id.simple(),
            self.via_id.simple(),
            self.via_kind,
            self.assignment_type,
            self.role_scope
        );
        text.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for Cursor {
    type Error = ViewError;

    fn try_from(text: String) -> Result<Self, ViewError> {
        text.parse()
    }
}

impl FromStr for Cursor {
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        decode(text).ok_or(ViewError::InvalidCursor)
    }
}

fn decode(text: &str) -> Option<Cursor> {
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
            }
            _ => None,
        })
        .collect();
    let plain = String::from_utf8(bytes?).ok()?;
    let (other_id, rest) = plain.split_at_checked(32)?;
    let (via_id, rest) = rest.split_at_checked(32)?;
    let (via_kind, kept) = rest.split_once('\n')?;
    let (assignment_type, role_scope) = kept.split_once('\n')?;
    // PostgreSQL cannot compare with a text that has a NUL.
    if rest.contains('\0') {
        return None;
    }
    Some(Cursor {
        other_id: other_id.parse().ok()?,
        via_id: via_id.parse().ok()?,
        via_kind: via_kind.to_owned(),
        assignment_type: assignment_type.to_owned(),
        role_scope: role_scope.to_owned(),
    })
}

/// A page of rows, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass it as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Cursor>,
}

/// How something is held, in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The type of assignment; `Eligible` when an eligible membership lies on the way.
    pub assignment_type: String,
    /// `Active` or `Eligible`.
    pub access_state: String,
    /// Where it applies.
    pub role_scope: String,
    /// Is the assignment the principal's own?
    pub is_direct: bool,
    /// By what way: `Direct` (the principal's own assignment), `Group`, `Package`, or `Resource` (another resource
    /// that gives it).
    pub via_kind: String,
    /// The group, package or resource that gives it, where it is not the principal's own.
    pub via_id: Option<Uuid>,
    /// Its name.
    pub via_name: Option<String>,
    /// The source's word for the assignment's state.
    pub state: Option<String>,
    /// Since when the assignment holds, where the source says.
    pub start_date_time: Option<DateTime<Utc>>,
    /// Until when; absent for permanent.
    pub expiration_date_time: Option<DateTime<Utc>>,
    /// When the register first saw the assignment.
    pub first_seen_at: Option<DateTime<Utc>>,
}

/// Somebody who has access to a resource, by one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The principal.
    pub principal_id: Uuid,
    /// Its name; absent when the register does not know it.
    pub principal_name: Option<String>,
    /// What it is.
    pub principal_type: Option<String>,
    /// Its sign-in name.
    pub user_principal_name: Option<String>,
    /// Can it sign in?
    pub account_enabled: Option<bool>,
    /// How it holds the resource.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub access: Access,
}

/// Something that a principal has access to, by one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Holding {
    /// The resource.
    pub resource_id: Uuid,
    /// Its name; absent when the register does not know it.
    pub resource_name: Option<String>,
    /// What it is.
    pub resource_type: Option<String>,
    /// How it is held.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub access: Access,
}

/// Who has access to a resource, in the order of the principals' ids. Empty for a system of another workspace.
pub async fn resource_holders<'a>(
    at: impl Into<At<'a>>,
    workspace_id: i32,
    system_id: i32,
    resource_id: Uuid,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Page<Holder>, ViewError> {
    let mut reading = at.into().begin().await?;
    let limit = limit.clamp(1, MAX_PAGE);
    let after = after.unwrap_or(const { &Cursor::START });
    let rows: Vec<Holder> = sqlx::query_as(include_str!("resource_holders.sql"))
        .bind(workspace_id)
        .bind(system_id)
        .bind(resource_id)
        .bind(after.other_id)
        .bind(&after.assignment_type)
        .bind(&after.role_scope)
        .bind(after.via_id)
        .bind(&after.via_kind)
        .bind(i64::from(limit) + 1)
        .fetch_all(&mut *reading)
        .await?;
    reading.end().await?;
    Ok(page(rows, limit, |row| (row.principal_id, &row.access)))
}

/// What a principal has access to, in the order of the resources' ids. Empty for a system of another workspace.
pub async fn principal_holdings<'a>(
    at: impl Into<At<'a>>,
    workspace_id: i32,
    system_id: i32,
    principal_id: Uuid,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Page<Holding>, ViewError> {
    let mut reading = at.into().begin().await?;
    let limit = limit.clamp(1, MAX_PAGE);
    let after = after.unwrap_or(const { &Cursor::START });
    let rows: Vec<Holding> = sqlx::query_as(include_str!("principal_holdings.sql"))
        .bind(workspace_id)
        .bind(system_id)
        .bind(principal_id)
        .bind(after.other_id)
        .bind(&after.assignment_type)
        .bind(&after.role_scope)
        .bind(after.via_id)
        .bind(&after.via_kind)
        .bind(i64::from(limit) + 1)
        .fetch_all(&mut *reading)
        .await?;
    reading.end().await?;
    Ok(page(rows, limit, |row| (row.resource_id, &row.access)))
}

/// Cuts the one row too many that was read to know whether there is a next page.
fn page<T>(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> (Uuid, &Access)) -> Page<T> {
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| has_more).map(|row| {
        let (other_id, access) = key(row);
        Cursor {
            other_id,
            via_id: access.via_id.unwrap_or(Uuid::nil()),
            via_kind: access.via_kind.clone(),
            assignment_type: access.assignment_type.clone(),
            role_scope: access.role_scope.clone(),
        }
    });
    Page { items: rows, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_from_its_word_and_other_words_are_refused() {
        let cursor = Cursor {
            other_id: Uuid::from_u128(7),
            via_id: Uuid::from_u128(8),
            via_kind: "Group".to_owned(),
            assignment_type: "Direct".to_owned(),
            role_scope: "/administrativeUnits/ä\n/:~".to_owned(),
        };
        let word = cursor.to_string();
        assert_eq!(word.parse::<Cursor>().ok(), Some(cursor));
        let with_nul = format!("{word}00");
        for wrong in ["", "a", "zz", "é", &word[..40], &word[1..], &with_nul] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
