//! What entitlement management and access reviews become.

use std::collections::BTreeMap;

use graph_sim::{
    AccessPackage, AccessReview, Approver, Catalog, CatalogRole, Governance, GovernanceRole,
    GroupAccess, GroupAssignment, PackageAssignment, PackageGrant, PackagePolicy, PackageRequest,
    PackageRole, ReviewDecision, ReviewInstance, ReviewTarget,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Row,
    assignments::{Holders, with},
    moment,
    objects::{Attributes, date_text},
    row,
};

/// Rows by the table that they are in.
type Found = Vec<(&'static str, Row)>;

pub(super) fn rows(governance: &Governance, holders: &Holders) -> Found {
    let mut found = Found::new();
    let mut add = |table: &'static str, row: Row| found.push((table, row));
    for one in governance.catalogs.values() {
        add("governance_catalogs", catalog(one));
    }
    let mut sites: BTreeMap<Uuid, Row> = BTreeMap::new();
    for package in governance.packages.values() {
        add("resources", access_package(package));
        for one in &package.contents {
            add("resource_relationships", content(package.id, one));
            if let Some((id, site)) = site(one) {
                sites.insert(id, site);
            }
        }
    }
    for site in sites.into_values() {
        add("resources", site);
    }
    for one in governance.policies.values() {
        add("assignment_policies", policy(one));
    }
    let delivered = governance.assignments.values();
    for one in delivered.filter(|one| one.state == "delivered") {
        if let Some(row) = package_assignment(holders, one) {
            add("resource_assignments", row);
        }
    }
    for one in governance.requests.values() {
        add("assignment_requests", request(one));
    }
    for one in governance.roles.values() {
        add("resources", governance_role(one));
    }
    for one in governance.catalog_roles.values() {
        add("resource_assignments", catalog_role(holders, one));
    }
    for one in governance.group_assignments.values() {
        add("resource_assignments", group_schedule(holders, one));
    }
    for review in governance.reviews.values() {
        for round in review.instances.values() {
            for one in round.decisions.values() {
                add("certification_decisions", decision(review, round, one));
            }
        }
    }
    found
}

fn catalog(one: &Catalog) -> Row {
    row(json!({
        "id": one.id, "external_id": null, "display_name": one.display_name, "description": one.description,
        "catalog_type": one.catalog_type, "state": one.state, "is_externally_visible": one.is_externally_visible,
        "created_date_time": moment(one.created),
        "extended_attributes": {"modifiedDateTime": date_text(one.modified)},
    }))
}

/// A resource of a type that only a few columns are filled of.
fn resource(id: Uuid, kind: &str, name: &str, columns: Value) -> Row {
    let blank = row(json!({
        "id": id, "external_id": null, "resource_type": kind, "display_name": name, "description": null, "mail": null,
        "visibility": null, "enabled": null, "is_assignable_to_role": null, "catalog_id": null, "app_id": null,
        "template_id": null, "created_date_time": null, "extended_attributes": {},
    }));
    with(blank, columns)
}

fn access_package(one: &AccessPackage) -> Row {
    resource(
        one.id,
        "BusinessRole",
        &one.display_name,
        json!({
            "description": one.description, "catalog_id": one.catalog_id, "created_date_time": moment(one.created),
            "extended_attributes": {"isHidden": one.is_hidden, "modifiedDateTime": date_text(one.modified)},
        }),
    )
}

/// The id of a site is made of its address.
fn site_id(url: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, url.as_bytes())
}

fn site(one: &PackageRole) -> Option<(Uuid, Row)> {
    let PackageGrant::Site { url, name, .. } = &one.grant else {
        return None;
    };
    let attributes = json!({"extended_attributes": {"webUrl": url}});
    Some((
        site_id(url),
        resource(site_id(url), "SharePointSite", name, attributes),
    ))
}

fn content(package: Uuid, one: &PackageRole) -> Row {
    let (child, name, system, origin) = match &one.grant {
        PackageGrant::Group(group, GroupAccess::Member) => {
            (*group, "Member", "AadGroup", format!("Member_{group}"))
        }
        PackageGrant::Group(group, GroupAccess::Owner) => {
            (*group, "Owner", "AadGroup", format!("Owner_{group}"))
        }
        PackageGrant::AppRole {
            service_principal_id,
            app_role_id,
            name,
        } => {
            let role = app_role_id.to_string();
            let child = Uuid::new_v5(service_principal_id, role.as_bytes());
            (child, name.as_str(), "AadApplication", role)
        }
        PackageGrant::Site {
            url, role, number, ..
        } => (
            site_id(url),
            role.as_str(),
            "SharePointOnline",
            number.to_string(),
        ),
    };
    row(json!({
        "parent_resource_id": package, "child_resource_id": child, "relationship_type": "Contains", "role_name": name,
        "source_id": format!("{}_{}", one.role_id, one.scope_id),
        "extended_attributes": {
            "createdDateTime": date_text(one.created), "originSystem": system, "roleOriginId": origin,
        },
    }))
}

