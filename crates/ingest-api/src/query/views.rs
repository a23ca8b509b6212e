//! The views and functions of the register that are asked like its tables. A new one is one entry here.
//!
//! Keys tell rows apart and are never null, which a test checks over a register with data of all kinds. What may be null
//! stands in the key as the zero uuid; that column is for the key only.

use std::sync::LazyLock;

use super::{
    Field, Kind,
    Kind::{Bool, Int, Text, Time, Uuid},
    Source,
};

/// The views over whole systems, each at `/api/register/{name}`.
pub fn views() -> &'static [Source] {
    static ALL: LazyLock<Vec<Source>> = LazyLock::new(|| {
        vec![
            orphan_references(),
            package_contents(),
            package_holders(),
            package_gaps(),
            package_findings(),
            governed_access(),
            resource_access(),
            role_holders(),
            privileged_principals(),
            principal_sign_ins(),
            group_nesting(),
        ]
    });
    &ALL
}

/// The functions about one system, package, principal or resource.
pub struct Functions {
    /// Who holds access and is disabled or inactive. Arguments: `days`.
    pub stale_principals: Source,
    /// What would go and what would remain without a package. Arguments: `package`.
    pub access_without_package: Source,
    /// What a principal has in effect. Arguments: `principal`.
    pub of_principal: Source,
    /// Who has a resource in effect. Arguments: `resource`.
    pub of_resource: Source,
}

/// The functions.
pub fn functions() -> &'static Functions {
    static ALL: LazyLock<Functions> = LazyLock::new(|| Functions {
        stale_principals: stale_principals(),
        access_without_package: access_without_package(),
        of_principal: effective_access_of_principal(),
        of_resource: effective_access_of_resource(),
    });
    &ALL
}

const fn is(wire: &'static str, sql: &'static str, kind: Kind) -> Field {
    Field::new(wire, sql, kind)
}

const fn may(wire: &'static str, sql: &'static str, kind: Kind) -> Field {
    Field::new(wire, sql, kind).nullable()
}

const SYSTEM: Field = is("systemId", "system_id", Int);
const RESOURCE: Field = is("resourceId", "resource_id", Uuid);
const PRINCIPAL: Field = is("principalId", "principal_id", Uuid);
const PACKAGE: Field = is("packageId", "package_id", Uuid);
const TYPE: Field = is("assignmentType", "assignment_type", Text);
const SCOPE: Field = is("roleScope", "role_scope", Text);
const RESOURCE_NAME: Field = may("resourceName", "resource_name", Text);
const RESOURCE_TYPE: Field = may("resourceType", "resource_type", Text);

/// Who, where the register knows them.
const WHO: [Field; 4] = [
    may("principalName", "principal_name", Text),
    may("principalType", "principal_type", Text),
    may("userPrincipalName", "user_principal_name", Text),
    may("accountEnabled", "account_enabled", Bool),
];

/// How somebody has something, and the assignment behind it.
const HOW: [Field; 11] = [
    TYPE,
    is("accessState", "access_state", Text),
    SCOPE,
    is("isDirect", "is_direct", Bool),
    is("viaKind", "via_kind", Text),
    may("viaId", "via_id", Uuid),
    may("viaName", "via_name", Text),
    may("state", "state", Text),
    may("startDateTime", "start_date_time", Time),
    may("expirationDateTime", "expiration_date_time", Time),
    may("firstSeenAt", "first_seen_at", Time),
];

/// What tells several ways to the same access apart.
const WAY: [(&str, Kind); 4] = [
    ("assignment_type", Text),
    ("role_scope", Text),
    ("via_kind", Text),
    ("via_key", Uuid),
];

