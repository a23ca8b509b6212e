//! The person who calls, and their personal tokens.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chrono::{TimeDelta, Utc};
use contract::{CreateToken, CreatedKey, KeyInfo, Me, SignedInBy};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::{cookie::Cookie, docs};
use crate::{
    app::AppState,
    audit,
    auth::{
        Caller, DEFAULT_LIFETIME, KEY_COLUMNS, Limits, NewKey, Person, addresses_of, create_key,
        is_key_id, key_info, limit_key, name_of, shown_once,
    },
    body::SmallBody,
    durable::durable,
    error::ApiError,
    openapi::Routes,
    params::InPath,
};

/// Longest life of a token.
const LONGEST: TimeDelta = TimeDelta::days(366);
/// Most tokens of a person that work.
const MOST: i64 = 50;

/// The routes about the person who calls.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/me", me, docs::me())
        .get("/api/me/tokens", list, docs::list_tokens())
        .post("/api/me/tokens", create, docs::create_token())
        .delete("/api/me/tokens/{keyId}", revoke, docs::revoke_token())
}

fn person_of(caller: &Caller) -> Result<&Person, ApiError> {
    caller.person().ok_or_else(|| {
        ApiError::Forbidden("this is for people; keys ask /api/crawlers/whoami".into())
    })
}

async fn me(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<Me>, ApiError> {
    let person = person_of(&caller)?;
    let session = match (person.session, state.people.site()) {
        (Some(_), Some(site)) => Cookie::Session.shown(&headers, site.is_secure),
        _ => None,
    };
    Ok(Json(Me {
        account_id: person.account_id,
        display_name: person.display_name.clone(),
        role: person.role,
        signed_in_by: person.signed_in_by,
        csrf_token: session.map(|session| session.derived("csrf").text().to_owned()),
    }))
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<KeyInfo>>, ApiError> {
    let person = person_of(&caller)?;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "select {KEY_COLUMNS} from api_keys where account_id = $1 order by created_at desc, key_id"
    )))
    .bind(person.account_id)
    .fetch_all(&state.pool)
    .await?;
    let keys = rows.iter().map(key_info).collect::<Result<Vec<_>, _>>()?;
    let shown = keys.into_iter().map(|key| of_person(key, person));
    Ok(Json(shown.collect()))
}

/// A token, with what the person may do.
fn of_person(key: KeyInfo, person: &Person) -> KeyInfo {
    KeyInfo {
        permissions: person
            .role
            .map_or_else(Vec::new, |role| role.permissions().to_vec()),
        ..key
    }
}

/// Tokens are made by who is there: neither by a token that was stolen, nor for an account that is to be left again.
fn may_make(person: &Person) -> Result<(), ApiError> {
    match person.signed_in_by {
        SignedInBy::Provider => Ok(()),
        SignedInBy::Bootstrap | SignedInBy::Token => Err(ApiError::Forbidden(
            "tokens are made by people who signed in at the provider".into(),
        )),
    }
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let person = person_of(&caller)?.clone();
    may_make(&person)?;
    let wanted: CreateToken = body.json()?;
    let name = name_of(&wanted.name)?;
    let now = Utc::now();
    let expires_at = wanted.expires_at.unwrap_or(now + DEFAULT_LIFETIME);
    if expires_at <= now || expires_at > now + LONGEST {
        return Err(ApiError::bad_field(
            "expiresAt",
            "must lie in the future, and within a year",
        ));
    }
    let limits = Limits {
        allowed_addresses: addresses_of(wanted.allowed_addresses.as_deref())?,
        requests_per_minute: None,
    };
    let new = NewKey {
        workspace_id: caller.workspace_id,
        name,
        permissions: Vec::new(),
        system_ids: None,
        expires_at: Some(expires_at),
        created_by: caller.actor(),
    };
    let created = durable(async move {
        let mut transaction = state.pool.begin().await?;
        require_room(&mut transaction, person.account_id).await?;
        let (generated, _) = create_key(&mut transaction, &new).await?;
        sqlx::query("update api_keys set account_id = $2 where key_id = $1")
            .bind(&generated.id)
            .bind(person.account_id)
            .execute(&mut *transaction)
            .await?;
        let info = limit_key(&mut transaction, &generated.id, &limits).await?;
        let detail = json!({
            "name": info.name, "expiresAt": info.expires_at, "allowedAddresses": info.allowed_addresses,
        });
        audit::record(&mut transaction, &caller, "token.create", &info.key_id, detail).await?;
        transaction.commit().await?;
        Ok(shown_once(&generated, of_person(info, &person)))
    })
    .await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// The account is held meanwhile, so that two at once are counted one after the other.
async fn require_room(connection: &mut PgConnection, account_id: Uuid) -> Result<(), ApiError> {
    sqlx::query("select from accounts where account_id = $1 for no key update")
        .bind(account_id)
        .execute(&mut *connection)
        .await?;
    let tokens: i64 = sqlx::query_scalar(
        "select count(*) from api_keys where account_id = $1 and revoked_at is null and expires_at > now()",
    )
    .bind(account_id)
    .fetch_one(connection)
    .await?;
    if tokens < MOST {
        return Ok(());
    }
    Err(ApiError::Conflict {
        detail: format!("you have {tokens} tokens that work; revoke one"),
        sync_id: None,
    })
}

async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    InPath(key_id): InPath<String>,
) -> Result<StatusCode, ApiError> {
    let account_id = person_of(&caller)?.account_id;
    let no_such_token = || ApiError::NotFound("you have no such token".into());
    // What cannot be an id is not for the database.
    if !is_key_id(&key_id) {
        return Err(no_such_token());
    }
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        let revoked = sqlx::query(
            "update api_keys set revoked_at = coalesce(revoked_at, now()) where key_id = $1 and account_id = $2",
        )
        .bind(&key_id)
        .bind(account_id)
        .execute(&mut *transaction)
        .await?;
        if revoked.rows_affected() == 0 {
            return Err(no_such_token());
        }
        audit::record(&mut transaction, &caller, "token.revoke", &key_id, json!({})).await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
