//! The register's entities: which wire field goes into which column.
//!
//! One table per entity, read by everything that decodes, merges or removes rows. A test holds it against the record
//! schemas of the contract.

use contract::Entity;

use super::{Column, ColumnKind, EntitySpec, IdSpace};

/// The specification of an entity; none for `systems`, which have their own module.
pub fn spec(entity: Entity) -> Option<&'static EntitySpec> {
    ALL.iter().copied().find(|spec| spec.entity == entity)
}

/// Every entity that is merged in batches.
pub static ALL: [&EntitySpec; 13] = [
    &PRINCIPALS,
    &RESOURCES,
    &RESOURCE_ASSIGNMENTS,
    &RESOURCE_RELATIONSHIPS,
    &IDENTITIES,
    &IDENTITY_MEMBERS,
    &CONTEXTS,
    &CONTEXT_MEMBERS,
    &PRINCIPAL_ACTIVITY,
    &GOVERNANCE_CATALOGS,
    &ASSIGNMENT_POLICIES,
    &ASSIGNMENT_REQUESTS,
    &CERTIFICATION_DECISIONS,
];

static PRINCIPALS: EntitySpec = EntitySpec {
    entity: Entity::Principals,
    table: "principals",
    id_space: Some(IdSpace::Principals),
    key: &[Column::new("id", "id", ColumnKind::Uuid).required()],
    columns: &[
        Column::new("external_id", "externalId", ColumnKind::Text),
        Column::new("principal_type", "principalType", ColumnKind::Text).or("User"),
        Column::new("display_name", "displayName", ColumnKind::Text).required(),
        Column::new("user_principal_name", "userPrincipalName", ColumnKind::Text),
        Column::new("email", "email", ColumnKind::Text),
        Column::new("given_name", "givenName", ColumnKind::Text),
        Column::new("surname", "surname", ColumnKind::Text),
        Column::new("job_title", "jobTitle", ColumnKind::Text),
        Column::new("department", "department", ColumnKind::Text),
        Column::new("company_name", "companyName", ColumnKind::Text),
        Column::new("employee_id", "employeeId", ColumnKind::Text),
        Column::new("employee_type", "employeeType", ColumnKind::Text),
        Column::new("office_location", "officeLocation", ColumnKind::Text),
        Column::new("country", "country", ColumnKind::Text),
        Column::new("manager_id", "managerId", ColumnKind::Uuid).referring_to(IdSpace::Principals),
        Column::new("account_enabled", "accountEnabled", ColumnKind::Bool),
        Column::new("app_id", "appId", ColumnKind::Uuid),
        Column::new("created_date_time", "createdDateTime", ColumnKind::Time),
    ],
    scope_keys: &[("principalType", "principal_type")],
    parent: None,
    keeps_history: true,
};

static RESOURCES: EntitySpec = EntitySpec {
    entity: Entity::Resources,
    table: "resources",
    id_space: Some(IdSpace::Resources),
    key: &[Column::new("id", "id", ColumnKind::Uuid).required()],
    columns: &[
        Column::new("external_id", "externalId", ColumnKind::Text),
        Column::new("resource_type", "resourceType", ColumnKind::Text).or("Resource"),
        Column::new("display_name", "displayName", ColumnKind::Text).required(),
        Column::new("description", "description", ColumnKind::Text),
        Column::new("mail", "mail", ColumnKind::Text),
        Column::new("visibility", "visibility", ColumnKind::Text),
        Column::new("enabled", "enabled", ColumnKind::Bool),
        Column::new(
            "is_assignable_to_role",
            "isAssignableToRole",
            ColumnKind::Bool,
        ),
        Column::new("catalog_id", "catalogId", ColumnKind::Uuid).referring_to(IdSpace::Catalogs),
        Column::new("app_id", "appId", ColumnKind::Uuid),
        Column::new("template_id", "templateId", ColumnKind::Uuid),
        Column::new("created_date_time", "createdDateTime", ColumnKind::Time),
    ],
    scope_keys: &[("resourceType", "resource_type")],
    parent: None,
    keeps_history: true,
};

static RESOURCE_ASSIGNMENTS: EntitySpec = EntitySpec {
    entity: Entity::ResourceAssignments,
    table: "resource_assignments",
    id_space: None,
    key: &[
        Column::new("resource_id", "resourceId", ColumnKind::Uuid)
            .referring_to(IdSpace::Resources)
            .required(),
        Column::new("principal_id", "principalId", ColumnKind::Uuid)
            .referring_to(IdSpace::Holders)
            .required(),
        Column::new("assignment_type", "assignmentType", ColumnKind::Text).required(),
        Column::new("role_scope", "roleScope", ColumnKind::Text).or("/"),
    ],
    columns: &[
        Column::new("principal_type", "principalType", ColumnKind::Text),
        Column::new("resource_type", "resourceType", ColumnKind::Text),
        Column::new("state", "state", ColumnKind::Text),
        Column::new("start_date_time", "startDateTime", ColumnKind::Time),
        Column::new(
            "expiration_date_time",
            "expirationDateTime",
            ColumnKind::Time,
        ),
        Column::new("policy_id", "policyId", ColumnKind::Uuid),
        Column::new("source_id", "sourceId", ColumnKind::Text),
    ],
    scope_keys: &[
        ("assignmentType", "assignment_type"),
        ("resourceType", "resource_type"),
    ],
    parent: Some(0),
    keeps_history: true,
};

