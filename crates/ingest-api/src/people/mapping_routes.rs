//! Role mappings over HTTP, for admins of the whole workspace.

use axum::{Json, extract::State, http::StatusCode};
use contract::{NewRoleMapping, Permission, RoleMapping, UpdateRoleMapping};
use serde_json::json;
use uuid::Uuid;

use super::{docs, mapping};
use crate::{
    app::AppState, audit, auth::Caller, body::SmallBody, durable::durable, error::ApiError,
    openapi::Routes, params::InPath,
};

/// The routes about role mappings.
pub fn routes() -> Routes {
    const ALL: &str = "/api/admin/role-mappings";
    const ONE: &str = "/api/admin/role-mappings/{mappingId}";
    Routes::new()
        .get(ALL, list, docs::list_mappings())
        .post(ALL, create, docs::create_mapping())
        .patch(ONE, update, docs::update_mapping())
        .delete(ONE, remove, docs::remove_mapping())
}

/// A role holds in all systems of the workspace: so must who gives it.
fn may_give(caller: &Caller) -> Result<(), ApiError> {
    caller.require(Permission::Admin)?;
    if caller.system_ids.is_none() {
        return Ok(());
    }
    Err(ApiError::Forbidden(
        "roles span systems; the key is limited to some".into(),
    ))
}

fn no_such_mapping() -> ApiError {
    ApiError::NotFound("there is no such role mapping".into())
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<RoleMapping>>, ApiError> {
    may_give(&caller)?;
    let mut connection = state.pool.acquire().await?;
    Ok(Json(
        mapping::all(&mut connection, caller.workspace_id).await?,
    ))
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<(StatusCode, Json<RoleMapping>), ApiError> {
    may_give(&caller)?;
    let wanted: NewRoleMapping = body.json()?;
    let made = durable(async move {
        let mut transaction = state.pool.begin().await?;
        if !mapping::exists(&mut transaction, caller.workspace_id, &wanted).await? {
            return Err(ApiError::bad_field(
                "resourceId",
                format!("there is no such group in system {}", wanted.system_id),
            ));
        }
        let actor = caller.actor();
        let mapping_id = mapping::insert(&mut transaction, caller.workspace_id, &wanted, &actor)
            .await?
            .ok_or_else(|| ApiError::Conflict {
                detail: "the group has a role already; change that mapping".into(),
                sync_id: None,
            })?;
        let made = mapping::one(&mut transaction, caller.workspace_id, mapping_id)
            .await?
            .ok_or_else(no_such_mapping)?;
        let detail =
            json!({"systemId": made.system_id, "resourceId": made.resource_id, "role": made.role});
        let target = mapping_id.to_string();
        audit::record(
            &mut transaction,
            &caller,
            "role-mapping.create",
            &target,
            detail,
        )
        .await?;
        transaction.commit().await?;
        Ok(made)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn update(
    State(state): State<AppState>,
    caller: Caller,
    InPath(mapping_id): InPath<Uuid>,
    body: SmallBody,
) -> Result<Json<RoleMapping>, ApiError> {
    may_give(&caller)?;
    let wanted: UpdateRoleMapping = body.json()?;
    let after = durable(async move {
        let mut transaction = state.pool.begin().await?;
        let before = mapping::one(&mut transaction, caller.workspace_id, mapping_id)
            .await?
            .ok_or_else(no_such_mapping)?;
        mapping::set_role(&mut transaction, mapping_id, wanted.role).await?;
        let detail = json!({
            "systemId": before.system_id, "resourceId": before.resource_id, "before": before.role, "after": wanted.role,
        });
        let target = mapping_id.to_string();
        audit::record(&mut transaction, &caller, "role-mapping.update", &target, detail).await?;
        transaction.commit().await?;
        Ok(RoleMapping {
            role: wanted.role,
            ..before
        })
    })
    .await?;
    Ok(Json(after))
}

async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    InPath(mapping_id): InPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    may_give(&caller)?;
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        let before = mapping::one(&mut transaction, caller.workspace_id, mapping_id)
            .await?
            .ok_or_else(no_such_mapping)?;
        mapping::remove(&mut transaction, mapping_id).await?;
        let detail = json!({
            "systemId": before.system_id, "resourceId": before.resource_id, "role": before.role,
        });
        let target = mapping_id.to_string();
        audit::record(
            &mut transaction,
            &caller,
            "role-mapping.remove",
            &target,
            detail,
        )
        .await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
