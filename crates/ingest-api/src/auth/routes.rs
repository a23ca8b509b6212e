//! Keys over HTTP: whoami and rotate for the key itself, the rest for admins.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{TimeDelta, Utc};
use contract::{CreateKey, CreatedKey, KeyInfo, Permission, WhoAmI};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{Caller, KeyError, NewKey, create_key, docs, key::is_key_id, store};
use crate::{
    app::AppState, audit, body::SmallBody, durable::durable, error::ApiError, openapi::Routes,
    params::InPath,
};

/// How long a key lives when nobody says otherwise.
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::days(90);

/// The routes about keys.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/crawlers/whoami", whoami, docs::whoami())
        .post("/api/crawlers/rotate", rotate, docs::rotate())
        .get("/api/admin/keys", list, docs::list())
        .post("/api/admin/keys", create, docs::create())
        .post("/api/admin/keys/{keyId}/revoke", revoke, docs::revoke())
}

async fn whoami(caller: Caller) -> Json<WhoAmI> {
    Json(WhoAmI {
        key: caller.key,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
    })
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
            caller.key.system_ids.as_deref(),
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
    let name_length = wanted.name.trim().chars().count();
    if !(1..=200).contains(&name_length) {
        return Err(ApiError::bad_field(
            "name",
            "a key needs a name of 1 to 200 characters",
        ));
    }
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
    let new = NewKey {
        workspace_id: caller.workspace_id,
        name: wanted.name.trim().to_owned(),
        permissions: wanted.permissions,
        system_ids: wanted.system_ids.or_else(|| caller.key.system_ids.clone()),
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
        let detail = json!({"name": info.name, "permissions": info.permissions, "systemIds": info.system_ids});
        audit::record(&mut transaction, &caller, "key.create", &info.key_id, detail).await?;
        transaction.commit().await?;
        Ok(CreatedKey { key: generated.key.expose_secret().to_owned(), info })
    })
    .await?;
    Ok((StatusCode::CREATED, Json(created)))
}

async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    InPath(key_id): InPath<String>,
) -> Result<StatusCode, ApiError> {
    caller.require(Permission::Admin)?;
    // What cannot be an id, such as a NUL character, is not for the database.
    if !is_key_id(&key_id) {
        return Err(ApiError::NotFound("there is no such key".into()));
    }
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        if !store::revoke(
            &mut transaction,
            caller.workspace_id,
            caller.key.system_ids.as_deref(),
            &key_id,
        )
        .await?
        {
            return Err(ApiError::NotFound("there is no such key".into()));
        }
        audit::record(&mut transaction, &caller, "key.revoke", &key_id, json!({})).await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// A new key with the same rights, which goes on with what the old one began; that one works for another day, so that
/// nothing stops meanwhile.
async fn rotate(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let created = durable(async move {
        let mut transaction = state.pool.begin().await?;
        let new = NewKey {
            workspace_id: caller.workspace_id,
            name: caller.key.name.clone(),
            permissions: caller.key.permissions.clone(),
            system_ids: caller.key.system_ids.clone(),
            expires_at: caller.key.expires_at.map(|_| Utc::now() + DEFAULT_LIFETIME),
            created_by: caller.actor(),
        };
        let (generated, info) = create_key(&mut transaction, &new).await?;
        store::join_lineage(&mut transaction, &info.key_id, &caller.lineage).await?;
        store::end_soon(&mut transaction, &caller.key.key_id).await?;
        audit::record(
            &mut transaction,
            &caller,
            "key.rotate",
            &info.key_id,
            json!({"from": caller.key.key_id}),
        )
        .await?;
        transaction.commit().await?;
        Ok(CreatedKey {
            key: generated.key.expose_secret().to_owned(),
            info,
        })
    })
    .await?;
    Ok((StatusCode::CREATED, Json(created)))
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::UnknownSystem(_) => Self::bad_field("systemIds", error.to_string()),
            KeyError::Database(error) => error.into(),
        }
    }
}