fn view(
    name: &'static str,
    about: &'static str,
    relation: &'static str,
    fields: &[&[Field]],
    key: &[(&'static str, Kind)],
) -> Source {
    Source {
        name,
        about,
        relation,
        as_of: None,
        fields: std::iter::once(SYSTEM).chain(fields.concat()).collect(),
        key: key.to_vec(),
        entity: None,
        keeps_removed: false,
    }
}

/// Assignments that differ in their role scope only are the same reference.
fn orphan_references() -> Source {
    view(
        "orphan-references",
        "references that point nowhere",
        "(select distinct system_id, kind, missing_id, referring_id, relation from orphan_references)",
        &[&[
            is("kind", "kind", Text),
            is("missingId", "missing_id", Uuid),
            is("referringId", "referring_id", Uuid),
            is("relation", "relation", Text),
        ]],
        &[
            ("kind", Text),
            ("missing_id", Uuid),
            ("referring_id", Uuid),
            ("relation", Text),
        ],
    )
}

fn package_contents() -> Source {
    view(
        "package-contents",
        "what access packages contain",
        "package_contents",
        &[&[
            PACKAGE,
            may("packageName", "package_name", Text),
            RESOURCE,
            RESOURCE_NAME,
            RESOURCE_TYPE,
            is("roleName", "role_name", Text),
            TYPE,
            SCOPE,
            is("isMissing", "is_missing", Bool),
        ]],
        &[
            ("package_id", Uuid),
            ("resource_id", Uuid),
            ("role_name", Text),
        ],
    )
}

fn package_holders() -> Source {
    view(
        "package-holders",
        "who has which access package",
        "package_holders",
        &[&[PACKAGE, PRINCIPAL]],
        &[("package_id", Uuid), ("principal_id", Uuid)],
    )
}

fn package_gaps() -> Source {
    view(
        "package-gaps",
        "contents of packages that a holder has no assignment for",
        "package_gaps",
        &[&[
            PACKAGE,
            PRINCIPAL,
            RESOURCE,
            is("roleName", "role_name", Text),
            TYPE,
            SCOPE,
        ]],
        &[
            ("package_id", Uuid),
            ("principal_id", Uuid),
            ("resource_id", Uuid),
            ("role_name", Text),
        ],
    )
}

/// A resource that is missing in several roles is missing once.
fn package_findings() -> Source {
    view(
        "package-findings",
        "packages that need a look",
        "(select distinct system_id, package_id, finding, resource_id, \
         coalesce(resource_id, '00000000-0000-0000-0000-000000000000') as resource_key from package_findings)",
        &[&[
            PACKAGE,
            is("finding", "finding", Text),
            may("resourceId", "resource_id", Uuid),
        ]],
        &[
            ("package_id", Uuid),
            ("finding", Text),
            ("resource_key", Uuid),
        ],
    )
}

fn governed_access() -> Source {
    view(
        "governed-access",
        "assignments, and the packages that explain them",
        "(select system_id, resource_id, principal_id, assignment_type, role_scope, is_governed, \
         to_jsonb(package_ids) as package_ids from governed_access)",
        &[&[
            RESOURCE,
            PRINCIPAL,
            TYPE,
            SCOPE,
            is("isGoverned", "is_governed", Bool),
            Field::list("packageIds", "package_ids").nullable(),
        ]],
        &[
            ("resource_id", Uuid),
            ("principal_id", Uuid),
            ("assignment_type", Text),
            ("role_scope", Text),
        ],
    )
}

fn resource_access() -> Source {
    view(
        "resource-access",
        "who has which access, by which way",
        "(select *, coalesce(via_id, '00000000-0000-0000-0000-000000000000') as via_key from resource_access)",
        &[
            &[RESOURCE, RESOURCE_NAME, RESOURCE_TYPE, PRINCIPAL],
            &WHO,
            &HOW,
        ],
        &[
            &[("resource_id", Uuid), ("principal_id", Uuid)],
            WAY.as_slice(),
        ]
        .concat(),
    )
}

fn role_holders() -> Source {
    view(
        "role-holders",
        "who holds which directory role",
        "(select *, coalesce(via_id, '00000000-0000-0000-0000-000000000000') as via_key from role_holders)",
        &[
            &[
                is("roleId", "role_id", Uuid),
                may("roleName", "role_name", Text),
                is("tier", "tier", Int),
                PRINCIPAL,
            ],
            &WHO,
            &HOW,
            &[is("score", "score", Int)],
        ],
        &[&[("role_id", Uuid), ("principal_id", Uuid)], WAY.as_slice()].concat(),
    )
}

fn privileged_principals() -> Source {
    view(
        "privileged-principals",
        "principals by the weight of their directory roles",
        "privileged_principals",
        &[
            &[PRINCIPAL],
            &WHO,
            &[
                is("score", "score", Int),
                is("highestTier", "highest_tier", Int),
                is("activeRoles", "active_roles", Int),
                is("eligibleRoles", "eligible_roles", Int),
                Field::list("roles", "roles"),
            ],
        ],
        &[("principal_id", Uuid)],
    )
}

fn principal_sign_ins() -> Source {
    view(
        "principal-sign-ins",
        "when principals were last active",
        "principal_sign_ins",
        &[&[PRINCIPAL, is("lastActivityAt", "last_activity_at", Time)]],
        &[("principal_id", Uuid)],
    )
}

fn group_nesting() -> Source {
    view(
        "group-nesting",
        "which groups are inside which",
        "group_nesting",
        &[&[
            is("groupId", "group_id", Uuid),
            is("nestedGroupId", "nested_group_id", Uuid),
            is("isEligible", "is_eligible", Bool),
        ]],
        &[
            ("group_id", Uuid),
            ("nested_group_id", Uuid),
            ("is_eligible", Bool),
        ],
    )
}

fn stale_principals() -> Source {
    view(
        "stale-principals",
        "principals that hold access and are disabled or inactive",
        "(select {system} as system_id, f.* from stale_principals({system}, {days}) f)",
        &[&[
            PRINCIPAL,
            may("displayName", "display_name", Text),
            may("principalType", "principal_type", Text),
            is("isDisabled", "is_disabled", Bool),
            is("isInactive", "is_inactive", Bool),
            is("wasNeverActive", "was_never_active", Bool),
            may("lastActivityAt", "last_activity_at", Time),
            is("assignments", "assignments", Int),
        ]],
        &[("principal_id", Uuid)],
    )
}

fn access_without_package() -> Source {
    view(
        "access-without-package",
        "what would go and what would remain without a package",
        "(select {system} as system_id, f.* from access_without_package({system}, {package}) f)",
        &[&[
            PRINCIPAL,
            RESOURCE,
            TYPE,
            SCOPE,
            is("remains", "remains", Bool),
        ]],
        &[
            ("principal_id", Uuid),
            ("resource_id", Uuid),
            ("assignment_type", Text),
            ("role_scope", Text),
        ],
    )
}

fn effective_access_of_principal() -> Source {
    view(
        "effective-access-of-principal",
        "what a principal has in effect, by which way",
        include_str!("effective_access_of_principal.sql"),
        &[&[RESOURCE, RESOURCE_NAME, RESOURCE_TYPE], &HOW],
        &[&[("resource_id", Uuid)], WAY.as_slice()].concat(),
    )
}

fn effective_access_of_resource() -> Source {
    view(
        "effective-access-of-resource",
        "who has a resource in effect, by which way",
        include_str!("effective_access_of_resource.sql"),
        &[&[PRINCIPAL], &WHO, &HOW],
        &[&[("principal_id", Uuid)], WAY.as_slice()].concat(),
    )
}
