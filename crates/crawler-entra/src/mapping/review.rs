//! Access reviews: what is reviewed, in which rounds, and what was decided.

use contract::records::CertificationDecision;
use serde_json::Value;
use uuid::Uuid;

use super::Object;

/// A review, as far as its decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Review {
    pub id: Uuid,
    pub name: Option<String>,
    /// What its scope is about, if it says so.
    pub target: Option<Uuid>,
}

/// A round of a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub id: Uuid,
    pub target: Option<Uuid>,
    /// Decisions may be in it.
    pub has_begun: bool,
}

/// A review out of the list of definitions.
pub(crate) fn review(value: Value) -> Option<Review> {
    let target = target_in(&value["scope"]);
    let (id, mut object) = Object::read(value)?;
    Some(Review {
        id,
        name: object.text("displayName"),
        target,
    })
}

/// A round out of a review's list of instances.
pub(crate) fn review_round(value: Value) -> Option<Round> {
    let target = target_in(&value["scope"]);
    let (id, object) = Object::read(value)?;
    let is_to_come = |status: &str| {
        ["NotStarted", "Initializing", "Starting"]
            .iter()
            .any(|word| status.eq_ignore_ascii_case(word))
    };
    Some(Round {
        id,
        target,
        has_begun: !object.peek("status").is_some_and(is_to_come),
    })
}

/// What was, or is to be, decided about an access. The decision names what it is about, or else the round's scope does.
pub(crate) fn review_decision(
    (review, round): (&Review, &Round),
    value: Value,
) -> Option<CertificationDecision> {
    let (id, mut object) = Object::read(value)?;
    if !object.has("decision") {
        return None;
    }
    let mut resource = object.nested("resource");
    // A package is reviewed policy by policy: the resource is the policy then, and the package is named beside it.
    let named = resource
        .as_mut()
        .and_then(|one| one.guid("accessPackageId").or_else(|| one.guid("id")));
    let kind = resource.as_mut().and_then(|one| one.text("type"));
    if let Some(kind) = kind {
        object.add("resourceType", kind);
    }
    let mut reviewer = object.nested("reviewedBy");
    let reviewed_by_id = reviewer.as_mut().and_then(somebody);
    if let Some(applied_by) = object.nested("appliedBy").as_mut().and_then(somebody) {
        object.add("appliedBy", applied_by.to_string());
    }
    if let Some(name) = &review.name {
        object.add("reviewName", name.clone());
    }
    // Links repeat ids, and hold the address that Graph was reached at.
    for known in [
        "accessReviewId",
        "principalLink",
        "resourceLink",
        "insights",
    ] {
        object.discard(known);
    }
    Some(CertificationDecision {
        id: Some(id),
        resource_id: named.or(round.target).or(review.target),
        principal_id: object.nested("principal").as_mut().and_then(somebody),
        decision: object.text("decision"),
        recommendation: object.text("recommendation"),
        justification: object.text("justification"),
        reviewed_by_id,
        reviewed_by_name: reviewer.and_then(|mut one| one.text("displayName")),
        reviewed_date_time: object.date("reviewedDateTime"),
        review_id: Some(review.id.to_string()),
        review_instance_id: Some(round.id.to_string()),
        extended_attributes: object.rest(),
        ..CertificationDecision::default()
    })
}

/// Whose id this is; the zero GUID is nobody's.
fn somebody(identity: &mut Object) -> Option<Uuid> {
    identity.guid("id").filter(|id| !id.is_nil())
}

/// The object that a scope is about. It is buried in the scope's queries, those about resources before others.
fn target_in(scope: &Value) -> Option<Uuid> {
    let resources = scope["resourceScopes"].as_array();
    let mut queries = resources
        .into_iter()
        .flatten()
        .chain(std::iter::once(scope))
        .filter_map(|one| one["query"].as_str());
    queries.find_map(target_of)
}

