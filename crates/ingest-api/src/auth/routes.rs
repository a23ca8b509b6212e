//! Keys over HTTP: whoami and rotate for the key itself, the rest for admins.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use contract::{CreateKey, CreatedKey, KeyInfo, Permission, UpdateKey, WhoAmI};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::{
    AddressRange, Caller, GeneratedKey, InvalidRange, KeyError, Limits, NewKey, create_key, docs,
    key::is_key_id,
    life::{self, DEFAULT_LIFETIME},
    store,
};
use crate::{
    app::AppState,
    audit,
    body::SmallBody,
    durable::durable,
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery},
};

/// How long a key works that was replaced, when nobody says otherwise.
const DEFAULT_GRACE: TimeDelta = TimeDelta::days(1);
const MIN_OWN_GRACE_SECONDS: u32 = 3_600;
const MAX_GRACE_SECONDS: u32 = 2_592_000;
/// Most addresses and networks of a key.
const MAX_ADDRESSES: usize = 100;
/// The highest limit; who needs more needs none.
const MAX_REQUESTS: u32 = 1_000_000;

/// The routes about keys.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/crawlers/whoami", whoami, docs::whoami())
        .post("/api/crawlers/rotate", rotate_own, docs::rotate_own())
        .get("/api/admin/keys", list, docs::list())
        .post("/api/admin/keys", create, docs::create())
        .patch("/api/admin/keys/{keyId}", update, docs::update())
        .post("/api/admin/keys/{keyId}/rotate", rotate, docs::rotate())
        .post("/api/admin/keys/{keyId}/revoke", revoke, docs::revoke())
}