static RESOURCE_RELATIONSHIPS: EntitySpec = EntitySpec {
    entity: Entity::ResourceRelationships,
    table: "resource_relationships",
    id_space: None,
    key: &[
        Column::new("parent_resource_id", "parentResourceId", ColumnKind::Uuid)
            .referring_to(IdSpace::Resources)
            .required(),
        Column::new("child_resource_id", "childResourceId", ColumnKind::Uuid)
            .referring_to(IdSpace::Resources)
            .required(),
        Column::new("relationship_type", "relationshipType", ColumnKind::Text).required(),
        Column::new("role_name", "roleName", ColumnKind::Text).or(""),
    ],
    columns: &[Column::new("source_id", "sourceId", ColumnKind::Text)],
    scope_keys: &[("relationshipType", "relationship_type")],
    parent: Some(0),
    keeps_history: true,
};

static IDENTITIES: EntitySpec = EntitySpec {
    entity: Entity::Identities,
    table: "identities",
    id_space: Some(IdSpace::Identities),
    key: &[Column::new("id", "id", ColumnKind::Uuid).required()],
    columns: &[
        Column::new("external_id", "externalId", ColumnKind::Text),
        Column::new("display_name", "displayName", ColumnKind::Text).required(),
        Column::new("email", "email", ColumnKind::Text),
        Column::new("given_name", "givenName", ColumnKind::Text),
        Column::new("surname", "surname", ColumnKind::Text),
        Column::new("employee_id", "employeeId", ColumnKind::Text),
        Column::new("job_title", "jobTitle", ColumnKind::Text),
        Column::new("department", "department", ColumnKind::Text),
        Column::new("company_name", "companyName", ColumnKind::Text),
        Column::new(
            "primary_principal_id",
            "primaryPrincipalId",
            ColumnKind::Uuid,
        ),
    ],
    scope_keys: &[],
    parent: None,
    keeps_history: true,
};

static IDENTITY_MEMBERS: EntitySpec = EntitySpec {
    entity: Entity::IdentityMembers,
    table: "identity_members",
    id_space: None,
    key: &[
        Column::new("identity_id", "identityId", ColumnKind::Uuid)
            .referring_to(IdSpace::Identities)
            .required(),
        Column::new("principal_id", "principalId", ColumnKind::Uuid)
            .referring_to(IdSpace::Principals)
            .required(),
    ],
    columns: &[
        Column::new("is_primary", "isPrimary", ColumnKind::Bool),
        Column::new("account_type", "accountType", ColumnKind::Text),
    ],
    scope_keys: &[],
    parent: Some(0),
    keeps_history: true,
};

static CONTEXTS: EntitySpec = EntitySpec {
    entity: Entity::Contexts,
    table: "contexts",
    id_space: Some(IdSpace::Contexts),
    key: &[Column::new("id", "id", ColumnKind::Uuid).required()],
    columns: &[
        Column::new("external_id", "externalId", ColumnKind::Text),
        Column::new("context_type", "contextType", ColumnKind::Text).required(),
        Column::new("variant", "variant", ColumnKind::Text).or("synced"),
        Column::new("target_type", "targetType", ColumnKind::Text).or("Identity"),
        Column::new("display_name", "displayName", ColumnKind::Text).required(),
        Column::new("description", "description", ColumnKind::Text),
        Column::new("parent_context_id", "parentContextId", ColumnKind::Uuid)
            .referring_to(IdSpace::Contexts),
    ],
    scope_keys: &[("contextType", "context_type"), ("variant", "variant")],
    parent: None,
    keeps_history: true,
};

static CONTEXT_MEMBERS: EntitySpec = EntitySpec {
    entity: Entity::ContextMembers,
    table: "context_members",
    id_space: None,
    key: &[
        Column::new("context_id", "contextId", ColumnKind::Uuid)
            .referring_to(IdSpace::Contexts)
            .required(),
        Column::new("member_id", "memberId", ColumnKind::Uuid)
            .referring_to(IdSpace::Members)
            .required(),
    ],
    columns: &[
        Column::new("member_type", "memberType", ColumnKind::Text).required(),
        Column::new("context_type", "contextType", ColumnKind::Text),
    ],
    scope_keys: &[("contextId", "context_id"), ("contextType", "context_type")],
    parent: Some(0),
    keeps_history: true,
};

