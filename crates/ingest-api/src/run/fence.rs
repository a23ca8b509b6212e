//! Who speaks for a run: whoever claimed it last. What an earlier claim still sends is refused before it does anything, so
//! that a process that slept while another one went on with its run changes nothing when it wakes up.

use axum::{extract::FromRequestParts, http::request::Parts};
use sqlx::PgPool;
use uuid::Uuid;

use super::claim::require_epoch;
use crate::{auth::Caller, error::ApiError};

/// The header that says under which claim something is sent: the run and the epoch, with a blank between them.
pub const HEADER: &str = "x-run-claim";

/// The claim that a request is sent under, if it says one.
pub struct UnderClaim(Option<(Uuid, i32)>);

impl<S: Sync> FromRequestParts<S> for UnderClaim {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(said) = parts.headers.get(HEADER) else {
            return Ok(Self(None));
        };
        let claim = said.to_str().ok().and_then(|text| {
            let (run, epoch) = text.split_once(' ')?;
            Some((run.parse().ok()?, epoch.parse().ok()?))
        });
        let malformed =
            || ApiError::bad_body("the header X-Run-Claim holds a run's id, a blank and an epoch");
        Ok(Self(Some(claim.ok_or_else(malformed)?)))
    }
}

impl UnderClaim {
    /// Refuses what is sent under a claim that is not the newest one of a run that is under way.
    pub async fn require_newest(&self, pool: &PgPool, caller: &Caller) -> Result<(), ApiError> {
        let Some((run_id, epoch)) = self.0 else {
            return Ok(());
        };
        let newest: Option<i32> = sqlx::query_scalar(
            "select epoch from runs_under_way where run_id = $1 and workspace_id = $2 and lineage = $3",
        )
        .bind(run_id)
        .bind(caller.workspace_id)
        .bind(&caller.lineage)
        .fetch_optional(pool)
        .await?;
        match newest {
            Some(newest) => require_epoch(epoch, newest),
            None => Err(ApiError::Conflict {
                detail: format!("the run {run_id} of this key is not under way any more"),
                sync_id: None,
            }),
        }
    }
}