fn policy(one: &PackagePolicy) -> Row {
    let approver = match one.approver {
        Approver::Nobody => None,
        Approver::Manager => Some(json!({"kind": "requestorManager", "managerLevel": 1})),
        Approver::User(user) => Some(json!({"kind": "singleUser", "userId": user})),
        Approver::Sponsor => Some(json!({"kind": "internalSponsors"})),
    };
    let approval = match approver {
        None => json!({"isApprovalRequiredForAdd": false}),
        Some(approver) => json!({
            "isApprovalRequiredForAdd": true,
            "stages": [{
                "durationBeforeAutomaticDenial": "P7D", "isApproverJustificationRequired": true,
                "primaryApprovers": [approver],
            }],
        }),
    };
    let expiration = match one.expires_after_days {
        Some(days) => json!({"type": "afterDuration", "duration": format!("P{days}D")}),
        None => json!({"type": "noExpiration"}),
    };
    let can_request = one.allowed_target_scope != "notSpecified";
    row(json!({
        "id": one.id, "external_id": null, "display_name": one.display_name, "description": one.description,
        "resource_id": one.package_id, "allowed_target_scope": one.allowed_target_scope,
        "created_date_time": moment(one.created),
        "extended_attributes": {
            "modifiedDateTime": date_text(one.modified), "expiration": expiration,
            "requestorSettings": {"enableTargetsToSelfAddAccess": can_request, "enableTargetsToSelfRemoveAccess": true},
            "requestApprovalSettings": approval,
        },
    }))
}

fn package_assignment(holders: &Holders, one: &PackageAssignment) -> Option<Row> {
    let holder = one.target?;
    let ends = (one.package_id, "BusinessRole", "/");
    // Entitlement management knows subjects, not what kind of service principal they are.
    let kind = match holder.1 {
        graph_sim::MemberKind::User => "User",
        graph_sim::MemberKind::Group => "Group",
        graph_sim::MemberKind::ServicePrincipal => "ServicePrincipal",
    };
    let expiration = if one.end.is_some() {
        "afterDateTime"
    } else {
        "noExpiration"
    };
    Some(with(
        holders.assignment(ends, holder, "Governed"),
        json!({
            "principal_type": kind, "state": "Delivered", "start_date_time": moment(one.start),
            "expiration_date_time": one.end.map(moment), "policy_id": one.policy_id, "source_id": one.id,
            "extended_attributes": {"status": one.state, "schedule": {"expiration": {"type": expiration}}},
        }),
    ))
}

/// Graph's words begin with a small letter here and a capital there; the register's begin with a capital.
fn word(text: &str) -> String {
    text[..1].to_uppercase() + &text[1..]
}

fn request(one: &PackageRequest) -> Row {
    let assignment = one.assignment_id.map_or(json!({}), |id| json!({"id": id}));
    let attributes = Attributes::default()
        .put("status", one.state.clone())
        .put("schedule", json!({"expiration": {"type": "notSpecified"}}))
        .put("assignment", assignment);
    row(json!({
        "id": one.id, "external_id": null, "resource_id": one.package_id, "requestor_id": one.requestor_id,
        "policy_id": null, "request_type": word(&one.request_type), "state": word(&one.state),
        "justification": one.justification, "created_date_time": moment(one.created),
        "completed_date_time": one.completed.map(moment), "extended_attributes": attributes.all(),
    }))
}

fn governance_role(one: &GovernanceRole) -> Row {
    resource(
        one.id,
        "EntitlementManagementRole",
        &one.display_name,
        json!({
            "description": one.description, "enabled": true, "template_id": one.id,
            "extended_attributes": {"isBuiltIn": true},
        }),
    )
}

fn catalog_role(holders: &Holders, one: &CatalogRole) -> Row {
    let scope = one.catalog_id.map_or_else(
        || "/".to_owned(),
        |id| format!("/AccessPackageCatalog/{id}"),
    );
    let ends = (
        one.role_definition_id,
        "EntitlementManagementRole",
        scope.as_str(),
    );
    let row = holders.assignment(ends, (one.principal_id, one.principal_kind), "Direct");
    with(row, json!({"source_id": one.id}))
}

/// What PIM knows about a membership that is a row of its own.
fn group_schedule(holders: &Holders, one: &GroupAssignment) -> Row {
    let scope = match one.access {
        GroupAccess::Member => "/",
        GroupAccess::Owner => "/owner",
    };
    let attributes = Attributes::default()
        .put("accessId", one.access.as_str())
        .put("assignmentScheduleId", one.schedule_id.clone())
        .put("activatedUsing", one.activated_using.clone());
    let ends = (one.group_id, "EntraGroup", scope);
    let row = holders.assignment(ends, (one.principal_id, one.principal_kind), "Scheduled");
    with(
        row,
        json!({
            "state": one.assignment_type.as_str(), "start_date_time": one.start.map(moment),
            "expiration_date_time": one.end.map(moment), "source_id": one.id,
            "extended_attributes": attributes.all(),
        }),
    )
}

fn decision(review: &AccessReview, round: &ReviewInstance, one: &ReviewDecision) -> Row {
    let (target, kind) = match review.target {
        ReviewTarget::Group(id) => (id, "Group"),
        ReviewTarget::Package(id) => (id, "AccessPackageAssignmentPolicy"),
        ReviewTarget::Application(id) => (id, "ServicePrincipal"),
        ReviewTarget::Role(id) => (id, "DirectoryRole"),
    };
    let attributes = Attributes::default()
        .put("applyResult", "New")
        .put("reviewName", review.display_name.clone())
        .put("resourceType", one.names_resource.then_some(kind));
    let reviewer = one.reviewer.as_ref();
    row(json!({
        "id": one.id, "external_id": null, "resource_id": target, "principal_id": one.principal_id,
        "decision": one.decision, "recommendation": one.recommendation, "justification": one.justification,
        "reviewed_by_id": reviewer.map(|(id, _)| id), "reviewed_by_name": reviewer.map(|(_, name)| name),
        "reviewed_date_time": one.reviewed.map(moment), "review_id": review.id, "review_instance_id": round.id,
        "extended_attributes": attributes.all(),
    }))
}
