//! Does a key work, now, from there? The database is asked each time: a key that is revoked works nowhere any more.

use std::net::IpAddr;

use sqlx::{PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    ApiKey, Caller, Who,
    address::{AddressRange, Origin},
    gatekeeper::Outcome,
    store::{COLUMNS, key_info},
};
use crate::people;

/// What the database says to a key.
pub enum Answer {
    /// It works.
    Works(Box<Caller>),
    /// It does not. More than [`Outcome::Wrong`] is told only to who knows the secret.
    Refused(Outcome),
}

/// The caller behind a key, if it works now and from there.
pub async fn authenticate(
    pool: &PgPool,
    key: &ApiKey,
    origin: &Origin,
) -> Result<Answer, sqlx::Error> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!(
        "select {COLUMNS}, workspace_id, secret_hash, account_id, coalesce(lineage, key_id) as lineage, \
         expires_at is not null and expires_at <= now() as has_expired, \
         coalesce(last_used_at < now() - interval '1 minute', true) as is_use_news from api_keys where key_id = $1"
    )))
    .bind(&key.id)
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else {
        // As much work as for a key that exists.
        let _ = key.matches(&[0; 32]);
        return Ok(Answer::Refused(Outcome::Wrong));
    };
    if !key.matches(&found.try_get::<Vec<u8>, _>("secret_hash")?) {
        return Ok(Answer::Refused(Outcome::Wrong));
    }
    let key_info = key_info(&found)?;
    if key_info.revoked_at.is_some() {
        return Ok(Answer::Refused(Outcome::Revoked));
    }
    if found.try_get("has_expired")? {
        return Ok(Answer::Refused(Outcome::Expired));
    }
    if !is_allowed_from(key_info.allowed_addresses.as_deref(), origin.address) {
        return Ok(Answer::Refused(Outcome::Elsewhere));
    }
    let account_id: Option<Uuid> = found.try_get("account_id")?;
    let caller = Caller {
        workspace_id: found.try_get("workspace_id")?,
        system_ids: key_info.system_ids.clone(),
        lineage: match account_id {
            None => found.try_get("lineage")?,
            Some(account_id) => people::lineage_of(account_id),
        },
        who: match account_id {
            None => Who::Key(key_info),
            Some(account_id) => people::by_token(pool, account_id, key_info).await?,
        },
        origin: origin.clone(),
    };
    if found.try_get("is_use_news")? {
        note_use(pool, &key.id).await?;
    }
    Ok(Answer::Works(Box::new(caller)))
}

/// Notes that a key was used, once a minute: calls that come at the same moment find that the first has noted it. What was
/// begun ends, also when the client leaves meanwhile.
async fn note_use(pool: &PgPool, key_id: &str) -> Result<(), sqlx::Error> {
    let (pool, key_id) = (pool.clone(), key_id.to_owned());
    let noting = tokio::spawn(async move {
        sqlx::query(
            "update api_keys set last_used_at = now() where key_id = $1 \
             and (last_used_at is null or last_used_at < now() - interval '1 minute')",
        )
        .bind(key_id)
        .execute(&pool)
        .await
    });
    noting.await.map_or(Ok(()), |noted| noted.map(|_| ()))
}

/// Is an address among those that a key works from? One that cannot be told is not, and neither is any in a range that
/// cannot be read.
fn is_allowed_from(allowed: Option<&[String]>, address: Option<IpAddr>) -> bool {
    let Some(allowed) = allowed else {
        return true;
    };
    address.is_some_and(|address| {
        allowed
            .iter()
            .filter_map(|text| text.parse::<AddressRange>().ok())
            .any(|range| range.contains(address))
    })
}

/// Does a key still work from where the call came from?
pub async fn still_works(
    pool: &PgPool,
    key_id: &str,
    address: Option<IpAddr>,
) -> Result<bool, sqlx::Error> {
    let allowed = sqlx::query(
        "select allowed_addresses from api_keys where key_id = $1 and revoked_at is null \
         and (expires_at is null or expires_at > now())",
    )
    .bind(key_id)
    .fetch_optional(pool)
    .await?;
    let allowed: Option<Option<Vec<String>>> = allowed
        .map(|row: PgRow| row.try_get("allowed_addresses"))
        .transpose()?;
    Ok(allowed.is_some_and(|allowed| is_allowed_from(allowed.as_deref(), address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_addresses_works_from_those_only_and_never_from_an_unknown_one() {
        let there: IpAddr = "10.1.2.3".parse().expect("an address");
        let list = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        assert!(is_allowed_from(None, None));
        assert!(is_allowed_from(
            Some(&list(&["192.0.2.1", "10.0.0.0/8"])),
            Some(there)
        ));
        assert!(!is_allowed_from(Some(&list(&["10.0.0.0/8"])), None));
        assert!(!is_allowed_from(
            Some(&list(&["10.2.0.0/16", "nonsense"])),
            Some(there)
        ));
        assert!(!is_allowed_from(Some(&[]), Some(there)));
    }
}
