//! What this version's crawler does not read and other sources post: activity, packages, requests, reviews, people. Made from the tenant and its cast by rule, posted through the ingest API, and known here.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use graph_sim::{Truth, User};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ask::moment, tenant::Cast};

/// Permissions of Microsoft Graph; the first three lead to everything.
pub const PERMISSIONS: [&str; 5] = [
    "RoleManagement.ReadWrite.Directory",
    "AppRoleAssignment.ReadWrite.All",
    "Directory.ReadWrite.All",
    "User.Read.All",
    "Mail.Send",
];

/// The id of something that only the facts know.
pub fn id(kind: u16, number: usize) -> Uuid {
    let number = u128::try_from(number).expect("a small number");
    Uuid::from_u128((u128::from(kind) << 112) | 0x0fac_0000_4000_8000_0000_0000_0000 | number)
}

const PACKAGE: u16 = 1;
pub const PERMISSION: u16 = 2;
const POLICY: u16 = 3;

/// The packages, by what they are good for.
pub fn package(number: usize) -> Uuid {
    id(PACKAGE, number)
}

/// Records on the wire, by entity.
pub type Records = Vec<(&'static str, Vec<Value>)>;

/// All facts, as of `now`.
pub fn all(truth: &Truth, cast: &Cast, today: DateTime<Utc>) -> Records {
    let (mut resources, mut assignments) = applications(cast);
    resources.extend((0..5).map(|number| {
        json!({"id": package(number), "resourceType": "BusinessRole", "displayName": format!("Package {number}"),
               "catalogId": id(9, 0)})
    }));
    assignments.extend(given(cast, today));
    vec![
        ("resources", resources),
        ("resource-assignments", assignments),
        ("resource-relationships", contents(cast)),
        ("principal-activity", activity(truth, cast, today)),
        (
            "governance/catalogs",
            vec![json!({"id": id(9, 0), "displayName": "General"})],
        ),
        ("governance/policies", policies(cast)),
        ("governance/requests", requests(cast, today)),
        ("governance/certifications", decisions(cast)),
        (
            "identities",
            (0..2)
                .map(|number| json!({"id": id(4, number), "displayName": format!("Person {number}")}))
                .collect(),
        ),
        ("identity-members", accounts(cast)),
    ]
}

/// What is posted like the rest and deleted before the tenant is looked at again. What refers to it may stay.
pub fn passing(cast: &Cast, today: DateTime<Utc>) -> Records {
    let people = &cast.people;
    let given = json!({"resourceId": package(0), "principalId": people[25], "assignmentType": "Governed", "roleScope": "/",
        "principalType": "User", "resourceType": "BusinessRole",
        "expirationDateTime": moment(today + Duration::days(10))});
    let owner = |application: &Uuid| {
        json!({"resourceId": application, "principalId": people[26], "assignmentType": "Owner", "roleScope": "/",
               "principalType": "User", "resourceType": "EntraApplication"})
    };
    let mut assignments: Vec<Value> = cast.service_principals[..23].iter().map(owner).collect();
    assignments.push(given);
    vec![
        (
            "principals",
            vec![
                json!({"id": id(7, 0), "principalType": "ExternalUser", "displayName": "Ghost", "accountEnabled": false,
                "extendedAttributes": {"externalUserState": "PendingAcceptance"}}),
            ],
        ),
        (
            "resources",
            vec![json!({"id": id(7, 2), "resourceType": "Share", "displayName": "Gone"})],
        ),
        ("resource-assignments", assignments),
        (
            "governance/policies",
            vec![json!({"id": id(POLICY, 9), "displayName": "Old", "resourceId": package(0)})],
        ),
        (
            "governance/requests",
            vec![
                json!({"id": id(5, 9), "resourceId": package(0), "requestorId": people[1], "state": "PendingApproval"}),
            ],
        ),
        (
            "governance/certifications",
            vec![
                json!({"id": id(6, 9), "resourceId": cast.groups[0], "principalId": people[1], "decision": "Deny"}),
            ],
        ),
        (
            "identity-members",
            vec![json!({"identityId": id(4, 0), "principalId": people[12]})],
        ),
    ]
}

/// What other sources say about applications.
fn applications(cast: &Cast) -> (Vec<Value>, Vec<Value>) {
    // Named like a permission, and none.
    let share =
        json!({"id": id(PERMISSION, 90), "resourceType": "Share", "displayName": PERMISSIONS[0]});
    let mut all = Vec::new();
    let mut give = |resource: Uuid, principal: Uuid, kind: &str, resource_type: &str| {
        all.push(json!({"resourceId": resource, "principalId": principal, "assignmentType": kind, "roleScope": "/",
                        "principalType": "User", "resourceType": resource_type}));
    };
    give(id(PERMISSION, 90), cast.people[2], "Direct", "Share");
    // A share and a guest that will be gone.
    give(id(7, 2), cast.people[2], "Direct", "Share");
    give(cast.role_key(), id(7, 0), "Direct", "EntraApplication");
    give(cast.service_principals[0], id(7, 0), "Owner", "Share");
    for application in &cast.service_principals[..23] {
        give(*application, cast.people[2], "Direct", "EntraApplication");
    }
    (vec![share], all)
}

/// Who was given which package.
fn given(cast: &Cast, today: DateTime<Utc>) -> Vec<Value> {
    let mut all = Vec::new();
    let mut give = |package_number: usize, principal: Uuid, kind: &str, days: Option<i64>| {
        let end = days.map(|days| moment(today + Duration::days(days) + Duration::hours(6)));
        all.push(json!({"resourceId": package(package_number), "principalId": principal, "assignmentType": "Governed",
            "roleScope": "/", "principalType": kind, "resourceType": "BusinessRole", "state": "Delivered",
            "expirationDateTime": end, "policyId": id(POLICY, package_number)}));
    };
    for (number, person) in cast.people[..6].iter().enumerate() {
        let days = [None, Some(5), Some(29), Some(30), Some(-1), Some(400)][number];
        give(0, *person, "User", days);
    }
    give(0, cast.guests[0], "User", Some(20));
    give(0, cast.groups[9], "Group", None);
    give(1, cast.groups[4], "Group", None);
    give(1, cast.people[0], "User", None);
    give(2, cast.guests[3], "User", Some(90));
    give(2, cast.guests[5], "User", None);
    give(2, cast.colleagues[4], "User", None);
    // One that will be gone, and one that never was.
    give(1, id(7, 0), "User", None);
    give(1, id(7, 1), "Group", None);
    all.push(
        json!({"resourceId": package(0), "principalId": cast.people[28], "assignmentType": "Owner", "roleScope": "/",
               "principalType": "User", "resourceType": "BusinessRole"}),
    );
    all
}

/// Package 0: three groups, one of them to own, and something that nobody knows. 1: one of the groups again, and a role of the
/// application. 2: groups to be activated, or to be a member of, that can hold roles. 3: nothing. 4: only what nobody knows.
fn contents(cast: &Cast) -> Vec<Value> {
    let role = cast.role_key();
    let groups = &cast.groups;
    [
        (0, groups[0], "Member"),
        (0, groups[1], "Member"),
        (0, groups[2], "Owner"),
        (0, id(8, 1), "Member"),
        (1, groups[1], "Member"),
        (1, groups[2], "Owner"),
        (1, role, "Reader"),
        (2, groups[3], "Eligible Member"),
        (2, cast.role_groups[1], "Member"),
        (4, id(8, 0), "Member"),
    ]
    .map(|(number, child, name)| {
        json!({"parentResourceId": package(number), "childResourceId": child, "relationshipType": "Contains", "roleName": name})
    })
    .into()
}

/// Sign-ins as the tenant has them, moved to now: half a day off every limit that is a number of days.
fn activity(truth: &Truth, cast: &Cast, today: DateTime<Utc>) -> Vec<Value> {
    let stays: BTreeSet<Uuid> = [
        &cast.people[..],
        &cast.colleagues,
        &cast.leavers,
        &cast.guests,
    ]
    .concat()
    .into_iter()
    .collect();
    let signed_in = |user: &User| user.sign_in.and_then(|known| known.last_sign_in);
    let newest = truth.users.iter().filter_map(signed_in).max();
    let newest = newest.expect("somebody signed in");
    let users = truth.users.iter().filter(|user| stays.contains(&user.id));
    users
        .filter_map(|user| {
            let days = (newest - signed_in(user)?).num_days();
            let at = today - Duration::days(days) - Duration::hours(12);
            Some(
                json!({"principalId": user.id, "resourceId": Uuid::nil(), "activityType": "SignIn",
                        "lastActivityDateTime": moment(at)}),
            )
        })
        .collect()
}

fn policies(cast: &Cast) -> Vec<Value> {
    let policy = |number: usize| {
        let approver = json!({"@odata.type": "#microsoft.graph.singleUser", "userId": cast.people[30 + number]});
        json!({"id": id(POLICY, number), "displayName": format!("Policy {number}"), "resourceId": package(number),
            "extendedAttributes": {"requestApprovalSettings": {"stages": [{"primaryApprovers": [approver]}]}}})
    };
    // The last two packages have none.
    (0..3).map(policy).collect()
}

fn requests(cast: &Cast, today: DateTime<Utc>) -> Vec<Value> {
    ["Delivered", "PendingApproval", "Denied", "PendingApproval"]
        .iter()
        .enumerate()
        .map(|(number, state)| {
            json!({"id": id(5, number), "resourceId": package(number % 2), "requestorId": cast.people[number],
                   "state": state, "createdDateTime": moment(today - Duration::days(3))})
        })
        .collect()
}

/// Reviews of a group and of a package: of some who have it and of some who do not.
fn decisions(cast: &Cast) -> Vec<Value> {
    [
        (cast.groups[0], cast.people[0], "Deny"),
        (cast.groups[0], cast.people[1], "Approve"),
        (cast.groups[0], cast.people[2], "Deny"),
        (cast.groups[6], cast.people[3], "Deny"),
        (package(1), cast.people[7], "NotReviewed"),
        (cast.groups[6], cast.people[8], "NotReviewed"),
        (cast.groups[0], id(7, 3), "Deny"),
    ]
    .iter()
    .enumerate()
    .map(|(number, (resource, principal, decision))| {
        json!({"id": id(6, number), "resourceId": resource, "principalId": principal, "decision": decision})
    })
    .collect()
}

fn accounts(cast: &Cast) -> Vec<Value> {
    [
        (0, cast.people[0]),
        (0, cast.people[14]),
        (1, cast.people[8]),
    ]
    .map(|(person, account)| json!({"identityId": id(4, person), "principalId": account}))
    .into()
}