async fn whoami(caller: Caller) -> Result<Json<WhoAmI>, ApiError> {
    let key = caller
        .key()
        .ok_or_else(|| ApiError::Forbidden("this is for keys; people ask /api/me".into()))?;
    Ok(Json(WhoAmI {
        key: key.clone(),
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<KeyInfo>>, ApiError> {
    caller.require(Permission::Admin)?;
    Ok(Json(
        store::list(
            &state.pool,
            caller.workspace_id,
            caller.system_ids.as_deref(),
        )
        .await?,
    ))
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    caller.require(Permission::Admin)?;
    let wanted: CreateKey = body.json()?;
    let name = name_of(&wanted.name)?;
    if wanted.permissions.is_empty() {
        return Err(ApiError::bad_field(
            "permissions",
            "a key needs at least one permission",
        ));
    }
    if wanted.expires_at.is_some_and(|at| at <= Utc::now()) {
        return Err(ApiError::bad_field("expiresAt", "the moment has passed"));
    }
    if wanted.system_ids.as_ref().is_some_and(Vec::is_empty) {
        return Err(ApiError::bad_field(
            "systemIds",
            "a key for no system is of no use; leave systemIds out for all of them",
        ));
    }
    // A key can hand on no more than it has.
    for system_id in wanted.system_ids.iter().flatten() {
        if !caller.may_touch(*system_id) {
            return Err(ApiError::bad_field(
                "systemIds",
                format!("there is no system {system_id} for this key"),
            ));
        }
    }
    let limits = Limits {
        allowed_addresses: addresses_of(wanted.allowed_addresses.as_deref())?,
        requests_per_minute: pace_of(wanted.requests_per_minute)?,
    };
    let new = NewKey {
        workspace_id: caller.workspace_id,
        name,
        permissions: wanted.permissions,
        system_ids: wanted.system_ids.or_else(|| caller.system_ids.clone()),
        expires_at: Some(
            wanted
                .expires_at
                .unwrap_or_else(|| Utc::now() + DEFAULT_LIFETIME),
        ),
        created_by: caller.actor(),
    };
    let created = durable(async move {
        let mut transaction = state.pool.begin().await?;
        let (generated, info) = create_key(&mut transaction, &new).await?;
        let info = store::limit(&mut transaction, &info.key_id, &limits).await?;
        let detail = json!({
            "name": info.name, "permissions": info.permissions, "systemIds": info.system_ids,
            "expiresAt": info.expires_at, "allowedAddresses": info.allowed_addresses,
            "requestsPerMinute": info.requests_per_minute,
        });
        audit::record(
            &mut transaction,
            &caller,
            "key.create",
            &info.key_id,
            detail,
        )
        .await?;
        transaction.commit().await?;
        Ok(shown_once(&generated, info))
    })
    .await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Sets what is given; a key never comes to more than it was made for.
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    InPath(key_id): InPath<String>,
    body: SmallBody,
) -> Result<Json<KeyInfo>, ApiError> {
    caller.require(Permission::Admin)?;
    may_be_key(&key_id)?;
    let wanted: UpdateKey = body.json()?;
    let name = wanted.name.as_deref().map(name_of).transpose()?;
    let addresses = match &wanted.allowed_addresses {
        Some(list) => Some(addresses_of(list.as_deref())?),
        None => None,
    };
    let pace = wanted.requests_per_minute.map(pace_of).transpose()?;
    let info = durable(async move {
        let mut transaction = state.pool.begin().await?;
        let before = life::hold(&mut transaction, caller.realm(), &key_id)
            .await?
            .ok_or_else(no_such_key)?;
        let is_later = |at: DateTime<Utc>| before.expires_at.is_some_and(|end| at > end);
        if wanted.expires_at.is_some_and(is_later) {
            return Err(ApiError::bad_field(
                "expiresAt",
                "a key cannot be made to live longer; rotate it, or make another one",
            ));
        }
        let limits = Limits {
            allowed_addresses: match addresses {
                Some(addresses) => addresses,
                None => addresses_of(before.allowed_addresses.as_deref())?,
            },
            requests_per_minute: pace.unwrap_or(before.requests_per_minute),
        };
        let name = name.unwrap_or_else(|| before.name.clone());
        life::rename(&mut transaction, &key_id, &name, wanted.expires_at).await?;
        let after = store::limit(&mut transaction, &key_id, &limits).await?;
        let bounds = |key: &KeyInfo| {
            json!({
                "name": key.name, "expiresAt": key.expires_at,
                "allowedAddresses": key.allowed_addresses, "requestsPerMinute": key.requests_per_minute,
            })
        };
        let detail = json!({"before": bounds(&before), "after": bounds(&after)});
        audit::record(&mut transaction, &caller, "key.update", &key_id, detail).await?;
        transaction.commit().await?;
        Ok(after)
    })
    .await?;
    Ok(Json(info))
}

/// Whether to revoke the key's successors, too.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeQuery {
    /// Also every key that came from this one by rotations, at whatever remove.
    descendants: Option<bool>,
}

async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    InPath(key_id): InPath<String>,
    query: InQuery<RevokeQuery>,
) -> Result<StatusCode, ApiError> {
    caller.require(Permission::Admin)?;
    may_be_key(&key_id)?;
    let with_descendants = query.read()?.descendants.unwrap_or(false);
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        let revoked = life::revoke(&mut transaction, caller.realm(), &key_id, with_descendants)
            .await?
            .ok_or_else(no_such_key)?;
        let detail = json!({"revoked": revoked});
        audit::record(&mut transaction, &caller, "key.revoke", &key_id, detail).await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// How long the old key goes on working.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateQuery {
    /// Seconds that the old key works on, unless it ends before; a day when absent.
    #[schemars(range(min = 0, max = 2_592_000))]
    grace_seconds: Option<u32>,
}

/// The same for who replaces the key in use: others may hold it, too, and need the time to learn of the new one.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateOwnQuery {
    /// Seconds that the old key works on, unless it ends before; a day when absent.
    #[schemars(range(min = 3_600, max = 2_592_000))]
    grace_seconds: Option<u32>,
}

/// The grace that the caller wishes, within bounds.
fn grace_of(wished: Option<u32>, least: u32) -> Result<TimeDelta, ApiError> {
    match wished {
        None => Ok(DEFAULT_GRACE),
        Some(seconds) if (least..=MAX_GRACE_SECONDS).contains(&seconds) => {
            Ok(TimeDelta::seconds(seconds.into()))
        }
        Some(_) => Err(ApiError::bad_field(
            "graceSeconds",
            format!("must be {least} to {MAX_GRACE_SECONDS} seconds"),
        )),
    }
}

/// A new key with the same rights, which goes on with what the old one began; that one works for a while, so that
/// nothing stops meanwhile.
async fn rotate_own(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<RotateOwnQuery>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let key_id = caller
        .key_id()
        .ok_or_else(|| {
            ApiError::Forbidden("this is for keys of programs; people make another token".into())
        })?
        .to_owned();
    let grace = grace_of(query.read()?.grace_seconds, MIN_OWN_GRACE_SECONDS)?;
    // Ended since it was looked at.
    let created = replace(state, caller, key_id, grace).await?;
    created.ok_or(ApiError::Unauthenticated)
}

async fn rotate(
    State(state): State<AppState>,
    caller: Caller,
    InPath(key_id): InPath<String>,
    query: InQuery<RotateQuery>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    caller.require(Permission::Admin)?;
    may_be_key(&key_id)?;
    let grace = grace_of(query.read()?.grace_seconds, 0)?;
    let created = replace(state, caller, key_id, grace).await?;
    created.ok_or_else(|| ApiError::NotFound("there is no such key that works".into()))
}

type Replaced = Option<(StatusCode, Json<CreatedKey>)>;

async fn replace(
    state: AppState,
    caller: Caller,
    key_id: String,
    grace: TimeDelta,
) -> Result<Replaced, ApiError> {
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        let actor = caller.actor();
        let made = life::rotate(&mut transaction, caller.realm(), &key_id, grace, actor).await?;
        let Some((generated, info)) = made else {
            return Ok(None);
        };
        let detail = json!({"from": key_id, "graceSeconds": grace.num_seconds()});
        audit::record(
            &mut transaction,
            &caller,
            "key.rotate",
            &info.key_id,
            detail,
        )
        .await?;
        transaction.commit().await?;
        Ok(Some((
            StatusCode::CREATED,
            Json(shown_once(&generated, info)),
        )))
    })
    .await
}