/// The id after one of the words that begin the path to what can be reviewed.
fn target_of(query: &str) -> Option<Uuid> {
    const BEFORE: [&str; 6] = [
        "groups/",
        "serviceprincipals/",
        "accesspackages/",
        "accesspackage/id eq '",
        "roledefinitions/",
        "roledefinitionid eq '",
    ];
    let query = query.to_ascii_lowercase().replace('+', " ");
    BEFORE.iter().find_map(|before| {
        let (_, after) = query.split_once(before)?;
        Uuid::parse_str(after.get(..36)?).ok()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "90C7E4A2-8B15-4F3D-A6E1-2D5F9C0B7E48";

    fn parties() -> (Review, Round) {
        let review = Review {
            id: Uuid::from_u128(1),
            name: Some("Guests".to_owned()),
            target: None,
        };
        let round = Round {
            id: Uuid::from_u128(2),
            target: Some(Uuid::from_u128(3)),
            has_begun: true,
        };
        (review, round)
    }

    fn decided(value: Value) -> CertificationDecision {
        let (review, round) = parties();
        review_decision((&review, &round), value).expect("a decision")
    }

    #[test]
    fn the_target_is_found_in_every_form_of_scope() {
        for query in [
            format!(
                "/v1.0/groups/{ID}/members/microsoft.graph.user/?$count=true&$filter=(userType eq 'Guest')"
            ),
            format!("/servicePrincipals/{ID}"),
            format!("/identityGovernance/entitlementManagement/accessPackages/{ID}"),
            format!(
                "/identityGovernance/entitlementManagement/assignments?$filter=(accessPackage/id eq '{ID}')"
            ),
            format!(
                "/identityGovernance/entitlementManagement/assignments?$filter=(accessPackage/id+eq+'{ID}')"
            ),
            format!("/roleManagement/directory/roleDefinitions/{ID}"),
        ] {
            let plain = json!({"query": query, "queryType": "MicrosoftGraph"});
            assert_eq!(target_in(&plain), Uuid::parse_str(ID).ok(), "{query}");
            let nested =
                json!({"principalScopes": [{"query": "/users"}], "resourceScopes": [plain]});
            assert_eq!(target_in(&nested), Uuid::parse_str(ID).ok(), "{query}");
        }
        for query in ["./members", "/groups?$filter=x", "/groups/ä", ""] {
            assert_eq!(target_in(&json!({"query": query})), None, "{query}");
        }
    }

    #[test]
    fn the_zero_guid_is_nobody() {
        let nobody = json!({"id": Uuid::nil(), "displayName": ""});
        let record = decided(
            json!({"id": ID, "decision": "NotReviewed", "reviewedBy": nobody, "appliedBy": nobody,
            "principal": {"id": ID}, "resource": null}),
        );
        assert_eq!(
            (record.reviewed_by_id, record.reviewed_by_name),
            (None, None)
        );
        assert_eq!(record.principal_id, Uuid::parse_str(ID).ok());
        assert_eq!(
            record.extended_attributes.map(Value::Object),
            Some(json!({"reviewName": "Guests"}))
        );
    }

    #[test]
    fn the_decision_names_what_it_is_about_or_else_the_scope_does() {
        let item =
            |resource: Value| decided(json!({"id": ID, "decision": "Deny", "resource": resource}));
        assert_eq!(item(json!(null)).resource_id, Some(Uuid::from_u128(3)));
        let group = item(json!({"id": ID, "type": "Group"}));
        assert_eq!(group.resource_id, Uuid::parse_str(ID).ok());
        let policy = item(json!({"id": Uuid::from_u128(9), "accessPackageId": ID}));
        assert_eq!(policy.resource_id, Uuid::parse_str(ID).ok());
    }

    #[test]
    fn a_round_that_is_to_come_has_no_decisions() {
        let begun = |status: Value| {
            let round = review_round(json!({"id": ID, "status": status})).expect("a round");
            round.has_begun
        };
        assert!(!begun(json!("NotStarted")) && !begun(json!("initializing")));
        assert!(begun(json!("InProgress")) && begun(json!("Applied")) && begun(json!(null)));
    }
}