static PRINCIPAL_ACTIVITY: EntitySpec = EntitySpec {
    entity: Entity::PrincipalActivity,
    table: "principal_activity",
    id_space: None,
    key: &[
        Column::new("principal_id", "principalId", ColumnKind::Uuid)
            .referring_to(IdSpace::Principals)
            .required(),
        Column::new("resource_id", "resourceId", ColumnKind::Uuid)
            .referring_to(IdSpace::Resources)
            .or("00000000-0000-0000-0000-000000000000"),
        Column::new("activity_type", "activityType", ColumnKind::Text).required(),
    ],
    columns: &[
        Column::new(
            "last_activity_date_time",
            "lastActivityDateTime",
            ColumnKind::Time,
        ),
        Column::new("activity_count", "activityCount", ColumnKind::Int),
    ],
    scope_keys: &[("activityType", "activity_type")],
    parent: None,
    keeps_history: false,
};

static GOVERNANCE_CATALOGS: EntitySpec = EntitySpec {
    entity: Entity::GovernanceCatalogs,
    table: "governance_catalogs",
    id_space: Some(IdSpace::Catalogs),
    key: &[Column::new("id", "id", ColumnKind::Uuid).required()],
    columns: &[
        Column::new("external_id", "externalId", ColumnKind::Text),
        Column::new("display_name", "displayName", ColumnKind::Text).required(),
        Column::new("description", "description", ColumnKind::Text),
        Column::new("catalog_type", "catalogType", ColumnKind::Text),
        Column::new("state", "state", ColumnKind::Text),
        Column::new(
            "is_externally_visible",
            "isExternallyVisible",
            ColumnKind::Bool,
        ),
        Column::new("created_date_time", "createdDateTime", ColumnKind::Time),
    ],
    scope_keys: &[],
    parent: None,
    keeps_history: true,
};

static ASSIGNMENT_POLICIES: EntitySpec = EntitySpec {
    entity: Entity::AssignmentPolicies,
    table: "assignment_policies",
    id_space: Some(IdSpace::Policies),
    key: &[Column::new("id", "id", ColumnKind::Uuid).required()],
    columns: &[
        Column::new("external_id", "externalId", ColumnKind::Text),
        Column::new("display_name", "displayName", ColumnKind::Text).required(),
        Column::new("description", "description", ColumnKind::Text),
        Column::new("resource_id", "resourceId", ColumnKind::Uuid).referring_to(IdSpace::Resources),
        Column::new(
            "allowed_target_scope",
            "allowedTargetScope",
            ColumnKind::Text,
        ),
        Column::new("created_date_time", "createdDateTime", ColumnKind::Time),
    ],
    scope_keys: &[],
    parent: None,
    keeps_history: true,
};

static ASSIGNMENT_REQUESTS: EntitySpec = EntitySpec {
    entity: Entity::AssignmentRequests,
    table: "assignment_requests",
    id_space: Some(IdSpace::Requests),
    key: &[Column::new("id", "id", ColumnKind::Uuid).required()],
    columns: &[
        Column::new("external_id", "externalId", ColumnKind::Text),
        Column::new("resource_id", "resourceId", ColumnKind::Uuid).referring_to(IdSpace::Resources),
        Column::new("requestor_id", "requestorId", ColumnKind::Uuid),
        Column::new("policy_id", "policyId", ColumnKind::Uuid),
        Column::new("request_type", "requestType", ColumnKind::Text),
        Column::new("state", "state", ColumnKind::Text),
        Column::new("justification", "justification", ColumnKind::Text),
        Column::new("created_date_time", "createdDateTime", ColumnKind::Time),
        Column::new("completed_date_time", "completedDateTime", ColumnKind::Time),
    ],
    scope_keys: &[],
    parent: None,
    keeps_history: true,
};

static CERTIFICATION_DECISIONS: EntitySpec = EntitySpec {
    entity: Entity::CertificationDecisions,
    table: "certification_decisions",
    id_space: Some(IdSpace::Certifications),
    key: &[Column::new("id", "id", ColumnKind::Uuid).required()],
    columns: &[
        Column::new("external_id", "externalId", ColumnKind::Text),
        Column::new("resource_id", "resourceId", ColumnKind::Uuid).referring_to(IdSpace::Resources),
        Column::new("principal_id", "principalId", ColumnKind::Uuid)
            .referring_to(IdSpace::Principals),
        Column::new("decision", "decision", ColumnKind::Text),
        Column::new("recommendation", "recommendation", ColumnKind::Text),
        Column::new("justification", "justification", ColumnKind::Text),
        Column::new("reviewed_by_id", "reviewedById", ColumnKind::Uuid),
        Column::new("reviewed_by_name", "reviewedByName", ColumnKind::Text),
        Column::new("reviewed_date_time", "reviewedDateTime", ColumnKind::Time),
        Column::new("review_id", "reviewId", ColumnKind::Text),
        Column::new("review_instance_id", "reviewInstanceId", ColumnKind::Text),
    ],
    scope_keys: &[],
    parent: None,
    keeps_history: true,
};