/// What is answered where a key is made.
pub fn shown_once(generated: &GeneratedKey, info: KeyInfo) -> CreatedKey {
    CreatedKey {
        key: generated.key.expose_secret().to_owned(),
        info,
    }
}

fn no_such_key() -> ApiError {
    ApiError::NotFound("there is no such key".into())
}

/// What cannot be an id, such as a NUL character, is not for the database.
fn may_be_key(key_id: &str) -> Result<(), ApiError> {
    if is_key_id(key_id) {
        Ok(())
    } else {
        Err(no_such_key())
    }
}

/// A name for a key.
pub fn name_of(text: &str) -> Result<String, ApiError> {
    let name = text.trim();
    if (1..=200).contains(&name.chars().count()) {
        return Ok(name.to_owned());
    }
    Err(ApiError::bad_field(
        "name",
        "a key needs a name of 1 to 200 characters",
    ))
}

/// The addresses and networks that a key works from.
pub fn addresses_of(texts: Option<&[String]>) -> Result<Option<Vec<AddressRange>>, ApiError> {
    let Some(texts) = texts else {
        return Ok(None);
    };
    if !(1..=MAX_ADDRESSES).contains(&texts.len()) {
        return Err(ApiError::bad_field(
            "allowedAddresses",
            "1 to 100 addresses and networks; leave the field out, or null, for everywhere",
        ));
    }
    let ranges = texts.iter().enumerate().map(|(place, text)| {
        text.parse().map_err(|error: InvalidRange| {
            ApiError::bad_field(&format!("allowedAddresses/{place}"), error.to_string())
        })
    });
    ranges.collect::<Result<_, _>>().map(Some)
}

fn pace_of(requests: Option<u32>) -> Result<Option<u32>, ApiError> {
    if requests.is_none_or(|number| (1..=MAX_REQUESTS).contains(&number)) {
        return Ok(requests);
    }
    Err(ApiError::bad_field(
        "requestsPerMinute",
        format!("must be 1 to {MAX_REQUESTS}"),
    ))
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::UnknownSystem(_) => Self::bad_field("systemIds", error.to_string()),
            KeyError::Database(error) => error.into(),
        }
    }
}
