//! Access reviews: definitions, their instances, and what was decided.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::paging::{Paging, behind};
use super::wire::{maybe_time, time, varied_id};
use super::{Call, Route, get};
use crate::model::{AccessReview, MemberKind, ReviewDecision, ReviewInstance, ReviewTarget};
use crate::permissions;
use crate::server::answer::{Body, GraphError};

pub(crate) const ROUTES: &[Route] = &[
    get(
        "/identityGovernance/accessReviews/definitions",
        permissions::REVIEWS,
        1,
        definitions,
    )
    .needs_p2(),
    get(
        "/identityGovernance/accessReviews/definitions/{id}/instances",
        permissions::REVIEWS,
        1,
        instances,
    )
    .needs_p2(),
    get(
        "/identityGovernance/accessReviews/definitions/{id}/instances/{instance}/decisions",
        permissions::REVIEWS,
        1,
        decisions,
    )
    .needs_p2(),
];

/// More per page is refused.
const LARGEST_PAGE: usize = 100;

/// The path that a scope buries its target in.
fn query_of(target: ReviewTarget) -> String {
    match target {
        ReviewTarget::Group(id) => {
            format!(
                "/v1.0/groups/{id}/members/microsoft.graph.user/?$count=true&$filter=(userType eq 'Guest')"
            )
        }
        ReviewTarget::Package(id) => {
            format!(
                "/identityGovernance/entitlementManagement/assignments?$filter=(accessPackage/id eq '{id}')"
            )
        }
        ReviewTarget::Application(id) => format!(
            "/servicePrincipals/{}/appRoleAssignedTo",
            id.to_string().to_uppercase()
        ),
        ReviewTarget::Role(id) => format!("/roleManagement/directory/roleDefinitions/{id}"),
    }
}

fn scope(target: ReviewTarget) -> Value {
    let query = json!({
        "@odata.type": "#microsoft.graph.accessReviewQueryScope",
        "query": query_of(target), "queryType": "MicrosoftGraph", "queryRoot": null,
    });
    match target {
        ReviewTarget::Group(_) | ReviewTarget::Application(_) => query,
        ReviewTarget::Package(_) | ReviewTarget::Role(_) => json!({
            "@odata.type": "#microsoft.graph.principalResourceMembershipsScope",
            "principalScopes": [{
                "@odata.type": "#microsoft.graph.accessReviewQueryScope",
                "query": "/users", "queryType": "MicrosoftGraph", "queryRoot": null,
            }],
            "resourceScopes": [query],
        }),
    }
}

fn selected(call: &Call<'_>, mut object: Map<String, Value>) -> Value {
    if let Some(names) = call.query.select() {
        object.retain(|name, _| names.iter().any(|wanted| wanted == name));
    }
    Value::Object(object)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn definitions(call: &Call<'_>) -> Result<Body, GraphError> {
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let reviews = behind(&call.tenant.governance.reviews, paging.after_id()?);
    let page = paging.page(
        call,
        "identityGovernance/accessReviews/definitions",
        reviews,
        |review| review.id.to_string(),
        |review| {
            let definition = json!({
                "id": review.id,
                "displayName": review.display_name,
                "status": if review.instances.values().any(|one| one.status == "InProgress") { "InProgress" } else { "Completed" },
                "createdDateTime": time(review.created),
                "scope": scope(review.target),
                "instanceEnumerationScope": null,
            });
            selected(call, object(definition))
        },
    );
    Ok(Body::Json(page))
}

fn review<'a>(call: &'a Call<'_>) -> Result<&'a AccessReview, GraphError> {
    let id = call.id(0)?;
    let known = call.tenant.governance.reviews.get(&id);
    known.ok_or_else(|| GraphError::not_found(&id.to_string()))
}

fn instances(call: &Call<'_>) -> Result<Body, GraphError> {
    let review = review(call)?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let rounds = behind(&review.instances, paging.after_id()?);
    let page = paging.page(
        call,
        "instances",
        rounds,
        |round| round.id.to_string(),
        |round| {
            let instance = json!({
                "id": round.id,
                "startDateTime": time(round.start),
                "endDateTime": time(round.end),
                "status": round.status,
                "scope": scope(review.target),
                "reviewers": [],
            });
            selected(call, object(instance))
        },
    );
    Ok(Body::Json(page))
}

fn decisions(call: &Call<'_>) -> Result<Body, GraphError> {
    let review = review(call)?;
    let id = call.id(1)?;
    let round: &ReviewInstance = review
        .instances
        .get(&id)
        .ok_or_else(|| GraphError::not_found(&id.to_string()))?;
    let paging = Paging::of(call, LARGEST_PAGE)?;
    let items = behind(&round.decisions, paging.after_id()?);
    let page = paging.page(
        call,
        "decisions",
        items,
        |item| item.id.to_string(),
        |item| decision(call, review, round, item),
    );
    Ok(Body::Json(page))
}

fn decision(
    call: &Call<'_>,
    review: &AccessReview,
    round: &ReviewInstance,
    item: &ReviewDecision,
) -> Value {
    let kind = match item.principal_kind {
        MemberKind::ServicePrincipal => "servicePrincipalIdentity",
        MemberKind::User | MemberKind::Group => "userIdentity",
    };
    let nobody = json!({"id": Uuid::nil(), "displayName": "", "userPrincipalName": ""});
    let reviewer = match &item.reviewer {
        Some((id, name)) => json!({"id": varied_id(*id), "displayName": name}),
        None => nobody.clone(),
    };
    let resource = item.names_resource.then(|| resource(review.target));
    json!({
        "id": item.id,
        "accessReviewId": round.id,
        "decision": item.decision,
        "recommendation": item.recommendation,
        "justification": item.justification,
        "reviewedDateTime": maybe_time(item.reviewed),
        "reviewedBy": reviewer,
        "appliedDateTime": null,
        "applyResult": "New",
        "appliedBy": nobody,
        "principal": {
            "@odata.type": format!("#microsoft.graph.{kind}"), "id": varied_id(item.principal_id), "displayName": "Somebody",
        },
        "principalLink": format!("{}/v1.0/directoryObjects/{}", call.base_url, item.principal_id),
        "resource": resource,
        "resourceLink": null,
    })
}

fn resource(target: ReviewTarget) -> Value {
    match target {
        ReviewTarget::Group(id) => {
            json!({"id": varied_id(id), "displayName": "A group", "type": "Group"})
        }
        // What is reviewed is an assignment under a policy; the package is named apart.
        ReviewTarget::Package(id) => json!({
            "@odata.type": "#microsoft.graph.accessReviewInstanceDecisionItemAccessPackageAssignmentPolicyResource",
            "id": Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()), "displayName": "A policy", "type": "AccessPackageAssignmentPolicy",
            "accessPackageId": id, "accessPackageDisplayName": "A package",
        }),
        ReviewTarget::Application(id) => {
            json!({"id": varied_id(id), "displayName": "An application", "type": "ServicePrincipal"})
        }
        ReviewTarget::Role(id) => {
            json!({"id": varied_id(id), "displayName": "A role", "type": "DirectoryRole"})
        }
    }
}
